"""The flags of `python -m train`, and which settings count where: held against recorded lists.

Whoever adds a setting says in these lists what it changes: the training, or only where and how it
is computed and watched.
"""

import argparse
import json
from dataclasses import asdict, replace

import pytest

from diagnostics.extrapolation import __main__ as extrapolation
from eval.compare.groups import differing_settings
from eval.compare.runs import IDENTITY, read_runs
from train.__main__ import main
from train.config.settings import UNTRAINED, Config
from train.run.sweep import UNCOMPARED
from train.sampling.evaluator import Evaluator

OF_COMMAND = {
    "--objective": None, "--list": False, "--recipe": None, "--seeds": None,
    "--learning-rates": None, "--online": None, "--resume": None,
}  # fmt: skip
DEFAULTS = {
    "model": "builtin", "data": "builtin", "out": None, "steps": 300, "learning_rate": 1e-5,
    "schedule": "constant", "schedule_options": None, "warmup_steps": 10, "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "batch_size": 64, "micro_batch_size": None, "tokens_per_microbatch": None,
    "share_prefixes": "auto", "compile": False, "gradient_checkpointing": False,
    "lora_rank": None, "lora_alpha": None, "lora_targets": None, "rows": "auto",
    "advantage": "auto", "online": False, "online_samples": 8, "online_temperature": 1.0,
    "online_max_new_tokens": None, "online_updates": 1, "online_mixed": False, "max_tokens": None,
    "reference_cache": "auto", "token_cache": "auto", "seed": 0, "device": "auto",
    "dtype": "auto", "eval_problems": "auto", "eval_every": 50, "eval_limit": 500,
    "eval_samples": 4, "eval_temperature": 1.0, "eval_max_new_tokens": None,
    "eval_batch_size": 500, "checkpoint_every": 0, "keep_checkpoints": 0, "diagnose_every": 0,
    "diagnose": None, "horizons": None, "diagnose_pairs": None,
    "data_config": None, "data_split": None,
    "report_to": None, "log_every": 10, "quiet": False, "epochs": None, "eval_data": None,
    "eval_fraction": None, "keep_best": None, "push_to_hub": None, "hub_private": False,
    "attention": None, "optimizer": "adamw", "engine": "auto", "engine_memory": None,
    "quantise": None, "activation_offload": False, "reward": None,
}  # fmt: skip

# Another value for each setting; those above the first gap allow all others.
OTHERS = {
    "online": True, "lora_rank": 2, "diagnose_every": 2, "diagnose": "extrapolation",
    "schedule": "polynomial",

    "model": "smollm2", "data": "rows.jsonl", "out": "elsewhere", "steps": 7,
    "learning_rate": 3e-6, "schedule_options": "power=2", "warmup_steps": 3, "weight_decay": 0.1,
    "max_grad_norm": 2.0, "batch_size": 32, "micro_batch_size": 8, "share_prefixes": "off",
    "compile": True, "gradient_checkpointing": True, "lora_alpha": 8.0, "lora_targets": "q_proj",
    "rows": "all", "advantage": "leave_one_out", "online_samples": 4, "online_temperature": 0.5,
    "online_max_new_tokens": 9, "online_updates": 2, "online_mixed": True, "max_tokens": 64,
    "reference_cache": "off", "token_cache": "off", "seed": 1, "device": "cpu",
    "dtype": "float32", "eval_problems": "none", "eval_every": 10, "eval_limit": 20,
    "eval_samples": 1, "eval_temperature": 0.7, "eval_max_new_tokens": 30, "eval_batch_size": 50,
    "checkpoint_every": 5, "keep_checkpoints": 2, "horizons": "4", "diagnose_pairs": 3,
    "data_config": "main", "data_split": "test", "report_to": "none", "log_every": 3,
    "quiet": True, "eval_data": "held.jsonl",
    "keep_best": "heldout/loss", "push_to_hub": "me/run", "hub_private": True, "attention": "eager",
    "optimizer": "sgd", "engine": "vllm", "engine_memory": 0.5,
    "reward": "mine.py:reward",

    "tokens_per_microbatch": 128,
}  # fmt: skip
ALONE = {"epochs": 2.0, "eval_fraction": 0.1}  # not beside online and eval_data
NEEDING = {"quantise": "4bit", "activation_offload": True}  # bitsandbytes, a GPU
ALLOWING = {name: OTHERS[name] for name in list(OTHERS)[:5]}


def test_the_flags_are_these(call, monkeypatch):
    parsers = []
    parse = argparse.ArgumentParser.parse_known_args

    def watched(parser, *arguments, **options):
        parsers.append(parser)
        return parse(parser, *arguments, **options)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", watched)
    assert call(main, "--list")[0] == 0
    (parser,) = (p for p in parsers if any("--objective" in a.option_strings for a in p._actions))
    found = {
        name: parser.get_default(action.dest)
        for action in parser._actions for name in action.option_strings
        if action.dest not in ("help", argparse.SUPPRESS)
    }  # fmt: skip
    settings = {n: v for n, v in DEFAULTS.items() if n != "online"}
    assert found == OF_COMMAND | {f"--{n.replace('_', '-')}": v for n, v in settings.items()}


