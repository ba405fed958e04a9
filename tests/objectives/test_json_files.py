"""Files of JSON: what is none, and what is of another kind, gets one line that names the file."""

import pytest

from objectives.errors import InputError
from objectives.json_files import parsed, read_object, read_objects, require, shown

DEEP = b'{"a":' * 100_000
BROKEN = {
    "empty": (b"", "not JSON"),
    "torn": (b'{"a": 1', "not JSON"),
    "deep": (DEEP, "nested too deeply"),
    "a number of 5,000 digits": (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
    "binary": (b"\x00\xff\xfe", "not UTF-8"),
    "a list": (b"[1]", r"expected a JSON object, not \[1\]"),
    "null": (b"null", "expected a JSON object, not null"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_object_is_named(tmp_path, name):
    content, message = BROKEN[name]
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"settings\.json: .*{message}"):
        read_object(path)
    if content:
        with pytest.raises(InputError, match=r"settings\.json(: not UTF-8| line 1: )"):
            read_objects(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "no.json", tmp_path):
        with pytest.raises(InputError, match=f"{path.name}: cannot be read"):
            read_object(path)


def test_lines_are_numbered_as_in_the_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('\ufeff{"a": "\u2028"}\n\n{"a": 2}\n{"a": ', encoding="utf-8")
    assert read_objects(path, torn_end=True) == {1: {"a": "\u2028"}, 3: {"a": 2}}
    with pytest.raises(InputError, match=r"rows\.jsonl line 4: not JSON"):
        read_objects(path)
    path.write_text('{"a": \n{"a": 2}')
    with pytest.raises(InputError, match=r"rows\.jsonl line 1: not JSON"):
        read_objects(path, torn_end=True)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (None, int, "a is null, expected int"),
        (True, int, "a is true, expected int"),
        (True, (int, float), "a is true, expected int or float"),
        ("x" * 90, (int, type(None)), f'a is "{"x" * 56}..., expected int or null'),
        ({}, str, "a is {}, expected str"),
    ],
)
def test_values_of_another_kind_are_shown(value, kind, message):
    with pytest.raises(InputError, match=f"^here: {message}"):
        require("here", {"a": value}, {"a": kind})
    require("here", {"a": True, "b": 1.0}, {"a": bool, "b": (int, float)})
    with pytest.raises(InputError, match="here: b is missing"):
        require("here", {"a": value}, {"b": kind})


def test_another_format_is_called_by_its_name():
    with pytest.raises(InputError, match=r"^recipe: not whole numbers \(invalid literal"):
        parsed("x", "recipe", "whole numbers", int)


def test_what_json_does_not_know_is_shown_by_its_kind():
    assert shown({1, 2}) == "'set'"
