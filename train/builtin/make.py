"""Make the base model and rollouts of a built-in task from nothing, or compare with those shipped.

python -m train.builtin.make --out builtin                        # about five minutes
python -m train.builtin.make --out builtin --compare              # and say whether it is the same
python -m train.builtin.make --task chains --out chains           # about fifteen
"""

from pathlib import Path

from objectives.errors import InputError, command_line
from objectives.output_lock import held
from train.config.builtin_tasks import TASKS
from train.config.flags import Parser


def main() -> None:
    parser = Parser("train.builtin.make", __doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="folder to write")
    parser.add_argument("--task", choices=TASKS, default="builtin", help="which (default: builtin)")
    parser.add_argument("--compare", action="store_true", help="compare with what is shipped")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where (default: cpu)"
    )
    arguments = parser.parse_args()

    # Imported here so that a mistyped flag is answered at once.
    from train.builtin.lessons import LESSONS
    from train.builtin.made import compare, make

    with held(arguments.out):
        if arguments.out.exists():
            raise InputError(f"--out {arguments.out} exists: name a new folder")
        make(arguments.out, LESSONS[arguments.task], arguments.device)
    print(f"wrote {arguments.out}")
    if arguments.compare:
        print(compare(arguments.out, arguments.task))


if __name__ == "__main__":
    command_line(main)
