"""Trajectories in one array: the ids of rows one by one, on disk as in memory, or one line."""

import json
import resource
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pandas as pd
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from eval.prompts import encode_text, render_prompt
from objectives.errors import InputError
from train.config.settings import Config
from train.data import token_file
from train.data import tokenized as dataset
from train.data.table import BUILTIN_ROLLOUTS, read_table
from train.data.tokenized import encode
from train.data.tokens import FlatTokens, Tokens
from train.models.load import load_model
from train.run.setup import set_up


@pytest.fixture(scope="module")
def tokenizer():
    return load_model("builtin")[1]


@pytest.fixture(scope="module")
def merging():
    """Return a tokenizer with a beginning of sequence, a chat template and tokens of two signs.

    `=3` is one, so that it spans the boundary of `1+2=` and `3#`.
    """
    signs = ["<s>", "</s>", *"0123456789+-*=;#", "=3", "12"]
    vocabulary = {sign: number for number, sign in enumerate(signs)}
    core = Tokenizer(models.BPE(vocabulary, [("=", "3"), ("1", "2")]))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s"), "removed")
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)]
    )
    made = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")
    made.chat_template = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    return made


def one_by_one(table, tokenizer, max_tokens):
    """Return what `encode` should, written straight down: tokens, groups and pairs."""
    groups, kept, tokens, group = {}, {}, [], []
    for number, row in enumerate(table.trajectories()):
        text = render_prompt(tokenizer, row.prompt)
        said = row.completion
        said = said if isinstance(said, str) else said[0]["content"]
        prompt, both = encode_text(tokenizer, text), encode_text(tokenizer, text + said)
        boundary = 0
        while boundary < min(len(prompt), len(both)) and prompt[boundary] == both[boundary]:
            boundary += 1
        completion = both[boundary:]
        if not row.truncated and completion[-1:] != [tokenizer.eos_token_id]:
            completion = [*completion, tokenizer.eos_token_id]
        own = groups.setdefault(row.group, len(groups))
        if completion and boundary + len(completion) <= max_tokens:
            kept[number] = len(tokens)
            tokens.append(Tokens(both[:boundary], completion))
            group.append(own)
    pairs = [
        [kept[n], kept[n + 1]] for n in range(0, number, 2) if n in kept and n + 1 in kept
    ]  # fmt: skip
    return tokens, group, pairs


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Return data of every format and columns, more rows than are read at once."""
    rollouts = pd.read_parquet(BUILTIN_ROLLOUTS)[:700]
    rollouts.to_parquet(tmp_path / "rollouts.parquet")
    rollouts.to_json(tmp_path / "rollouts.jsonl", orient="records", lines=True)
    hub = tmp_path / "hub"  # a folder is read as a data set of the hub is
    hub.mkdir()
    rollouts.drop(columns="group_id").to_parquet(hub / "train.parquet")
    rows = rollouts.to_dict("records")
    pairs = [
        {"prompt": a["prompt"], "chosen": a["completion"], "rejected": b["completion"] * (n % 9)}
        for n, (a, b) in enumerate(zip(rows[::2], rows[1::2], strict=True))
    ]
    pd.DataFrame(pairs).to_parquet(tmp_path / "pairs.parquet")
    chat = [
        {side: [{"role": "user", "content": pair["prompt"]},
                {"role": "assistant", "content": pair[side]}] for side in ("chosen", "rejected")}
        for pair in pairs
    ]  # fmt: skip
    pd.DataFrame(chat).to_json(tmp_path / "chat.jsonl", orient="records", lines=True)
    labels = rollouts.assign(label=rollouts["reward"] > 0).drop(columns=["reward", "group_id"])
    labels.to_json(tmp_path / "labels.jsonl", orient="records", lines=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")
    return ["rollouts.parquet", "rollouts.jsonl", "hub", "pairs.parquet", "labels.jsonl",
            "chat.jsonl"]  # fmt: skip


def test_every_format_gives_what_rows_one_by_one_give(sources, tokenizer, merging):
    for source in sources:
        for reader in (tokenizer, merging):
            if source == "chat.jsonl" and reader is tokenizer:
                continue  # has no chat template
            table = read_table(source)
            encoded = encode(table, reader, 44)
            tokens, group, pairs = one_by_one(table, reader, 44)
            assert list(encoded.tokens) == tokens, source
            assert len(tokens) > 100
            assert encoded.group.tolist() == group
            assert (encoded.pairs is None) == (source not in ("pairs.parquet", "chat.jsonl"))
            if encoded.pairs is not None:
                assert encoded.pairs.tolist() == pairs
    # The token that spans the boundary is the completion's.
    assert any(merging.convert_ids_to_tokens(c)[0] == "=3" for _, c, _ in tokens)


def test_a_bad_row_far_down_is_named(sources, tokenizer):
    with open("rollouts.jsonl", "a") as lines:
        lines.write(json.dumps({"prompt": "1+2=", "completion": "#3", "reward": "good"}) + "\n")
    table = read_table("rollouts.jsonl")
    with pytest.raises(InputError, match=r"^rollouts\.jsonl row 701: reward is 'good'"):
        encode(table, tokenizer, 128)
    with open("rollouts.jsonl", "a") as lines:
        lines.write('{"prompt": \n')
    with pytest.raises(InputError, match=r"^rollouts\.jsonl line 702: not JSON"):
        list(table.source.batches())


def flat_tokens():
    rows = [Tokens([5, 6], [7]), Tokens([5], [6, 7]), Tokens([1, 2, 3], [4, 5])]
    return FlatTokens.of(rows), rows


def test_one_array_is_a_sequence_of_rows():
    tokens, rows = flat_tokens()
    assert list(tokens) == rows
    assert tokens[-1] == rows[2]
    assert list(tokens[1:]) == rows[1:]
    assert tokens.lengths.tolist() == [3, 3, 5]
    with pytest.raises(IndexError):
        tokens[3]
    assert len(FlatTokens.of([])) == 0


def test_parts_tell_the_boundary_and_the_order():
    tokens, _ = flat_tokens()
    seen = {
        tuple(part.numpy().tobytes() for part in tokens.parts(torch.tensor(rows)))
        for rows in ([0], [1], [0, 1], [1, 0], [2])
    }
    assert len(seen) == 5
    assert [p.tolist() for p in tokens.parts(torch.tensor([2, 0]))][1] == [1, 2, 3, 4, 5, 5, 6, 7]


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(dataset, "LARGE", 0)


def same(one, other):
    assert list(one.tokens) == list(other.tokens)
    for name in ("reward", "group", "weight"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert one.left_out == other.left_out
    assert (one.pairs is None) == (other.pairs is None)
    assert one.pairs is None or torch.equal(one.pairs, other.pairs)


@pytest.mark.usefixtures("large")
def test_ids_on_disk_are_those_in_memory_and_are_made_once(
    sources, tokenizer, tmp_path, monkeypatch
):
    cache = tmp_path / "cache"
    for source in sources[:-1]:
        in_memory = encode(read_table(source), tokenizer, 44)
        same(encode(read_table(source), tokenizer, 44, cache), in_memory)
        with monkeypatch.context() as patch:
            patch.setattr(dataset, "Encoder", None)  # would fail
            same(encode(read_table(source), tokenizer, 44, cache), in_memory)
    # Another length, and other content under the same name, are other files.
    before = len(list(cache.glob("*.ids")))
    encode(read_table("rollouts.jsonl"), tokenizer, 43, cache)
    pd.read_parquet(BUILTIN_ROLLOUTS)[:500].to_parquet("rollouts.parquet")
    assert len(encode(read_table("rollouts.parquet"), tokenizer, 128, cache).tokens) == 500
    assert len(list(cache.glob("*.ids"))) == before + 2
    assert not list(cache.glob("*.partial"))


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("spoilt", ["ids", "safetensors"])
def test_a_file_that_was_cut_short_is_made_again(sources, tokenizer, tmp_path, spoilt, capsys):
    table = read_table("pairs.parquet")
    whole = encode(table, tokenizer, 128, tmp_path / "cache")
    whole = whole._replace(tokens=whole.tokens[:])  # off the disk
    (file,) = (tmp_path / "cache").glob(f"*.{spoilt}")
    file.write_bytes(file.read_bytes()[:-4])
    capsys.readouterr()
    same(encode(table, tokenizer, 128, tmp_path / "cache"), whole)
    assert "is not whole: made again" in capsys.readouterr().out


@pytest.mark.usefixtures("large")
def test_one_makes_it_and_others_wait(sources, tokenizer, tmp_path, monkeypatch):
    made, write = [], token_file._write
    monkeypatch.setattr(token_file, "_write", lambda *a: made.append(a) or write(*a))

    def start(_):
        return encode(read_table("rollouts.jsonl"), tokenizer, 128, tmp_path / "cache")

    with ThreadPoolExecutor(3) as pool:
        first, *others = pool.map(start, range(3))
    assert len(made) == 1
    for other in others:
        same(first, other)


@contextmanager
def full_disk(size):
    """Let no file grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("large")
def test_a_full_disk_gets_one_line_and_leaves_nothing_half_done(sources, tokenizer, tmp_path):
    table, cache = read_table("rollouts.jsonl"), tmp_path / "cache"
    for size in (1000, 10_000):  # met by the tokenizer's copy, then by the ids
        with full_disk(size), pytest.raises(InputError, match=r"free some space.*--token-cache"):
            encode(table, tokenizer, 128, cache)
        assert not [*cache.glob("*.partial"), *cache.glob("*.safetensors")]
    same(encode(table, tokenizer, 128, cache), encode(table, tokenizer, 128))
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        encode(table, tokenizer, 128, blocked)


def test_small_data_leave_no_file_and_the_flag_names_the_folder(sources, tmp_path, monkeypatch):
    def start(token_cache):
        set_up(Config(data="rollouts.jsonl", eval_problems="none", token_cache=token_cache))

    start(str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(dataset, "LARGE", 0)
    start(str(tmp_path / "cache"))
    start("auto")
    for folder in (tmp_path / "cache", tmp_path / "hf" / "objective-zoo"):
        assert len(list(folder.glob("*.ids"))) == 1
    start("off")
    assert len(list(tmp_path.rglob("*.ids"))) == 2
