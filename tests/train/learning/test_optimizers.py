"""Every optimizer takes its own step, goes on in the same bits, and takes the computed memory."""

import shutil
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch

from diagnostics.parameters import trained_parameters
from tests.helpers.started_runs import new_policy, session, started, trained
from train.__main__ import main
from train.config.optimizers import OPTIMIZERS
from train.config.settings import Config
from train.learning.build import build_optimizer
from train.memory.footprint import MemoryPlan, parts
from train.memory.shape import shape_of

RATE = 1e-3
QUICK = Config(
    steps=4, batch_size=8, eval_problems="none", checkpoint_every=2, learning_rate=RATE,
    warmup_steps=0, reference_cache="off", device="cpu",
)  # fmt: skip
MISSING = find_spec("bitsandbytes") is None


def named(*names):
    """Return names as parameters of a test, those of bitsandbytes skipped where it is not there."""
    skip = pytest.mark.skipif(MISSING, reason="bitsandbytes is not installed")
    return [
        name if OPTIMIZERS[name].library == "torch" else pytest.param(name, marks=skip)
        for name in names
    ]


# By how much a parameter falls whose gradient is g at the first update, with a rate of 1e-3.
FIRST = {
    "sgd": lambda g: RATE * g,
    "adamw": lambda g: RATE * g.sign(),
    "adam": lambda g: RATE * g.sign(),
    "adamax": lambda g: RATE * g.sign(),
    "adagrad": lambda g: RATE * g.sign(),
    "rmsprop": lambda g: RATE * g.sign() / 0.01**0.5,  # its average is of 1 % g^2 then
    "rprop": lambda g: RATE * g.sign(),
    "lion8bit": lambda g: RATE * g.sign(),
    "lion32bit": lambda g: RATE * g.sign(),
    "adamw8bit": lambda g: RATE * g.sign(),
    "paged_adam32bit": lambda g: RATE * g.sign(),
}


@pytest.mark.filterwarnings("ignore:Paged optimizers")
@pytest.mark.parametrize("name", named(*FIRST))
def test_the_first_update_is_the_optimizers_own(setup_of, name):
    policy = new_policy(setup_of(QUICK))
    optimizer = build_optimizer(policy, replace(QUICK, optimizer=name))
    parameters = list(trained_parameters(policy.model).values())
    before = [p.detach().clone() for p in parameters]
    generator = torch.Generator().manual_seed(0)
    for parameter in parameters:  # all well above the epsilons
        sign = 2 * torch.randint(0, 2, parameter.shape, generator=generator) - 1
        parameter.grad = sign * (1 + torch.rand(parameter.shape, generator=generator))
    optimizer.step()
    for old, parameter in zip(before, parameters, strict=True):
        fall = FIRST[name](parameter.grad)
        torch.testing.assert_close(old - parameter.detach(), fall, rtol=2e-3, atol=2e-6)


@pytest.fixture(scope="module")
def runs(setup_of, tmp_path_factory):
    """Return a function that gives the folder of a run of four steps, by its optimizer's name."""
    folders = {}

    def of(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name) / "run"
            at = session(setup_of(replace(QUICK, optimizer=name)), "fpa", folders[name])
            run, _ = trained(at)
            weights = {
                n: p.detach().clone() for n, p in run.policies.policy.model.named_parameters()
            }
            folders[name] = folders[name], weights
        return folders[name]

    return of


RESUMED = ["sgd", "adafactor", "nadam", "asgd", "adamw8bit", "lion32bit", "paged_lion8bit"]


@pytest.mark.filterwarnings("ignore:Paged optimizers")
@pytest.mark.parametrize("name", named(*RESUMED))
def test_a_run_goes_on_in_the_same_bits(runs, setup_of, tmp_path, name):
    whole, weights = runs(name)
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run/result.json").unlink()
    shutil.rmtree(tmp_path / "run/checkpoints/step-4")
    planned = session(setup_of(replace(QUICK, optimizer=name)), "fpa", tmp_path / "run")
    made, make = [], planned.run
    planned.run = lambda: made.append(make()) or made[0]
    planned.train({}, resume=True)
    own = dict(made[0].policies.policy.model.named_parameters())
    assert all(torch.equal(own[name], weight) for name, weight in weights.items())


def test_a_run_goes_on_with_its_own_optimizer_alone(runs, call, tmp_path):
    shutil.copytree(runs("nadam")[0], tmp_path / "run")
    (tmp_path / "run/result.json").unlink()
    words = (
        "--objective fpa --steps 4 --batch-size 8 --eval-problems none --checkpoint-every 2 "
        "--learning-rate 1e-3 --warmup-steps 0 --reference-cache off --device cpu "
        f"--resume always --optimizer adagrad --out {tmp_path / 'run'}"
    )
    status, _, err = call(main, words)
    assert status == 2
    assert "holds a run with --optimizer nadam, not adagrad: name another folder" in err
    config = tmp_path / "run/config.json"  # as if by hand
    config.write_text(config.read_text().replace('"nadam"', '"adagrad"'))
    status, _, err = call(main, words)
    assert status == 2
    assert "cannot go on from this checkpoint, its state of the optimizer" in err
    assert ".sum" in err


COMPUTED = [name for name in OPTIMIZERS if not name.startswith("paged")]


@pytest.mark.parametrize("rank", [None, 4])
def test_the_computed_memory_is_that_of_the_state(setup_of, tmp_path, rank):
    shape = shape_of(setup_of(QUICK).base.model.model.config)
    for name in [name for name in COMPUTED if not (MISSING and name.endswith("bit"))]:
        config = replace(QUICK, optimizer=name, lora_rank=rank)
        run = started(setup_of(config), "fpa", tmp_path / name)
        run.updater.gradients.of(run.data.draw(1, run.policies.policy), run.updater.lam)
        run.updater.optimizer.step()
        held = sum(
            value.nbytes
            for state in run.updater.optimizer.state.values()
            for field, value in state.items()
            if isinstance(value, torch.Tensor) and value.numel() > 1 and "qmap" not in field
        )
        plan = MemoryPlan(tokens=64, length=32, lora_rank=rank, optimizer=name)
        computed = sum(
            p.bytes for p in parts(shape, plan) if "moments" in p.name or "rows" in p.name
        )
        if OPTIMIZERS[name].bits == 8:  # the smallest tensors stay in float32
            assert held >= computed
            assert held <= computed * (1.2 if rank is None else 4)
        else:
            assert held == computed, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--optimizer adamx", "--optimizer adamx: there are adamw, adam, "),
        ("--optimizer AdamW", "did you mean adamw"),
        ("--optimizer rprop --weight-decay 0.1", "--weight-decay 0.1: --optimizer rprop has none"),
        pytest.param("--optimizer lion8bit", "bitsandbytes', which is not installed: pip install",
                     marks=pytest.mark.skipif(not MISSING, reason="it is installed")),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(call, tmp_path, words, said):
    status, _, err = call(main, f"--objective dpo --steps 1 --device cpu {words}")
    assert status == 2
    assert said in err
    assert err.strip().count("\n") == 0
    assert not list(tmp_path.rglob("config.json"))
