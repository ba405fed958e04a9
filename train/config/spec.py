"""An objective and all its hyper-parameters, resolved once from a name and what was given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from objectives import OBJECTIVES, Objective
from objectives.errors import InputError
from objectives.own_code import short_name
from train.config.flags import flag_name, flagged
from train.config.future import FUTURE_FLAGS, FutureSettings, check_whole, future_settings
from train.config.objective_flags import objective_names, own_flags, require_known
from train.config.settings import Config
from train.config.values import expected, fits


@dataclass(frozen=True)
class ObjectiveSpec:
    """What an objective is trained with: each hyper-parameter has its value."""

    objective: Objective
    hyper: Mapping[str, Any]  # of the loss
    settings: Mapping[str, Any]  # read by whoever fills the batch
    future: FutureSettings | None  # of an objective that looks ahead; its values are in settings

    @property
    def name(self) -> str:
        return self.objective.name

    @property
    def short_name(self) -> str:
        """The name to call a folder by."""
        return short_name(self.name)

    @property
    def digests(self) -> dict[str, str]:
        """The digest of the objective's source, where it is none of this project."""
        digest = self.objective.digest
        return {} if digest is None else {"objective": digest}

    def record(self) -> dict[str, Any]:
        """Return all values by name, in the order in which run folders have them."""
        return {**self.hyper, **self.settings}

    def __reduce__(self):
        # To other processes it goes by name: an objective has functions that cannot be sent.
        return _of_name, (self.name, self.hyper, self.settings, self.future)


def _of_name(name: str, *values: Any) -> ObjectiveSpec:
    return ObjectiveSpec(OBJECTIVES.find(name), *values)


def objective_spec(name: str, given: Mapping[str, Any]) -> ObjectiveSpec:
    """Return an objective with the hyper-parameters that were given, and else its defaults.

    name: of OBJECTIVES, or `module:function`. given: as the objective's flags, with underscores.
    Raises InputError for an unknown name, with the near ones, and for a value that cannot be.
    """
    objective = OBJECTIVES[_one_name(name)]
    for other in {entry.name for entry in flagged(Config)} & given.keys():
        raise InputError(f"{other} is a setting of every run: give it as Config({other}=...)")
    for word in given:
        require_known(flag_name(word), [name])
    values = {word: _value(name, word, value) for word, value in given.items()}
    hyper = {n: values.get(n, p.default) for n, p in objective.hyper_parameters.items()}
    try:
        objective.check(hyper)
    except ValueError as error:
        raise InputError(f"--objective {error}") from None
    settings = {n: values.get(n, default) for n, default in objective.settings.items()}
    future = None
    if "lam" in settings:
        future = future_settings(values, objective.settings["lam"])
        if "future_divergence" in objective.needs:
            check_whole(name, future)
        settings |= future.values()
    return ObjectiveSpec(objective, hyper, settings, future)


def recorded_spec(config: Mapping[str, Any]) -> ObjectiveSpec:
    """Return the objective of a run from what its `config.json` holds."""
    _one_name(config["objective"])
    known = own_flags(config["objective"])
    return objective_spec(config["objective"], {n: config[n] for n in known if n in config})


def _one_name(name: str) -> str:
    names = objective_names(name)
    if len(names) > 1:
        raise InputError(f"--objective {name}: name one")
    return names[0]


def _value(objective: str, name: str, value: Any) -> Any:
    if name in FUTURE_FLAGS:
        try:
            return FUTURE_FLAGS[name].read(str(value))
        except ValueError as error:
            raise InputError(f"{flag_name(name)} {value}: {error}") from None
    annotation = own_flags(objective)[name]
    if not fits(annotation, value):
        raise InputError(f"{flag_name(name)} {value!r}: expected {expected(annotation)}")
    if value is None:
        return None
    domain = OBJECTIVES[objective].domains.get(name)
    if domain is not None and value not in domain:
        raise InputError(f"{flag_name(name)} {value}: must be {domain}")
    return float(value) if annotation is float else value
