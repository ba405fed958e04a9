"""`python -m objectives`: the zoo as a table."""

from objectives.registry import OBJECTIVES, Objective

COLUMNS = ("name", "unit", "needs", "hyper-parameters", "source")


def _row(name: str, objective: Objective) -> tuple[str, ...]:
    hyper = {n: p.default for n, p in objective.hyper_parameters.items()}
    return (
        name,
        objective.unit,
        ", ".join(field for field in objective.needs if field != "pairs") or "-",
        ", ".join(f"{n}={v}" for n, v in {**hyper, **objective.settings}.items()) or "-",
        f"arXiv {objective.source}" if objective.source else "-",
    )


def table() -> str:
    """Return the zoo as text: name, unit, what it needs, hyper-parameters, source."""
    rows = [COLUMNS, *(_row(name, objective) for name, objective in OBJECTIVES.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
