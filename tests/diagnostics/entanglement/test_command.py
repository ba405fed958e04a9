"""`python -m diagnostics.entanglement`: its files, against plain autograd, and its complaints."""

import json
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from diagnostics.entanglement.__main__ import main
from diagnostics.entanglement.overlap import token_overlap
from objectives import pair_rollouts
from tests.helpers.tiny import twin_gradient, twin_log_probs
from train.data.table import BUILTIN_ROLLOUTS, read_table
from train.data.tokenized import encode
from train.models.load import load_model
from train.store.opened import CheckpointedRun

COLUMNS = [
    "pair", "prompt", "n_chosen", "n_rejected", "prefix", "overlap", "cosine", "inner_product",
    "normalised_inner_product", "norm_chosen", "norm_rejected", "share_shared",
    "share_shared_distinct", "share_distinct_shared", "share_distinct_distinct", "share_prefix",
    "share_decision", "window_low", "window_high", "regime", "ches", "ches_normalised",
]  # fmt: skip
FEW = 160  # of the built-in rollouts: quickly read
ROW = {"prompt": "1+2*3=", "completion": "2*3=6;1+6=7;#7", "reward": 1.0}
WRONG = {"prompt": "1+2*3=", "completion": "1+2=3;3*3=9;#9", "reward": -1.0}


@pytest.fixture
def diagnose(call):
    return partial(call, main)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a file with the first of the built-in rollouts."""
    path = tmp_path_factory.mktemp("data") / "few.parquet"
    pd.read_parquet(BUILTIN_ROLLOUTS)[:FEW].to_parquet(path)
    return str(path)


@pytest.fixture(scope="module")
def encoded(data):
    return encode(read_table(data), load_model("builtin")[1], 128)


@pytest.fixture(scope="module")
def trained():
    """Return the built-in model, moved a little as if it had been trained."""
    model = load_model("builtin")[0]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter += 0.05 * parameter.std() * noise
    return model


@pytest.fixture
def run_folder(tmp_path, trained, data):
    """Return the folder of a run with one checkpoint, as training leaves it."""
    folder = tmp_path / "runs" / "mine"
    checkpoint = folder / "checkpoints" / "step-7"
    trained.save_pretrained(checkpoint)
    load_model("builtin")[1].save_pretrained(checkpoint)
    settings = {"objective": "fpa_dpo", "model": "builtin", "data": data}
    (folder / "config.json").write_text(json.dumps({**settings, "beta": 0.2, "lam": 0.5}))
    return folder


def twin(model, encoded, number):
    """Return a pair's tokens, overlap, and gradients as [side][shared, distinct] by autograd."""
    pairs = pair_rollouts(encoded.reward, encoded.group)
    sides = [encoded.tokens[row] for row in pairs[number].tolist()]
    overlap = token_overlap(sides[0].completion, sides[1].completion)
    gradients = [
        [twin_gradient(model, *tokens[:2], part.float()).double() for part in (shared, ~shared)]
        for tokens, shared in zip(sides, (overlap.shared_a, overlap.shared_b), strict=True)
    ]
    return sides, overlap, gradients


def agrees(row, overlap, gradients):
    whole = [sum(parts) for parts in gradients]
    inner = (whole[0] @ whole[1]).item()
    norms = [g.norm().item() for g in whole]
    close = pytest.approx
    assert (row["n_chosen"], row["n_rejected"]) == (len(overlap.shared_a), len(overlap.shared_b))
    assert row["prefix"] == overlap.prefix
    assert row["overlap"] == overlap.overlap
    assert [row["norm_chosen"], row["norm_rejected"]] == close(norms, rel=1e-3)
    assert row["cosine"] == close(inner / norms[0] / norms[1], abs=1e-3)
    for i, first in enumerate(("shared", "distinct")):
        for j, second in enumerate(("shared", "distinct")):
            name = "share_shared" if i == j == 0 else f"share_{first}_{second}"
            part = (gradients[0][i] @ gradients[1][j]).item()
            assert row[name] * row["cosine"] == close(part / norms[0] / norms[1], abs=1e-3)
    if inner > 0:
        window = [inner / norms[1] ** 2, norms[0] ** 2 / inner]
        assert [row["window_low"], row["window_high"]] == close(window, rel=1e-2)


