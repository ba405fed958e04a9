"""What is checked before the first step, where rounding is that of bfloat16."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from objectives import OBJECTIVES
from objectives.errors import InputError
from tests.helpers.run_folders import step_lines
from tests.helpers.started_runs import first_micro_batch, session, started, trained, with_config
from train.config.settings import Config
from train.data.table import BUILTIN_ROLLOUTS

QUICK = Config(
    steps=2, batch_size=8, eval_problems="none", device="cpu", dtype="bfloat16", warmup_steps=0
)
READ = {"reference", "future", "future_divergence"}
CACHED = [name for name, o in OBJECTIVES.items() if READ & set(o.needs)]


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "few.parquet"
    pd.read_parquet(BUILTIN_ROLLOUTS).head(160).to_parquet(path)
    return replace(QUICK, data=str(path))


@pytest.fixture(scope="module")
def setup(setup_of, few):
    return setup_of(few)


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    return str(tmp_path_factory.mktemp("states"))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_begin_from_cached_states_in_bfloat16(name, setup, states, tmp_path):
    run, _ = trained(session(with_config(setup, reference_cache=states), name, tmp_path / "run"))
    cached = run.policies.states is not None
    assert cached == (name in CACHED and "divergence" not in run.policies.needs)
    losses = [line["loss"] for line in step_lines(tmp_path / "run")]
    assert len(losses) == 2
    assert torch.tensor(losses).isfinite().all()


def test_another_batch_rounds_otherwise(setup, states, tmp_path):
    # What the tolerance is for: without it, the check of float32 would refuse this run.
    run = started(with_config(setup, reference_cache=states), "fpa", tmp_path / "run", lam=3.0)
    policy, batch, _ = run.policies.evaluate(first_micro_batch(run), 3.0)
    assert 1e-4 < (policy - batch.reference).abs().max() < 0.05
    run.check_start()
    # Without the cache both are computed in one batch, and equal.
    run = started(with_config(setup, reference_cache="off"), "fpa", tmp_path / "other", lam=3.0)
    policy, batch, _ = run.policies.evaluate(first_micro_batch(run), 3.0)
    assert torch.equal(policy, batch.reference)
    assert torch.equal(policy, batch.future)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_cached_states_of_something_else_are_refused(dtype, setup_of, few, tmp_path):
    setup = setup_of(replace(few, dtype=dtype))
    where = with_config(setup, reference_cache=str(tmp_path / "states"))
    run = started(where, "dpo", tmp_path / "run")
    run.policies.states.states.mul_(1.5)
    expected = (
        r"reference log-probs and the policy's differ by .*: the cached states of the reference "
        r"differ by more than rounding \(" + ("0.0001" if dtype == "float32" else "0.062")
    )
    with pytest.raises(InputError, match=expected.replace(".*:", ".*;")):
        run.check_start()


@pytest.mark.parametrize("cache", ["off", "on"])
def test_a_model_with_random_parts_is_told_from_a_wrong_cache(cache, setup, states, tmp_path):
    where = with_config(setup, reference_cache="off" if cache == "off" else states)
    run = started(where, "fpa", tmp_path / "run")
    norm = run.policies.policy.model.model.norm
    norm.register_forward_hook(lambda module, given, out: out + 0.3 * torch.randn_like(out))
    with pytest.raises(InputError, match="something else each time: it has dropout"):
        run.check_start()
