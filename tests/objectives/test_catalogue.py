"""The catalogue says of each objective what the objective says of itself."""

import sys

import pytest

from objectives import OBJECTIVES
from objectives.catalogue import CATALOGUE, FILE, FUTURE, GUARD, Entry
from objectives.errors import InputError
from objectives.registering import Registry
from objectives.registry import _BASE
from objectives.write_catalogue import catalogue

OURS = Registry(_BASE)
FORMS = [name for own in OURS for name in (own, GUARD + own, FUTURE + GUARD + own) if name in OURS]


@pytest.fixture
def alone(monkeypatch):
    """Have it asked as by a command that has imported no objective yet."""
    monkeypatch.delitem(sys.modules, "objectives.registry")


def test_the_file_is_up_to_date():
    written = FILE.read_text(encoding="utf-8")
    assert written == catalogue(OURS), "run python -m objectives.write_catalogue"


@pytest.mark.parametrize("name", FORMS)
def test_it_has_all_that_is_said_of_an_objective(name):
    entry, objective = CATALOGUE[name], OURS[name]
    assert isinstance(entry, Entry)
    for what in Entry._fields:
        assert getattr(entry, what) == getattr(objective, what), what
    assert list(entry.defaults) == list(objective.defaults)
    assert [*map(type, entry.defaults.values())] == [*map(type, objective.defaults.values())]


def test_names_come_in_the_order_of_the_zoo(alone):
    assert list(CATALOGUE) == list(OURS)
    assert len(CATALOGUE) == len(OURS)


def test_a_name_that_is_none_is_answered_as_by_the_zoo(alone):
    with pytest.raises(InputError) as here:
        CATALOGUE.find("fpoo")
    with pytest.raises(InputError) as there:
        OURS.find("fpoo")
    assert str(here.value) == str(there.value)
    with pytest.raises(KeyError):
        CATALOGUE["fpoo"]


def test_what_is_registered_is_found(monkeypatch):
    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES._entries))
    OBJECTIVES.register(OBJECTIVES["dpo"].loss, name="mine")
    assert CATALOGUE.find("mine") is CATALOGUE["mine"] is OBJECTIVES["mine"]
    assert "mine" in list(CATALOGUE)
    assert len(CATALOGUE) == len(OBJECTIVES)
