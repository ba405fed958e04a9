"""Make the built-in base model and rollouts from nothing, or compare with what is shipped.

python -m train.builtin.make --out builtin           # about five minutes
python -m train.builtin.make --out builtin --compare  # and say whether it is the same
"""

from pathlib import Path

from objectives.errors import InputError, command_line
from objectives.output_lock import held
from train.config.flags import Parser


def main() -> None:
    parser = Parser("train.builtin.make", __doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="folder to write")
    parser.add_argument("--compare", action="store_true", help="compare with what is shipped")
    arguments = parser.parse_args()

    # Imported here so that a mistyped flag is answered at once.
    from train.builtin.made import compare, make

    with held(arguments.out):
        if arguments.out.exists():
            raise InputError(f"--out {arguments.out} exists: name a new folder")
        make(arguments.out)
    print(f"wrote {arguments.out}")
    if arguments.compare:
        print(compare(arguments.out))


if __name__ == "__main__":
    command_line(main)