def test_the_settings_and_their_defaults_are_these():
    assert asdict(Config()) == DEFAULTS
    others = OTHERS | ALONE | NEEDING
    assert others.keys() == DEFAULTS.keys()
    assert not [name for name, value in others.items() if value == DEFAULTS[name]]
    assert Config(**ALONE).epochs == 2


def test_settings_that_a_sweep_does_not_compare():
    assert set(UNCOMPARED) == {
        "out", "device", "checkpoint_every", "keep_checkpoints", "token_cache", "report_to",
        "log_every", "quiet", "keep_best", "push_to_hub", "hub_private", "engine_memory",
    }  # fmt: skip


def test_settings_that_are_no_hyper_parameters():
    of_config = {
        "seed", "learning_rate", "out", "device", "micro_batch_size", "tokens_per_microbatch",
        "share_prefixes", "compile", "gradient_checkpointing", "reference_cache", "token_cache",
        "eval_problems", "eval_every", "eval_limit", "eval_samples", "eval_temperature",
        "eval_max_new_tokens", "eval_batch_size", "checkpoint_every", "keep_checkpoints",
        "diagnose_every", "diagnose", "horizons", "diagnose_pairs", "report_to", "log_every",
        "quiet", "eval_data", "keep_best", "push_to_hub", "hub_private", "attention",
        "engine_memory",
        "activation_offload",
    }  # fmt: skip
    beside = {
        "objective",
        "left_out",
        "command",
        "versions",
        "git_revision",
        "threads",
        "digests",
        "resumed",
    }
    assert of_config | beside == UNTRAINED | IDENTITY
    assert of_config <= DEFAULTS.keys()


def test_differing_settings_are_named_in_this_order(call, tmp_path):
    """In the order of config.json: first those of every run, then the objective's own."""
    quick = "--objective fpa_dpo --steps 0 --eval-limit 2 --eval-samples 0"
    others = (
        "--schedule linear --warmup-steps 1 --weight-decay 0.1 --max-grad-norm 2 --batch-size 8 "
        "--lora-rank 1 --lora-alpha 3 --lora-targets q_proj --rows all --advantage group_centred "
        "--max-tokens 60 --dtype bfloat16 --beta 0.2 --lam auto --future-from lagged:20 "
        "--compile true --eval-every 7 --token-cache off --seed 3"
    )
    for number, words in enumerate(("", others)):
        assert call(main, f"{quick} {words} --out runs/{number}")[0] == 0
    runs, _ = read_runs([tmp_path / "runs"], UNTRAINED)
    assert len(runs) == 2
    shared = [
        "schedule", "warmup_steps", "weight_decay", "max_grad_norm", "batch_size", "lora_rank",
        "lora_alpha", "lora_targets", "rows", "advantage", "max_tokens", "dtype", "beta", "lam",
        "future_from",
    ]  # fmt: skip
    assert differing_settings(runs, shared=True) == shared
    own = ["lam_horizon", "lam_floor", "lam_ceiling", "lam_smoothing"]
    assert differing_settings(runs) == shared + own


def test_settings_of_the_run_that_checkpoints_are_not_forecast_with(monkeypatch, tmp_path):
    kept = replace(Config(**ALLOWING), **{n: v for n, v in OTHERS.items() if n not in (
        "tokens_per_microbatch", "eval_problems",
    )})  # fmt: skip
    for step in (2, 4, 6):
        (tmp_path / "checkpoints" / f"step-{step}").mkdir(parents=True)
    (tmp_path / "config.json").write_text(json.dumps({"objective": "dpo", **asdict(kept)}))

    class Reached(Exception):
        pass

    def set_up(config, *_):
        assert {n for n in OTHERS if getattr(config, n) != getattr(kept, n)} == {
            "eval_problems", "diagnose_every", "diagnose", "horizons", "diagnose_pairs",
        }  # fmt: skip
        raise Reached

    monkeypatch.setattr("train.run.setup.set_up", set_up)
    with pytest.raises(Reached):
        extrapolation.forecasts(tmp_path)


def test_settings_with_which_the_base_is_evaluated_anew(monkeypatch):
    """Those that the runs of one command may differ in and scores depend on."""
    evaluated = []
    monkeypatch.setattr(Evaluator, "evaluate", lambda *_: evaluated.append(1) or len(evaluated))
    base = Config(**ALLOWING)
    evaluator = Evaluator(None, None, base)
    evaluator.evaluate_base(None)
    evaluator.evaluate_base(None)
    assert len(evaluated) == 1
    anew = set()
    for name, value in OTHERS.items():
        before = len(evaluated)
        value = DEFAULTS[name] if name in ALLOWING and name != "lora_rank" else value
        changes = {"diagnose": None} if name == "diagnose_every" else {}
        changes |= {"lora_rank": 3} if name == "lora_rank" else {name: value}
        evaluator.with_config(replace(base, **changes)).evaluate_base(None)
        anew |= {name} if len(evaluated) > before else set()
    assert anew == {"seed", "eval_samples", "eval_temperature", "eval_batch_size"}
