"""One side of the comparison with TRL, in a process of its own: `python -m tests.helpers.dpo_side`.

Takes a JSON of settings as its argument, then one optimizer step for each line of standard input.
Answers in JSON lines: of a step its seconds, processor seconds, real tokens and memory.
"""

import ctypes
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from datasets import Dataset

from tests.helpers.started_runs import started
from train.config.settings import Config
from train.data.offline import unit_indices
from train.data.table import read_table
from train.data.tokenized import encode
from train.devices.peak_memory import peak_memory, reset_peak_memory
from train.models.load import load_model
from train.run.setup import set_up

CPU, BETA = torch.device("cpu"), 0.1


class Steps:
    """Says what each step took; between two steps it waits for the parent's word."""

    def __init__(self, answers):
        self.answers = answers

    def wait(self) -> bool:
        """Wait for the word to go on; False at the end."""
        ctypes.CDLL(None).malloc_trim(0)  # what is free goes back, so that what is held shows
        if not sys.stdin.readline():
            return False
        reset_peak_memory(CPU)
        self.held = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )
        self.begun = time.perf_counter(), time.process_time()
        return True

    def done(self, tokens: float, loss: float) -> None:
        """Answer after a step; tokens: of all steps so far."""
        wall, processor = time.perf_counter(), time.process_time()
        peak = peak_memory(CPU)
        self.say(
            seconds=wall - self.begun[0], processor=processor - self.begun[1], loss=loss,
            tokens=tokens, extra=peak - self.held, peak=peak,
        )  # fmt: skip

    def say(self, **values) -> None:
        self.answers.write(json.dumps(values) + "\n")
        self.answers.flush()


def ours(given: dict, steps: Steps, folder: str) -> None:
    config = Config(
        model=given["model"], data=given["data"], batch_size=2 * given["pairs"],
        steps=given["steps"], learning_rate=given["rate"], warmup_steps=0, eval_problems="none",
        dtype=given["dtype"], device="cpu", out=f"{folder}/run", reference_cache="off",
    )  # fmt: skip
    changes = {k: v.replace("FOLDER", folder) if isinstance(v, str) else v
               for k, v in given["ours"].items()}  # fmt: skip
    run = started(set_up(replace(config, **changes)), "dpo", Path(folder) / "run", beta=BETA)
    steps.say(ready=True)
    for step in range(1, given["steps"] + 1):
        if not steps.wait():
            return
        run.step(step)
        steps.done(run.updater.cost.tokens_trained, run.history[-1]["loss"])


def theirs(given: dict, steps: Steps, folder: str) -> None:
    from transformers import TrainerCallback
    from trl import DPOConfig, DPOTrainer

    class Trainer(DPOTrainer):
        loss = 0.0

        def compute_loss(self, *arguments, **named):
            loss = super().compute_loss(*arguments, **named)
            self.loss += loss.item() / self.args.gradient_accumulation_steps
            return loss

    class Steered(TrainerCallback):
        def on_train_begin(self, *_, **__):
            steps.say(ready=True)
            steps.wait()

        def on_step_end(self, args, state, control, **_):
            steps.done(trainer._total_train_tokens, trainer.loss)
            trainer.loss = 0.0
            control.should_training_stop = not steps.wait()

    # The table's pairs in the order in which ours draws them.
    table = read_table(given["data"])
    known = list(table.trajectories())  # chosen and rejected in turns
    count, per_step = len(known) // 2, given["pairs"]
    drawn = torch.cat([unit_indices(count, per_step, n, 0) for n in range(given["steps"])])
    pairs = [(known[2 * unit], known[2 * unit + 1]) for unit in drawn.tolist()]
    rows = [
        {"prompt": chosen.prompt, "chosen": chosen.completion, "rejected": rejected.completion}
        for chosen, rejected in pairs
    ]
    model, tokenizer = load_model(given["model"])
    micro = given["theirs"].pop("pairs_at_once", per_step)
    settings = DPOConfig(
        output_dir=folder, per_device_train_batch_size=micro, max_length=None, beta=BETA,
        gradient_accumulation_steps=per_step // micro, max_steps=given["steps"],
        learning_rate=given["rate"], lr_scheduler_type="constant", warmup_steps=0,
        weight_decay=0.0, max_grad_norm=1.0, train_sampling_strategy="sequential", use_cpu=True,
        bf16=given["dtype"] == "bfloat16", report_to=[], save_strategy="no", **given["theirs"],
    )  # fmt: skip
    precomputed = given["theirs"].get("precompute_ref_log_probs")
    trainer = Trainer(
        model,
        None if precomputed else load_model(given["model"])[0],
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Steered()],
    )
    _check_same_tokens(table, tokenizer, drawn.tolist(), trainer.train_dataset)
    trainer.train()


def _check_same_tokens(table, tokenizer, drawn, dataset) -> None:
    tokens = encode(table, tokenizer, 10**6).tokens
    for unit, row in zip(drawn, dataset, strict=True):
        chosen, rejected = tokens[2 * unit], tokens[2 * unit + 1]
        assert row["prompt_ids"] + row["chosen_ids"] == chosen.prompt + chosen.completion
        assert row["prompt_ids"] + row["rejected_ids"] == rejected.prompt + rejected.completion
        assert row["prompt_ids"] == chosen.prompt == rejected.prompt


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is not an answer
    wanted = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        {"ours": ours, "theirs": theirs}[wanted["side"]](wanted, Steps(answers), scratch)
