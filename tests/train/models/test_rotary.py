"""Rotary frequencies that depend on a call's longest row: rows are as they are by themselves."""

import pytest
import torch

from eval.generation import generate
from objectives.errors import InputError
from tests.helpers.architectures import tiny
from tests.helpers.versions import NEEDS_RECENT, RECENT
from train.builtin.base_model import make_tokenizer
from train.data.input_rows import collate
from train.data.tokens import Tokens
from train.models.language_model import open_model, sharing_width

SIZE = len(make_tokenizer())
SHORT, LONG = 16, 64  # the length that a model was first trained on, and its context
LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
LATER = {**LONGROPE, "original_max_position_embeddings": 2 * SHORT}
ROPES = {
    "default": {}, "linear": {"factor": 4.0}, "dynamic": {"factor": 4.0}, "yarn": {"factor": 4.0},
    "llama3": {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    "proportional": {"partial_rotary_factor": 0.5}, "longrope": LONGROPE,
}  # fmt: skip
SCALED = {"short_mscale": 1.0, "long_mscale": 1.3}
MODELS = {
    **{("llama", name): rope for name, rope in ROPES.items()},
    **{("gpt_oss", name): ROPES[name] for name in ("dynamic", "longrope")},
    ("phi3", "longrope"): LONGROPE,
    **{("phimoe", name): {**ROPES[name], **SCALED} for name in ("longrope", "yarn")},
    # Each kind of layers has its own.
    ("gemma3_text", "longrope"): {"full_attention": LONGROPE, "sliding_attention": LATER},
    ("gemma3_text", "dynamic"): {"full_attention": {"rope_type": "dynamic", "factor": 4.0},
                                 "sliding_attention": {"rope_type": "default"}},
}  # fmt: skip
if not RECENT:  # Gemma 3 of before has no long frequencies
    del MODELS["gemma3_text", "longrope"]
IDS = (torch.arange(LONG) * 7 % SIZE).tolist()
ROWS = [
    Tokens(IDS[:20], IDS[20:46]), Tokens(IDS[:4], IDS[5:9]), Tokens(IDS[3:9], IDS[9:19]),
    Tokens(IDS[:4], IDS[9:14]),
]  # fmt: skip
PROMPTS = ["1+2=", "9-3*2+1=9-3*2+1=", "4", "7+7-2=", "1*2+3-4*5=", "8-8+1*2=3;4*5"]


def made(kind, name, context=LONG):
    rope = MODELS[kind, name]
    own = {"rope_theta": 1e4, "original_max_position_embeddings": SHORT}
    if name in ("default", "linear", "dynamic", "proportional"):
        del own["original_max_position_embeddings"]
    layered = any(isinstance(value, dict) for value in rope.values())
    rope = {k: {**own, **v} for k, v in rope.items()} if layered else {
        "rope_type": name, **own, **rope
    }  # fmt: skip
    more = {"original_max_position_embeddings": SHORT} if kind == "phi3" else {}
    more |= {"layer_types": ["full_attention", "sliding_attention"]} if layered else {}
    return tiny(kind, SIZE, max_position_embeddings=context, rope_parameters=rope, **more)


@pytest.mark.parametrize(("kind", "name"), MODELS)
@torch.no_grad()
def test_log_probs_do_not_depend_on_longer_rows(kind, name):
    opened = open_model(made(kind, name))
    for width in {None, sharing_width(opened)}:
        together = opened.log_probs(collate(ROWS, width=width))
        for row, (prompt, completion, _) in zip(together, ROWS, strict=True):
            logits = opened.model(torch.tensor([prompt + completion]), use_cache=False).logits[0]
            theirs = logits[len(prompt) - 1 : -1].log_softmax(-1)
            theirs = theirs[torch.arange(len(completion)), torch.tensor(completion)]
            torch.testing.assert_close(row[: len(completion)], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "name"), MODELS)
@torch.no_grad()
def test_what_is_sampled_is_most_probable_in_a_plain_pass(kind, name):
    """Other than some models' own generate, which keeps keys of the frequencies of short rows."""
    model, tokenizer = made(kind, name), make_tokenizer()
    ours = generate(model, tokenizer, PROMPTS, temperature=0, max_new_tokens=40)
    for prompt, (completion,) in zip(PROMPTS, ours, strict=True):
        ids = tokenizer(prompt)["input_ids"]
        for token in completion.tokens:
            assert token == model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()
            ids.append(token)


@NEEDS_RECENT
@torch.no_grad()
def test_phi_s_own_generate_reads_a_row_again_where_its_frequencies_turn():
    model, tokenizer = made("phi3", "longrope"), make_tokenizer()
    ours = generate(model, tokenizer, PROMPTS, temperature=0, max_new_tokens=40)
    for prompt, (completion,) in zip(PROMPTS, ours, strict=True):
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        theirs = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                max_new_tokens=40, eos_token_id=1, pad_token_id=0)  # fmt: skip
        assert completion.tokens == theirs[0, ids.shape[1] :].tolist()


def test_a_seeded_sample_does_not_depend_on_its_batch_where_frequencies_turn():
    model, tokenizer = made("llama", "longrope"), make_tokenizer()
    how = {"samples": 3, "max_new_tokens": 20, "seed": 5}
    together = generate(model, tokenizer, PROMPTS, **how)
    for key, prompt in enumerate(PROMPTS):
        assert generate(model, tokenizer, [prompt], keys=[key], **how) == together[key : key + 1]


@pytest.mark.parametrize("kind", ["llama", "gemma3_text"])
def test_rows_for_which_frequencies_are_stretched_are_refused(kind):
    opened = open_model(made(kind, "dynamic", context=48))
    opened.log_probs(collate([Tokens(IDS[:20], IDS[20:48])]))
    with pytest.raises(InputError, match=r"rows of 49 tokens: .* beyond 48 \(dynamic NTK\)"):
        opened.log_probs(collate([Tokens(IDS[:20], IDS[20:49]), ROWS[1]]))
    with pytest.raises(InputError, match="context of 48"):
        generate(opened.model, make_tokenizer(), ["1+2="], max_new_tokens=45)