def test_the_base_model(diagnose, tmp_path, encoded, data):
    status, out, err = diagnose(f"--data {data} --pairs 3 --seed 1 --out mine")
    assert status == 0, err
    table = pd.read_csv(tmp_path / "mine" / "pairs.csv")
    names = ("dpo", "rpo", "ipo", "fpa")
    own = [f"{q}_{n}_{t}" for n in names for t in ("now", "future", "used")
           for q in ("ratio", "weight", "regime")]  # fmt: skip
    assert list(table.columns) == COLUMNS + own
    assert table["pair"].is_monotonic_increasing
    row = table.iloc[1]
    model = load_model("builtin")[0]
    sides, overlap, gradients = twin(model, encoded, row["pair"])
    agrees(row, overlap, gradients)
    assert row["prompt"] == load_model("builtin")[1].decode(sides[0].prompt)
    # At the reference every ratio has a closed form: β/2 = .05, α = 1.
    n_w, n_l = row["n_chosen"], row["n_rejected"]
    p_w, p_l = (twin_log_probs(model, *tokens[:2]).mean().exp().item() for tokens in sides)
    expected = {"dpo": 1, "rpo": 0.05 / (0.05 + 1 / n_w), "ipo": n_w / n_l,
                "fpa": p_l * n_w / (p_w * n_l)}  # fmt: skip
    for name, ratio in expected.items():
        assert row[f"ratio_{name}_now"] == pytest.approx(ratio, rel=1e-4)
        assert row[f"ratio_{name}_future"] == pytest.approx(ratio, rel=1e-4)
    parts = table[[c for c in COLUMNS if c.startswith("share_")][:4]]
    np.testing.assert_allclose(parts.sum(axis=1), 1, rtol=1e-3)
    summary = json.loads((tmp_path / "mine" / "summary.json").read_text())
    assert summary["at_reference"]
    assert summary["cosine"]["median"] == pytest.approx(table["cosine"].median())
    assert "The policy is the reference itself" in out
    assert summary["most_entangled_pair"] == table["pair"][table["cosine"].idxmax()]
    for picture in ("entanglement.png", "token_matrix.png"):
        assert (tmp_path / "mine" / picture).stat().st_size > 10_000


def test_a_run_s_checkpoint(diagnose, run_folder, encoded, trained):
    status, out, err = diagnose("--run runs/mine --pairs 2 --objective simper,fpa_dpo")
    assert status == 0, err
    assert "fpa_dpo after 7 steps" in out
    folder = run_folder / "diagnostics" / "entanglement-step-7"
    row = pd.read_csv(folder / "pairs.csv").iloc[0]
    sides, overlap, gradients = twin(trained, encoded, row["pair"])
    agrees(row, overlap, gradients)
    base = load_model("builtin")[0]
    at_policy, ahead, rewards = [], [], []
    for prompt, completion, _ in sides:
        ids, place = torch.tensor([[*prompt, *completion]]), slice(len(prompt) - 1, -1)
        h, h0 = (m(input_ids=ids).logits[0, place].detach() for m in (trained, base))
        token = torch.tensor(completion)[:, None]
        now = h.log_softmax(-1).gather(1, token)
        at_policy.append(now.mean().exp().item() / len(completion))
        future = (1.5 * h - 0.5 * h0).log_softmax(-1).gather(1, token)
        ahead.append(future.mean().exp().item() / len(completion))
        rewards.append((future - h0.log_softmax(-1).gather(1, token)).sum())
    assert row["ratio_simper_now"] == pytest.approx(at_policy[1] / at_policy[0], rel=1e-3)
    assert row["ratio_simper_future"] == pytest.approx(ahead[1] / ahead[0], rel=1e-3)
    assert row["ratio_fpa_dpo_future"] == pytest.approx(1)
    weight = 0.2 * torch.sigmoid(-0.2 * (rewards[0] - rewards[1]))  # the run's β, not .1
    assert row["weight_fpa_dpo_future"] == pytest.approx(weight.item(), rel=1e-3)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["lam"] == 0.5
    assert not summary["at_reference"]


def test_a_run_that_sampled_from_problems_has_no_pairs_and_a_remedy(diagnose, run_folder):
    file = run_folder / "config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, "online": True, "data": "problems.jsonl"}))
    status, _, err = diagnose(f"--run {run_folder}")
    (line,) = err.splitlines()
    assert status == 2
    assert "train.rollouts --model builtin --problems problems.jsonl" in line
    checkpoint = run_folder / "checkpoints" / "step-7"
    assert f"--model {checkpoint} --reference builtin --data rollouts.parquet" in line


def test_every_objective_has_its_columns(diagnose, run_folder, tmp_path):
    from objectives import OBJECTIVES

    names = ",".join(OBJECTIVES)
    words = f"--run runs/mine --pairs 4 --parameters head --out all --objective {names}"
    status, _, err = diagnose(words)
    assert status == 0, err
    table = pd.read_csv(tmp_path / "all" / "pairs.csv")
    assert (table.filter(regex="^regime") != "undefined").all(axis=None)
    assert (table["ratio_sft_now"] == 0).all()


