"""What the flags of other trainers are called here, or why there is none."""

from collections.abc import Collection

from objectives.errors import InputError

# By their names: our flags, and words where these do not say it.
OURS: dict[str, tuple[tuple[str, ...], str]] = {
    "output_dir": (("--out",), ""),
    "output": (("--out",), ""),
    "logging_dir": (("--out",), "metrics.jsonl is written there"),
    "overwrite_output_dir": ((), "a folder that holds a run is never written over"),
    "model_name_or_path": (("--model",), ""),
    "model_name": (("--model",), ""),
    "model_id": (("--model",), ""),
    "dataset_name": (("--data",), ""),
    "dataset": (("--data",), ""),
    "train_file": (("--data",), ""),
    "config": (("--recipe",), "a .toml or .json file of flags' values"),
    "loss_type": (("--objective",), ""),
    "max_steps": (("--steps",), ""),
    "num_train_epochs": (("--epochs",), ""),
    "num_epochs": (("--epochs",), ""),
    "lr": (("--learning-rate",), ""),
    "lr_scheduler_type": (("--schedule",), ""),
    "warmup_ratio": (("--warmup-steps",), "a number of steps, not a share of them"),
    "clip_grad_norm": (("--max-grad-norm",), ""),
    "optim": (("--optimizer",), ""),
    "train_batch_size": (("--batch-size",), "trajectories of an optimizer step"),
    "per_device_train_batch_size": (
        ("--micro-batch-size", "--tokens-per-microbatch"),
        "what is computed at a time, while --batch-size is of the whole optimizer step",
    ),
    "gradient_accumulation_steps": (
        ("--batch-size",),
        "of the whole optimizer step, which is cut by --tokens-per-microbatch",
    ),
    "per_device_eval_batch_size": (("--eval-batch-size",), ""),
    "max_length": (("--max-tokens",), ""),
    "max_seq_length": (("--max-tokens",), ""),
    "max_prompt_length": (("--max-tokens",), "of prompt and completion together"),
    "max_completion_length": (("--online-max-new-tokens", "--eval-max-new-tokens"), ""),
    "num_generations": (("--online-samples",), ""),
    "num_iterations": (("--online-updates",), ""),
    "temperature": (("--online-temperature", "--eval-temperature"), ""),
    "packing": (("--tokens-per-microbatch",), "micro-batches are cut by tokens anyway"),
    "padding_free": (("--tokens-per-microbatch",), "micro-batches are cut by tokens anyway"),
    "bf16": (("--dtype",), "as in --dtype bfloat16"),
    "fp16": (("--dtype",), "float32 or bfloat16, there is no float16"),
    "fp32": (("--dtype",), "as in --dtype float32"),
    "attn_implementation": (("--attention",), ""),
    "use_flash_attn": (("--attention",), "as in --attention flash_attention_2"),
    "torch_dtype": (("--dtype",), ""),
    "torch_compile": (("--compile",), ""),
    "no_cuda": (("--device",), "as in --device cpu"),
    "use_cpu": (("--device",), "as in --device cpu"),
    "deepspeed": ((), "several GPUs: accelerate launch, and --use_fsdp before -m train"),
    "fsdp": ((), "several GPUs: accelerate launch, and --use_fsdp before -m train"),
    "precompute_ref_log_probs": (("--reference-cache",), ""),
    "dataset_num_proc": (("--token-cache",), "data are tokenised once and kept"),
    "use_peft": (("--lora-rank",), "where it is given, LoRA is trained"),
    "use_lora": (("--lora-rank",), "where it is given, LoRA is trained"),
    "lora_r": (("--lora-rank",), ""),
    "lora_target_modules": (("--lora-targets",), ""),
    "activation_offloading": (("--activation-offload",), "with --gradient-checkpointing"),
    "lora_dropout": ((), "adapters are trained without dropout"),
    "load_in_4bit": (("--quantise",), "as in --quantise 4bit"),
    "load_in_8bit": (("--quantise",), "as in --quantise 8bit"),
    "quantization_bit": (("--quantise",), "as in --quantise 4bit"),
    "eval_steps": (("--eval-every",), ""),
    "eval_strategy": (("--eval-every",), ""),
    "evaluation_strategy": (("--eval-every",), ""),
    "eval_dataset": (("--eval-data", "--eval-problems"), "rows, or problems to be answered"),
    "test_split_ratio": (("--eval-fraction",), ""),
    "val_size": (("--eval-fraction",), ""),
    "load_best_model_at_end": (("--keep-best",), "with the name of a metric"),
    "metric_for_best_model": (("--keep-best",), ""),
    "save_steps": (("--checkpoint-every",), ""),
    "save_strategy": (("--checkpoint-every",), ""),
    "save_total_limit": (("--keep-checkpoints",), ""),
    "resume_from_checkpoint": (("--resume",), ""),
    "logging_steps": (("--log-every",), "and every step is a line of metrics.jsonl"),
    "logging_strategy": (("--log-every",), "and every step is a line of metrics.jsonl"),
    "disable_tqdm": (("--quiet",), ""),
    "run_name": (("--out",), "a run is called as its folder"),
    "hub_model_id": (("--push-to-hub",), "with the id"),
    "hub_private_repo": (("--hub-private",), ""),
    "trust_remote_code": ((), "models with code of their own are not loaded"),
    "do_train": ((), "python -m train trains, python -m eval evaluates"),
    "do_eval": ((), "python -m train trains, python -m eval evaluates"),
}


def answer_other_name(word: str, flags: Collection[str]) -> None:
    """Raise InputError with our name for a flag of other trainers, where a command has it.

    flags: the command's own.
    """
    ours, words = OURS.get(word.removeprefix("--").replace("-", "_"), ((), ""))
    if (ours or words) and set(ours) <= set(flags):
        name = f"here it is {' or '.join(ours)}" if ours else "there is none here"
        raise InputError(f"{word}: {name}{': ' if words else ''}{words}")
