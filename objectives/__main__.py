"""The zoo of objectives as text.

python -m objectives             # all of them: what each is, what it reads, its hyper-parameters
python -m objectives fpa dpo     # these alone
python -m objectives my_file.py:function     # one of your own
"""

from objectives.command import Parser
from objectives.errors import command_line
from objectives.registry import OBJECTIVES
from objectives.zoo_table import zoo_table


def main() -> None:
    parser = Parser(
        "objectives",
        "Show the objectives: what each is, what it reads, its hyper-parameters.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="an objective, all without a name")
    names = parser.parse_args().names
    for name in names:
        OBJECTIVES.find(name)
    print(zoo_table(names))


if __name__ == "__main__":
    command_line(main)
