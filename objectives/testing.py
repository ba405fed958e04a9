"""The test battery of any objective: what each of the zoo promises, on small batches."""

from typing import Any, cast

import torch
from torch import Tensor

from objectives.batch import TOKEN_FIELDS, TRAINED_FIELDS, Batch
from objectives.domains import Domain
from objectives.entry import Objective
from objectives.errors import InputError
from objectives.future import FutureLoss, at_future
from objectives.own_objective import losses_and_gradient, own_objective, small_batch
from objectives.registry import OBJECTIVES


def check(objective: Any, *, stopped: bool = False) -> None:
    """Raise AssertionError, naming what fails, unless an objective keeps what all promise.

    Its gradient is that of its losses in float64; that of a future-policy form is its base's at the
    future policy, at the base's losses; padding, the order of rows and micro-batches change
    nothing; extreme log-probs and an empty row give finite numbers; nothing is changed in place; it
    gives the same twice; and fields that are missing, wrong shapes and numbers outside of a domain
    are refused with ValueError.
    objective: declared with per_pair or per_trajectory, an Objective, a name of OBJECTIVES, or
    `module:function`. stopped: it detaches a part on purpose, so that its gradient is not that of
    its value. Raises InputError for what is no objective.
    """
    if isinstance(objective, str):
        entry = OBJECTIVES.find(objective)
    else:
        about = objective if isinstance(objective, Objective) else Objective(objective, "")
        name = str(getattr(objective, "name", None) or getattr(objective, "__name__", "objective"))
        entry = own_objective(name, about)
    policy, batch = small_batch(dtype=torch.float64)
    losses, gradient = losses_and_gradient(entry, policy, batch)
    if not stopped and entry.base is None:
        _check_gradient(entry, policy, batch)
    _check_form(entry, policy, batch)
    _check_refusals(entry, policy, batch)
    for seed in range(2):
        _check_padding(entry, *small_batch(dtype=torch.float64, seed=seed))
    order = torch.tensor([3, 0, 5, 2, 1, 4])
    shuffled = batch.rows(order)._replace(pairs=torch.argsort(order)[batch.pairs])
    moved = losses_and_gradient(entry, policy[order], shuffled)
    _same(entry, "the order of rows", moved, (losses if entry.unit == "pair" else losses[order],
                                              gradient[order]))  # fmt: skip
    parts = []
    for rows in torch.arange(6).split([2, 4]):
        part = batch.rows(rows)._replace(pairs=torch.arange(len(rows)).view(-1, 2))
        parts.append(losses_and_gradient(entry, policy[rows], part))
    joined = [torch.cat(column) for column in zip(*parts, strict=True)]
    _same(entry, "splitting the batch", joined, (losses, gradient))
    _check_pure(entry, policy, batch)
    for value in (-1e4, 0.0):
        _check_extreme(entry, value)


def _check_gradient(entry: Objective, policy: Tensor, batch: Batch) -> None:
    trained = [name for name in TRAINED_FIELDS if name in entry.needs]
    inputs = (x.clone().requires_grad_() for x in (policy, *(getattr(batch, n) for n in trained)))

    def losses(values: Tensor, *others: Tensor) -> Tensor:
        return entry(values, batch._replace(**dict(zip(trained, others, strict=True))))

    right = torch.autograd.gradcheck(losses, tuple(inputs), raise_exception=False)
    assert right, (
        f"{entry.name}: its gradient is not that of its losses, by finite differences; where it "
        f"detaches a part on purpose, say stopped=True"
    )


def _check_form(entry: Objective, policy: Tensor, batch: Batch) -> None:
    """Hold the form, its own or the one that it is, against what it is a form of."""
    form = entry.loss if isinstance(entry.loss, FutureLoss) else FutureLoss(entry.loss)
    base = form.base
    found = losses_and_gradient(form, policy, batch)
    here, _ = losses_and_gradient(base, policy, batch)
    _, ahead = losses_and_gradient(base, cast(Tensor, batch.future), at_future(batch))
    _same(entry, "looking ahead", found, (here, ahead))


