"""A picture of what optimism buys: methods of mirror descent on zero-sum matrix games.

python -m objectives.convergence --output objectives/convergence.png
"""

from functools import partial
from pathlib import Path

from objectives.command import Parser
from objectives.errors import command_line
from objectives.whole_files import write_whole


def main() -> None:
    parser = Parser("objectives.convergence", __doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("convergence.png"), help="the picture, a PNG"
    )
    output = parser.parse_args().output

    # Imported here so that a mistyped flag is answered at once.
    from objectives.game_curves import draw

    write_whole(output, partial(draw().savefig, format="png", dpi=80))
    print(output)


if __name__ == "__main__":
    command_line(main)
