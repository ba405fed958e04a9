"""What a run is asked to do: settings, flags, recipes, hyper-parameters."""

from train.config.settings import UNTRAINED, Config

__all__ = ["UNTRAINED", "Config"]
