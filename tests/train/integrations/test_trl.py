"""ZooTrainer beside TRL's own trainer, and beside a plain loop. Runs where TRL is installed."""

import copy
import json
import re
import shutil
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig

import train
from objectives import OBJECTIVES, mismatch
from objectives.causal_lm import log_probs
from tests.helpers.preference_pairs import builtin_pairs
from train.models.load import BUILTIN_MODEL, load_model

trl = pytest.importorskip("trl", reason="needs pip install -e '.[bench]'")

from train.integrations.trl import PROVIDED, ZooTrainer  # noqa: E402

STEPS, PAIRS = 4, 8
ROWS = builtin_pairs()[::50][: STEPS * PAIRS]  # of many prompts
LORA = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
FITTING = [n for n, entry in OBJECTIVES.items() if {*entry.needs} <= PROVIDED]


def trainer(kind, folder, *, settings=MappingProxyType({}), **given):
    model, tokenizer = load_model("builtin")
    settings = {
        "output_dir": str(folder), "per_device_train_batch_size": PAIRS, "max_steps": STEPS,
        "learning_rate": 1e-4, "lr_scheduler_type": "constant", "use_cpu": True, "bf16": False,
        "train_sampling_strategy": "sequential", "report_to": [], "save_strategy": "no",
        "logging_steps": 1, "gradient_checkpointing": False, "disable_tqdm": True, **settings,
    }  # fmt: skip
    args = trl.DPOConfig(**settings)
    return kind(
        model=model, args=args, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer,
        **given,
    )  # fmt: skip


def trained(*arguments, **given):
    """Return the metrics of each step, without its times."""
    made = trainer(*arguments, **given)
    made.train()
    lines = [line for line in made.state.log_history if "loss" in line]
    return [{k: v for k, v in line.items() if "time" not in k} for line in lines]


@pytest.mark.parametrize(
    "case",
    [{}, {"peft_config": LORA}, {"settings": {"gradient_checkpointing": True, "beta": 0.3}},
     {"settings": {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}}],
    ids=["full", "lora", "checkpointing", "accumulated"],
)  # fmt: skip
def test_dpo_is_trls_own(case, tmp_path):
    own = trained(ZooTrainer, tmp_path / "own", objective="dpo", **case)
    theirs = trained(trl.DPOTrainer, tmp_path / "theirs", **copy.deepcopy(case))
    assert len(own) == STEPS
    assert own[-1]["rewards/margins"] > 1e-4  # it learns
    for mine, their in zip(own, theirs, strict=True):
        assert mine == pytest.approx(their, rel=2e-4, abs=2e-6)


@pytest.mark.parametrize("name", FITTING)
def test_an_objectives_loss_and_gradients_are_those_of_a_plain_loop(name, tmp_path):
    made = trainer(ZooTrainer, tmp_path, objective=name)
    made.model.eval()
    with torch.no_grad():  # off the reference, where every λ is the same
        for number, weight in enumerate(made.model.parameters()):
            generator = torch.Generator().manual_seed(number)
            weight.add_(0.02 * torch.randn(weight.shape, generator=generator))
    inputs = next(iter(made.get_train_dataloader()))
    loss = made.compute_loss(made.model, inputs)
    loss.backward()
    found = [p.grad.clone() for p in made.model.parameters()]
    made.model.zero_grad()

    own = made.objective.settings
    policy, batch = log_probs(
        made.model, inputs["input_ids"], inputs["completion_mask"],
        attention_mask=inputs["attention_mask"], reference=load_model("builtin")[0],
        lam=own.get("lam"), collision="collision" in made.objective.needs,
        divergence_kind=own.get("divergence_kind"),
    )  # fmt: skip
    half = len(policy) // 2
    sign = torch.cat([torch.ones(half), -torch.ones(half)])
    rows = torch.arange(half)
    fields_ = {"reward": sign, "pairs": torch.stack([rows, rows + half], 1)}
    if "divergence" in made.objective.needs:
        ratios = made._mismatched_ratios(made.model, inputs, _groups(inputs))
        fields_["divergence"] = ratios.mean().clamp(min=0).expand(2 * half)
    if "mean_length" in made.objective.needs:
        fields_["mean_length"] = batch.mask.sum().expand(2 * half) / (2 * half)
    losses = made.objective(policy, batch._replace(**fields_))
    expected = losses.sum() / (half if made.objective.only_correct else len(losses))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    expected.backward()
    for own, weight in zip(found, made.model.parameters(), strict=True):
        torch.testing.assert_close(own, weight.grad, rtol=1e-4, atol=1e-6)


def _groups(inputs):
    prompts = [*map(tuple, (inputs["input_ids"] * (1 - inputs["completion_mask"])).tolist())]
    return torch.tensor([prompts.index(prompt) for prompt in prompts])


