"""A language model over fewer tokens: those that given texts need, so that a CPU can train it.

The model is otherwise the same: texts of kept tokens are tokenised as before, and what the other
tokens had of the probability is spread over those that are kept.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from objectives.errors import InputError

Merge = tuple[str, str]


class Kept(NamedTuple):
    """What is left of a tokenizer: its description, and each token's number before."""

    state: dict
    old_ids: list[int]


def cut_vocabulary(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], out: Path
) -> int:
    """Write to `out` the model over the tokens that the texts need; return how many those are.

    The model is changed. Tokens of single characters and special tokens stay. Raises InputError for
    a tokenizer that is no byte-pair encoding, and where a text would be tokenised otherwise.
    """
    core = cast(Tokenizer, tokenizer.backend_tokenizer)
    before = [core.encode(text, add_special_tokens=False).ids for text in texts]
    kept = keep(json.loads(core.to_str()), {token for ids in before for token in ids})
    small, old = Tokenizer.from_str(json.dumps(kept.state)), kept.old_ids
    for text, ids in zip(texts, before, strict=True):
        if [old[token] for token in small.encode(text, add_special_tokens=False).ids] != ids:
            raise InputError(f"tokenised otherwise with fewer tokens: {text[:60]!r}")

    new_ids: dict[int | None, int] = {token: number for number, token in enumerate(old)}
    for config in (model.config, model.generation_config):
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            value = getattr(config, name, None)
            moved = [new_ids[t] for t in value] if isinstance(value, list) else new_ids.get(value)
            setattr(config, name, moved)
    ends = cast(nn.Embedding, model.get_input_embeddings()), cast(nn.Linear, model.lm_head)
    tied = ends[0].weight is ends[1].weight
    rows = [end.weight.detach()[old].clone() for end in ends]
    model.resize_token_embeddings(len(old))
    model.get_input_embeddings().weight.data, model.lm_head.weight.data = rows
    if tied:
        model.tie_weights()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    small.save(str(out / "tokenizer.json"))
    settings = out / "tokenizer_config.json"  # where special tokens have their numbers of before
    named = json.loads(settings.read_text(encoding="utf-8"))
    named.pop("added_tokens_decoder", None)
    settings.write_text(json.dumps(named, indent=1, ensure_ascii=False), encoding="utf-8")
    return len(old)


def keep(state: dict, used: Collection[int]) -> Kept:
    """Return a byte-pair encoding, as `Tokenizer.to_str` describes it, of fewer tokens.

    used: numbers of tokens that stay, with all that they are merged from. Raises InputError for
    another kind of tokenizer.
    """
    after = state.get("post_processor") or {}
    if state["model"].get("type") != "BPE" or after.get("special_tokens"):  # by their numbers
        raise InputError("only a tokenizer that is a byte-pair encoding, as Qwen's, can be cut")
    vocabulary: dict[str, int] = state["model"]["vocab"]
    merges = [_merge(entry) for entry in state["model"]["merges"]]
    added = sorted(state["added_tokens"], key=lambda token: token["id"])
    special = {token["content"] for token in added}
    names = (name for name, number in vocabulary.items() if number in used or len(name) == 1)
    wanted = _with_parts(names, merges)
    tokens = sorted(wanted - special, key=vocabulary.__getitem__)
    old = [vocabulary[name] for name in tokens] + [token["id"] for token in added]
    model = state["model"] | {
        "vocab": {name: number for number, name in enumerate(tokens)},
        "merges": [list(merge) for merge in merges if wanted >= {*merge, "".join(merge)}],
    }
    moved = [token | {"id": len(tokens) + place} for place, token in enumerate(added)]
    return Kept(state | {"model": model, "added_tokens": moved}, old)


def _with_parts(names: Iterable[str], merges: Sequence[Merge]) -> set[str]:
    """Return tokens with those that they are merged from, by the merge that first makes each."""
    parts = {"".join(merge): merge for merge in reversed(merges)}
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += parts.get(name, ())
    return found


def _merge(entry: str | list[str]) -> Merge:
    one, other = entry.split(" ") if isinstance(entry, str) else entry
    return one, other
