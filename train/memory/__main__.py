"""Print the memory that training a model needs on each device, computed, with how it is computed.

python -m train.memory --recipe qwen2.5-math-7b --devices 8
python -m train.memory --recipe qwen2.5-math-7b --tokens-per-microbatch 4096 --lora-rank 64
python -m train.memory --model FOLDER_OR_HUB_ID --tokens-per-microbatch 8192 --max-tokens 2048
"""

import sys
from dataclasses import fields

from objectives.errors import command_line
from train.config.flags import Parser, add_flags, from_flags
from train.config.recipe import add_recipe_flag, recipe_of
from train.memory.settings import Settings


def main() -> None:
    words = sys.argv[1:]
    parser = Parser(
        "train.memory", "Print the memory that training needs on each device, computed."
    )
    add_recipe_flag(parser)
    add_flags(parser, Settings)
    known = {entry.name for entry in fields(Settings)}
    parser.set_defaults(**{n: v for n, v in recipe_of(words).items() if n in known})
    settings = from_flags(Settings, parser.parse_args(words))

    # Imported here so that a mistyped flag is answered at once.
    from train.memory.tables import tables

    print(tables(settings))


if __name__ == "__main__":
    command_line(main)
