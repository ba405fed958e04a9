"""Malformed inputs by kind, always the same: bytes that are no JSON, and JSON with a change."""

import copy
import gzip
import json
import random
from collections.abc import Callable
from typing import Any

HUGE = 10**400  # JSON and Python have it, no float and no index does
DEEP = 100_000  # levels of nesting
SURROGATE = "\ud800"  # half of a character, which JSON can spell


def broken_json(valid: bytes) -> dict[str, bytes]:
    """Return bytes that are no JSON object, by what is wrong with them."""
    return {
        "empty": b"",
        "torn": valid[: len(valid) // 2].rstrip(b"\n}]"),
        "binary": bytes(random.Random(0).randrange(256) for _ in range(300)),
        "UTF-16": valid.decode().encode("utf-16"),
        "deep lists": b'{"a": ' + b"[" * DEEP,
        "deep objects": b'{"a":' * DEEP,
        "null": b"null",
        "a list": b"[1, 2]",
        "a number": b"3",
        "a text": b'"text"',
        "a number of 5,000 digits": b'{"a": ' + b"7" * 5000 + b"}",
    }


def broken_lines(valid: bytes) -> dict[str, bytes]:
    """Return bytes that are no JSON Lines of objects; each has a good first line, where it can."""
    first = valid.split(b"\n")[0] + b"\n"
    whole = ("empty", "binary", "UTF-16", "a number of 5,000 digits")
    return {
        name: (b"" if name in whole else first) + content + b"\n"
        for name, content in broken_json(valid).items()
        if name != "empty"
    }


def broken_beginnings(valid: bytes) -> dict[str, bytes]:
    """Return good lines after a line that is none."""
    first = valid.split(b"\n")[0]
    found = {name: content + b"\n" + valid for name, content in broken_json(first).items()}
    return {name: content for name, content in found.items() if name != "empty"}


def broken_packed(valid: bytes) -> dict[str, bytes]:
    """Return bytes of gzip that cannot be unpacked to the end."""
    packed = gzip.compress(valid, mtime=0)
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 0xFF
    return {"no gzip": valid, "torn": packed[:-9], "damaged": bytes(damaged), "empty": b"",
            "of nothing": gzip.compress(b"", mtime=0)}  # fmt: skip


def broken_binary(valid: bytes) -> dict[str, bytes]:
    """Return a binary file cut short, empty, of something else, or with damaged beginnings."""
    generator = random.Random(1)
    noise = bytes(generator.randrange(256) for _ in range(400))
    return {
        "empty": b"",
        "cut short": valid[: len(valid) * 2 // 3],
        "the beginning alone": valid[:20],
        "noise": noise,
        "noise after its beginning": valid[:8] + noise,
        "text": b"this is no such file\n" * 20,
    }


def safetensors_headers() -> dict[str, bytes]:
    """Return files whose headers say what cannot be."""

    def file(header: Any, size: int | None = None) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return (len(text) if size is None else size).to_bytes(8, "little") + text

    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    return {
        "a header of 2^60 bytes": file({}, 2**60),
        "a header that is no JSON": file(b"{nothing"),
        "a deep header": file(b'{"a":' * 1000),
        "no tensors": file({}),
        "a type that is unknown": file({"w": {**entry, "dtype": "F31"}}) + bytes(8),
        "a shape beyond the file": file({"w": {**entry, "shape": [2**40]}}) + bytes(8),
        "offsets beyond the file": file({"w": {**entry, "data_offsets": [0, 2**50]}}) + bytes(8),
        "offsets that go back": file({"w": {**entry, "data_offsets": [8, 0]}}) + bytes(8),
    }


def changed(valid: Any, *path: str | int, to: Any = None, drop: bool = False) -> bytes:
    """Return JSON with the value at a path replaced, or left out."""
    content = copy.deepcopy(valid)
    place = content
    for name in path[:-1]:
        place = place[name]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(content).encode()


VALUES = (None, "text", [], {}, -1, 0, 0.5, True, 1e300, 2**70, HUGE, float("nan"), SURROGATE)


def mutations(valid: Any, seed: int, count: int) -> dict[str, bytes]:
    """Return JSON with one value, anywhere in it, replaced by one of VALUES or left out."""
    generator = random.Random(seed)
    paths = list(_paths(valid))
    found = {}
    while len(found) < count:
        path = generator.choice(paths)
        if generator.random() < 0.15:
            found[f"{_named(path)} left out"] = changed(valid, *path, drop=True)
            continue
        number = generator.randrange(len(VALUES))
        name = f"{_named(path)} is {VALUES[number]!r:.12}"
        found[name] = changed(valid, *path, to=VALUES[number])
    return found


def _named(path: tuple) -> str:
    return "/".join(map(str, path))


def _paths(value: Any, path: tuple = ()):
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for name, entry in entries:
        yield (*path, name)
        if isinstance(entry, dict | list) and entry:
            yield from _paths(entry, (*path, name))


def spoilers(broken: Callable[[bytes], dict[str, bytes]]) -> list[tuple[str, Callable]]:
    """Return what one of these functions makes, by name, as functions of bytes not known yet."""
    names = broken(b'{"a": [1, 2], "b": 3}\n{"a": 2}\n')
    return [(name, lambda valid, n=name: broken(valid)[n]) for name in names]


def broken_table(valid: bytes) -> dict[str, bytes]:
    """Return bytes that are no CSV with the columns and numbers of a good one."""
    return {
        "empty": b"", "binary": b"\x00\xff\xfe" * 50, "text": b"no table\n",
        "other columns": b"a,b\n1,2\n", "UTF-16": valid.decode().encode("utf-16"),
        "words": valid.replace(b"0.", b"many"), "a cell more": valid + b"1,2,3,4,5,6,7,8\n",
    }  # fmt: skip
