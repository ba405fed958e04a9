"""Micro-batches: every unit once, within the budget, with little padding; memory that runs out."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from objectives import OBJECTIVES
from objectives.errors import InputError
from tests.helpers.started_runs import session, trained
from train.config.settings import Config
from train.data.micro_batches import TokenBudget, micro_batch, partition, unit_lengths
from train.data.tokenized import TokenizedData
from train.data.tokens import FlatTokens, Tokens
from train.data.units import select_units


def data(lengths):
    return SimpleNamespace(tokens=FlatTokens.of(Tokens([0], [0] * (n - 1)) for n in lengths))


def padded(encoded, part):
    return part.numel() * max(unit_lengths(encoded, part))


@given(st.lists(st.integers(2, 60), min_size=2, max_size=40), st.integers(1, 400), st.booleans())
def test_every_unit_once_and_within_the_budget(lengths, budget, pairs):
    encoded = data(lengths)
    rows = torch.arange(len(lengths) // 2 * 2 if pairs else len(lengths))
    chosen = rows.view(-1, 2 if pairs else 1)
    parts = partition(encoded, chosen, tokens_at_once=budget)
    assert sorted(torch.cat(parts).tolist()) == chosen.tolist()
    for part in parts:
        assert padded(encoded, part) <= budget or len(part) == 1
    # The longest first, so that what does not fit fails at once.
    longest = [max(unit_lengths(encoded, part)) for part in parts]
    assert longest == sorted(longest, reverse=True)


def test_units_of_like_length_come_together():
    encoded = data([10, 50, 11, 49, 12, 48])
    chosen = torch.arange(6)[:, None]
    parts = partition(encoded, chosen, tokens_at_once=150)
    assert [sorted(p.flatten().tolist()) for p in parts] == [[1, 3, 5], [0, 2, 4]]
    assert [len(p) for p in partition(encoded, chosen, rows_at_once=4)] == [4, 2]
    assert len(partition(encoded, chosen)) == 1


def test_half_of_what_did_not_fit():
    encoded, chosen = data([10, 20, 10, 10]), torch.arange(4)[:, None]
    budget = TokenBudget(None, automatic=True)
    for size in (40, 20):
        budget.halve(encoded, chosen)
        assert budget.tokens == size
    with pytest.raises(InputError, match="out of memory with a single unit of 20 tokens"):
        budget.halve(encoded, chosen)
    with pytest.raises(InputError, match="out of memory: lower --tokens-per-microbatch"):
        TokenBudget(40, automatic=False).halve(encoded, chosen)


@pytest.mark.cpu
def test_a_run_goes_on_with_less_at_a_time_and_is_the_same(setup_of, tmp_path):
    config = Config(steps=2, batch_size=8, eval_problems="none", learning_rate=1e-3)
    setup = setup_of(config)

    def losses(name, room):
        planned = session(setup, "fpa_dpo", tmp_path / name)
        make = planned.run

        def limited_run():
            run = make()
            evaluate = run.policies.evaluate
            run.updater.gradients.batcher.budget.automatic = True

            def limited(micro, lam, **how):
                if micro.rows.input_ids.numel() > room and torch.is_grad_enabled():
                    raise torch.OutOfMemoryError
                return evaluate(micro, lam, **how)

            run.policies.evaluate = limited
            return run

        planned.run = limited_run
        run, _ = trained(planned)
        return run, [line["loss"] for line in run.history]

    _, whole = losses("whole", 10_000)
    run, parts = losses("parts", 200)
    assert run.updater.gradients.batcher.budget.tokens <= 200
    assert parts == pytest.approx(whole, rel=1e-5)
    with pytest.raises(InputError, match="out of memory with a single unit"):
        losses("none", 50)


def test_the_share_of_correct_is_that_of_all_the_prompt_s_rows_not_of_the_batch_s():
    """Prompts solved 3 of 4 times and 1 of 4; units hold one pair of each, one row of each side."""
    rows = [Tokens([2, 3], [n, 1]) for n in range(4, 12)]
    encoded = TokenizedData(
        FlatTokens.of(rows), torch.tensor([1.0, 2, 0.5, 0, 1, -1, 0, -1]),
        torch.arange(8) // 4, torch.ones(8), None, {}, 9,
    )  # fmt: skip
    made = micro_batch(encoded, encoded.reward, torch.tensor([[0, 3], [4, 6]]), 2.0)
    assert made.batch.solve_rate.tolist() == [0.75, 0.75, 0.25, 0.25]
    units = select_units(encoded, OBJECTIVES["a_star_po"], "auto", "auto")
    assert units.reward.tolist() == [1, 1, 1, -1, 1, -1, -1, -1]


def test_one_of_the_two():
    with pytest.raises(
        InputError, match="--tokens-per-microbatch 100: not with --micro-batch-size 2"
    ):
        Config(micro_batch_size=2, tokens_per_microbatch=100)
    assert replace(Config(), tokens_per_microbatch=100).micro_batch_size is None
