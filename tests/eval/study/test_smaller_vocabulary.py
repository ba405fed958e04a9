"""A model over fewer tokens computes what it did of them, and texts are tokenised as before."""

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from eval.study.word_problems.smaller_vocabulary import cut_vocabulary
from eval.study.word_problems.splitting import split, strings
from objectives.errors import InputError
from tests.helpers.templates import tokenizer
from tests.helpers.tiny import SIZES
from train.models.load import load_model

MERGES = [("t", "h"), ("th", "e"), ("a", "t"), ("c", "at"), ("d", "o"), ("do", "g")]
TEXT = "the cat, that"


@pytest.fixture
def whole():
    return tokenizer("chatml", merges=MERGES)


def a_model(whole, tied: bool):
    torch.manual_seed(0)
    own = {"vocab_size": len(whole), "eos_token_id": whole.eos_token_id, "pad_token_id": None}
    model = LlamaForCausalLM(LlamaConfig(**SIZES | own, tie_word_embeddings=tied)).eval()
    model.generation_config.eos_token_id = [whole.eos_token_id]
    return model


@pytest.mark.parametrize("tied", [True, False])
def test_logits_of_kept_tokens_are_what_they_were(whole, tied, tmp_path):
    model = a_model(whole, tied)
    ids = whole(TEXT)["input_ids"]
    with torch.inference_mode():
        before = model(torch.tensor([ids])).logits[0]
    count = cut_vocabulary(model, whole, [TEXT], tmp_path)
    small, own = load_model(str(tmp_path))
    assert {"the", "cat", "th", "at", "z"} <= set(own.get_vocab())
    assert not {"dog", "do"} & set(own.get_vocab())
    assert count == len(own) == len(whole) - 2
    assert own.eos_token == whole.eos_token
    assert small.config.eos_token_id == own.eos_token_id
    assert small.generation_config.eos_token_id == [own.eos_token_id]
    names = own.convert_ids_to_tokens(range(count))
    kept = whole.convert_tokens_to_ids(names)
    moved = own(TEXT)["input_ids"]
    assert [kept[token] for token in moved] == ids
    with torch.inference_mode():
        after = small(torch.tensor([moved])).logits[0]
    torch.testing.assert_close(after, before[:, kept])
    assert (small.get_input_embeddings().weight is small.get_output_embeddings().weight) == tied
    # What is not among the texts can still be spelled.
    assert own.decode(own("a dog")["input_ids"]) == "a dog"


def test_a_tokenizer_of_another_kind_is_refused(whole, tmp_path):
    core = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    words = PreTrainedTokenizerFast(tokenizer_object=core)
    with pytest.raises(InputError, match="only a tokenizer that is a byte-pair encoding"):
        cut_vocabulary(a_model(whole, tied=True), words, ["a"], tmp_path)


def test_problems_are_split_by_problem():
    rows = [{"question": f"{n % 7}", "answer": n % 7} for n in range(12)]
    parts = split(rows, trained=4)
    assert [len(part) for part in parts.values()] == [4, 3]
    assert {row["answer"] for part in parts.values() for row in part} == set(range(7))
    assert parts == split(rows, trained=4)
    with pytest.raises(InputError, match="7 different problems: more than 7 are needed"):
        split(rows, trained=7)


def test_strings_are_found_however_deep():
    assert list(strings([{"a": "b", "c": ["d", 1, {"e": "f"}]}, None])) == ["b", "d", "f"]
