"""A run's folder: settings, metrics, completions, checkpoints and a model card."""

import csv
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from objectives.errors import InputError

PACKAGES = ("torch", "transformers", "datasets")


class RunFolder:
    """Writes one run; refuses a folder that already holds something."""

    def __init__(self, path: Path):
        self.path = path
        self.plots = path / "plots"

    def create(self, config: dict) -> None:
        """Make the folder and write `config.json`."""
        require_free(self.path)
        self.plots.mkdir(parents=True)
        (self.path / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    def write_metrics(self, values: dict) -> None:
        """Append a line to `metrics.jsonl`."""
        self._append("metrics.jsonl", [values])

    def write_completions(self, step: int, completions: list[dict]) -> None:
        """Append an evaluation's completions to `eval.jsonl`."""
        self._append("eval.jsonl", [{"step": step, **row} for row in completions])

    def write_result(self, values: dict) -> None:
        """Write `result.json`, whole: the sign that the run is finished, and what it cost."""
        partial = self.path / ".result.json.partial"
        partial.write_text(json.dumps(values, indent=2) + "\n")
        os.replace(partial, self.path / "result.json")

    def write_diagnostics(self, columns: Sequence[str], rows: list[dict]) -> None:
        """Append rows to `diagnostics.csv`, which gets the columns as its first line."""
        path = self.path / "diagnostics.csv"
        new = not path.exists()
        with path.open("a", newline="") as lines:
            writer = csv.DictWriter(lines, columns)
            if new:
                writer.writeheader()
            writer.writerows(rows)

    def _append(self, name: str, rows: list[dict]) -> None:
        with (self.path / name).open("a") as lines:
            lines.write("".join(json.dumps(row) + "\n" for row in rows))

    def write_checkpoint(
        self,
        step: int,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        optimizer: torch.optim.Optimizer,
    ) -> Path:
        """Write `checkpoints/step-N` in Hugging Face layout, whole or not at all.

        Raises InputError where it cannot be written, as on a full disk.
        """
        target = self.path / "checkpoints" / f"step-{step}"
        partial = target.with_name(f".step-{step}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
            save_file(_optimizer_tensors(optimizer), partial / "optimizer.safetensors")
            # The order of the data is a function of the seed and the step; nothing else is drawn.
            (partial / "trainer_state.json").write_text(json.dumps({"step": step}) + "\n")
            os.replace(partial, target)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise InputError(
                f"{target} cannot be written ({error}); what was written before stays as it is: "
                f"free some space, or name another place with --out"
            ) from None
        return target

    def write_card(self, config: dict, table: str) -> None:
        """Write the model card, `README.md`."""
        diagnostics = ""
        if (self.plots / "diagnostics.png").exists():
            diagnostics = "![diagnostics of fixed probe pairs](plots/diagnostics.png)\n\n"
        versions = ", ".join(f"{name} {text}" for name, text in config["versions"].items())
        (self.path / "README.md").write_text(
            f"# {config['objective']} from {config['model']}\n\n"
            f"Trained by objective-zoo with the objective `{config['objective']}` on "
            f"{config['data']}, seed {config['seed']}.\n\n"
            f"```\n{config['command']}\n```\n\n"
            f"```\n{table}\n```\n\n"
            f"![accuracy and log-probs over steps](plots/training.png)\n\n{diagnostics}"
            f"Made with {versions}; git revision {config['git_revision'] or 'unknown'}. "
            f"Every setting is in `config.json`, every step in `metrics.jsonl`.\n"
        )


def require_free(path: Path, what: str = "a run") -> None:
    """Raise InputError where a folder, commonly of a run, would be written over."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} already holds {what}: name another with --out, or remove it")


def provenance(words: list[str]) -> dict:
    """Return the command, versions and git revision that a run was made with."""
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in PACKAGES}
    return {
        "command": " ".join(["python -m train", *words]),
        "versions": versions,
        "git_revision": _git_revision(),
        "threads": torch.get_num_threads(),
    }


def _git_revision() -> str | None:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return found.stdout.strip() or None


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{index}.{name}": value.contiguous()
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def read_metrics(path: Path) -> list[dict]:
    """Return the lines of a run's `metrics.jsonl`."""
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