@pytest.mark.parametrize("words", ["head", "norm"])
def test_identical_completions(diagnose, write_rows, tmp_path, words):
    write_rows([{"prompt": "1+2=", "chosen": "#3", "rejected": "#3"}], "same.jsonl")
    status, _, err = diagnose(f"--data same.jsonl --parameters {words} --out same")
    assert status == 0, err
    row = pd.read_csv(tmp_path / "same" / "pairs.csv").iloc[0]
    assert (row["overlap"], row["regime"], row["regime_dpo_now"]) == (1, "still", "still")
    assert row["cosine"] == pytest.approx(1)
    assert row["share_prefix"] == pytest.approx(1, rel=1e-4)


@pytest.fixture
def trained_elsewhere(tmp_path, trained):
    """Return the folder of a policy that nobody here trained, and what its trainer logged."""
    trained.save_pretrained(tmp_path / "policy")
    load_model("builtin")[1].save_pretrained(tmp_path / "policy")
    values = [-1.0, -0.8, -0.6, -0.5, -0.9, -1.4, -2.0, -2.6]
    history = [{"step": 10 * n, "logps/chosen": v, "logps/rejected": -2.0 - n}
               for n, v in enumerate(values, 1)]  # fmt: skip
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    (tmp_path / "empty.json").write_text('{"log_history": []}')
    return tmp_path / "policy"


def test_a_policy_of_another_trainer(diagnose, tmp_path, trained_elsewhere, encoded, trained, data):
    status, out, err = diagnose(
        f"--model {trained_elsewhere} --reference builtin --data {data} --pairs 6 --out mine "
        f"--objective dpo,rpo --log trainer_state.json"
    )
    assert status == 0, err
    table = pd.read_csv(tmp_path / "mine" / "moved.csv")
    row = table.iloc[2]
    sides, overlap, gradients = twin(trained, encoded, row["pair"])
    agrees(pd.read_csv(tmp_path / "mine" / "pairs.csv").iloc[2], overlap, gradients)
    base = load_model("builtin")[0]
    before = twin(base, encoded, row["pair"])[2]
    for name, tokens in zip(("chosen", "rejected"), sides, strict=True):
        now, then = (twin_log_probs(m, *tokens[:2]).sum().item() for m in (trained, base))
        assert row[f"change_{name}"] == pytest.approx(now - then, abs=1e-3)
    for when, of in (("reference", before), ("policy", gradients)):
        g_w, g_l = (sum(parts) for parts in of)
        inner = (g_w @ g_l).item()
        ideal = inner < min((g_w @ g_w).item(), (g_l @ g_l).item())
        assert (row[f"regime_dpo_{when}"] == "ideal") == ideal
    said = json.loads((tmp_path / "mine" / "summary.json").read_text())["moved"]
    assert said["sides"]["chosen"]["change"]["value"] == pytest.approx(
        table["change_chosen"].mean()
    )
    left = table[
        (table["regime_dpo_reference"] == "ideal") & (table["regime_dpo_policy"] != "ideal")
    ]
    assert said["objectives"]["dpo"]["left"] == left["pair"].tolist()
    # dpo weighs both alike, so fpa's shares at λ = 0 are those of p̄/n at the policy.
    inside = 0
    for line in table.itertuples():
        pair = twin(trained, encoded, line.pair)[0]
        c = [twin_log_probs(trained, *t[:2]).mean().exp().item() / len(t[1]) for t in pair]
        inside += line.window_low < c[1] / c[0] < line.window_high
    assert said["inside_window"]["fpa_lam"]["0"] == pytest.approx(inside / 6)
    # Medians of three: -.9 first (of two), -.6 about steps 30 and 40, -2.3 last (of two).
    assert "In the log, chosen rose from −0.9 to −0.6 and fell from step 40 on, to −2.3" in out
    assert (tmp_path / "mine" / "moved.png").stat().st_size > 10_000


def test_an_adapter_is_held_against_its_base(diagnose, tmp_path, data):
    import peft

    model, tokenizer = load_model("builtin")
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"], r=2))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.05)
    adapted.peft_config["default"].base_model_name_or_path = "builtin"
    adapted.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")
    status, out, err = diagnose(
        f"--model adapter --data {data} --pairs 2 --out mine --parameters head"
    )
    assert status == 0, err
    assert "policy: adapter (from builtin)" in out
    assert (pd.read_csv(tmp_path / "mine" / "moved.csv")["change_chosen"] != 0).all()


def test_of_a_large_model_the_head_alone_is_taken(diagnose, data, tmp_path, monkeypatch):
    for most, which in ((10**6, "all"), (10**5, "head")):
        monkeypatch.setattr("diagnostics.entanglement.__main__.MOST", most)
        status, out, _ = diagnose(f"--data {data} --pairs 2 --out {which}")
        assert status == 0
        assert json.loads((tmp_path / which / "summary.json").read_text())["parameters"] == which
        assert ("output head alone" in out) == (which == "head")


