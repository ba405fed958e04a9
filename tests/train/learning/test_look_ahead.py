"""Futures by real steps and the controls: what they are, and that nothing is left behind."""

import copy
import shutil

import pytest
import torch

from tests.helpers.started_runs import started
from train.__main__ import main as train
from train.config.future import read_origin
from train.config.settings import Config
from train.learning import gradients, look_ahead, optimizing
from train.learning.look_ahead import positive

QUICK = Config(steps=3, batch_size=8, learning_rate=3e-4, warmup_steps=0, eval_problems="none")
LORA = Config(**{**vars(QUICK), "lora_rank": 2, "learning_rate": 3e-3})


def weights(run):
    return {n: p.detach().clone() for n, p in run.policies.policy.model.named_parameters()}


def micros(run, batch):
    return list(run.updater.gradients.batcher.micro_batches(batch))


def after(run, steps=3):
    lines = [run.updater.update(step) for step in range(1, steps + 1)]
    return weights(run), [line["loss"] for line in lines]


@pytest.mark.parametrize("config", [QUICK, LORA], ids=["whole", "adapter"])
@pytest.mark.parametrize(("name", "base"), [
    ("fpa", "offline_rl"), ("fpa_dpo", "dpo"), ("guarded_fpa", "guarded_offline_rl"),
])  # fmt: skip
@pytest.mark.parametrize("origin", ["oracle:3", "lookahead:2"])
def test_ahead_at_rate_0_the_run_is_the_bases_own(
    setup_of, tmp_path, monkeypatch, config, name, base, origin
):
    setup = setup_of(config)
    expected = after(started(setup, base, tmp_path / "base"))
    still = lambda parameters, optimizer, step, how: optimizing.take_step(  # noqa: E731
        parameters, optimizer, step, Config(**{**vars(how), "learning_rate": 1e-300})
    )
    monkeypatch.setattr(look_ahead, "take_step", still)
    found = after(started(setup, name, tmp_path / "ahead", future_from=origin))
    assert found[1] == expected[1]
    assert all(torch.equal(found[0][n], value) for n, value in expected[0].items())


@pytest.mark.parametrize("config", [QUICK, LORA], ids=["whole", "adapter"])
@pytest.mark.parametrize("origin", ["oracle:2", "lookahead:3"])
def test_the_future_is_where_the_bases_steps_lead_and_is_taken_back(
    setup_of, tmp_path, config, origin
):
    setup = setup_of(config)
    run = started(setup, "fpa", tmp_path / "ahead", future_from=origin)
    for step in (1, 2):
        run.step(step)
    before, state = weights(run), copy.deepcopy(run.updater.optimizer.state_dict())
    batch = run.data.draw(3)
    known = run.updater.look_ahead.known(batch, 3, None)
    assert all(torch.equal(before[n], value) for n, value in weights(run).items())
    for own, other in zip(
        state["state"].values(),
        run.updater.optimizer.state_dict()["state"].values(), strict=True,
    ):  # fmt: skip
        assert all(torch.equal(own[n], other[n]) for n in own)
    assert all(p.grad is None for p in run.policies.policy.model.parameters())

    # A run of the base from the same place, by its own steps.
    other = started(setup, "offline_rl", tmp_path / "base")
    for name, parameter in other.policies.policy.model.named_parameters():
        parameter.data.copy_(before[name])
    other.updater.optimizer.load_state_dict(state)
    if origin.startswith("lookahead"):
        other.updater.data = Always(batch)
    count = int(origin[-1])
    for step in range(3, 3 + count):
        other.updater.update(step)
    assert len(known.trained) == count
    for micro in micros(run, batch):
        expected = other.policies.policy.log_probs(micro.rows)
        found = known.put_into(micro).batch.future
        assert torch.equal(found, expected)
        here = run.policies.policy.log_probs(micro.rows)
        assert not torch.allclose(here, expected, atol=1e-3)


class Always:
    """Data that are one batch again and again."""

    online, generation_seconds, tokens_generated = False, 0.0, 0

    def __init__(self, batch):
        self.batch = batch

    def draw(self, step, policy=None):
        return self.batch


