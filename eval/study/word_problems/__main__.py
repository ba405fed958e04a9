"""Split word problems and cut a model's vocabulary, for the study of a real model.

    python -m eval.study.word_problems --model MODEL --problems multiarith.jsonl \\
        --texts gsm8k.jsonl asdiv.jsonl --out runs/study/word-problems-made

Leaves in --out: train.jsonl and test.jsonl, split by problem, and model, which is MODEL over the
tokens that the problems and all strings of --texts need.
"""

import json
import sys
from pathlib import Path

from objectives.errors import command_line
from objectives.output_lock import held
from objectives.whole_files import write_whole
from train.config.flags import Parser


def main() -> None:
    parser = Parser("eval.study.word_problems", __doc__)
    parser.add_argument("--model", required=True, metavar="MODEL", help="as for python -m train")
    parser.add_argument(
        "--problems", type=Path, required=True, metavar="PATH", help="file of problems to split"
    )
    parser.add_argument(
        "--texts", type=Path, nargs="*", default=[], metavar="PATH",
        help="other files whose tokens are kept: worked solutions, problems to test transfer by",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="folder to write")
    arguments = parser.parse_args(sys.argv[1:])

    # Imported here so that a mistyped flag is answered at once.
    from eval.problems.tables import read_rows
    from eval.prompts import word_problem_prompt
    from eval.study.word_problems.smaller_vocabulary import cut_vocabulary
    from eval.study.word_problems.splitting import split, strings
    from train.models.load import load_model

    rows = read_rows(arguments.problems)
    parts = split(rows)
    texts = list(strings([rows, *map(read_rows, arguments.texts)]))
    model, tokenizer = load_model(arguments.model)
    before = model.get_input_embeddings().num_embeddings
    texts.append(word_problem_prompt(tokenizer, ""))
    with held(arguments.out):
        arguments.out.mkdir(parents=True, exist_ok=True)
        for name, part in parts.items():
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
            write_whole(arguments.out / f"{name}.jsonl", lines)
        kept = cut_vocabulary(model, tokenizer, texts, arguments.out / "model")
    size = sum(weight.numel() for weight in model.parameters())
    print(f"{', '.join(f'{len(part)} to {name}' for name, part in parts.items())}")
    print(
        f"{kept} of {before} tokens, {size / 1e6:.0f} million parameters", arguments.out, sep="\n"
    )


if __name__ == "__main__":
    command_line(main)
