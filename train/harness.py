"""The loop that trains any objective of the zoo."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from objectives import OBJECTIVES
from objectives.errors import InputError
from train.auto_lam import PAIRS, AutoLam
from train.batches import MicroBatch, micro_batches
from train.config import Config
from train.cost import Cost, matrix_parameters, peak_memory, reset_peak_memory
from train.dataset import advantages
from train.diagnose import Diagnosis, check_lag
from train.draws import Draw, FixedData
from train.evaluation import Scores
from train.future_settings import FutureSettings, future_settings
from train.ground import Ground
from train.lagged import LaggedPolicy
from train.language_model import Anchors, frozen_copy
from train.online import OnlineData
from train.probe_pairs import ProbePairs, probe_pairs
from train.run_folder import RunFolder
from train.self_check import check_start
from train.step import Learner


@dataclass(frozen=True)
class Result:
    """How a run began and ended."""

    objective: str
    folder: Path
    evaluations: list[tuple[int, Scores]]  # (step, scores), empty without problems
    history: list[dict]  # the metrics of every step
    seconds: float


class Run:
    """Trains one objective from the base model and writes its folder."""

    def __init__(self, ground: Ground, name: str, given: Mapping, folder: Path):
        """given: hyper-parameters that differ from the objective's defaults.

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
            self.data = FixedData(ground.encoded, self.objective, self.config)
        else:
            self.data = OnlineData(ground.sampler, self.objective, self.config)
        self.auto_lam = self._auto_lam()
        self.watched = self._watched()
        self.folder = RunFolder(folder)

    def _auto_lam(self) -> AutoLam | None:
        if self.future is None or self.future.rule is None:
            return None
        probes = self._probes(PAIRS, "--lam auto", ": give --lam a number")
        return AutoLam(self.future.rule, probes)

    def _watched(self) -> ProbePairs | None:
        plan = self.config.diagnose_plan()
        if plan is None:
            return None
        check_lag(plan, self.future and self.future.lag)
        return self._probes(plan.pairs, "--diagnose-every")

    def _probes(self, count: int, flag: str, remedy: str = "") -> ProbePairs:
        pad = self.ground.tokenizer.pad_token_id
        reward = advantages(self.ground.encoded, self.objective, self.config.advantage)
        probes = probe_pairs(self.ground.encoded, reward, count, pad)
        if probes is None:
            raise InputError(
                f"{flag} looks at pairs of a correct and an incorrect trajectory of one prompt, "
                f"of which the data have none{remedy}"
            )
        return probes

    def describe(self) -> str:
        """Return lines about what is trained on and with which hyper-parameters."""
        values = ", ".join(f"{n}={v}" for n, v in {**self.hyper, **self.settings}.items())
        lines = [f"{self.name}: {values or 'no hyper-parameters'}; {self.data.describe()}"]
        lines += [f"       left out: {n} ({why})" for why, n in self.data.left_out.items()]
        if self.future is not None and self.future.lag:
            parameters = self.ground.base.model.parameters()
            size = sum(p.numel() * p.element_size() for p in parameters) / 1e6
            copies = self.future.lag + 1
            lines.append(
                f"       {copies} copies of the parameters in memory: {copies * size:.0f} MB"
            )
        return "\n".join(lines)

    def train(self, origin: dict) -> Result:
        """Run from the first evaluation to the last checkpoint.

        origin: what `config.json` and the model card say of where the run comes from.
        """
        settings = {"objective": self.name, **asdict(self.config), **self.hyper, **self.settings}
        self.folder.create({**settings, "left_out": self.data.left_out, **origin})
        device = self.ground.base.model.device
        reset_peak_memory(device)
        self._prepare()
        started = time.monotonic()
        with tqdm(total=self.config.steps, desc=self.name, unit="step", dynamic_ncols=True) as bar:
            if not self.data.online:
                check_start(self.learner, *self._first_micro_batch())
            if self.diagnosis is not None:
                self.diagnosis.observe(0)
            self._evaluate(0)
            try:
                for step in range(1, self.config.steps + 1):
                    self._step(step)
                    if self.diagnosis is not None:
                        self.diagnosis.observe(step)
                    if step == self.config.steps or _due(step, self.config.eval_every):
                        self._evaluate(step)
                    if step == self.config.steps or _due(step, self.config.checkpoint_every):
                        self._checkpoint(step)
                    bar.set_postfix(self._figures(), refresh=False)
                    bar.update()
            except KeyboardInterrupt:
                raise InputError(
                    f"interrupted after step {len(self.history)} of {self.name}: its metrics and "
                    f"checkpoints so far are in {self.folder.path}"
                ) from None
        seconds = time.monotonic() - started
        self.folder.write_result(
            {
                "steps": self.config.steps,
                "online": self.data.online,
                "seconds": seconds,
                "peak_memory_bytes": peak_memory(device),
                **self.cost.as_dict(),
            }
        )
        return Result(self.name, self.folder.path, self.evaluations, self.history, seconds)

    def _prepare(self) -> None:
        base, needs = self.ground.base, self.objective.needs
        policy = frozen_copy(base)
        policy.model.requires_grad_(True)
        # Where each step samples anew and the anchor is what sampled, it is the policy itself.
        online, period = self.data.online, int(self.settings.get("period", 0))
        on_policy = online and period == 0 and self.config.online_updates == 1
        anchored = "anchor" in needs and not on_policy
        if online and period == 0:
            period = self.config.online_updates
        lag = self.future and self.future.lag
        wanted = anchored or "reference" in needs or ("future" in needs and not lag)
        self.learner = Learner(
            self.objective,
            self.hyper,
            self.future and self.future.first_lam,
            policy,
            base if wanted else None,
            Anchors(base, period) if anchored else None,
            self.ground.precision,
            LaggedPolicy(base, lag) if lag else None,
            on_policy,
        )
        self.diagnosis: Diagnosis | None = None
        if self.watched is not None:
            plan = self.config.diagnose_plan()
            self.diagnosis = Diagnosis(
                plan, self.ground, self.watched, self.learner, self.folder, lag
            )
        self.optimizer = torch.optim.AdamW(
            policy.model.parameters(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            fused=True,
        )
        self.schedule = LambdaLR(self.optimizer, lambda done: rate_factor(done, self.config))
        self.evaluations: list[tuple[int, Scores]] = []
        self.history: list[dict] = []
        self.cost = Cost(matrix_parameters(policy.model))

    def _step(self, step: int) -> None:
        begun, sampled = time.monotonic(), self.cost.generation_seconds
        if self.auto_lam is not None:
            self.auto_lam.update(self.learner, step - 1)
        draw = self._draw(step)
        divergence = self._divergence(draw)
        metrics = self.learner.accumulate(self._micro_batches(draw), draw.count, divergence)
        parameters = self.learner.policy.model.parameters()
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm).item()
        if not (math.isfinite(metrics.values["loss"]) and math.isfinite(norm)):
            raise InputError(
                f"step {step} of {self.name}: loss {metrics.values['loss']} with gradient norm "
                f"{norm} on trajectories {draw.chosen.flatten().tolist()[:8]} ...: stopped before "
                f"the update; what is in {self.folder.path} is kept; try a lower --learning-rate"
            )
        rate = self.schedule.get_last_lr()[0]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        if self.learner.anchors is not None:
            self.learner.anchors.advance(step, self.learner.policy)
        if self.learner.lagged is not None:
            self.learner.lagged.advance(self.learner.policy)
        cost = self.cost
        cost.tokens_trained += metrics.tokens
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

    def _draw(self, step: int) -> Draw:
        draw = self.data.draw(step, self.learner.policy)
        self.cost.tokens_generated = self.data.tokens_generated
        if self.data.online:
            self.cost.generation_seconds = self.data.sampler.seconds
        return draw

    def _micro_batches(self, draw: Draw):
        rows = self.config.micro_batch_size or self.config.batch_size
        pad = self.ground.tokenizer.pad_token_id
        return micro_batches(draw.encoded, draw.reward, draw.chosen, rows, pad, draw.mean_length)

    def _divergence(self, draw: Draw) -> torch.Tensor | None:
        if "divergence" not in self.objective.needs:
            return None
        rows = self.config.micro_batch_size or self.config.batch_size
        pad = self.ground.tokenizer.pad_token_id
        return self.learner.divergence(draw.encoded, draw.chosen.flatten(), rows, pad)

    def _first_micro_batch(self) -> tuple[MicroBatch, torch.Tensor | None]:
        draw = self.data.draw(1, self.learner.policy)
        return next(iter(self._micro_batches(draw))), self._divergence(draw)

    def _evaluate(self, step: int) -> None:
        policy = self.learner.policy
        scores = self.ground.evaluate(policy) if step else self.ground.evaluate_base()
        if scores is not None:
            self.evaluations.append((step, scores))
            self.folder.write_metrics({"step": step, **scores.metrics()})
            self.folder.write_completions(step, scores.completions)
            if self.diagnosis is not None:
                self.diagnosis.evaluated(step, scores)

    def _checkpoint(self, step: int) -> None:
        model, tokenizer = self.learner.policy.model, self.ground.tokenizer
        self.folder.write_checkpoint(step, model, tokenizer, self.optimizer)

    def _figures(self) -> dict[str, str]:
        figures = {"loss": f"{self.history[-1]['loss']:.4f}"}
        if self.evaluations:
            figures["accuracy"] = f"{self.evaluations[-1][1].greedy.mean:.3f}"
        if "rollout/accuracy" in self.history[-1]:
            figures["sampled"] = f"{self.history[-1]['rollout/accuracy']:.2f}"
        figures["tokens/s"] = f"{self.cost.tokens_trained / self.cost.training_seconds:.0f}"
        return figures


def rate_factor(done: int, config: Config) -> float:
    """Return the learning rate after `done` updates, as a share of its highest."""
    if done < config.warmup_steps:
        return (done + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return 1.0
    rest = max(1, config.steps - config.warmup_steps)
    left = max(0.0, 1 - (done - config.warmup_steps) / rest)
    return left if config.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
