"""A checkpoint's state of other parameters is refused by name, before any of it is loaded."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from objectives.errors import InputError
from tests.helpers.malformed import mutations
from tests.helpers.started_runs import session
from train.config.settings import Config

QUICK = Config(
    steps=4, batch_size=8, eval_problems="none", checkpoint_every=2, learning_rate=1e-3,
    reference_cache="off",
)  # fmt: skip
DIAGNOSED = {
    "diagnose_every": 1, "diagnose": "tokens,extrapolation", "horizons": "2", "diagnose_pairs": 2,
}  # fmt: skip
ONLINE = {"online": True, "online_samples": 4, "batch_size": 16, "online_updates": 2}
KINDS = {
    "full": ("omd", {"period": 1}, {}),
    "adapter": ("fpa", {"lam": "auto", "lam_horizon": 2, "future_from": "lagged:2"},
                {"lora_rank": 2, **DIAGNOSED}),
    "online": ("grpo", {}, ONLINE),
}  # fmt: skip
STATE = "checkpoints/step-2/trainer_state"


@pytest.fixture(scope="module")
def made(setup_of, tmp_path_factory):
    """Return a function that gives a session of a kind, and the folder of a run after two steps."""
    folders = {}

    def made(kind):
        name, given, settings = KINDS[kind]
        config = replace(QUICK, **settings)

        def at(folder):
            return session(setup_of(config), name, folder, **given)

        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind.split()[0]) / "run"
            at(folders[kind]).train({})
            (folders[kind] / "result.json").unlink()
            shutil.rmtree(folders[kind] / "checkpoints" / "step-4")
        return at, folders[kind]

    return made


@pytest.fixture
def refused(made, tmp_path):
    """Return a function that resumes a run of a kind whose tensors were changed: its complaint."""

    def refused(kind, change):
        at, whole = made(kind)
        run = tmp_path / "run"
        shutil.copytree(whole, run)
        file = (run / STATE).with_suffix(".safetensors")
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file)
        kept = (run / "metrics.jsonl").read_bytes()
        with pytest.raises(InputError) as error:
            at(run).train({}, resume=True)
        assert (run / "metrics.jsonl").read_bytes() == kept
        message = str(error.value)
        assert message.startswith(f"{file}: cannot go on from this checkpoint, its state of ")
        assert "\n" not in message
        return message

    return refused


def put(name, make):
    return lambda tensors: tensors.update({name: make(tensors[name])})


def without(*endings):
    def drop(tensors):
        for name in [name for name in tensors if name.endswith(endings)]:
            del tensors[name]

    return drop


EMBEDDING = "model.embed_tokens.weight"  # the first of the built-in model's 29 parameters
FULL = {
    "shape": (put("optimizer/0.exp_avg", lambda x: x[:1]),
              f"{EMBEDDING}.exp_avg: it has (1, 128) in float32, not (19, 128) in float32"),
    "larger": (put("optimizer/0.exp_avg_sq", lambda x: torch.cat([x, x])),
               f"{EMBEDDING}.exp_avg_sq: it has (38, 128) in float32, not (19, 128)"),
    "transposed": (put("optimizer/0.exp_avg", lambda x: x.T.contiguous()),
                   f"{EMBEDDING}.exp_avg: it has (128, 19)"),
    "dtype": (put("optimizer/0.exp_avg", torch.Tensor.bfloat16),
              "it has (19, 128) in bfloat16, not (19, 128) in float32"),
    "double": (put("optimizer/0.exp_avg_sq", torch.Tensor.double), "in float64, not"),
    "a step for each element": (put("optimizer/0.step", lambda x: torch.zeros(2)),
                                f"{EMBEDDING}.step: it has (2,) in float32, not () in float32"),
    "no step was taken": (put("optimizer/0.step", torch.zeros_like),
                          f"{EMBEDDING} has had 0 of 2 updates"),
    "more steps": (put("optimizer/0.step", lambda x: x + 1), "has had 3 of 2 updates"),
    "step is not a number": (put("optimizer/0.step", lambda x: x * torch.nan), "had nan of 2"),
    "one moment": (without("/0.exp_avg"), f"it lacks {EMBEDDING}.exp_avg"),
    "no second moments": (without("exp_avg_sq"), "exp_avg_sq and 28 more"),
    "no steps": (without(".step"), ".step and 28 more"),
    "one parameter": (without("/3.exp_avg", "/3.exp_avg_sq", "/3.step"), "it lacks model.layers.0"),
    "nothing": (without(".step", ".exp_avg", ".exp_avg_sq"), "and 86 more"),
    "a parameter more": (lambda x: x.update({"optimizer/99.step": torch.ones(())}),
                         "it has 99.step, for which there is no place"),
    "another field": (lambda x: x.update({"optimizer/0.max_exp_avg_sq": torch.ones(16, 128)}),
                      f"it has {EMBEDDING}.max_exp_avg_sq, for which there is no place"),
    "no number": (lambda x: x.update({"optimizer/step": torch.ones(())}), "it has step., for"),
    "anchor's shape": (put(f"anchors/anchor.{EMBEDDING}", lambda x: x[:1]),
                       f"of policy anchor: {EMBEDDING}: it has (1, 128)"),
    "anchor lacks one": (without(f"anchors/previous.{EMBEDDING}"),
                         f"of policy previous: it lacks {EMBEDDING}"),
    "another anchor": (lambda x: x.update({"anchors/third.x": torch.ones(2)}),
                       "it has third.x, for which there is no place"),
    "generator": (put("random/cpu", lambda x: x[:-1]), "cpu: it has (5055,) in uint8"),
    "generator's dtype": (put("random/cpu", torch.Tensor.float), "in float32, not (5056,) in uint"),
    "no generator": (without("random/cpu"), "it lacks cpu"),
}  # fmt: skip
LORA = "model.layers.0.self_attn.q_proj.lora_A.default.weight"
ADAPTER = {
    "rank": (put("optimizer/0.exp_avg", lambda x: x[:1]), f"{LORA}.exp_avg: it has (1, 128)"),
    "no second moments": (without("exp_avg_sq"), "exp_avg_sq and 41 more"),
    "lagged rank": (put(f"lagged/1.{LORA}", lambda x: x[:1]), f"of policy 1: {LORA}: it has (1,"),
    "lagged lacks": (without(f"lagged/2.{LORA}"), f"of policy 2: it lacks {LORA}"),
    "lagged has more": (lambda x: x.update({"lagged/9.x": torch.ones(2)}), "it has 9.x, for"),
    "probes": (put("diagnosis/1.hidden", lambda x: x[1:]), "its snapshot of step 1 is ("),
    "no probes": (without("diagnosis/1.hidden"), "snapshot of step 1 has no matrix hidden"),
    "probes for λ": (put("lam/0.hidden", lambda x: x[:, 1:].contiguous()), "of step 0"),
    "probes more": (lambda x: x.update({"lam/7.hidden": torch.ones(2, 2)}), "it has 7.hidden, for"),
}  # fmt: skip
CASES = [(k, *case) for k, cases in (("full", FULL), ("adapter", ADAPTER))
         for case in cases.values()]  # fmt: skip
IDS = [f"{k}, {name}" for k, cases in (("full", FULL), ("adapter", ADAPTER)) for name in cases]


@pytest.mark.parametrize(("kind", "change", "message"), CASES, ids=IDS)
def test_tensors_that_do_not_fit(refused, kind, change, message):
    assert message in refused(kind, change)


def change_values(run, change):
    file = (run / STATE).with_suffix(".json")
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def as_before_names(values):
    values["optimizer"] = {}


ORDERS = {
    "other names": (lambda v: v["optimizer"]["parameters"].__setitem__(0, "wte.weight"),
                    f"its parameters are others: {EMBEDDING} and 1 more in one of the two alone"),
    "other order": (lambda v: v["optimizer"]["parameters"].reverse(), "in another order"),
    "a part more": (lambda v: v.update(lam={}), "a state of lam that this run has not"),
    "a part less": (lambda v: v.pop("random"), "no state of random"),
    "no optimizer": (lambda v: v.pop("optimizer"), "no state of optimizer"),
    "another step": (lambda v: v["run"].update(step=3), "it is of step 3"),
    "cost": (lambda v: v["run"]["cost"].update(steps=1), "cost has steps, for which"),
    "files": (lambda v: v["run"]["files"].update({"../x": 1}), "files has ../x, which is none"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), ORDERS.values(), ids=ORDERS)
def test_values_that_do_not_fit(made, tmp_path, change, message):
    at, whole = made("full")
    shutil.copytree(whole, tmp_path / "run")
    change_values(tmp_path / "run", change)
    if message.startswith("no state of "):  # their tensors go with them
        file = (tmp_path / "run" / STATE).with_suffix(".safetensors")
        part = message.split()[-1]
        save_file({k: v for k, v in load_file(file).items() if not k.startswith(part)}, file)
    with pytest.raises(InputError) as error:
        at(tmp_path / "run").train({}, resume=True)
    assert message in str(error.value)


def test_a_parameter_that_never_had_a_gradient_has_no_moments(made, tmp_path, capsys):
    """It is known by name; of a state of an earlier version it is said."""
    at, whole = made("full")
    for number, change in enumerate((
        lambda values: values["optimizer"]["without"].append(EMBEDDING), as_before_names,
    )):  # fmt: skip
        run = tmp_path / str(number)
        shutil.copytree(whole, run)
        file = (run / STATE).with_suffix(".safetensors")
        save_file({k: v for k, v in load_file(file).items() if "optimizer/0." not in k}, file)
        change_values(run, change)
        at(run).train({}, resume=True)
        said = (
            f"{EMBEDDING} without moments: as if without a gradient yet" in capsys.readouterr().out
        )
        assert said == bool(number)


@pytest.mark.parametrize("kind", KINDS)
def test_malformed_values_end_in_one_line_or_go_on(made, tmp_path, kind):
    at, whole = made(kind)
    values = json.loads((whole / STATE).with_suffix(".json").read_text())
    parts = {name: own for name, own in values.items() if name != "optimizer"}
    lines = []
    for number, content in enumerate(mutations(parts, 0, 25).values()):
        run = tmp_path / str(number)
        shutil.copytree(whole, run)
        whole_values = {**json.loads(content), "optimizer": values["optimizer"]}
        (run / STATE).with_suffix(".json").write_text(json.dumps(whole_values))
        try:
            at(run).train({}, resume=True)
        except InputError as error:
            lines.append(str(error))
    assert len(lines) > 10
    assert not [line for line in lines if "\n" in line]
