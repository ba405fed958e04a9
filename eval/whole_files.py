"""Files that are written whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path


def write_whole(target: Path, content: str | Callable[[Path], object]) -> None:
    """Write text, or what `content` writes to the path that it is given, whole or not at all."""
    partial = target.with_name("." + target.name + ".partial")
    if isinstance(content, str):
        partial.write_text(content)
    else:
        content(partial)
    os.replace(partial, target)