MISTAKES = [
    ("--reference builtin", "--reference needs --model, the policy that began from it"),
    ("--log trainer_state.json", "--log needs --model or --run"),
    ("--model builtin --log gone.json", "--log gone.json: no such file"),
    ("--model builtin --log empty.json", "empty.json: no entry has logps/chosen"),
    ("--model builtin --log trainer_state.json --data rows.jsonl", "--model is the reference"),
    ("--run runs/mine --reference builtin", "--reference needs --model"),
    ("--model policy --reference nowhere/at/all", "nowhere/at/all: no model folder there"),
    (
        "--model odd --reference builtin --data rows.jsonl",
        "--model odd has another vocabulary than --reference builtin: 19 and 19 tokens",
    ),
    ("--objective dpo,fpo", "--objective fpo: no objective has this name; did you mean "),
    ("--pairs 0", "--pairs 0: must be above 0"),
    ("--max-tokens 0", "--max-tokens 0: must be above 0"),
    ("--lam -1", "--lam -1.0: must be 0 or more"),
    ("--checkpoint 3", "--checkpoint needs --run"),
    (
        "--data rows.jsonl --parameters nothing",
        "--parameters: parameters 'nothing': no name matches",
    ),
    ("--data rows.jsonl --parameters (", "--parameters: parameters '(': not a regular expression"),
    ("--objective dpo --gamma 2", "--gamma is not a flag of dpo"),
    ("--model nowhere/at/all", "--model nowhere/at/all: no model folder there"),
    ("--data missing.jsonl", "--data missing.jsonl: no such file"),
    ("--data right.jsonl", "there are no pairs to measure: of 2 trajectories 2 are correct"),
    ("--data empty.jsonl", "1 left out: completion without tokens"),
    ("--data rows.jsonl --objective kto", "all pairs are of one prompt: ask for more with --pairs"),
    ("--run nowhere", "--run nowhere: no run there (it has no config.json)"),
    ("--run runs/mine --model builtin", "--model: not with --run, which has its own"),
    ("--run runs/mine --checkpoint 3", "--checkpoint 3: runs/mine has checkpoints of steps 7"),
    ("--run young", "--run young: it has no checkpoint yet"),
    ("--run runs/mine/checkpoints/step-7", "not the settings of a run of python -m train"),
    ("--run other", "other/checkpoints/step-7 has another vocabulary than builtin"),
    ("--run torn", "torn/checkpoints/step-7: not a causal model that can be loaded"),
    ("--run runs/mine --out full", "full already holds files: name another with --out"),
]


@pytest.fixture
def surroundings(tmp_path, write_rows, run_folder, trained_elsewhere):
    shutil.copytree(trained_elsewhere, tmp_path / "odd")
    file = tmp_path / "odd" / "tokenizer.json"
    file.write_text(file.read_text().replace('"#"', '"@"'))
    write_rows([ROW, WRONG])
    write_rows([ROW, ROW], "right.jsonl")
    write_rows([ROW, {**WRONG, "completion": "", "truncated": True}], "empty.jsonl")
    for name in ("young", "full"):
        (tmp_path / name).mkdir()
        shutil.copy(run_folder / "config.json", tmp_path / name)
    for name in ("other", "torn"):
        shutil.copytree(run_folder, tmp_path / name)
    file = tmp_path / "other" / "checkpoints" / "step-7" / "tokenizer.json"
    file.write_text(file.read_text().replace('"#"', '"@"'))
    file = tmp_path / "torn" / "checkpoints" / "step-7" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100_000])


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistakes_get_one_line_and_status_2(diagnose, tmp_path, words, message):
    status, _, err = diagnose(words)
    lines = [line for line in err.strip().splitlines() if line.startswith("error: ")]
    assert status == 2
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "runs" / "entanglement").exists()


def test_the_lambda_of_a_run_that_followed_forecasts_is_the_last_it_used(tmp_path):
    lines = [{"step": 0, "accuracy": 0.2}, *({"step": n, "lam": 2 / n} for n in (1, 2, 3))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    config = {"objective": "fpa", "lam": "auto"}
    assert CheckpointedRun(tmp_path, config, 2, tmp_path / "checkpoint-2").lam == 1
    assert CheckpointedRun(tmp_path, config, 0, tmp_path / "checkpoint-0").lam is None
    fixed = {**config, "lam": 0.5}
    assert CheckpointedRun(tmp_path, fixed, 2, tmp_path / "checkpoint-2").lam == 0.5
