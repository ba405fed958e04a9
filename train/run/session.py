"""One planned run: checked before anything is made, then made from its parts and trained."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from diagnostics.log_probs import REJECTED
from objectives.errors import InputError
from train.config import Config
from train.config.future import WINDOW
from train.config.spec import ObjectiveSpec
from train.config.trackers import read_trackers
from train.data.held_out import SPLIT_SEED
from train.data.offline import BatchSource, OfflineData
from train.data.units import advantages, graded_use, is_graded
from train.devices import processes
from train.devices.peak_memory import reset_peak_memory
from train.learning.build import build_batcher, build_optimizer, build_policies
from train.learning.gradients import Gradients
from train.learning.look_ahead import LookAhead, check_look_ahead
from train.learning.policies import Policies
from train.learning.schedule import rate_factor
from train.probes.auto_lam import PAIRS, AutoLam
from train.probes.fixed_rows import fixed_rows
from train.probes.held_out import HeldOut, names_of
from train.probes.observer import Observer, check_lag
from train.probes.pairs import ProbePairs, require_probes
from train.probes.window_lam import PAIRS as WINDOW_PAIRS
from train.probes.window_lam import WindowLam
from train.reporting.callbacks import Callback, Callbacks
from train.reporting.progress import progress
from train.reporting.trackers import trackers
from train.run.best import Best, check_metric, warning
from train.run.cost import Cost, begin_cost
from train.run.hub_push import HubPush
from train.run.loop import Run
from train.run.result import Result, run_table
from train.run.setup import Setup
from train.run.step import Updater
from train.sampling.online import OnlineData
from train.store.card import model_card
from train.store.digests import check_digests
from train.store.folder import RunFolder
from train.store.hub import check_id, open_repository
from train.store.opened import open_run
from train.store.provenance import changes, last_made_with
from train.store.run_state import RunState


class Session:
    """What one run trains on, with which objective and where it is kept; no model is made yet."""

    def __init__(
        self,
        setup: Setup,
        spec: ObjectiveSpec,
        folder: Path,
        last: bool = False,
        callbacks: Sequence[Callback] = (),
    ):
        """setup: with the settings of this run. last: nobody needs the base after it. callbacks:
        told how it goes, beside the progress on the screen and the trackers of the settings.

        Raises InputError where the data give the objective nothing to train on, or what is to be
        watched cannot be.
        """
        self.setup, self.spec, self.last = setup, spec, last
        self.folder, self.callbacks = RunFolder(folder), callbacks
        self.data = self._data()
        self._count_steps()
        if setup.config.push_to_hub is not None:
            check_id(setup.config.push_to_hub)
        self.held_out = self._held_out()
        self._check_best()
        rate_factor(setup.config.warmup_steps, self.setup.config)  # its options are checked at once
        check_look_ahead(spec.future, setup.config, self.data)
        self.auto_lam = self._auto_lam()
        self.watched = self._watched()

    def describe(self) -> str:
        """Return lines about what is trained on and with which hyper-parameters."""
        setup, spec, config = self.setup, self.spec, self.setup.config
        values = ", ".join(f"{n}={v}" for n, v in spec.record().items())
        lines = [f"{spec.name}: {values or 'no hyper-parameters'}; {self.data.describe()}"]
        lines += [f"       left out: {n} ({why})" for why, n in self.data.left_out.items()]
        if config.reward is not None or is_graded(setup.data.reward):
            lines.append(f"       {graded_use(spec.objective, config.advantage)}")
        if config.epochs is not None:
            lines.append(f"       {config.epochs:g} epochs: {config.steps} steps")
        if self.held_out is not None:
            lines.append(f"       held out: {self.held_out.describe()}")
            lines += [f"       left out: {n} ({why})" for why, n in
                      self.held_out.left_out.items()]  # fmt: skip
        if config.keep_best is not None:
            lines.append(f"       {warning(config.keep_best)}")
        if spec.future is not None and spec.future.lag:
            _, size = self.setup.base.trained_size(config)
            lines.append("       " + spec.future.memory(size))
        return "\n".join(lines)

    def train(self, origin: dict, resume: bool = False, show: bool = False) -> Result:
        """Make the run and train it to the end.

        origin: what `config.json` and the model card say of where the run comes from. resume: go on
        from the last checkpoint. show: draw its pictures and write its model card too. Who calls
        holds the folder. Raises Stopped, with a checkpoint, at SIGINT or SIGTERM.
        """
        config = self.setup.config
        if config.push_to_hub is not None:
            repo, private = config.push_to_hub, config.hub_private
            processes.on_main(lambda: open_repository(repo, "model", private))
        if resume:
            self._compare(origin)
        else:
            self.folder.create(self._record(origin))
        reset_peak_memory(self.setup.base.device)

        def present(result: Result) -> None:
            if show:
                self._present(result, origin)

        return self.run().train(resume, present)

    def _compare(self, origin: dict) -> None:
        """Print what is other than when the run began, or not known; keep the former.

        Raises InputError where that is what it is made from.
        """
        begun = open_run(self.folder.path)
        unknown = check_digests(begun.checkpoint, self._digests(), begun.config)
        other = changes(last_made_with(self.folder.path / "config.json", begun.config), origin)
        for line in filter(None, (unknown, other)):
            print(f"       {line}", flush=True)
        entry = None if other is None else {"step": begun.step, **origin}
        self.folder.write_resumed(begun.config, entry)

    def run(self) -> Run:
        """Make the models, the optimizer and all else that the loop needs."""
        setup, spec, config = self.setup, self.spec, self.setup.config
        base = setup.base
        built = build_policies(
            spec, base, self.data, config, self.folder.path,
            last=self.last,
            watched=bool(self.watched or self.held_out or self._by_window),
        )  # fmt: skip
        policies = built.policies
        batcher = build_batcher(policies.policy, base, config)
        optimizer = build_optimizer(policies.policy, config)
        cost = begin_cost(policies.policy.model, built.tokens_frozen)
        observer, plan = None, config.diagnose_plan()
        if plan is not None and self.watched is not None and processes.is_main():
            observer = Observer(
                plan, spec, self.watched, policies, base.model, setup.data,
                self.folder.write_diagnostics,
            )  # fmt: skip
        auto_lam = self.auto_lam or self._window_lam(policies)
        parts = {
            "anchors": policies.anchors, "lagged": policies.lagged, "lam": auto_lam,
            "diagnosis": observer, "data": self.data if self.data.online else None,
        }  # fmt: skip
        state = RunState(
            self.folder, base.model.model, base.tokenizer, policies.policy.model, optimizer, cost,
            batcher.budget, {n: part for n, part in parts.items() if part is not None},
            config.keep_checkpoints, self._digests(),
        )  # fmt: skip
        gradients, look_ahead = Gradients(spec, policies, batcher), None
        if spec.future is not None and spec.future.known_first:
            look_ahead = LookAhead(spec.future, gradients, optimizer, self.data, config)
        updater = Updater(
            gradients, optimizer, self.data, cost, self.folder, config, auto_lam, look_ahead
        )  # fmt: skip
        held_out = None
        if self.held_out is not None:  # whose states no cache has
            whole = replace(policies, states=None, reference=policies.reference or base.placed())
            held_out = HeldOut(self.held_out, Gradients(spec, whole, batcher))
        metric = config.keep_best
        return Run(
            spec.name, config, base.device, self.data, updater, state, self.folder,
            setup.evaluator, observer, fixed_rows(setup.data), held_out,
            None if metric is None else Best(metric, self.folder.path, config), self._told(cost),
        )  # fmt: skip

    def _told(self, cost: Cost) -> Callbacks:
        config = self.setup.config
        shown = progress(self.spec.name, config.steps, cost, config.log_every, config.quiet)
        told = [*shown, *trackers(read_trackers(config.report_to)), *self.callbacks]
        if config.push_to_hub is not None:
            told.append(HubPush(config.push_to_hub, self.folder.path))
        return Callbacks(told)

    def _data(self) -> BatchSource:
        setup, objective = self.setup, self.spec.objective
        if not setup.config.online:
            return OfflineData(setup.data, objective, setup.config)
        if setup.sampler is None:
            raise InputError(
                "online: the set-up has no problems to sample: set_up(Config(online=True))"
            )
        return OnlineData(setup.sampler, objective, setup.config)

    def _held_out(self) -> OfflineData | None:
        setup = self.setup
        if setup.held_out is None:
            return None
        try:
            return OfflineData(setup.held_out, self.spec.objective, setup.config)
        except InputError as error:
            raise InputError(f"held-out rows: {error}") from None

    def _count_steps(self) -> None:
        """Put the number of steps that --epochs comes to in the place of --steps."""
        config = self.setup.config
        if config.epochs is None or not isinstance(self.data, OfflineData):
            return
        steps = math.ceil(config.epochs * len(self.data.units.rows) / self.data.units_per_step)
        if config.steps not in (Config().steps, steps):
            raise InputError(f"--epochs {config.epochs:g}: not with --steps {config.steps}")
        self.setup = replace(self.setup, config=replace(config, steps=steps))

    def _check_best(self) -> None:
        metric, evaluator = self.setup.config.keep_best, self.setup.evaluator
        if metric is None:
            return
        known = [] if evaluator is None else ["eval/greedy_accuracy"]
        if evaluator is not None and self.setup.config.eval_samples:
            known.append("eval/sampled_accuracy")
        if self.held_out is not None:
            known += [name for name in names_of(self.held_out) if not name.endswith(REJECTED)]
        check_metric(metric, known)

    def _auto_lam(self) -> AutoLam | None:
        future = self.spec.future
        if future is None or future.rule is None or self._by_window:
            return None
        probes = self._probes(PAIRS, "--lam auto", ": give --lam a number")
        return AutoLam(future.rule, probes, len(self.setup.base.model.head.weight))

    def _window_lam(self, policies: Policies) -> WindowLam | None:
        if not self._by_window:
            return None
        probes = self._probes(WINDOW_PAIRS, "--lam window", ": give --lam a number")
        return WindowLam(self.spec, probes, policies, self.setup.base.model)

    @property
    def _by_window(self) -> bool:
        return self.spec.future is not None and self.spec.future.lam == WINDOW

    def _watched(self) -> ProbePairs | None:
        plan = self.setup.config.diagnose_plan()
        if plan is None:
            return None
        if processes.sharding():
            raise InputError(
                "--diagnose-every: a pair's gradients need all weights in each process: launch "
                "without --use_fsdp, or look at checkpoints with python -m diagnostics.entanglement"
            )
        check_lag(plan, self.spec.future and self.spec.future.lag)
        return self._probes(plan.pairs, "--diagnose-every")

    def _probes(self, count: int, flag: str, remedy: str = "") -> ProbePairs:
        setup = self.setup
        reward = advantages(setup.data, self.spec.objective, setup.config.advantage)
        return require_probes(setup.data, reward, count, flag, remedy)

    def _digests(self) -> dict[str, str]:
        return self.setup.digests() | self.spec.digests

    def _record(self, origin: dict) -> dict:
        spec = self.spec
        settings = {**self.setup.config.record(), **spec.record()}
        evaluator = self.setup.evaluator
        left_out = {**self.data.left_out, **(evaluator.problems.left_out if evaluator else {})}
        if self.setup.config.eval_fraction is not None:
            settings["eval_split_seed"] = SPLIT_SEED
        return settings | {
            "objective": spec.name,
            "left_out": left_out,
            "digests": self._digests(),
            **origin,
        }

    def _present(self, result: Result, origin: dict) -> None:
        """Draw the pictures of a trained run and write its model card."""
        if not processes.is_main():
            return
        from diagnostics.curves.plots import plot_diagnostics
        from train.run.plots import plot_run

        config = self.setup.config
        title = f"{result.objective} on {config.data} data"
        drawn = {
            "accuracy and log-probs over steps": plot_run(result.folder, title),
            "diagnostics of fixed probe pairs": plot_diagnostics(result.folder, title),
        }
        pictures = {what: path for what, path in drawn.items() if path is not None}
        result.pictures.extend(pictures.values())
        about = {"objective": result.objective, **config.record(), **origin}
        names = {what: path.name for what, path in pictures.items()}
        self.folder.write_card(model_card(about, run_table(result), names))
