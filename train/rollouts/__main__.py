"""Sample and grade rollouts of a model on problems with gold answers.

    python -m train.rollouts --model smollm2 --problems problems.jsonl --samples 8 \\
        --temperature 0.7 --out rollouts.parquet

Sampled in parts, each written whole: the same command goes on where it was interrupted.
"""

from objectives.errors import command_line
from train.config.flags import Parser, add_flags, from_flags
from train.rollouts.settings import Settings


def main() -> None:
    parser = Parser("train.rollouts", __doc__)
    add_flags(parser, Settings)
    settings = from_flags(Settings, parser.parse_args())

    # Imported here so that a mistyped flag is answered at once.
    from train.rollouts.sampled import push_table, sample_rollouts, summary

    said = summary(sample_rollouts(settings))
    print(said, settings.out, sep="\n")
    if settings.push_to_hub is not None:
        print(push_table(settings, settings.push_to_hub, said))


if __name__ == "__main__":
    command_line(main)
