"""What all objectives of a command share: the base model, the data and the test problems."""

import math
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from transformers import PreTrainedTokenizerBase

from diagnostics.parameters import trained_parameters
from eval.problems.problem_set import ProblemSet, arithmetic_set, word_problem_set
from train.config.settings import Config
from train.data.table import TrajectoryTable, read_table
from train.data.token_file import token_folder
from train.data.tokenized import TokenizedData, encode
from train.devices import processes
from train.devices.choice import choose_device, forward_precision
from train.devices.sharding import whole
from train.models.copies import frozen_copy, sharded
from train.models.language_model import LanguageModel, open_model, sharing_width, uncompiled
from train.models.load import load_model
from train.sampling.evaluator import Scores, evaluate, load_problem_set
from train.sampling.sampler import Sampler

DEFAULT_CONTEXT = 4096  # where a model states none


@dataclass
class Ground:
    """The same base, data and problems for every objective."""

    config: Config
    base: LanguageModel  # frozen: it is everybody's reference; on the CPU where it is to be sharded
    tokenizer: PreTrainedTokenizerBase
    encoded: TokenizedData
    problems: ProblemSet | None
    precision: torch.autocast | nullcontext  # the context of forward passes
    device: torch.device  # of this process
    width: int | None  # of the hidden states, where rows may share a beginning
    sampler: Sampler | None = None  # of training problems, online
    before: dict[tuple, Scores] = field(default_factory=dict)  # the base's, by what they depend on

    def evaluate(self, model: LanguageModel) -> Scores | None:
        """Return a model's scores on the problems, None where there are none."""
        if self.problems is None:
            return None
        with self.precision, whole(model.model), uncompiled():
            return evaluate(self.problems, model.model, self.tokenizer, self.config)

    def evaluate_base(self, policy: LanguageModel) -> Scores | None:
        """Return the base model's scores, computed once for all objectives.

        policy: has the base's weights still, and is where it is to compute.
        """
        config = self.config
        key = (config.seed, config.eval_samples, config.eval_temperature, config.eval_batch_size)
        if key not in self.before and self.problems is not None:
            self.before[key] = self.evaluate(policy)
        return self.before.get(key)

    def new_policy(self, base: LanguageModel, in_place: bool = False) -> LanguageModel:
        """Return a policy to be trained that is still the base: a copy, or an adapter on it.

        base: as it computes, sharded or not. in_place: it is needed no more, so that it may be
        trained itself.
        """
        if self.config.lora_rank is not None:
            policy = self._adapted()
            return sharded(policy, self.device) if processes.sharding() else policy
        policy = base if in_place else frozen_copy(base)
        policy.model.requires_grad_(True)
        return policy

    def _adapted(self) -> LanguageModel:
        from train.models.lora import adapted

        return adapted(self.base, self.config)

    @cached_property
    def trained_size(self) -> tuple[int, int]:
        """How many parameters are trained, and the bytes that they take."""
        whole = self.base if self.config.lora_rank is None else self._adapted()
        trained = trained_parameters(whole.model).values()
        return sum(p.numel() for p in trained), sum(p.nbytes for p in trained)

    def with_config(self, config: Config) -> "Ground":
        """Return the same model, data and problems for a run with other settings of its own."""
        sampler = self.sampler
        if not config.online:
            sampler = None
        elif sampler is not None:
            sampler = Sampler(sampler.problems, self.tokenizer, config, self.precision)
        return replace(self, config=config, sampler=sampler)

    def describe(self) -> str:
        """Return a line each about the model and the data."""
        parameters = sum(p.numel() for p in self.base.model.parameters())
        count, correct = len(self.encoded.tokens), int((self.encoded.reward > 0).sum())
        prompts = len(self.encoded.group.unique())
        lines = [
            f"model  {self.config.model}: {parameters / 1e6:.2f} million parameters on "
            f"{self._place()}{self._adapter()}",
            f"data   {self.config.data}: {count} trajectories of {prompts} prompts, "
            f"{correct / max(count, 1):.1%} correct",
        ]
        lines += [f"       left out: {n} ({why})" for why, n in self.encoded.left_out.items()]
        return "\n".join(lines)

    def _place(self) -> str:
        count = processes.count()
        if count == 1:
            return str(self.device)
        how = "its weights spread over them" if processes.sharding() else "each with all of it"
        return f"{self.device.type}, {count} processes, {how}"

    def _adapter(self) -> str:
        if self.config.lora_rank is None:
            return ""
        return f", frozen; trained: a LoRA adapter of {self.trained_size[0] / 1e6:.2f} million"


def lay_ground(config: Config) -> Ground:
    """Load the model, the data and the problems that a configuration names."""
    device, half = choose_device(config.device, config.dtype)
    precision = forward_precision(device, half)
    # Online, a file holds problems and not trajectories; of the built-in ones both are known.
    table = None if config.online and config.data != "builtin" else read_table(config.data)
    # Sharded, the model is copied to the devices layer by layer.
    place = "cpu" if processes.sharding() else device
    # Frozen weights are computed with in bfloat16 anyway; trained ones must keep small updates.
    dtype = torch.bfloat16 if half and config.lora_rank else torch.float32
    model, tokenizer = load_model(config.model, device=place, dtype=dtype)
    base = open_model(model.requires_grad_(False))
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limit = min(config.max_tokens or math.inf, context or DEFAULT_CONTEXT)
    problems = load_problem_set(config, tokenizer)
    sampler = None
    if config.online:
        sampler = Sampler(
            _training_problems(config, table, tokenizer), tokenizer, config, precision
        )
    if table is not None:
        encoded = encode(table, tokenizer, int(limit), token_folder(config.token_cache))
    else:  # what the base makes of the first problems: a first look, and the diagnostics' probes
        encoded = sampler.encoded(sampler.sample(base, 0))
    width = sharing_width(base) if config.share_prefixes == "auto" else None
    return Ground(
        config, base, tokenizer, encoded, problems, precision, torch.device(device), width, sampler
    )


def _training_problems(
    config: Config, table: TrajectoryTable | None, tokenizer: PreTrainedTokenizerBase
) -> ProblemSet:
    if table is None:
        return word_problem_set(config.data, tokenizer, config.online_max_new_tokens)
    prompts = list(dict.fromkeys(trajectory.prompt for trajectory in table.trajectories()))
    return arithmetic_set(prompts, config.online_max_new_tokens)
