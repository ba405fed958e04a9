"""The settings of a run in groups, each of which is one group of --help.

A function that reads a few settings asks for their group: `Config` is all.
"""

from dataclasses import dataclass
from typing import Literal

from train.config.diagnosis import MEASURES, PAIRS
from train.config.flags import flag
from train.config.quantisation import Quantisation
from train.config.schedule import Schedule


@dataclass(frozen=True)
class ModelConfig:
    """The model, and what of it is trained."""

    model: str = flag(
        "builtin", "builtin, chains, chains-6, smollm2, a folder, a .gguf file or a hub id", "MODEL"
    )
    attention: str | None = flag(
        None,
        "how attention is computed, by transformers' name: eager, sdpa, flash_attention_2, "
        "flex_attention ...; by default as transformers chooses",
        "NAME",
        changes="figures",
    )
    lora_rank: int | None = flag(
        None,
        "train a LoRA adapter of this rank on the frozen model; by default all its parameters",
        above=0,
    )
    lora_alpha: float | None = flag(
        None, "what the adapter adds is scaled by alpha / rank; by default twice the rank", above=0
    )
    lora_targets: str | None = flag(
        None,
        "layers that get an adapter, names with commas between, as q_proj,v_proj; by default all "
        "linear layers but the head",
        "LAYERS",
    )
    quantise: Quantisation | None = flag(
        None, "keep the weights under an adapter in so many bits (bitsandbytes): QLoRA, or int8"
    )


@dataclass(frozen=True)
class DataConfig:
    """The data that is trained on."""

    data: str = flag(
        "builtin",
        "builtin, chains or chains-6; a file ending in .jsonl, .json, .parquet, .csv or .tsv (.gz "
        "after it), a folder or a pattern of such files; or a hub id; with --online problems",
        "DATA",
    )
    data_config: str | None = flag(
        None, "configuration of a data set of the hub, by default its only one", "NAME"
    )
    data_split: str | None = flag(None, "split of a data set of the hub, by default train", "NAME")
    rows: Literal["auto", "paired", "all"] = flag(
        "auto",
        "what trajectory objectives train on: the trajectories of the pairs, so as to see what "
        "pair objectives see, or all; auto: paired where there are pairs",
    )
    # The names of objectives.ADVANTAGES after auto.
    advantage: Literal[
        "auto", "plus_minus_one", "group_normalised", "group_centred", "leave_one_out"
    ] = flag("auto", "what objectives see as reward; auto: the objective's own")
    max_tokens: int | None = flag(
        None,
        "trajectories longer than this are left out; by default the model's context",
        "TOKENS",
        above=0,
    )
    token_cache: str = flag(
        "auto",
        "folder to keep the token ids of a large data set in, so that it is tokenised once; off; "
        "or auto: in the cache of Hugging Face datasets",
        "PATH",
        changes="nothing",
    )


@dataclass(frozen=True)
class OnlineConfig:
    """What the policy samples to be trained on, with --online."""

    online: bool = False  # train on what the policy itself samples, step by step
    online_samples: int = flag(
        8, "completions of each problem; --batch-size is of all problems", above=0
    )
    online_temperature: float = flag(1.0, "temperature of the samples", above=0)
    online_max_new_tokens: int | None = flag(
        None, "length limit of a sample, by default as in evaluation", "TOKENS", above=0
    )
    online_updates: int = flag(1, "optimizer steps on the same samples", "STEPS", above=0)
    online_mixed: bool = flag(
        False,
        "sample on until the batch is full of problems with both correct and incorrect samples "
        "(DAPO's dynamic sampling)",
    )


@dataclass(frozen=True)
class OptimisationConfig:
    """The optimizer's steps."""

    steps: int = flag(300, "optimizer steps", "STEPS", least=0)
    epochs: float | None = flag(
        None, "times through the data, in the place of --steps", "NUMBER", above=0
    )
    optimizer: str = flag("adamw", "torch's; or bitsandbytes', as adamw8bit", "NAME")
    learning_rate: float = flag(1e-5, "of the optimizer, at its highest", "RATE", above=0)
    schedule: Schedule = flag("constant", "after the warm-up")
    schedule_options: str | None = flag(
        None,
        "of the schedules that transformers has, such as num_cycles=3 with cosine_with_restarts, "
        "min_lr_rate=0.1 with cosine_with_min_lr, num_decay_steps=30 with warmup_stable_decay",
        "NAME=VALUE",
    )
    warmup_steps: int = flag(10, "steps of linear warm-up", "STEPS", least=0)
    weight_decay: float = flag(0.0, "the optimizer's; AdamW's is decoupled", least=0)
    max_grad_norm: float = flag(1.0, "gradients are clipped to this norm", "NORM", above=0)
    batch_size: int = flag(64, "trajectories of an optimizer step; a pair is two", above=0)
    seed: int = flag(0, "seed of the order of the data and of evaluation's samples")


