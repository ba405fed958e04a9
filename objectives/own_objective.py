"""Whether a function of others is an objective: its signature, its names, a first trial."""

import inspect
from dataclasses import replace
from functools import wraps
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

import torch
from torch import Tensor

from objectives.batch import Batch
from objectives.contract import Loss
from objectives.entry import SETTINGS_HELP, Objective, settings_of
from objectives.errors import InputError
from objectives.groups import ADVANTAGES
from objectives.own_code import told
from objectives.transform import Transform, declared, keywords

KINDS = (bool, int, float, str)
TAKEN = {*SETTINGS_HELP, "apply_to", "guard"}  # set beside the hyper-parameters
HOW = "f(policy, batch, *, name: float = 1.0, ...)"


def own_objective(name: str, about: Objective) -> Objective:
    """Return the entry of someone's objective, whose errors name it and its line.

    name: what it is called. about: the objective as it was given, and what was said of it.
    Raises InputError with the remedy where it is none, or fails on a small batch.
    """
    try:
        loss = declared(about.loss)
    except ValueError:
        raise InputError(
            f"{name}: not declared an objective: put @per_trajectory(...) or @per_pair(...) of "
            f"objectives above it, with the fields of the batch that it reads"
        ) from None
    _check_settings(name, about)
    about = replace(about, settings={**settings_of(loss), **about.settings})
    own = _with_told_errors_within(name, loss)
    entry = replace(about, loss=own, future=None)
    _check_signature(entry)
    try_out(entry)
    return entry


def _with_told_errors_within(name: str, loss: Loss) -> Loss:
    if isinstance(loss, Transform):
        return loss.of(_with_told_errors_within(loss.base.__name__, loss.base), name)
    return with_told_errors(name, loss)


def with_told_errors(name: str, loss: Loss) -> Loss:
    """Return an objective under a name, whose failures are InputErrors of one line."""

    @wraps(loss)
    def call(policy: Tensor, batch: Batch, *args: Any, **hyper: Any) -> Tensor:
        try:
            return loss(policy, batch, *args, **hyper)
        except (InputError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            inner = getattr(loss, "__wrapped__", loss)
            text = told(error, inner)
            if isinstance(error, ValueError) and text == f"ValueError: {error}":  # the contract's
                text = str(error).removeprefix(f"{loss.__name__}: ")
            raise InputError(f"{name}: {text}") from None

    own = cast(Loss, call)
    own.__name__ = name
    own.unit, own.needs = loss.unit, loss.needs
    return own


def small_batch(rows: int = 6, length: int = 7, dtype: torch.dtype = torch.float32, seed: int = 0):
    """Return random log-probs (B, T) and a Batch with every field filled, rows of ragged lengths.

    Rows 2n and 2n + 1 are a pair, of one group, chosen and rejected.
    """
    generator = torch.Generator().manual_seed(seed)
    policy, *others = (
        -2 * torch.rand(rows, length, generator=generator, dtype=dtype) for _ in range(7)
    )
    lengths = torch.randint(2, length + 1, (rows,), generator=generator)
    return policy, Batch(
        mask=torch.arange(length) < lengths[:, None],
        reference=others[0],
        future=others[1],
        anchor=others[2],
        previous_anchor=others[3],
        collision=others[4],
        future_collision=others[5],
        reward=torch.tensor([1.0, -1.0], dtype=dtype).repeat(rows // 2),
        group=torch.arange(rows) // 2,
        weight=torch.ones(rows, dtype=dtype),
        pairs=torch.arange(rows).view(-1, 2),
        divergence=torch.full((rows,), 0.3, dtype=dtype),
        mean_length=torch.full((rows,), lengths.double().mean().item(), dtype=dtype),
        solve_rate=torch.full((rows,), 0.4, dtype=dtype),
        future_divergence=torch.rand(rows, length, generator=generator, dtype=dtype),
    )


def losses_and_gradient(objective: Any, policy: Tensor, batch: Batch, **hyper: Any):
    """Return an objective's losses and the gradient of their sum with respect to the policy."""
    with torch.enable_grad():
        policy = policy.detach().clone().requires_grad_()
        losses = objective(policy, batch, **hyper)
        (gradient,) = torch.autograd.grad(losses.sum(), policy)
    return losses.detach(), gradient


def coefficients_change(entry: Objective) -> bool:
    """Say whether the gradient's coefficients depend on the policy, so that there is a form."""
    policy, batch = small_batch()
    for scale in (1, 30):  # far from the reference, too: a hinge's change where it is met alone
        _, here = losses_and_gradient(entry, policy * scale, batch)
        _, ahead = losses_and_gradient(entry, cast(Tensor, batch.future) * scale, batch)
        if not torch.equal(here, ahead):
            return True
    return False


def try_out(entry: Objective) -> None:
    """Raise InputError where losses or gradient on a small batch fail, or are not finite."""
    policy, batch = small_batch()
    try:
        found = losses_and_gradient(entry, policy, batch)
    except RuntimeError as error:  # of the gradient, as where a tensor was changed in place
        reason = " ".join(str(error).split())
        if "does not require grad" in reason:
            reason = "its losses do not depend on the policy"
        raise InputError(f"{entry.name}: it has no gradient: {reason:.300}") from None
    for what, values in zip(("a loss", "a gradient"), found, strict=True):
        if not values.isfinite().all():
            raise InputError(
                f"{entry.name}: on a batch of random log-probs it gives {what} that is not a "
                f"finite number: look for a logarithm or a division of 0"
            )


def _check_settings(name: str, about: Objective) -> None:
    for setting in about.settings:
        if setting not in SETTINGS_HELP:
            raise InputError(f"{name}: settings may have {', '.join(SETTINGS_HELP)}, not {setting}")
    if about.advantage not in ADVANTAGES:
        raise InputError(
            f"{name}: advantage {about.advantage!r} is not one of {', '.join(ADVANTAGES)}"
        )


def _check_signature(entry: Objective) -> None:
    name, signature = entry.name, inspect.signature(entry.loss, eval_str=True)
    parameters = list(signature.parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = parameters[len(positional) :]
    fits = [p for p in rest if p.kind is p.KEYWORD_ONLY and p.default is not p.empty]
    if len(positional) != 2 or len(fits) < len(rest):
        shown = ", ".join(str(p).partition(":")[0] for p in parameters)
        raise InputError(
            f"{name}: its signature is ({shown}): write {HOW}, each hyper-parameter after the * "
            f"and with a default"
        )
    for word, parameter in entry.hyper_parameters.items():
        if word in TAKEN - keywords(entry.loss):
            raise InputError(f"{name}: {word} is set beside hyper-parameters: rename it")
        if not _readable(parameter.annotation):
            raise InputError(
                f"{name}: {word} has no kind that a flag can have: annotate it with bool, int, "
                f"float, str, Literal of texts, or one of these | None"
            )
        domain = entry.domains.get(word)
        default = parameter.default
        if domain and isinstance(default, int | float) and default not in domain:
            raise InputError(f"{name}: the default of {word}, {default}, is not {domain}")


def _readable(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return all(isinstance(choice, str) for choice in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        inner = [kind for kind in get_args(annotation) if kind is not NoneType]
        return len(inner) == 1 and _readable(inner[0])
    return annotation in KINDS