def test_what_it_costs_is_counted(setup_of, tmp_path):
    setup = setup_of(QUICK)
    plain, ahead = (started(setup, "fpa", tmp_path / f"{n}", **given).updater
                    for n, given in enumerate(({}, {"future_from": "oracle:2"})))  # fmt: skip
    for updater in (plain, ahead):
        for step in (1, 2):
            updater.update(step)
    third = plain.data.draw(3)
    tokens = sum(int(m.rows.tokens) for m in plain.gradients.batcher.micro_batches(third))
    # Batches 1 and 2 are trained on, and 1, 2, 2, 3 ahead of them.
    assert ahead.cost.tokens_trained == plain.cost.tokens_trained
    shared = plain.cost.tokens_trained - plain.cost.tokens_shared
    assert shared < ahead.cost.tokens_ahead <= 2 * plain.cost.tokens_trained + tokens
    assert ahead.cost.tokens_frozen >= plain.cost.tokens_trained
    read = ahead.cost.tokens_frozen - plain.cost.tokens_frozen
    more = (6 * ahead.cost.tokens_ahead + 2 * read) * ahead.cost.parameters
    assert ahead.cost.flops - plain.cost.flops == pytest.approx(more)


def seen(run, batch, lam):
    with torch.no_grad():
        return [(m, *run.policies.evaluate(m, lam)[:2]) for m in micros(run, batch)]


@pytest.mark.parametrize("name", ["fpa", "fpa_dpo"])
def test_the_ratio_is_the_extrapolation_without_its_normaliser(setup_of, tmp_path, name):
    run = started(setup_of(QUICK), name, tmp_path / "run", future_from="ratio", lam=1.5)
    run.step(1)
    for _, policy, filled in seen(run, run.data.draw(2), 1.5):
        expected = policy + 1.5 * (policy - filled.reference)
        torch.testing.assert_close(filled.future, expected, rtol=0, atol=1e-6)
        assert (filled.future - policy)[filled.mask].abs().max() > 1e-3
    run.step(2)


@pytest.mark.parametrize("name", ["fpa", "fpa_dpo"])
def test_a_shuffled_row_has_the_ratio_of_another_of_its_side(setup_of, tmp_path, name):
    run = started(setup_of(QUICK), name, tmp_path / "run", future_from="shuffled")
    run.step(1)
    batch = run.data.draw(2)
    known = run.updater.look_ahead.known(batch, 2, 1.0)
    own, found, sides = [], [], []
    for micro, policy, filled in seen(run, batch, 1.0):
        lengths = filled.mask.sum(-1)
        future = known.put_into(micro).batch.future
        shift = ((future - policy) * filled.mask).sum(-1) / lengths
        spread = ((future - policy - shift[:, None]) * filled.mask).abs().max()
        assert spread < 1e-5  # the same for all tokens
        found.append(shift)
        own.append(((filled.future - policy) * filled.mask).sum(-1) / lengths)
        sides.append(positive(filled))
    own, found, side = torch.cat(own), torch.cat(found), torch.cat(sides)
    for of in (True, False):
        torch.testing.assert_close(
            found[side == of].sort().values, own[side == of].sort().values, rtol=0, atol=1e-5
        )
        assert (found - own)[side == of].abs().min() > 1e-6
    again = run.updater.look_ahead.known(batch, 2, 1.0).future
    assert all(torch.equal(a, b) for unit in again
               for a, b in zip(again[unit], known.future[unit], strict=True))  # fmt: skip


