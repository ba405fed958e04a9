"""What a comparison cannot tell: how rates were chosen, how sure it is, what was not equal."""

from eval.compare.comparison import Comparison
from eval.compare.groups import differing_settings, setting_text
from eval.compare.lines import Line


def choice(comparison: Comparison) -> list[str]:
    """Return sentences on how rates and best steps were chosen, and what that flatters."""
    metric, lines = comparison.metric, comparison.lines
    if comparison.sweep is None:
        return [
            f"The best step is the one with the highest {metric} accuracy, mean over seeds, on the "
            f"very problems and runs that are reported, so accuracy at the best step flatters, and "
            f"so does the drop after it; accuracy after the last step was not chosen."
        ]
    said = [
        f"Learning rates were chosen by {metric} accuracy after the last step, mean over the first "
        f"half of each rate's seeds, on the even-numbered of {comparison.problems} problems, and "
        f"best steps likewise; every accuracy and difference in table and figures is of the other "
        f"seeds, on the odd-numbered problems."
    ]
    rates = [line.label for line in lines if line.chose_itself and len(line.tried) > 1]
    if rates:
        said.append(
            f"One seed, so that the run that chose is the one that is judged: {', '.join(rates)}. "
            f"A lucky run is lucky on the odd-numbered problems too: of three rates that are "
            f"equally good, the best flatters by about .8 of the standard deviation of runs, which "
            f"one seed does not tell. Two seeds or more at each rate do away with that."
        )
    steps = [line.label for line in lines if line.chose_itself and len(line.tried) == 1]
    if steps:
        said.append(f"The best step of {', '.join(steps)} was chosen by the run that is judged.")
    counts = {len(line.tried) for line in lines}
    if len(counts) > 1:
        owners = _owners(lines, {line.label: f"{len(line.tried)}" for line in lines})
        said.append(
            f"Not equal for all: the number of learning rates tried is {owners}. More rates have a "
            f"better best one: a difference between such lines is of the search, too."
        )
    return said


def uncertainty(comparison: Comparison) -> list[str]:
    """Return sentences on intervals, p-values and seeds."""
    counts = [len(line.runs) for line in comparison.lines]
    said = [
        "Intervals are of 95 %, over problems and, where a line has several, over seeds, by "
        "Student's t: of accuracies Wilson's, at the number of problems that leaves as much doubt; "
        "of differences after the last step, on the same problems."
    ]
    if comparison.table["p_value"].notna().any():
        said.append(
            "A p-value, two-sided, is the chance of a difference at least as large if objectives "
            "were equal over all problems and seeds of this kind; it is adjusted by Holm's method "
            "for all comparisons in this table, which intervals are not. P(better) is the share of "
            "pairs of runs, one of the line and one of the baseline, in which the line's is more "
            "accurate, equal runs counting a half."
        )
    if max(counts) > 1:
        return [*said, _on_seeds(counts)]
    chose = not all(line.chose_itself for line in comparison.lines)
    return [
        *said,
        f"One seed each{' is judged, as the other chose' if chose else ''}: intervals are over "
        f"problems alone, and there are no p-values. They tell these runs apart, not objectives: "
        f"another seed may give another order.",
    ]


def _on_seeds(counts: list[int]) -> str:
    several = sorted(set(counts) - {1})
    said = "Intervals hold for other problems and seeds of this kind, not for other models or data."
    if several[0] < 5:
        said = (
            f"{' or '.join(map(str, several))} seeds tell little of how much seeds differ, which "
            f"makes intervals wide and p-values large: where that is most of the doubt, p is below "
            f".05 from a difference of 4.3 (two seeds), 2.3 (three) or 1.5 (five) standard "
            f"deviations of runs on, before Holm's adjustment."
        )
    if 1 in counts:
        said += (
            " A line with one seed, and a difference from one, has an interval over problems alone "
            "and no p-value: it tells nothing of other seeds."
        )
    return said


def unequal(comparison: Comparison) -> list[str]:
    """Return a sentence for each setting that sets objectives apart beyond what is their own."""
    sentences = []
    runs = [run for line in comparison.lines for run in line.runs]
    for name in differing_settings(runs, shared=True):
        values = {
            line.label: setting_text(line.runs[0].config[name])
            for line in comparison.lines
            if f" {name}=" not in line.label
        }
        if len(set(values.values())) > 1:
            owners = _owners(comparison.lines, values)
            sentences.append(f"Not equal for all: {name.replace('_', ' ')} is {owners}.")
    return sentences


def _owners(lines: list[Line], values: dict[str, str]) -> str:
    """Return which lines have which value: the usual one last, for the rest."""
    owners: dict[str, list[str]] = {}
    for line in lines:
        if line.label in values:
            owners.setdefault(values[line.label], []).append(line.label)
    usual = max(owners, key=lambda text: len(owners[text]))
    others = [f"{text} for {', '.join(owners[text])}" for text in owners if text != usual]
    return "; ".join([*others, f"{usual} for the rest"])
