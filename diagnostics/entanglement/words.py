"""What a summary of entanglement says: a short table, and sentences."""

from collections.abc import Iterable

from objectives import OBJECTIVES
from objectives.text_table import aligned

SMALL = 0.05  # of a cosine's parts: below, not worth a word
NEARLY_ORTHOGONAL = 0.1  # of a cosine


def summary_table(summary: dict) -> str:
    """Return a line per objective and time: median ratio and regimes."""
    rows: list[tuple[str, ...]] = [
        ("objective", "policy", "c_l/c_w", "ideal", "both up", "both down", "other")
    ]
    equal = summary["regimes_at_equal_coefficients"]
    rows.append(("(equal weights)", "", "1.00", *_regimes(equal)))
    for name, times in summary["objectives"].items():
        for time, of in times.items():
            ratio = of["ratio_median"]
            shown = "-" if ratio is None else f"{ratio:.3g}" if ratio < 0.01 else f"{ratio:.2f}"
            rows.append((name, time, shown, *_regimes(of["regimes"])))
    return aligned(rows)


def in_words(summary: dict) -> str:
    """Return sentences on what was seen, each on a line of its own."""
    lines = [_cosine(summary), _where(summary["mean_contribution"], summary["cosine"])]
    if summary["at_reference"]:
        lines.append(
            "The policy is the reference itself, so the future policy is the policy and every "
            "objective weighs the same now and ahead; give --run to see a trained one."
        )
        lines += [_now(name, times["now"]) for name, times in summary["objectives"].items()]
    else:
        lines += [_ahead(name, times) for name, times in summary["objectives"].items()]
    lines.append(
        "All of this is to first order, for one pair at a time and a plain gradient step: what "
        "other pairs of a batch and AdamW do comes on top."
    )
    return "\n".join(f"- {line}" for line in lines)


def token_names(tokenizer, tokens: Iterable[tuple[int, bool]]) -> list[tuple[str, bool]]:
    """Return short texts of tokens, what is no letter made visible; the marks stay with them.

    tokenizer: as transformers has it, with `decode` and `eos_token_id`.
    """
    return [(_token_name(tokenizer, token), mark) for token, mark in tokens]


def _token_name(tokenizer, token: int) -> str:
    if token == tokenizer.eos_token_id:
        return "⟨end⟩"
    text = tokenizer.decode([token]).replace("\n", "↵").replace("\t", "→").replace(" ", "␣")
    return text if len(text) <= 10 else text[:9] + "…"


def _cosine(summary: dict) -> str:
    cosine, positive = summary["cosine"], summary["share_positive"]
    text = (
        f"Gradients of chosen and rejected: median cosine {_signed(cosine['median'])} "
        f"(80 % of pairs from {_signed(cosine['quantile_10'])} to "
        f"{_signed(cosine['quantile_90'])}), positive in {positive:.0%} of pairs, at a median "
        f"token overlap of {summary['overlap_median']:.0%}."
    )
    if abs(cosine["median"]) < NEARLY_ORTHOGONAL:
        typical = "In the typical pair the two are nearly orthogonal: each side moves by itself."
    elif cosine["median"] < 0:
        typical = "The typical pair is not entangled: pushing one side down helps the other up."
    else:
        typical = (
            "The typical pair is entangled: raising the chosen raises the rejected too, and "
            "pushing the rejected down pulls the chosen down."
        )
    outside = 1 - summary["regimes_at_equal_coefficients"]["ideal"]
    return (
        f"{text} {typical} With equal weights a step moves one side or both the wrong way in "
        f"{outside:.0%} of pairs."
    )


def _where(parts: dict, cosine: dict) -> str:
    mean = parts["prefix"] + parts["decision"] + parts["elsewhere"]
    mixed = parts["shared_distinct"] + parts["distinct_shared"]
    return (
        f"Where the inner product lives, as parts of the mean cosine {_signed(mean)}: the common "
        f"prefix {_signed(parts['prefix'])}, the two tokens where the sides part "
        f"{_signed(parts['decision'])}, everything else {_signed(parts['elsewhere'])}. By the "
        f"longest common subsequence: shared with shared tokens {_signed(parts['shared'])}, "
        f"shared with distinct {_signed(mixed)}, distinct with distinct "
        f"{_signed(parts['distinct_distinct'])}. {_verdict(parts, mixed)}"
    )


def _verdict(parts: dict, mixed: float) -> str:
    sizes = {
        "the shared tokens (with each other)": abs(parts["shared"]),
        "shared tokens with distinct ones": abs(mixed),
        "the distinct tokens (with each other)": abs(parts["distinct_distinct"]),
    }
    largest = max(sizes, key=lambda name: sizes[name])
    alone = max(abs(parts[name]) for name in ("prefix", "decision", "elsewhere"))
    if alone <= SMALL:
        return "None of these is large on average."
    if abs(parts["decision"]) == alone:
        return (
            f"The largest part is made where the two sides part, and of the subsequence's parts "
            f"by {largest}."
        )
    where = "in the common prefix" if abs(parts["prefix"]) == alone else "after the sides part"
    return f"The largest part is made {where}, and of the subsequence's parts by {largest}."


def _now(name: str, now: dict) -> str:
    return f"{name}: {_state(now)}."


def _ahead(name: str, times: dict) -> str:
    now, future = times["now"], times["future"]
    base = OBJECTIVES.find(name).base
    owner = f"{name} (now: the weights of {base})" if base else name
    weights = now["weight_median"], future["weight_median"]
    size = ""
    if None not in weights and weights[0] > 0:
        size = f" The chosen's median weight there is {weights[1] / weights[0]:.2g} times that now."
    if "used" in times:
        size += f" What it uses, one side now and the other ahead: {_state(times['used'])}."
    if _state(now) == _state(future):
        return f"{owner}: {_state(now)}, the same at the future policy.{size}"
    change = future["regimes"]["ideal"] - now["regimes"]["ideal"]
    if abs(change) < 0.005:
        effect = "as many pairs are ideal"
    else:
        effect = f"{abs(change):.0%} of pairs {'more' if change > 0 else 'fewer'} are ideal"
    return (
        f"{owner}: at the policy {_state(now)}; at the future policy {_state(future)}: "
        f"{effect}.{size}"
    )


def _state(of: dict) -> str:
    ratio, regimes = of["ratio_median"], of["regimes"]
    shown = "undefined" if ratio is None else f"{ratio:.3g}"
    said = [f"{regimes['ideal']:.0%} of pairs ideal"]
    said += [
        f"{regimes[name]:.0%} {name}"
        for name in ("both up", "both down", "still", "reversed", "undefined")
        if regimes.get(name, 0) >= 0.005
    ]
    return f"median c_l/c_w {shown}, {', '.join(said)}"


def _regimes(shares: dict) -> tuple[str, ...]:
    main = [shares[name] for name in ("ideal", "both up", "both down")]
    return tuple(f"{share:.0%}" for share in (*main, max(0.0, 1 - sum(main))))


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
