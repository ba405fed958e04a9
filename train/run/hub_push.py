"""A trained run on the hub: its checkpoint, card, pictures and records."""

import sys
from pathlib import Path

from objectives.errors import InputError
from objectives.json_files import read_object
from train.reporting.callbacks import Callback
from train.run.best import FILE as BEST
from train.run.result import Result
from train.store.checkpoints import find_checkpoints
from train.store.hub import Files, push
from train.store.hub_cards import model_metadata

RECORDS = {"metrics.jsonl": "metrics.jsonl", "config.json": "training.json"}  # there, and there


class HubPush(Callback):
    """Puts a finished run on the hub; where that fails the run is whole, and a line says how to."""

    def __init__(self, repo: str, folder: Path):
        self.repo, self.folder = repo, folder

    def on_end(self, result: Result) -> None:
        """Push the best checkpoint where --keep-best names one, else the last."""
        try:
            where = push(self.repo, "model", self._files(result), f"{result.objective}, trained")
        except InputError as error:
            print(
                f"{error}; the run is whole: hf upload {self.repo} {self._checkpoint()} pushes "
                f"the checkpoint later",
                file=sys.stderr, flush=True,
            )  # fmt: skip
        else:
            print(where, flush=True)

    def _checkpoint(self) -> Path:
        best = self.folder / BEST
        if best.is_file():
            return self.folder / str(read_object(best)["checkpoint"])
        found = find_checkpoints(self.folder)
        return found[max(found)]

    def _files(self, result: Result) -> Files:
        checkpoint, config = self._checkpoint(), read_object(self.folder / "config.json")
        scores = result.after.metrics() if result.after is not None else {}
        metrics = {name: value for name, value in scores.items() if name.endswith("accuracy")}
        if checkpoint.name != f"step-{config['steps']}":  # they are the last one's
            metrics = {}
        card = (self.folder / "README.md").read_text()
        name = self.repo.partition("/")[2]
        files: dict[str, Path | str] = {
            path.name: path
            for path in sorted(checkpoint.iterdir())
            if path.is_file() and not path.name.startswith("trainer_state")
        }
        files |= {there: self.folder / here for here, there in RECORDS.items()}
        files |= {f"plots/{path.name}": path for path in result.pictures}
        return files | {"README.md": model_metadata(config, metrics, name) + card}
