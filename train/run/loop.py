"""The loop that trains any objective of the zoo."""

import time
from dataclasses import dataclass, field

import torch
from tqdm.auto import tqdm

from objectives.errors import InputError
from train.config import Config
from train.data.offline import BatchSource
from train.devices import processes
from train.devices.peak_memory import peak_memory
from train.learning.policies import Policies
from train.learning.schedule import due
from train.learning.self_check import check_start
from train.probes.observer import Observer
from train.run.result import Result, read_history
from train.run.step import Updater
from train.run.stopping import StopRequest
from train.sampling.evaluator import Evaluator, Scores
from train.store.folder import RunFolder
from train.store.run_state import RunState


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
    started: float = field(default_factory=time.monotonic)  # as if it had run without a break
    evaluations: list[tuple[int, Scores]] = field(default_factory=list)
    history: list[dict] = field(default_factory=list)  # the metrics of every step

    @property
    def policies(self) -> Policies:
        return self.updater.policies

    def train(self, stop: StopRequest, resume: bool = False) -> Result:
        """Run from the first evaluation, or from the last checkpoint, to the end.

        Asked to stop, it writes a checkpoint after the step and raises InputError.
        """
        done = self._resume() if resume else 0
        self.started = time.monotonic() - self.updater.cost.seconds
        with tqdm(
            total=self.config.steps, initial=done, desc=self.name, unit="step",
            dynamic_ncols=True, disable=not processes.is_main(),
        ) as bar:  # fmt: skip
            if not resume:
                self._begin()
            for step in range(done + 1, self.config.steps + 1):
                self.step(step)
                self._after(step, stop)
                bar.set_postfix(self._figures(), refresh=False)
                bar.update()
        return self._end()

    def step(self, step: int) -> None:
        """Take step `step` (from 1) and keep its metrics."""
        self.history.append(self.updater.update(step))
        self.folder.write_metrics(self.history[-1])

    def check_start(self) -> None:
        """Raise InputError unless log-probs, loss and gradient are those of the reference."""
        gradients = self.updater.gradients
        batch = self.data.draw(1, gradients.policies.policy)
        micros = gradients.batcher.micro_batches(batch, gradients.divergence(batch))
        check_start(gradients.spec, gradients.policies, next(micros), self.updater.lam)

    def _begin(self) -> None:
        if not self.data.online:
            self.check_start()
        if self.observer is not None:
            self.observer.observe(0, self.updater.lam)
        self._evaluate(0)

    def _after(self, step: int, stop: StopRequest) -> None:
        """Look at the policy after a step, and write a checkpoint, where they are due."""
        last = step == self.config.steps
        if self.observer is not None:
            self.observer.observe(step, self.updater.lam)
        if last or due(step, self.config.eval_every):
            self._evaluate(step)
        stopped = processes.any_of(stop.name is not None)
        if last or stopped or due(step, self.config.checkpoint_every):
            self.updater.cost.seconds = time.monotonic() - self.started
            self.state.save(step)
        if stopped and not last:
            raise InputError(
                f"stopped by {stop.name or 'another process'} after step {step} of {self.name}: "
                f"its checkpoint is in "
                f"{self.folder.path}; go on with --resume"
            )

    def _resume(self) -> int:
        done = self.state.load()
        self.evaluations, self.history = read_history(self.folder.path)
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
        return Result(self.name, self.folder.path, self.evaluations, self.history, cost.seconds)

    def _evaluate(self, step: int) -> None:
        if self.evaluator is None:
            return
        policy = self.policies.policy
        evaluate = self.evaluator.evaluate if step else self.evaluator.evaluate_base
        scores = evaluate(policy)
        self.evaluations.append((step, scores))
        self.folder.write_metrics({"step": step, **scores.metrics()})
        self.folder.write_completions(step, scores.completions)
        if self.observer is not None:
            self.observer.evaluated(step, scores)

    def _figures(self) -> dict[str, str]:
        cost, last = self.updater.cost, self.history[-1]
        figures = {"loss": f"{last['loss']:.4f}"}
        if self.evaluations:
            figures["accuracy"] = f"{self.evaluations[-1][1].greedy.mean:.3f}"
        if "rollout/accuracy" in last:
            figures["sampled"] = f"{last['rollout/accuracy']:.2f}"
        figures["tokens/s"] = f"{cost.tokens_trained / cost.training_seconds:.0f}"
        return figures
