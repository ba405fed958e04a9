"""The groups of settings: what they hold, in which order it is recorded, and what matters where."""

import copy
import math
import pickle
from dataclasses import dataclass, fields, replace
from typing import get_args

import pytest

from objectives import ADVANTAGES
from objectives.errors import InputError
from train.config.flags import check, flag, flag_name, flagged
from train.config.groups import DataConfig
from train.config.settings import RECORDED, Config
from train.config.values import without_none


def test_the_record_has_every_setting_once_in_the_order_of_old_runs():
    assert list(Config().record())[: len(RECORDED)] == list(RECORDED)
    assert Config().record() == vars(Config())


def test_a_setting_belongs_to_one_group():
    names = [entry.name for group in Config.__bases__ for entry in fields(group)]
    assert sorted(names) == sorted({entry.name for entry in fields(Config)})


def test_the_choices_of_advantage_are_those_of_the_zoo():
    (advantage,) = (entry for entry in fields(DataConfig) if entry.name == "advantage")
    assert get_args(advantage.type) == ("auto", *ADVANTAGES)


@dataclass(frozen=True)
class Bounded:
    rate: float | None = flag(None, "above 0", above=0)
    count: int = flag(2, "at least 1", least=1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": 0.0}, "--rate 0.0: must be above 0"),
        ({"rate": float("nan")}, "--rate nan: must be above 0"),
        ({"count": 0}, "--count 0: must be 1 or more"),
    ],
)
def test_bounds_stand_on_the_field(given, message):
    check(Bounded())
    check(Bounded(rate=1e-9, count=1))
    with pytest.raises(InputError, match=message):
        check(Bounded(**given))


def test_a_misspelt_setting_is_answered_wherever_it_is_given():
    for given in (lambda: Config(zzz=3), lambda: replace(Config(), zzz=3)):
        with pytest.raises(InputError, match=r"^zzz is not a setting of Config$"):
            given()


def test_settings_can_be_copied_and_sent():
    config = Config(steps=3, out="x")
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config


FLOATS = [entry.name for entry in flagged(Config) if without_none(entry.type) is float]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", FLOATS)
def test_numbers_are_finite(name, value):
    with pytest.raises(InputError, match=f"^{flag_name(name)} {value}: must be "):
        Config(**{name: value})
