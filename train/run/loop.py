"""The loop that trains any objective of the zoo."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from objectives.errors import InputError, Stopped
from objectives.signals import Request, Undone, name_of, postponed
from train.config import Config
from train.data.offline import BatchSource, OptimizerBatch
from train.devices import processes
from train.devices.peak_memory import peak_memory
from train.learning.policies import Policies
from train.learning.schedule import due
from train.learning.self_check import check_start
from train.probes.fixed_rows import look_at
from train.probes.held_out import HeldOut
from train.probes.observer import Observer
from train.reporting.callbacks import Callbacks
from train.run.best import Best, best_line
from train.run.result import Result, read_history
from train.run.step import Updater
from train.sampling.evaluator import Evaluator, Scores
from train.store.folder import RunFolder
from train.store.run_state import RunState

LOOKS = ("observe", "evaluate", "hold_out")  # at the policy after a step, in this order


@dataclass
class Run:
    """Trains one objective to the end, looks at the policy on the way, and keeps what it finds."""

    name: str  # of the objective
    config: Config
    device: torch.device
    data: BatchSource
    updater: Updater
    state: RunState
    folder: RunFolder
    evaluator: Evaluator | None
    observer: Observer | None
    fixed: OptimizerBatch | None = None  # rows that are looked at before and after
    held_out: HeldOut | None = None
    best: Best | None = None
    callbacks: Callbacks = field(default_factory=Callbacks)
    started: float = field(default_factory=time.monotonic)  # as if it had run without a break
    evaluations: list[tuple[int, Scores]] = field(default_factory=list)
    history: list[dict] = field(default_factory=list)  # the metrics of every step
    probes: list[dict] = field(default_factory=list)  # of the fixed rows
    looks: list[dict] = field(default_factory=list)  # at the held-out rows

    @property
    def policies(self) -> Policies:
        return self.updater.policies

    def train(
        self, resume: bool = False, present: Callable[[Result], object] = lambda result: None
    ) -> Result:
        """Run from the first evaluation, or from the last checkpoint, to the end.

        present: called with the result at the end, and not interrupted then. Asked to stop by
        SIGINT or SIGTERM once steps are taken, it leaves what it samples, but not the step that is
        begun, writes a checkpoint and raises Stopped.
        """
        self.started = time.monotonic() - self.updater.cost.seconds
        try:
            if resume:
                done = self._resume()
            else:
                done = 0
                self.callbacks.on_begin(self.folder.path, done)
                self._begin()
            with postponed(_announce) as stop:
                for step in range(done + 1, self.config.steps + 1):
                    try:
                        self.step(step)
                    except Undone as signal:  # while it sampled: nothing has changed
                        if step == 1:
                            raise
                        self.save(step - 1)
                        raise self._stopped(step - 1, signal.number) from None
                    self._after(step, stop)
                result = self._end()
                present(result)
                self.callbacks.on_end(result)
        finally:
            self.callbacks.close()
        return result

    def step(self, step: int) -> None:
        """Take step `step` (from 1) and keep its metrics."""
        self.history.append(self.updater.update(step))
        self.folder.write_metrics(self.history[-1])
        self.callbacks.on_step(step, self.history[-1])

    def check_start(self) -> None:
        """Raise InputError unless log-probs, loss and gradient are those of the reference."""
        gradients = self.updater.gradients
        batch = self.data.draw(1, gradients.policies.policy)
        micros = gradients.batcher.micro_batches(batch, gradients.divergence(batch))
        check_start(gradients.spec, gradients.policies, next(micros), self.updater.lam)

    def save(self, step: int, unseen: Sequence[str] = ()) -> None:
        """Write the checkpoint after `step` updates.

        unseen: which of LOOKS at the policy are to be made still.
        """
        self.updater.cost.seconds = time.monotonic() - self.started
        values = {"lam": self.updater.lam, "looks": list(unseen)}
        written = self.state.save(step, values, () if self.best is None else self.best.steps)
        if self.best is not None:
            self.best.written(step)
        self.callbacks.on_checkpoint(step, written)

    def _begin(self) -> None:
        if not self.data.online:
            self.check_start()
        self._probe(0)
        for look in LOOKS:
            self._look(look, 0)

    def _after(self, step: int, stop: Request) -> None:
        """Look at the policy after a step, and write a checkpoint, where they are due."""
        last, unseen = step == self.config.steps, []
        if last or due(step, self.config.eval_every) or due(step, self.config.checkpoint_every):
            self.updater.check_weights(step)
        if last:
            self._probe(step)
        for look in LOOKS if last or due(step, self.config.eval_every) else LOOKS[:1]:
            try:
                self._look(look, step)
            except Undone:
                unseen.append(look)
        stopped = processes.any_of(stop.number is not None)
        if stopped:  # the observer is in the main process alone
            unseen = processes.agree(unseen)
        better = self.best is not None and self.best.new
        if last or stopped or better or due(step, self.config.checkpoint_every):
            self.save(step, unseen)
        if stopped and (unseen or not last):
            raise self._stopped(step, stop.number)

    def _stopped(self, step: int, number: int | None) -> Stopped:
        number = processes.highest(number or 0)  # in one process it may not have come
        return Stopped(
            f"stopped by {name_of(number)} after step {step} of {self.name}: its checkpoint is in "
            f"{self.folder.path}; go on with --resume",
            number,
        )

    def _resume(self) -> int:
        done, unseen = self.state.load()
        self.started = time.monotonic() - self.updater.cost.seconds
        self.evaluations, self.history, self.probes, self.looks = read_history(self.folder.path)
        if self.best is not None:
            self.best.take_up([*_lines(self.evaluations), *self.looks])
        self.callbacks.on_begin(self.folder.path, done)
        if unseen.get("looks"):
            self.updater.lam = unseen["lam"]
            for look in unseen["looks"]:
                self._look(look, done)
            self.save(done)
        return done

    def _end(self) -> Result:
        cost = self.updater.cost
        cost.seconds = time.monotonic() - self.started
        self.folder.write_result(
            {
                "steps": self.config.steps,
                "online": self.data.online,
                "processes": processes.count(),
                "peak_memory_bytes": processes.highest(peak_memory(self.device)),
                **cost.as_dict(),
            }
        )
        told = self.evaluations, self.history, self.probes
        return Result(
            self.name, self.folder.path, *told, cost.seconds,
            held_out=self.looks, best=best_line(self.folder.path),
        )  # fmt: skip

    def _probe(self, step: int) -> None:
        """Look at the fixed rows after `step` updates; not interrupted, as a step is not."""
        if self.fixed is not None:
            line = {"step": step, **look_at(self.fixed, self.updater.gradients)}
            self.probes.append(line)
            self.folder.write_metrics(line)
            self._check_finite(line)
            self.callbacks.on_evaluation(step, line)

    def _hold_out(self, held_out: HeldOut, step: int) -> None:
        begun = time.monotonic()
        line = {"step": step, **held_out.look(self.updater.lam)}
        self.updater.cost.held_out_seconds += time.monotonic() - begun
        self.looks.append(line)
        self._keep(step, line)
        self._check_finite(line)

    def _check_finite(self, line: dict) -> None:
        if not all(math.isfinite(value) for value in line.values()):
            raise InputError(
                f"step {line['step']} of {self.name}: log-probs are not finite any more: stopped; "
                f"what was written before is kept; try a lower --learning-rate"
            )

    def _keep(self, step: int, line: dict) -> None:
        self.folder.write_metrics(line)
        if self.best is not None:
            self.best.saw(step, line)
        self.callbacks.on_evaluation(step, line)

    def _look(self, look: str, step: int) -> None:
        """Make one of LOOKS at the policy after `step` updates, and keep what it shows."""
        if look == "observe":
            if self.observer is not None:
                self.observer.observe(step, self.updater.lam)
        elif look == "hold_out":
            if self.held_out is not None:
                self._hold_out(self.held_out, step)
        elif self.evaluator is not None:
            self._evaluate(self.evaluator, step)

    def _evaluate(self, evaluator: Evaluator, step: int) -> None:
        scores = (evaluator.evaluate if step else evaluator.evaluate_base)(self.policies.policy)
        self.evaluations.append((step, scores))
        self._keep(step, {"step": step, **scores.metrics()})
        self.folder.write_completions(step, scores.completions)
        if self.observer is not None:
            self.observer.evaluated(step, scores)


def _lines(evaluations: Sequence[tuple[int, Scores]]) -> list[dict]:
    return [{"step": step, **scores.metrics()} for step, scores in evaluations]


def _announce(line: str) -> None:
    if processes.is_main():
        print(f"\n{line}", file=sys.stderr, flush=True)
