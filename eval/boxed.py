r"""What the boxes of a text, `\boxed{...}`, hold."""

BOX = "\\boxed{"


def boxed(text: str, start: int) -> str | None:
    """Return what the box that begins at `start` holds, None where its brace is never closed."""
    depth, inside = 1, start + len(BOX)
    for at in range(inside, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[inside:at]
    return None


def last_boxed(text: str) -> str | None:
    """Return what the last box of a text holds, None where there is none or it is open."""
    start = text.rfind(BOX)
    found = boxed(text, start) if start >= 0 else None
    return None if found is None else found.strip()
