"""The base model of a built-in task: a small Llama taught by demonstrations."""

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from tqdm import trange
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from eval.problems.arithmetic import ALPHABET
from train.builtin.lessons import Lesson

BATCH_SIZE, LEARNING_RATE = 64, 2e-3
PAD, EOS = "<pad>", "<eos>"


def make_tokenizer(alphabet: str = ALPHABET) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per character of a task, padding and end of sequence."""
    vocabulary = {token: index for index, token in enumerate([PAD, EOS, "<unk>", *alphabet])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, unk_token="<unk>"
    )


def make_model(vocabulary_size: int, seed: int, context: int = 128) -> LlamaForCausalLM:
    """Return the untrained model: 3 layers, width 128, 0.64 million parameters."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    return LlamaForCausalLM(config)


def train_base(
    lesson: Lesson,
    exclude: frozenset[str],
    seed: int,
    steps: int | None = None,
    device: str = "cpu",
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Teach an untrained model a lesson, on problems outside `exclude`."""
    steps = lesson.steps if steps is None else steps
    tokenizer = make_tokenizer(lesson.alphabet)
    model = make_model(len(tokenizer), seed, lesson.context).to(device)  # pyright: ignore[reportArgumentType]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.05
    )
    problems = lesson.task.sample_problems(steps * 20, seed, exclude)
    source = lesson.demonstrations(problems, seed)
    for _ in (bar := trange(steps, desc="base model", dynamic_ncols=True)):
        rows = _batch(tokenizer, [next(source) for _ in range(BATCH_SIZE)])
        loss = model(**{name: x.to(device) for name, x in rows.items()}).loss
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
