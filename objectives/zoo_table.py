"""The zoo as text: what each objective is, what it reads, and which flags it has."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from objectives.catalogue import CATALOGUE, Entry

if TYPE_CHECKING:
    from objectives.entry import Objective

WIDTH = 120
INDENT = " " * 4
LEGEND = (
    "Each objective with what a loss of it belongs to, what it reads besides the policy's "
    "log-probs (fields of a Batch), what it does, and its flags with their defaults."
)
FLAG_WIDTH = 26  # of a flag and its default, so that all help begins in one column


def zoo_table(names: Sequence[str] = ()) -> str:
    """Return a block of text for each named objective, at most 120 columns wide.

    A block has the name, the unit, the fields of Batch that are read, the summary, and for each
    hyper-parameter its flag, default and help.
    names: keys of CATALOGUE; none gives the whole zoo with a legend, where the future-policy forms
    other than fpa share one block. Raises KeyError for a name that is none.
    """
    if names:
        return "\n\n".join(block(name, CATALOGUE[name]) for name in names)
    forms = [name for name, entry in CATALOGUE.items() if entry.base and name != "fpa"]
    blocks = [block(name, entry) for name, entry in CATALOGUE.items() if name not in forms]
    return "\n\n".join([fill(LEGEND, WIDTH), *blocks, _guarded_block(), _shared_block(forms)])


def block(name: str, entry: "Entry | Objective") -> str:
    fields = ", ".join(field for field in entry.needs if field != "pairs")
    reads = f"; reads {fields}" if fields else ""
    flags = [_flag(entry, parameter) for parameter in entry.help]
    return "\n".join([f"{name}: a loss per {entry.unit}{reads}", INDENT + entry.summary, *flags])


def _shared_block(forms: list[str]) -> str:
    """Return the block of forms that all add the same flags to those of their objectives."""
    form = CATALOGUE[forms[0]]
    assert form.base
    added = [name for name in form.help if name not in CATALOGUE[form.base].help]
    text = (
        f"Each is {form.summary.replace(form.base, 'the objective it is named after', 1)} "
        "It reads future besides what that reads, and has its flags and these."
    )
    return "\n".join(
        [
            fill(", ".join(forms), WIDTH),
            fill(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT),
            *(_flag(form, parameter) for parameter in added),
        ]
    )


def _guarded_block() -> str:
    """Return the block of what each objective and form is with the likelihood guard."""
    entry = CATALOGUE["guarded_dpo"]
    text = (
        f"Each is {entry.summary.replace('dpo', 'the objective NAME or fpa_NAME', 1)} It reads "
        "reference, and the reward where its unit is the trajectory, and has the flags of what it "
        "is named after and this one. fpa_guarded_NAME looks at the future policy for the penalty "
        "too."
    )
    return "\n".join(
        [
            "guarded_NAME, guarded_fpa_NAME, fpa_guarded_NAME",
            fill(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT),
            _flag(entry, "guard"),
        ]
    )


def _flag(entry: "Entry | Objective", parameter: str) -> str:
    flag = f"--{parameter.replace('_', '-')} {_spelt(entry.defaults[parameter])}"
    left = INDENT + flag.ljust(FLAG_WIDTH) + "  "
    margin = " " * (len(INDENT) + FLAG_WIDTH + 2)
    return fill(left + entry.help[parameter], WIDTH, subsequent_indent=margin)


def _spelt(value: object) -> str:
    """Return a value as a flag takes it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
