"""lm-evaluation-harness for real, on a task made here; runs where it is installed."""

import json
import os
import subprocess
import sys

import pytest

from eval.compare.evaluations.comparing import compare_evaluations
from eval.compare.evaluations.finding import find_evaluations, read_evaluations
from eval.problems.benchmarks import BENCHMARKS
from train.models.load import BUILTIN_MODEL

TASK = r"""
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: sums.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\n"], max_gen_toks: 48, do_sample: false}
filter_list:
  - {name: strict, filter: [{function: regex, regex_pattern: "#(-?\\d+)$"}, {function: take_first}]}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
COMMON = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def run(module, words, folder):
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=folder, env={**os.environ, **COMMON},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_it_and_we_score_a_model_alike(tmp_path, monkeypatch):
    pytest.importorskip("lm_eval", reason="needs pip install -e '.[bench]'")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    problems = BENCHMARKS["builtin"].load(None)[:40]
    rows = [{"question": problem.question, "answer": problem.answer} for problem in problems]
    (tmp_path / "sums.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "sums.yaml").write_text(TASK)
    run("lm_eval", ["--model", "hf", "--model_args", f"pretrained={BUILTIN_MODEL},dtype=float32",
                    "--tasks", "sums", "--include_path", ".", "--device", "cpu", "--log_samples",
                    "--output_path", "theirs"], tmp_path)  # fmt: skip
    run("eval", ["--benchmarks", "builtin", "--limit", "40", "--out", "ours"], tmp_path)
    paths = find_evaluations([tmp_path / "ours", tmp_path / "theirs"])
    compared = compare_evaluations(read_evaluations(paths, None, None), None)
    own = compared.table.dropna(subset=["difference"]).to_dict("records")[0]
    assert (own["problems"], own["better_on"], own["worse_on"]) == (40, 0, 0)
    assert 0 < own["accuracy"] < 1