def _check_refusals(entry: Objective, policy: Tensor, batch: Batch) -> None:
    wide = torch.cat([policy, policy], 1)
    refused: list[tuple[str, Tensor, Batch, dict[str, float]]] = [
        ("log-probs of other places than the mask's", wide, batch, {}),
        ("log-probs of one row, without rows", policy[0], batch, {}),
    ]
    for name in entry.needs:
        value = getattr(batch, name)
        refused.append((f"a batch without {name}", policy, batch._replace(**{name: None}), {}))
        other = torch.cat([value, value], -1)
        refused.append((f"{name} of another shape", policy, batch._replace(**{name: other}), {}))
    for name, domain in entry.domains.items():
        if name in entry.hyper_parameters:
            for value in _outside(domain):
                refused.append((f"{name} {value:g}", policy, batch, {name: value}))
    for what, given, filled, hyper in refused:
        try:
            entry(given, filled, **hyper)
        except (ValueError, InputError):  # of others' code, in one line
            continue
        raise AssertionError(f"{entry.name}: {what} is not refused")


def _outside(domain: Domain) -> list[float]:
    """Return numbers that are not in a domain."""
    bounds = [domain.above]
    bounds += [None if domain.least is None else domain.least - 1]
    bounds += [None if domain.most is None else domain.most + 1]
    return [*(bound for bound in bounds if bound is not None), float("nan"), float("inf")]


def _check_padding(entry: Objective, policy: Tensor, batch: Batch) -> None:
    garbage = torch.tensor([float("nan"), float("inf"), -1e30, 5.0], dtype=policy.dtype)
    mask = torch.cat([batch.mask, torch.zeros(len(policy), 4, dtype=torch.bool)], 1)

    def widen(x: Tensor) -> Tensor:
        wide = torch.cat([x, garbage.expand(len(x), 4)], 1)
        return torch.where(mask, wide, garbage[:1]) if x is not batch.mask else wide

    wide = batch.map(widen, TOKEN_FIELDS)._replace(mask=mask)
    found, gradient = losses_and_gradient(entry, widen(policy), wide)
    wanted = losses_and_gradient(entry, policy, batch)
    _same(entry, "padding", (found, gradient[:, : policy.shape[1]]), wanted)
    assert not gradient[~mask].any(), f"{entry.name}: padding has a gradient"


def _check_pure(entry: Objective, policy: Tensor, batch: Batch) -> None:
    held = [policy, *(x for x in batch if x is not None)]
    before, state = [x.clone() for x in held], torch.get_rng_state()
    first, second = entry(policy, batch), entry(policy, batch)
    assert torch.equal(first, second), f"{entry.name}: twice the same batch, two losses"
    assert torch.equal(state, torch.get_rng_state()), f"{entry.name}: it draws random numbers"
    same = all(torch.equal(x, y) for x, y in zip(before, held, strict=True))
    assert same, f"{entry.name}: it changes what it is given, in place"


def _check_extreme(entry: Objective, value: float) -> None:
    policy, batch = small_batch()
    policy[2] = value
    cast(Tensor, batch.future)[2] = value
    batch.mask[5] = False
    losses, gradient = losses_and_gradient(entry, policy, batch)
    finite = losses.isfinite().all() and gradient.isfinite().all()
    assert finite, f"{entry.name}: log-probs of {value:g} give a number that is not finite"
    assert losses[-1] == 0, f"{entry.name}: a row without tokens has a loss"
    assert not gradient[5].any(), f"{entry.name}: a row without tokens has a gradient"


def _same(entry: Objective, what: str, found: Any, wanted: Any) -> None:
    for kind, one, other in zip(("losses", "gradient"), found, wanted, strict=True):
        close = torch.allclose(one, other, rtol=1e-7, atol=1e-7)
        assert close, f"{entry.name}: {what} changes its {kind}"