def test_ktos_reference_point_is_that_of_mismatched_completions(tmp_path):
    made = trainer(ZooTrainer, tmp_path, objective="kto")
    policy, reference = made.model.eval(), load_model("builtin")[0]
    with torch.no_grad():
        policy.get_output_embeddings().weight.mul_(1.1)
    inputs = next(iter(made.get_train_dataloader()))
    group = _groups(inputs)
    rows = []
    for ids, real, learnt in zip(
        inputs["input_ids"], inputs["attention_mask"], inputs["completion_mask"], strict=True
    ):
        kept = ids[real.bool()]
        rows.append((kept[: len(kept) - learnt.sum()], kept[len(kept) - learnt.sum() :]))
    expected = []
    for own, other in enumerate(mismatch(group).tolist()):
        prompt, answer = rows[own][0], rows[other][1]
        assert group[own] != group[other]
        ids = torch.cat([prompt, answer])[None]
        sums = []
        for model in (policy, reference):
            with torch.no_grad():
                found = model(ids).logits.log_softmax(-1)[0, len(prompt) - 1 : -1]
            sums.append(found.gather(-1, answer[:, None]).sum())
        expected.append(sums[0] - sums[1])
    found = made._mismatched_ratios(policy, inputs, group)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-4)
    assert found.abs().max() > 0.01


def test_an_objective_that_looks_ahead_trains_with_an_adapter(tmp_path):
    lines = trained(ZooTrainer, tmp_path, objective="fpa", lam=3.0, peft_config=LORA)
    theirs = trained(trl.DPOTrainer, tmp_path, peft_config=LORA)
    assert lines[0].keys() == theirs[0].keys()
    assert lines[-1]["logps/rejected"] < theirs[-1]["logps/rejected"]
    assert lines[-1]["rewards/margins"] > 0


@pytest.mark.parametrize(
    ("given", "settings", "said"),
    [
        ({"objective": "dpoo"}, {}, "no objective 'dpoo'"),
        ({"objective": "omd"}, {}, "omd needs anchor"),
        ({"objective": "dpo", "lam": 1.0}, {}, "dpo does not look ahead"),
        ({"objective": "fpa", "lam": -1.0}, {}, "lam must be 0 or more"),
        ({"objective": "fpa", "divergence_kind": "kl"}, {}, "fpa reads no divergence"),
        ({"objective": "rise", "divergence_kind": "l2"}, {}, "divergence_kind must be kl or js"),
        ({"objective": "rise"}, {"precompute_ref_log_probs": True}, "keeps sums"),
        ({"objective": "dpo", "beta": 0.0}, {}, "beta must be above 0"),
        ({"objective": "dpo", "bta": 1.0}, {}, "bta"),
        ({"objective": "dpo"}, {"loss_type": "ipo"}, "loss_type is of TRL's own loss"),
        ({"objective": "dpo"}, {"label_smoothing": 0.1}, "label_smoothing is of TRL's own loss"),
        ({"objective": "dpo"}, {"ld_alpha": 0.5}, "ld_alpha is of TRL's own loss"),
        ({"objective": "fpa"}, {"precompute_ref_log_probs": True}, "keeps sums"),
    ],
)
def test_what_cannot_be_is_refused(given, settings, said, tmp_path):
    with pytest.raises((ValueError, TypeError), match=said):
        trainer(ZooTrainer, tmp_path, settings=settings, **given)


def test_autocast_is_trained_through(tmp_path):
    """TRL's default where the processor has bfloat16: its own log-probs are coarser than ours."""
    half, whole = (
        trained(ZooTrainer, tmp_path, objective="fpa", settings={"bf16": bf16})
        for bf16 in (True, False)
    )
    for one, other in zip(half, whole, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=0.02)
        assert one["loss"] != other["loss"]


def test_a_beta_of_trls_settings_is_the_objectives(tmp_path):
    made = trainer(ZooTrainer, tmp_path, objective="rpo", settings={"beta": 0.3}, alpha=0.5)
    assert (made.hyper["beta"], made.hyper["alpha"], made.beta) == (0.3, 0.5, 0.3)


def test_the_script_of_the_page_runs(tmp_path, monkeypatch):
    page = Path(train.__file__).with_name("README.md").read_text()
    code = re.search("## Within TRL.*?```python\n(.*?)```", page, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    shutil.copytree(BUILTIN_MODEL, "base")
    Path("pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    exec(code.replace("max_steps=300", "max_steps=2").replace("size=32", "size=2"), {})
    state = json.loads(Path("trl-fpa/checkpoint-2/trainer_state.json").read_text())
    assert state["global_step"] == 2