@pytest.mark.parametrize("name", ["fpa", "fpa_dpo"])
def test_constant_weights_are_the_mean_of_their_side(setup_of, tmp_path, name):
    run = started(setup_of(QUICK), name, tmp_path / "run", future_from="constant")
    run.step(1)
    batch = run.data.draw(2)
    spec, known = run.updater.gradients.spec, run.updater.look_ahead.known(batch, 2, 1.0)
    totals, sides, given = [], [], []
    for micro, policy, filled in seen(run, batch, 1.0):
        log_probs = policy.clone().requires_grad_()
        spec.objective(log_probs, filled, **spec.hyper).sum().backward()
        totals.append(-log_probs.grad.sum(-1))
        sides.append(positive(filled))
        own = known.put_into(micro).coefficients
        lengths = filled.mask.sum(-1)
        assert torch.allclose(own, (own.sum(-1) / lengths)[:, None] * filled.mask, atol=1e-9)
        given.append(own.sum(-1))
    totals, side, given = torch.cat(totals), torch.cat(sides), torch.cat(given)
    for of in (True, False):
        assert torch.allclose(given[side == of], totals[side == of].mean(), rtol=1e-4)
        assert totals[side == of].std() > 0
    assert (given[side] > 0).all()
    assert (given[~side] < 0).all()
    line = run.updater.update(2)
    assert line["grad_norm"] > 0


@pytest.mark.parametrize("origin", ["shuffled", "constant"])
def test_ktos_reference_point_is_computed_and_counted_once_a_step(
    setup_of, tmp_path, monkeypatch, origin
):
    run = started(setup_of(QUICK), "fpa_kto", tmp_path / "run", future_from=origin)
    with torch.no_grad():  # completions of others are likelier under a flatter policy
        run.policies.policy.model.get_output_embeddings().weight.mul_(0.8)
    updater, batch = run.updater, run.data.draw(2)
    expected, before = updater.gradients.divergence(batch), updater.cost.tokens_frozen
    assert expected > 0
    rows = [micro.rows for micro in micros(run, batch)]
    calls, own = [], gradients.mismatched_ratios
    monkeypatch.setattr(
        gradients, "mismatched_ratios", lambda *about: calls.append(about) or own(*about)
    )
    line = updater.update(2)
    assert len(calls) == 1
    assert line["divergence"] == expected.item()
    # Policy and reference beforehand; the reference, and two for the reference point, then.
    read = sum(2 * int(each.tokens) + 3 * int(each.attention_mask.sum()) for each in rows)
    assert updater.cost.tokens_frozen - before == read


def test_origins_are_read():
    for text in ("initial", "ratio", "shuffled", "constant", "lagged:3", "oracle:1", "lookahead:9"):
        assert read_origin(text) == text
    for text in ("oracle", "oracle:0", "oracle:", "lagged", "shuffled:2", "initial:1", "other:3"):
        with pytest.raises(ValueError, match="expected initial, ratio, shuffled, constant, or"):
            read_origin(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--future-from oracle:2 --lam 3", "--lam 3.0: not with --future-from oracle:2"),
        ("--future-from oracle:2 --lam auto", "--lam auto: not with --future-from oracle:2"),
        ("--future-from shuffled --lam auto", "--lam auto: not with --future-from shuffled"),
        ("--future-from oracle", "--future-from oracle: expected initial, ratio"),
        ("--future-from constant --diagnose-every 5", "--diagnose-every: not with --future-from"),
        ("--future-from oracle:2 --online", "oracle:2: online no batch is there yet"),
    ],
)
def test_what_cannot_be_is_refused(call, words, message):
    status, _, said = call(train, f"--objective fpa --steps 2 --eval-problems none {words}")
    assert status == 2
    assert message in said


@pytest.mark.parametrize("origin", ["oracle:1", "shuffled", "constant", "ratio"])
def test_a_run_goes_on_where_it_was_stopped(call, tmp_path, origin):
    how = f"--objective fpa --eval-problems none --batch-size 8 --future-from {origin} --steps 4"
    assert call(train, f"{how} --checkpoint-every 2 --out whole")[0] == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    shutil.rmtree(tmp_path / "parts" / "checkpoints" / "step-4")
    (tmp_path / "parts" / "result.json").unlink()
    status, _, said = call(train, f"{how} --checkpoint-every 2 --out parts --resume")
    assert status == 0, said
    files = [tmp_path / name / "checkpoints" / "step-4" / "model.safetensors"
             for name in ("whole", "parts")]  # fmt: skip
    assert files[0].read_bytes() == files[1].read_bytes()