@dataclass(frozen=True)
class ComputeConfig:
    """Where it is computed, how much at a time and how exactly."""

    device: Literal["auto", "cpu", "cuda"] = flag(
        "auto", "auto: cuda where there is one", changes="nothing"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = flag(
        "auto",
        "of the forward pass; weights stay float32, but those that LoRA freezes; auto: bfloat16 on "
        "cuda, else float32",
    )
    micro_batch_size: int | None = flag(
        None,
        "trajectories at a time, by default as many as --tokens-per-microbatch holds",
        above=0,
        changes="figures",
    )
    tokens_per_microbatch: int | None = flag(
        None,
        "tokens at a time, padding included, in micro-batches of like length; by default 512 on "
        "a CPU, on a GPU as many as its memory holds",
        "TOKENS",
        above=0,
        changes="figures",
    )
    share_prefixes: Literal["auto", "off"] = flag(
        "auto",
        "compute once what trajectories of one prompt begin with; auto: where that saves "
        "operations and the model allows it",
        changes="figures",
    )
    compile: bool = flag(False, "compile the models' layers, at first use", changes="figures")
    gradient_checkpointing: bool = flag(
        False,
        "compute activations again in the backward pass, to save memory",
        changes="figures",
    )
    activation_offload: bool = flag(
        False,
        "with that on a GPU: keep the layers' inputs in the host's memory until then",
        changes="figures",
    )
    reference_cache: str = flag(
        "auto",
        "folder to keep the reference's hidden states in, so that it reads each trajectory once; "
        "off; or auto: beside the run, where it pays",
        "PATH",
        changes="figures",
    )


@dataclass(frozen=True)
class EvaluationConfig:
    """The problems that show what was learned."""

    eval_problems: str = flag(
        "auto",
        "builtin, chains, chains-6, one of these with -validation after it (to choose settings "
        "by), a problem file, or none; auto: those of the built-in data",
        "PROBLEMS",
        changes="figures",
    )
    eval_every: int = flag(
        50,
        "steps between evaluations; 0: before and after only",
        "STEPS",
        least=0,
        changes="figures",
    )
    eval_limit: int = flag(500, "problems of an evaluation", above=0, changes="figures")
    eval_samples: int = flag(
        4, "samples per problem of avg@k; 0: greedy only", least=0, changes="figures"
    )
    eval_temperature: float = flag(1.0, "temperature of the samples", above=0, changes="figures")
    eval_max_new_tokens: int | None = flag(
        None,
        "length limit of a completion in evaluation; by default 48 built-in (chains 99), else 256",
        "TOKENS",
        above=0,
        changes="figures",
    )
    eval_batch_size: int = flag(500, "completions generated at a time", above=0, changes="figures")


@dataclass(frozen=True)
class HeldOutConfig:
    """Rows that are held out, and what is chosen by looking."""

    eval_data: str | None = flag(
        None,
        "rows as --data takes them, at which loss, pairs and log-probs are looked at with every "
        "evaluation",
        "DATA",
        changes="figures",
    )
    eval_fraction: float | None = flag(
        None, "share of the prompts of --data to hold out for that", "SHARE", above=0
    )
    keep_best: str | None = flag(
        None,
        "metric of the evaluations whose best checkpoint is kept and named in best.json, such as "
        "heldout/loss or eval/greedy_accuracy",
        "METRIC",
        changes="nothing",
    )


@dataclass(frozen=True)
class DiagnosticsConfig:
    """What is watched while it trains."""

    diagnose_every: int = flag(
        0,
        "steps between looks at fixed probe pairs; 0: no diagnostics",
        "STEPS",
        least=0,
        changes="figures",
    )
    diagnose: str | None = flag(
        None,
        f"what to measure there, with commas between: {', '.join(MEASURES)}; by default all",
        "NAMES",
        changes="figures",
    )
    horizons: str | None = flag(
        None,
        "steps ahead at which forecasts are scored, such as 10,20,40; by default 1, 2 and 4 "
        "times --diagnose-every",
        "STEPS,STEPS",
        changes="figures",
    )
    diagnose_pairs: int | None = flag(None, f"probe pairs, by default {PAIRS}", changes="figures")


@dataclass(frozen=True)
class FolderConfig:
    """The folder that is written, and its checkpoints."""

    out: str | None = flag(
        None,
        "run folder, by default runs/OBJECTIVE; of several, their parent",
        "PATH",
        changes="nothing",
    )
    checkpoint_every: int = flag(
        0, "steps between checkpoints; 0: at the end only", "STEPS", least=0, changes="nothing"
    )
    keep_checkpoints: int = flag(
        0, "newest checkpoints to keep; 0: all", least=0, changes="nothing"
    )
