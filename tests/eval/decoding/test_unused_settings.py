"""A model's own settings of generation that sampling leaves aside are named, at every door."""

import pytest

from eval.decoding.unused_settings import unused_settings
from eval.generation import generate
from tests.helpers.architectures import tiny
from train.builtin.base_model import make_tokenizer
from train.config import Config
from train.models.load import load_for_sampling
from train.run.setup import set_up

SIZE = len(make_tokenizer())
PENALTIES = {
    "repetition_penalty": 1.5, "no_repeat_ngram_size": 3, "suppress_tokens": [4, 5],
    "bad_words_ids": [[6]], "min_new_tokens": 2, "top_k": 20,
    "do_sample": True,
}  # fmt: skip
NAMED = (
    "repetition_penalty 1.5, no_repeat_ngram_size 3, bad_words_ids [[6]], suppress_tokens [4, 5], "
    "min_new_tokens 2, top_k 20 ("
)


@pytest.fixture
def model():
    made = tiny("llama", SIZE)
    made.generation_config.update(**PENALTIES)
    return made


def test_settings_that_change_nothing_are_not_named(model):
    settings = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "suppress_tokens": [],
                "bad_words_ids": None, "min_new_tokens": 0, "top_k": None}  # fmt: skip
    model.generation_config.update(**settings, temperature=0.6, do_sample=True, max_length=20)
    assert unused_settings(model) is None
    model.generation_config.update(bad_words_ids=[[4]] * 30)
    assert "generation: bad_words_ids (" in unused_settings(model)


def test_samples_are_of_the_plain_distribution(model):
    plain = tiny("llama", SIZE)
    how = {"samples": 20, "max_new_tokens": 12, "seed": 1}
    assert generate(model, make_tokenizer(), ["1+2="], **how) == generate(
        plain, make_tokenizer(), ["1+2="], **how
    )


def test_every_door_that_samples_names_them(model, tmp_path, capsys):
    model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    load_for_sampling(str(tmp_path), "cpu", "float32")
    assert NAMED in capsys.readouterr().out
    asked = Config(model=str(tmp_path), steps=0, eval_limit=2)
    assert set_up(asked).describe().count(NAMED) == 1
    silent = Config(model=str(tmp_path), steps=0, eval_problems="none")
    assert NAMED not in set_up(silent).describe()
    online = Config(model=str(tmp_path), steps=0, eval_problems="none", online=True)
    assert NAMED in set_up(online).describe()
