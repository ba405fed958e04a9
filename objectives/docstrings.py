"""What a docstring says of each parameter: the one source of an objective's help."""

import re

_ENTRY = re.compile(
    r"^(?P<name>\w+): (?P<text>.*?)(?=^[\w.]+: |^(?:Loss|Returns?|Raises?)\b|^\s*$|\Z)",
    re.MULTILINE | re.DOTALL,
)


def parameter_help(docstring: str) -> dict[str, str]:
    """Return the text of every `name: text.` in a cleaned docstring, without its last full stop.

    An entry begins a line and goes on to the next entry, to a line that begins with Loss, Return
    or Raise, or to an empty line.
    """
    entries = _ENTRY.finditer(docstring)
    return {entry["name"]: " ".join(entry["text"].split()).rstrip(".") for entry in entries}
