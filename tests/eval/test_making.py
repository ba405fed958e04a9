"""What an evaluation says of its making, and that it goes on with the model that it began with."""

import json
import shutil
from importlib.metadata import version

import pytest

from eval import __main__ as command
from eval import sampling
from train.models.identity import model_digest
from train.models.load import BUILTIN_MODEL

WORDS = "--model model --benchmarks builtin --limit 6 --samples 2 --batch-size 4"


@pytest.fixture
def evaluate(call, tmp_path, monkeypatch):
    """Return a function that evaluates a model, interrupted at its third batch the first time."""
    shutil.copytree(BUILTIN_MODEL, tmp_path / "model")
    generate, parts = sampling.generate, []

    def interrupted(*arguments, keys, **options):
        parts.append(keys)
        if len(parts) == 3:
            raise KeyboardInterrupt
        return generate(*arguments, keys=keys, **options)

    monkeypatch.setattr(sampling, "generate", interrupted)
    return lambda words="": call(command.main, f"{WORDS} --out mine {words}")


@pytest.fixture
def record(tmp_path):
    return tmp_path / "mine" / "settings.json"


def test_settings_and_summary_have_versions_and_the_models_digest(evaluate, record, tmp_path):
    assert evaluate()[0] == 130
    kept = json.loads(record.read_text())
    assert kept["digests"] == {"base": model_digest("builtin")}
    (made,) = kept["made_with"]
    assert made["command"] == f"python -m eval {WORDS} --out mine".rstrip()
    assert made["versions"]["sympy"] == version("sympy")
    assert evaluate()[0] == 0
    summary = json.loads((tmp_path / "mine" / "summary.json").read_text())
    assert summary["settings"] == json.loads(record.read_text()) == kept


def test_another_model_of_the_same_name_is_refused(evaluate, tmp_path):
    evaluate()
    file = tmp_path / "model" / "config.json"
    before, kept = file.read_bytes(), (tmp_path / "mine" / "completions.jsonl").read_bytes()
    file.write_bytes(before.replace(b'"rms_norm_eps": ', b'"rms_norm_eps": 1'))
    status, _, err = evaluate()
    assert status == 2
    assert "mine/settings.json: the base (--model model) changed since sampling began" in err
    assert (tmp_path / "mine" / "completions.jsonl").read_bytes() == kept
    file.write_bytes(before)
    assert evaluate()[0] == 0
    shutil.rmtree(tmp_path / "model")  # what is finished needs no model
    assert evaluate()[0] == 0


def test_other_versions_are_said_and_kept(evaluate, record):
    evaluate()
    kept = json.loads(record.read_text())
    kept["made_with"][0]["versions"]["math-verify"] = "0.1"
    record.write_text(json.dumps(kept))
    status, out, _ = evaluate()
    assert status == 0
    assert f"begun with math-verify 0.1, now {version('math-verify')}\n" in out
    made = json.loads(record.read_text())["made_with"]
    assert [own["versions"]["math-verify"] for own in made] == ["0.1", version("math-verify")]


def test_of_an_earlier_version_it_goes_on(evaluate, record):
    evaluate()
    kept = json.loads(record.read_text())
    del kept["digests"], kept["made_with"]
    record.write_text(json.dumps(kept))
    status, out, _ = evaluate()
    assert status == 0
    assert "settings.json: without digests of the base, as of an earlier version" in out
    assert set(json.loads(record.read_text())) == {*kept, "digests", "made_with"}


def test_grading_again_says_with_what(evaluate, call, tmp_path):
    evaluate()
    evaluate()
    words = "--completions mine/completions.jsonl --benchmarks builtin --out again"
    for _ in range(2):
        assert call(command.main, words)[0] == 0
    kept = json.loads((tmp_path / "again" / "settings.json").read_text())
    (made,) = kept["made_with"]
    assert made["versions"]["latex2sympy2-extended"] == version("latex2sympy2-extended")


@pytest.mark.parametrize(
    "making", [{"digests": 3}, {"digests": {"base": 1}}, {"made_with": "x"}, {"made_with": [1]},
               {"made_with": [{"versions": 5}]}],
)  # fmt: skip
def test_records_that_are_none(evaluate, record, making):
    evaluate()
    kept = json.loads(record.read_text())
    record.write_text(json.dumps(kept | making))
    status, _, err = evaluate()
    assert status == (0 if making == {"made_with": [{"versions": 5}]} else 2)
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) <= 1
    assert "Traceback" not in err
