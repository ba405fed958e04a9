"""Engines by the flags of a command, and the one that samples from the policy of a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from eval.decoding.future import Future
from eval.decoding.unused_settings import unused_settings
from eval.engines.agreement import check_agreement
from eval.engines.by_transformers import TransformersEngine
from eval.engines.by_vllm import VllmEngine, has_vllm
from eval.engines.interface import Engine
from objectives.errors import InputError
from train.config.engines import EngineConfig
from train.config.settings import Config
from train.devices import processes
from train.devices.choice import choose_device
from train.devices.sharding import whole
from train.models.adapters import is_adapter
from train.models.base import Base
from train.models.kinds import check_kind
from train.models.language_model import LanguageModel, uncompiled
from train.models.load import load_for_sampling, load_model, locate
from train.models.pretrained import read_config, read_tokenizer
from train.models.vocabulary import check_same_vocabulary
from train.models.whole_weights import whole_weights

MEMORY, BESIDE_TRAINING = 0.9, 0.3  # of the device, that vLLM takes
USUAL_PROMPT = 1024  # tokens that it is started for, beside a completion


def open_engine(
    name: str, flags: EngineConfig, device: str, dtype: str, rows: int, max_new_tokens: int
) -> tuple[Engine, PreTrainedTokenizerBase]:
    """Return what samples from a model, as a command's flags say, and the model's tokenizer.

    name: as `load_model` has it. device, dtype: as `load_for_sampling` has them. rows: completions
    at once. max_new_tokens: of the longest completions. Prints which of the model's settings are
    left aside. Where `auto` chose vLLM and it does not run, a line says so and the model itself
    samples. Raises InputError as `load_model` and `VllmEngine` do.
    """
    where, _ = choose_device(device, dtype)
    if flags.engine == "vllm" or (flags.engine == "auto" and where == "cuda" and has_vllm()):
        try:
            return _open_vllm(name, flags, device, dtype, rows, max_new_tokens)
        except InputError as error:
            if flags.engine == "vllm":
                raise
            print(f"{error}: that is what samples now", flush=True)
    model, tokenizer = load_for_sampling(name, device, dtype)
    return TransformersEngine(model, rows), tokenizer


def open_future_engine(
    name: str, reference: str, lam: float, device: str, dtype: str, rows: int
) -> tuple[Engine, PreTrainedTokenizerBase]:
    """Return what samples from a model's future policy, and the model's tokenizer.

    name, reference: as `load_model` has them; the policy and what it is extrapolated from. lam: as
    `Future` has it. device, dtype, rows: as for `open_engine`. Raises InputError as `load_model`
    does, and for two models that have other vocabularies or cannot be read side by side.
    """
    model, tokenizer = load_for_sampling(name, device, dtype)
    try:
        theirs = load_for_sampling(reference, device, dtype)
    except InputError as error:
        raise InputError(str(error).replace("--model", "--reference", 1)) from None
    check_same_vocabulary(name, (model, tokenizer), reference, theirs)
    engine = TransformersEngine(model, rows, future=Future(theirs[0], lam))
    try:
        engine.check()
    except InputError as error:
        raise InputError(f"--model {name} with --reference {reference}: {error}") from None
    return engine, tokenizer


def _open_vllm(
    name: str, flags: EngineConfig, device: str, dtype: str, rows: int, max_new_tokens: int
) -> tuple[Engine, PreTrainedTokenizerBase]:
    device, half = choose_device(device, dtype)
    options = {
        "device": device, "dtype": torch.bfloat16 if half else torch.float32,
        "rows": rows, "memory": flags.engine_memory or MEMORY,
    }  # fmt: skip
    place, special = (name, {"adapter": True}) if is_adapter(Path(name)) else locate(name)
    if special:  # what vLLM does not read as it is: handed over as weights
        model, tokenizer = load_model(name, dtype=options["dtype"])
        engine = VllmEngine(None, model.config, model.generation_config, **options)
        engine.load(whole_weights(model))
    else:
        config = read_config(name, place)
        check_kind(name, config)
        tokenizer = read_tokenizer(name, place)
        engine = VllmEngine(place, config, _settings_of(place), **options)
    unused = unused_settings(engine)
    if unused is not None:
        print(unused, flush=True)
    engine.start(max_new_tokens + USUAL_PROMPT)
    return engine, tokenizer


def _settings_of(place: str) -> GenerationConfig | None:
    try:
        return GenerationConfig.from_pretrained(place)
    except OSError:  # a model without any
        return None


class PolicyEngine:
    """Samples from a run's policy: the model itself does, or vLLM, which gets its weights."""

    def __init__(self, other: VllmEngine | None = None):
        """Sample by `other`; by default by the policy's model."""
        self.other = other
        self.gap: float | None = None  # between the two, last: a token's mean difference, nats

    def expect(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> None:
        """Be ready for these prompts, token ids, so that vLLM need not start again for a longer."""
        if self.other is not None:
            self.other.expect(max(map(len, prompts), default=0) + max_new_tokens)

    @contextmanager
    def of(self, policy: LanguageModel, rows: int) -> Iterator[Engine]:
        """Return a context with an engine that has the policy's weights.

        rows: completions at once. Raises InputError where vLLM computes another policy.
        """
        with policy.precision.context(cached=True), whole(policy.model), uncompiled():
            if self.other is None:
                yield TransformersEngine(policy.model, rows)
            else:
                self.other.load(whole_weights(policy.model))
                self.gap = check_agreement(self.other, policy.model)
                yield self.other


def open_policy_engine(config: Config, base: Base) -> PolicyEngine:
    """Return what samples from a run's policy, as its flags say.

    Raises InputError for vLLM where it is not installed, several processes train, or the base is
    quantised, of which it would take whole weights.
    """
    if config.engine != "vllm":
        return PolicyEngine()
    if config.quantise is not None:
        raise InputError(
            f"--engine vllm: not with --quantise {config.quantise}, whose weights it does not "
            f"take: --engine transformers"
        )
    if processes.count() > 1:
        raise InputError(
            f"--engine vllm: {processes.count()} processes train, and it goes with one: without "
            f"it, or with rollouts that python -m train.rollouts samples"
        )
    model = base.model.model
    half = base.model.precision.dtype is not None or model.dtype == torch.bfloat16
    return PolicyEngine(
        VllmEngine(
            None,
            model.config,
            model.generation_config,
            device=base.device.type,
            dtype=torch.bfloat16 if half else torch.float32,
            rows=config.eval_batch_size,
            memory=config.engine_memory or BESIDE_TRAINING,
        )
    )
