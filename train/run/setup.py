"""What all runs of a command share: the base model, the data and the test problems."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import datasets
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.decoding.choice import check_decoding
from eval.decoding.unused_settings import unused_settings
from eval.engines.by_transformers import TransformersEngine
from eval.problems.benchmark import problems_digest
from eval.problems.files import worked_solutions
from eval.problems.problem_set import ProblemSet, arithmetic_set, word_problem_set
from eval.problems.rewards import Reward, load_reward
from eval.problems.tasks import TASKS
from eval.prompt_check import Limit, share_cut, solution_lengths
from objectives.errors import InputError
from train.config import Config
from train.config.settings import of_online
from train.data.held_out import shared_prompts, split_by_prompt
from train.data.sources import check_of_hub, may_be_on_hub, of_hub
from train.data.table import TrajectoryTable, read_table, table_of
from train.data.token_file import token_folder
from train.data.tokenized import TokenizedData, encode
from train.data.units import rewards_in_words
from train.devices import processes
from train.models.base import Base, open_base
from train.models.identity import loaded_digest, model_digest
from train.models.load import name_of
from train.sampling.engines import PolicyEngine, open_policy_engine
from train.sampling.evaluator import (
    EVAL_LIMIT,
    Evaluator,
    evaluated_problems,
    open_evaluator,
)
from train.sampling.sampler import ONLINE_LIMIT, Sampler
from train.store.digests import BASE, DATA, EVAL_DATA, EVAL_PROBLEMS, REWARD

# The settings that a set-up is made by, and that its runs therefore have in common.
SHARED = (
    "model", "attention", "data", "data_config", "data_split", "max_tokens", "token_cache",
    "device", "dtype", "quantise", "share_prefixes", "eval_data", "eval_fraction", "eval_problems",
    "eval_limit", "eval_max_new_tokens", "online_max_new_tokens", "reward", "engine",
    "engine_memory",
)  # fmt: skip
PROBLEMS = "problems"  # that are sampled from, online, where there may be data too
Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]
Rows = datasets.Dataset | Sequence[dict]


@dataclass(frozen=True)
class Setup:
    """The same base, data and problems for every objective."""

    config: Config
    base: Base
    data: TokenizedData
    evaluator: Evaluator | None
    sampler: Sampler | None = None  # of training problems, online
    held_out: TokenizedData | None = None
    contents: Callable[[], dict[str, str]] = dict  # digests of what is there, as `_contents` has it

    def with_config(self, config: Config) -> "Setup":
        """Return the same model, data and problems for a run with other settings of its own.

        Raises InputError where one asks for another model, other data or other problems.
        """
        defaults = Config()
        shared = [n for n in SHARED if config.online or not of_online(n)]
        for name in shared:
            own, asked = getattr(self.config, name), getattr(config, name)
            if asked not in (own, getattr(defaults, name)):
                raise InputError(
                    f"{name} {asked}: the set-up is made with {own}: make another with set_up"
                )
        config = replace(config, **{name: getattr(self.config, name) for name in shared})
        sampler = self.sampler if config.online else None
        return replace(
            self,
            config=config,
            evaluator=self.evaluator and self.evaluator.with_config(config),
            sampler=sampler and sampler.with_config(config),
        )

    def digests(self) -> dict[str, str]:
        """Return digests of the contents of base, data and problems of evaluations, of a reward's
        source.

        Not of what has none: a model of the hub's whose files are somewhere else.
        """
        found = self.contents()
        # Of a command with both kinds of runs, each knows what it is trained on itself.
        data = found.get(PROBLEMS if self.config.online else DATA)
        kept = (EVAL_PROBLEMS, EVAL_DATA, *([REWARD] if self.config.online else []))
        others = {what: found.get(what) for what in kept}
        chosen = {BASE: found.get(BASE), DATA: data, **others}
        return {what: own for what, own in chosen.items() if own is not None}

    def describe(self) -> str:
        """Return a line each about the model and the data."""
        count, prompts = len(self.data.tokens), len(self.data.group.unique())
        lines = [
            f"model  {self.base.describe(self.config)}",
            f"data   {self.config.data}: {count} trajectories of {prompts} prompts, "
            f"{rewards_in_words(self.data.reward)}",
        ]
        lines += [f"       left out: {n} ({why})" for why, n in self.data.left_out.items()]
        lines += [f"       {note}" for note in self.data.notes]
        lines += self._of_held_out()
        if self.evaluator is not None:
            left_out = self.evaluator.problems.left_out.items()
            lines += [f"eval   left out: {n} ({why})" for why, n in left_out]
        if self.evaluator is not None or self.sampler is not None:
            unused = unused_settings(self.base.model.model)
            lines += [] if unused is None else [f"       {unused}"]
        return "\n".join([*lines, *self._cut()])

    def _of_held_out(self) -> list[str]:
        data = self.held_out
        if data is None:
            return []
        known = shared_prompts(self.data, data)
        name = self.config.eval_data or f"{self.config.eval_fraction:g} of the prompts"
        lines = [f"held   {name}: {len(data.tokens)} trajectories of {len(data.group.unique())} "
                 f"prompts"]  # fmt: skip
        if known:
            lines.append(f"       {known} of these prompts are trained on too")
        lines += [f"       left out: {n} ({why})" for why, n in data.left_out.items()]
        return lines + [f"       {note}" for note in data.notes]

    def _cut(self) -> list[str]:
        """Return lines on solutions, or else completions of the data, that limits would cut."""
        asked = [
            (flag, user.problems)
            for flag, user in ((EVAL_LIMIT, self.evaluator), (ONLINE_LIMIT, self.sampler))
            if user is not None
        ]
        # Online, a file holds problems, and what there are of completions was sampled just now.
        sampled = self.config.online and self.config.data not in TASKS
        lengths = [] if sampled else self.data.tokens.trained.tolist()
        lines = []
        for flag, problems in asked:
            limit = Limit(problems.max_new_tokens, flag)
            solutions = solution_lengths(self.base.tokenizer, worked_solutions(problems.problems))
            cut = share_cut(solutions, limit, f"solutions in {problems.name}")
            if cut is None and max(lengths, default=0) > limit.tokens:
                cut = share_cut(lengths, limit, f"completions in {self.config.data}")
            lines += [] if cut is None else [f"       {cut}"]
        return lines


def set_up(
    config: Config | None = None, *, model: Loaded | None = None, data: Rows | None = None
) -> Setup:
    """Load the model, the data and the problems that a configuration names.

    model: a causal model and its tokenizer, in the place of `config.model`; both are left as they
    are. data: rows as a file has them, in the place of `config.data`: trajectories, or problems
    where `config.online`. Raises InputError where something named is not there or cannot be used.
    """
    config = Config() if config is None else config
    reward = None if config.reward is None else load_reward(config.reward)
    if model is not None:
        config = replace(config, model=name_of(model[0]))
    if data is not None:
        check_of_hub("rows from Python", config.data_config, config.data_split)
        config = replace(config, data=f"{len(data)} rows from Python")
    # Online, a file holds problems and not trajectories; of the built-in ones both are known.
    table = None
    if not config.online or config.data in TASKS:
        table = (
            read_table(config.data, config.data_config, config.data_split)
            if data is None
            else table_of(data, config.data)
        )
    base = open_base(config, model)
    engine = PolicyEngine()
    if config.online or evaluated_problems(config) != "none":
        engine = open_policy_engine(config, base)
        if engine.other is None:
            check_decoding(base.model.model)
    evaluator = open_evaluator(config, base, engine)
    sampler = None
    if config.online:
        problems = _training_problems(config, table, base, data, reward)
        problems = problems.checked(
            TransformersEngine(base.model.model), base.tokenizer, ONLINE_LIMIT
        )
        sampler = Sampler(problems, base.tokenizer, config, engine)
    if table is not None:
        limit = min(config.max_tokens or base.context, base.context)
        folder = token_folder(config.token_cache)
        tokenized = encode(table, base.tokenizer, limit, folder, base.vocabulary)
    else:  # what the base makes of the first problems: a first look, and the diagnostics' probes
        assert sampler is not None  # there is no table online alone
        tokenized = sampler.tokenized(sampler.sample(base.model, 0))
    held_table = None if config.eval_data is None else read_table(config.eval_data)
    held_out = None
    if config.eval_fraction is not None:
        tokenized, held_out = split_by_prompt(tokenized, config.eval_fraction)
    elif held_table is not None:
        limit = min(config.max_tokens or base.context, base.context)
        folder = token_folder(config.token_cache)
        held_out = encode(held_table, base.tokenizer, limit, folder, base.vocabulary)
    contents = functools.cache(
        lambda: _contents(config.model, model, table, held_table, evaluator, sampler)
    )
    return Setup(config, base, tokenized, evaluator, sampler, held_out, contents)


def _contents(
    name: str,
    loaded: Loaded | None,
    table: TrajectoryTable | None,
    held_table: TrajectoryTable | None,
    evaluator: Evaluator | None,
    sampler: Sampler | None,
) -> dict[str, str]:
    """Return digests by what they are of: the base, the tables, the problems of both kinds."""

    def digests() -> dict[str, str]:
        base = model_digest(name) if loaded is None else loaded_digest(loaded[0])
        found = {} if base is None else {BASE: base}
        for what, rows in ((DATA, table), (EVAL_DATA, held_table)):
            if rows is not None:
                found[what] = rows.source.identity()
        for what, user in ((PROBLEMS, sampler), (EVAL_PROBLEMS, evaluator)):
            if user is not None:
                reward = user.problems.reward
                rows = reward is not None
                found[what] = problems_digest(user.problems.problems, rows=rows)
                if reward is not None and reward.digest is not None:
                    found[REWARD] = reward.digest
        return found

    return processes.on_main(digests)


def _training_problems(
    config: Config,
    table: TrajectoryTable | None,
    base: Base,
    data: Rows | None,
    reward: Reward | None,
) -> ProblemSet:
    if table is None:
        # A Dataset without a format gives dicts; it is declared to give any container.
        rows = None if data is None else cast(list[dict], list(data))
        if data is None and may_be_on_hub(config.data):
            source = of_hub(config.data, config.data_config, config.data_split)
            rows = [row for batch in source.batches() for _, row in batch]
        elif data is None:
            check_of_hub(config.data, config.data_config, config.data_split)
        return word_problem_set(
            config.data, base.tokenizer, config.online_max_new_tokens, rows=rows, reward=reward
        )
    prompts = list(dict.fromkeys(str(trajectory.prompt) for trajectory in table.trajectories()))
    return arithmetic_set(prompts, config.online_max_new_tokens, reward, TASKS[config.data])
