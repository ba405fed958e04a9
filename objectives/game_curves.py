"""Methods of mirror descent playing zero-sum matrix games: their curves, and a picture of them."""

import torch
from torch import Tensor

from objectives.mirror_methods import METHODS, exploitability, self_play

ETA, STEPS, PULL = 0.1, 4000, 0.1
EVALUATIONS = {"extragradient": 2}  # of the rewards in a step, one where not said
GAMES = {
    "matching pennies": [[1.0, -1.0], [-1.0, 1.0]],
    "rock, paper, scissors": [[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]],
}
NAMES = {
    "mirror_descent": "mirror descent",
    "optimistic": "optimistic",
    "extragradient": "extragradient",
    "nash_md": "Nash-MD",
    "magnetic": "magnetic",
}
# Okabe and Ito's colours, told apart also by dashes where lines meet.
STYLES = {
    "mirror_descent": ("#000000", "-"),
    "optimistic": ("#D55E00", "-"),
    "extragradient": ("#0072B2", (0, (5, 2))),
    "nash_md": ("#009E73", "-."),
    "magnetic": ("#CC79A7", (0, (1, 1.2))),
}
FLOOR = 1e-8  # below, it is rounding that is drawn


def games() -> dict[str, Tensor]:
    """Return payoffs of the games by name, (A, A) each; the random one is always the same."""
    generator = torch.Generator().manual_seed(0)
    known = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in GAMES.items()}
    return known | {"random, 4 × 4": torch.randn(4, 4, generator=generator).double()}


def curves(payoff: Tensor, method: str, steps: int) -> tuple[Tensor, Tensor]:
    """Return the exploitability of a method's last and average policies, (steps + 1,) each."""
    size = len(payoff)
    start = torch.linspace(0.4, -0.4, size, dtype=torch.float64).log_softmax(-1)
    both = torch.stack([start, start.flip(0)])
    played = self_play(method, payoff, both, eta=ETA, steps=steps, pull=PULL)
    average = played.cumsum(0) / torch.arange(1, len(played) + 1).view(-1, 1, 1)
    return exploitability(played, payoff), exploitability(average, payoff)


def draw():
    """Return the figure: a column for each game; above the last policy, below the average."""
    from matplotlib.figure import Figure

    known = games()
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    axes = figure.subplots(2, len(known), sharex=True, sharey="row")
    for column, (game, payoff) in enumerate(known.items()):
        for method in METHODS:
            colour, dashes = STYLES[method]
            for axis, values in zip(axes[:, column], curves(payoff, method, STEPS), strict=True):
                at = torch.arange(len(values)) * EVALUATIONS.get(method, 1)
                kept = (at <= STEPS).nonzero().flatten()[::10]
                axis.semilogy(
                    at[kept], values[kept].clamp(min=FLOOR), color=colour, linestyle=dashes,
                    label=NAMES[method], linewidth=1.6,
                )  # fmt: skip
        axes[0, column].set_title(game, fontsize=11)
        axes[1, column].set_xlabel("rewards asked for")
    for axis, what in zip(axes[:, 0], ("last policy", "average policy"), strict=True):
        axis.set_ylabel(f"exploitability, {what}")
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    lines, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        lines, labels, loc="outside upper center", ncols=len(lines), frameon=False, handlelength=3
    )
    return figure
