"""The zoo of objectives as text.

python -m objectives             # all of them: what each is, what it reads, its hyper-parameters
python -m objectives fpa dpo     # these alone
python -m objectives dpo         # all about one: formula, weights, window, source, neighbours
python -m objectives dpo --output dpo.png    # with a picture of its weights
python -m objectives my_file.py:function     # one of your own
"""

import math
from pathlib import Path

from objectives.catalogue import CATALOGUE
from objectives.command import Parser
from objectives.errors import InputError, command_line
from objectives.zoo_table import zoo_table


def main() -> None:
    parser = Parser(
        "objectives",
        "Show the objectives: what each is, what it reads, its hyper-parameters; all about one.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="an objective, all without a name")
    parser.add_argument(
        "--output", type=Path, metavar="PNG", help="picture of the weights of the one that is named"
    )
    parser.add_argument(
        "--cosine", type=float, default=0.5, help="of a pair's gradients, for the window; .5"
    )
    parser.add_argument(
        "--norm-ratio", type=float, default=1.0, help="‖∇s_w‖ / ‖∇s_l‖, for the window; 1"
    )
    parser.add_argument("--lam", type=float, default=1.0, help="λ of the future policy; 1")
    words = parser.parse_args()
    if not -1 <= words.cosine <= 1:
        raise InputError(f"--cosine {words.cosine}: must be -1 to 1")
    if not 0 < words.norm_ratio < math.inf:
        raise InputError(f"--norm-ratio {words.norm_ratio}: must be above 0")
    if not 0 <= words.lam < math.inf:
        raise InputError(f"--lam {words.lam}: must be 0 or more")
    for name in words.names:
        CATALOGUE.find(name)
    if len(words.names) != 1:
        asked = words.output, words.cosine, words.norm_ratio, words.lam
        if asked != (None, 0.5, 1.0, 1.0):
            raise InputError(
                "--output, --cosine, --norm-ratio and --lam are of one objective's page: name one"
            )
        print(zoo_table(words.names))
        return

    # Imported here, as it computes: so that what is mistyped is answered at once.
    from objectives.page import page, write_picture

    name = words.names[0]
    print(page(name, cosine=words.cosine, norm_ratio=words.norm_ratio, lam=words.lam))
    if words.output is not None:
        write_picture(name, words.output, words.lam)
        print(f"\n{words.output}")


if __name__ == "__main__":
    command_line(main)
