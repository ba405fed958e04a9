"""The built-in base model: a small Llama taught two ways of reasoning by demonstrations."""

import random
from collections.abc import Iterator

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from tqdm import trange
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from eval.problems.arithmetic import ALPHABET, sample_problems, work_out

STEPS, BATCH_SIZE, LEARNING_RATE = 1500, 64, 2e-3
FLAWED, SLIP = 0.6, 0.03
PAD, EOS = "<pad>", "<eos>"


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per character of the task, padding and end of sequence."""
    vocabulary = {token: index for index, token in enumerate([PAD, EOS, "<unk>", *ALPHABET])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, unk_token="<unk>"
    )


def make_model(vocabulary_size: int, seed: int) -> LlamaForCausalLM:
    """Return the untrained model: 3 layers, width 128, 0.64 million parameters."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    return LlamaForCausalLM(config)


def demonstrations(problems: list[str], seed: int) -> Iterator[tuple[str, str]]:
    """Yield (problem, completion) for ever, `FLAWED` of them by the flawed strategy."""
    rng = random.Random(seed)
    while True:
        problem = rng.choice(problems)
        precedence = rng.random() >= FLAWED
        yield problem, work_out(problem, precedence=precedence, slip=SLIP, rng=rng)


def train_base(
    exclude: frozenset[str], seed: int, steps: int = STEPS
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Teach an untrained model by demonstrations on problems outside `exclude`."""
    tokenizer = make_tokenizer()
    model = make_model(len(tokenizer), seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.05
    )
    source = demonstrations(sample_problems(steps * 20, seed, exclude), seed)
    for _ in (bar := trange(steps, desc="base model", dynamic_ncols=True)):
        loss = model(**_batch(tokenizer, [next(source) for _ in range(BATCH_SIZE)])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        bar.set_postfix(loss=f"{loss.item():.3f}")
    return model.eval(), tokenizer


def _batch(tokenizer: PreTrainedTokenizerFast, rows: list[tuple[str, str]]) -> dict:
    encoded = tokenizer([p + c + EOS for p, c in rows], padding=True, return_tensors="pt")
    position = torch.arange(encoded["input_ids"].shape[1])
    prompt_lengths = torch.tensor([len(problem) for problem, _ in rows])
    learn = encoded["attention_mask"].bool() & (position >= prompt_lengths[:, None])
    return {
        "input_ids": encoded["input_ids"],
        "attention_mask": encoded["attention_mask"],
        "labels": encoded["input_ids"].masked_fill(~learn, -100),
    }
