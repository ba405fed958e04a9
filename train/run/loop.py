"""The loop that trains any objective of the zoo."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import torch
from tqdm import tqdm

from diagnostics.parameters import trained_parameters
from objectives import OBJECTIVES
from objectives.errors import InputError
from train.config.future import FutureSettings, future_settings
from train.data.micro_batches import MicroBatch
from train.data.offline import OfflineData, OptimizerBatch
from train.data.units import advantages
from train.devices import processes
from train.devices.peak_memory import peak_memory, reset_peak_memory
from train.devices.sharding import whole_tensor
from train.learning.accumulation import Accumulation
from train.learning.learner import Learner
from train.learning.schedule import due, rate_factor
from train.learning.self_check import check_start
from train.models.copies import sharded
from train.models.language_model import compile_layers, recompute_layers
from train.models.past_policies import Anchors, LaggedPolicy
from train.probes.auto_lam import PAIRS, AutoLam
from train.probes.observer import Observer, check_lag
from train.probes.pairs import ProbePairs, require_probes
from train.run.cost import begin_cost
from train.run.reference_cache import cached_reference
from train.run.result import Result
from train.run.setup import Ground
from train.run.stopping import StopRequest, stop_on_signals
from train.sampling.evaluator import Scores
from train.sampling.online import OnlineData
from train.store.folder import RunFolder, read_metrics
from train.store.run_state import load, save


class Run:
    """Trains one objective from the base model and writes its folder."""

    def __init__(self, ground: Ground, name: str, given: Mapping, folder: Path, last: bool = False):
        """given: hyper-parameters that differ from the objective's defaults.

        last: nobody needs the base model after this run, which may train it itself.

        Raises InputError where the data give the objective nothing to train on.
        """
        self.ground, self.config, self.name = ground, ground.config, name
        self.objective = OBJECTIVES[name]
        defaults = {n: p.default for n, p in self.objective.hyper_parameters.items()}
        self.hyper = {n: given.get(n, value) for n, value in defaults.items()}
        self.settings = {n: given.get(n, v) for n, v in self.objective.settings.items()}
        self.future: FutureSettings | None = None
        if "lam" in self.settings:
            self.future = future_settings(given, self.objective.settings["lam"])
            self.settings |= self.future.values()
        if ground.sampler is None:
            self.data = OfflineData(ground.encoded, self.objective, self.config)
        else:
            self.data = OnlineData(ground.sampler, self.objective, self.config)
        rate_factor(self.config.warmup_steps, self.config)  # its options are checked at once
        self.auto_lam = self._auto_lam()
        self.watched = self._watched()
        self.folder, self.last = RunFolder(folder), last

    def _auto_lam(self) -> AutoLam | None:
        if self.future is None or self.future.rule is None:
            return None
        probes = self._probes(PAIRS, "--lam auto", ": give --lam a number")
        return AutoLam(self.future.rule, probes)

    def _watched(self) -> ProbePairs | None:
        plan = self.config.diagnose_plan()
        if plan is None:
            return None
        if processes.sharding():
            raise InputError(
                "--diagnose-every: a pair's gradients need all weights in each process: launch "
                "without --use_fsdp, or look at checkpoints with python -m diagnostics.entanglement"
            )
        check_lag(plan, self.future and self.future.lag)
        return self._probes(plan.pairs, "--diagnose-every")

    def _probes(self, count: int, flag: str, remedy: str = "") -> ProbePairs:
        encoded, pad = self.ground.encoded, self.ground.tokenizer.pad_token_id
        reward = advantages(encoded, self.objective, self.config.advantage)
        return require_probes(encoded, reward, count, pad, flag, remedy)

    def describe(self) -> str:
        """Return lines about what is trained on and with which hyper-parameters."""
        values = ", ".join(f"{n}={v}" for n, v in {**self.hyper, **self.settings}.items())
        lines = [f"{self.name}: {values or 'no hyper-parameters'}; {self.data.describe()}"]
        lines += [f"       left out: {n} ({why})" for why, n in self.data.left_out.items()]
        if self.future is not None and self.future.lag:
            lines.append("       " + self.future.memory(self.ground.trained_size[1]))
        return "\n".join(lines)

    def train(self, origin: dict, resume: bool = False) -> Result:
        """Run from the first evaluation, or from the last checkpoint, to the end.

        origin: what `config.json` and the model card say of where the run comes from.
        Asked to stop by SIGINT or SIGTERM it writes a checkpoint after the step and raises
        InputError.
        """
        with self.folder.locked(), stop_on_signals() as stop:
            if not resume:
                settings = {**self.config.record(), **self.hyper, **self.settings}
                settings |= {"objective": self.name, "left_out": self.data.left_out, **origin}
                self.folder.create(settings)
            reset_peak_memory(self.ground.device)
            self.prepare()
            done = self._resume() if resume else 0
            self._started = time.monotonic() - self.cost.seconds
            with tqdm(
                total=self.config.steps, initial=done, desc=self.name, unit="step",
                dynamic_ncols=True, disable=not processes.is_main(),
            ) as bar:  # fmt: skip
                if not resume:
                    self._begin()
                for step in range(done + 1, self.config.steps + 1):
                    self._step(step)
                    self._after(step, stop)
                    bar.set_postfix(self._figures(), refresh=False)
                    bar.update()
            return self._end()

    def _begin(self) -> None:
        if not self.data.online:
            check_start(self.learner, *self._first_micro_batch())
        if self.diagnosis is not None:
            self.diagnosis.observe(0)
        self._evaluate(0)

    def _after(self, step: int, stop: StopRequest) -> None:
        """Look at the policy after a step, and write a checkpoint, where they are due."""
        last = step == self.config.steps
        if self.diagnosis is not None:
            self.diagnosis.observe(step)
        if last or due(step, self.config.eval_every):
            self._evaluate(step)
        stopped = processes.any_of(stop.name is not None)
        if last or stopped or due(step, self.config.checkpoint_every):
            self.cost.seconds = time.monotonic() - self._started
            save(self, step)
        if stopped and not last:
            raise InputError(
                f"stopped by {stop.name or 'another process'} after step {step} of {self.name}: "
                f"its checkpoint is in "
                f"{self.folder.path}; go on with --resume"
            )

    def _resume(self) -> int:
        done = load(self)
        for line in read_metrics(self.folder.path):
            if "loss" in line:
                self.history.append(line)
            else:
                self.evaluations.append((line["step"], Scores.from_metrics(line)))
        return done

    def _end(self) -> Result:
        self.cost.seconds = time.monotonic() - self._started
        self.folder.write_result(
            {
                "steps": self.config.steps,
                "online": self.data.online,
                "processes": processes.count(),
                "peak_memory_bytes": processes.highest(peak_memory(self.ground.device)),
                **self.cost.as_dict(),
            }
        )
        return Result(
            self.name, self.folder.path, self.evaluations, self.history, self.cost.seconds
        )

    def prepare(self) -> None:
        """Make the models and the optimizer, and read the reference where its states are kept."""
        ground, needs = self.ground, self.objective.needs
        base = sharded(ground.base, ground.device) if processes.sharding() else ground.base
        cached = cached_reference(self, base)
        # Where each step samples anew and the anchor is what sampled, it is the policy itself.
        online, period = self.data.online, int(self.settings.get("period", 0))
        on_policy = online and period == 0 and self.config.online_updates == 1
        anchored = "anchor" in needs and not on_policy
        if online and period == 0:
            period = self.config.online_updates
        lag = self.future and self.future.lag
        wanted = anchored or "reference" in needs or ("future" in needs and not lag)
        # With its states on disk the reference itself is needed no more.
        needless = bool(cached) and not (anchored or lag or self.watched)
        policy = ground.new_policy(base, in_place=needless and self.last and base is ground.base)
        if self.config.gradient_checkpointing:
            recompute_layers(policy)
        reference = base if wanted and not needless else None
        if self.config.compile:
            for model in filter(None, (policy, reference)):
                compile_layers(model)
        self.learner = Learner(
            self.objective,
            self.hyper,
            self.future and self.future.first_lam,
            policy,
            reference,
            Anchors(base, policy, period) if anchored else None,
            self.ground.precision,
            LaggedPolicy(base, policy, lag) if lag else None,
            on_policy,
            cached and cached[0],
        )
        self.diagnosis: Observer | None = None
        if self.watched is not None and processes.is_main():
            plan = self.config.diagnose_plan()
            pad, write = ground.tokenizer.pad_token_id, self.folder.write_diagnostics
            self.diagnosis = Observer(
                plan, ground.encoded, self.watched, self.learner, ground.base, pad, write, lag
            )
        self.optimizer = torch.optim.AdamW(
            trained_parameters(policy.model).values(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            fused=True,
        )
        self.evaluations: list[tuple[int, Scores]] = []
        self.history: list[dict] = []
        pad = self.ground.tokenizer.pad_token_id
        self.work = Accumulation(self.learner, self.config, pad, ground.width)
        self.cost = begin_cost(policy.model, tokens_frozen=cached[1] if cached else 0)

    def _step(self, step: int) -> None:
        begun, sampled = time.monotonic(), self.cost.generation_seconds
        if self.auto_lam is not None:
            lam = self.auto_lam.update(self.learner.policy, self.learner.precision, step - 1)
            self.learner.lam = processes.agree(lam)
        draw = self._draw(step)
        metrics, divergence = self.work.accumulate(draw)
        parameters = trained_parameters(self.learner.policy.model).values()
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm)
        norm = whole_tensor(norm).item()
        if not (math.isfinite(metrics.values["loss"]) and math.isfinite(norm)):
            self._stop_at_bad_batch(step, draw, metrics.values["loss"], norm)
        rate = self.config.learning_rate * rate_factor(step - 1, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.learner.anchors is not None:
            self.learner.anchors.advance(step)
        if self.learner.lagged is not None:
            self.learner.lagged.advance()
        cost = self.cost
        cost.tokens_trained += metrics.tokens
        cost.tokens_shared += metrics.shared_tokens
        cost.tokens_frozen += metrics.frozen_tokens
        sampling = cost.generation_seconds - sampled
        cost.training_seconds += time.monotonic() - begun - sampling
        extra = {
            **draw.metrics,
            "grad_norm": norm,
            "learning_rate": rate,
            "num_tokens": cost.tokens_trained,
            "num_tokens_generated": cost.tokens_generated,
            "flops": cost.flops,
        }
        if divergence is not None:
            extra["divergence"] = divergence.item()
        if self.learner.lam is not None:
            extra["lam"] = self.learner.lam
        self.history.append({"step": step, **metrics.values, **extra})
        self.folder.write_metrics(self.history[-1])

    def _stop_at_bad_batch(
        self, step: int, draw: OptimizerBatch, loss: float, norm: float
    ) -> NoReturn:
        rows = draw.units.flatten().tolist()
        file = self.folder.write_bad_batch(
            {"step": step, "loss": loss, "grad_norm": norm, "trajectories": rows}
        )
        raise InputError(
            f"step {step} of {self.name}: loss {loss} with gradient norm {norm}: stopped before "
            f"the update; its {len(rows)} trajectories are in {file}, and what was written before "
            f"is kept; try a lower --learning-rate"
        )

    def _draw(self, step: int) -> OptimizerBatch:
        draw = self.data.draw(step, self.learner.policy)
        self.cost.tokens_generated = self.data.tokens_generated
        if self.data.online:
            self.cost.generation_seconds = self.data.sampler.seconds
        return draw

    def _first_micro_batch(self) -> tuple[MicroBatch, torch.Tensor | None]:
        draw = self.data.draw(1, self.learner.policy)
        return next(iter(self.work.micro_batches(draw))), self.work.divergence(draw)

    def _evaluate(self, step: int) -> None:
        policy = self.learner.policy
        scores = self.ground.evaluate(policy) if step else self.ground.evaluate_base(policy)
        if scores is not None:
            self.evaluations.append((step, scores))
            self.folder.write_metrics({"step": step, **scores.metrics()})
            self.folder.write_completions(step, scores.completions)
            if self.diagnosis is not None:
                self.diagnosis.evaluated(step, scores)

    def _figures(self) -> dict[str, str]:
        figures = {"loss": f"{self.history[-1]['loss']:.4f}"}
        if self.evaluations:
            figures["accuracy"] = f"{self.evaluations[-1][1].greedy.mean:.3f}"
        if "rollout/accuracy" in self.history[-1]:
            figures["sampled"] = f"{self.history[-1]['rollout/accuracy']:.2f}"
        figures["tokens/s"] = f"{self.cost.tokens_trained / self.cost.training_seconds:.0f}"
        return figures
