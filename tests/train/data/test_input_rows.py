"""Trajectories as tensors: completions marked, and beginnings computed once for all who share."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.helpers import tiny
from tests.helpers.started_runs import started, with_config
from train.config.settings import Config
from train.data.input_rows import collate, worthwhile
from train.data.micro_batches import unit_shapes
from train.data.table import read_table
from train.data.tokens import FlatTokens, Tokens
from train.models.language_model import open_model, sharing_width
from train.run.setup import set_up

# A prompt and what two completions begin with alike; then rows of other lengths.
PAIR = [Tokens([5, 6, 7, 8], [9, 10, 11, 1]), Tokens([5, 6, 7, 8], [9, 12, 1])]
LONE = Tokens([3], [4, 1])
WIDTH = 64


def test_completions_point_at_the_token_before_each_of_theirs():
    rows = collate([Tokens([5, 6, 7], [8, 9]), Tokens([1], [2, 3, 4, 5])])
    assert rows.input_ids.tolist() == [[5, 6, 7, 8, 9], [1, 2, 3, 4, 5]]
    assert rows.mask.tolist() == [[True, True, False, False], [True] * 4]
    assert rows.row.tolist() == [0, 0, 1, 1, 1, 1]
    assert rows.position.tolist() == [2, 3, 0, 1, 2, 3]
    assert rows.targets.tolist() == [8, 9, 2, 3, 4, 5]
    assert rows.inputs().keys() == {"input_ids"}  # no mask, so that attention may be fastest


def test_a_pair_shares_what_it_begins_with():
    rows = collate(PAIR, width=WIDTH, paired=True)
    assert rows.input_ids.tolist() == [[5, 6, 7, 8, 9, 10, 11, 1, 12, 1]]
    assert rows.place.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7, 5, 6]]
    assert rows.branch.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 2, 2]]
    assert rows.mask.tolist() == [[True] * 4, [True, True, True, False]]
    assert rows.row.tolist() == [0] * 7
    assert rows.position.tolist() == [3, 4, 5, 6, 3, 4, 8]
    assert rows.targets.tolist() == [9, 10, 11, 1, 9, 12, 1]
    assert (int(rows.tokens), int(rows.attention_mask.sum())) == (15, 10)
    seen = rows.inputs()["attention_mask"][0, 0]
    assert seen[7].nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert seen[9].nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 8, 9]


def test_trajectories_of_a_prompt_come_into_one_row_in_any_order():
    rows = collate([PAIR[0], LONE, PAIR[1]], width=WIDTH)
    assert rows.input_ids.tolist() == [[5, 6, 7, 8, 9, 10, 11, 1, 12, 1], [3, 4, 1] + [0] * 7]
    assert rows.row.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0]
    assert rows.position.tolist() == [3, 4, 5, 6, 0, 1, 3, 4, 8]


def test_nothing_is_shared_where_it_does_not_pay():
    short, long = [Tokens([1], [2, 3]), Tokens([1], [4, 5])], [1] * 40
    assert collate(PAIR).branch is None
    assert collate([PAIR[0], LONE], width=WIDTH).branch is None
    # Attention over both would cost more than the prompt, where the model is narrow.
    wide = [Tokens([7] * 8, [2, *long]), Tokens([7] * 8, [3, *long])]
    assert collate(wide, width=4096, paired=True).branch is not None
    assert collate(wide, width=4, paired=True).branch is None
    assert collate(short, width=WIDTH, paired=True).branch is not None
    assert worthwhile([94], [50, 50], 10**9)
    assert not worthwhile([96], [50, 50], 10**9)


ids = st.lists(st.integers(1, 18), min_size=1, max_size=6)


@settings(max_examples=30)
@given(st.lists(st.tuples(ids, ids, ids, ids), min_size=1, max_size=3), st.booleans())
def test_shared_or_not_log_probs_and_gradients_are_the_same(drawn, paired):
    tokens = [
        Tokens(prompt, [*begin, *end])
        for prompt, begin, *ends in drawn
        for end in ends
    ]  # fmt: skip
    model = open_model(tiny.model("qwen2 tied"))
    results = []
    # A wide model would save by it, whatever the lengths.
    for width in (None, 10**6):
        rows = collate(tokens, width=width, paired=paired)
        model.model.zero_grad()
        assert rows.row.shape == rows.position.shape == rows.targets.shape
        hidden = model.hidden(rows)
        logits = model.head.logits(hidden).log_softmax(-1)
        log_probs = logits.gather(-1, rows.targets[:, None])
        weight = torch.linspace(-1, 1, len(log_probs), dtype=torch.float64)[:, None]
        (weight * log_probs).sum().backward()
        gradients = [p.grad.clone() for p in model.model.parameters()]
        results.append((rows.mask, rows.tokens, log_probs.detach(), gradients))
    for apart, shared in zip(*results, strict=True):
        torch.testing.assert_close(shared, apart)


def test_the_budget_counts_the_rows_that_pairs_take():
    tokens = [*PAIR, *PAIR]
    encoded = type("Data", (), {"tokens": FlatTokens.of(tokens)})
    pairs = torch.arange(4).view(-1, 2)
    assert unit_shapes(encoded, pairs, None) == (2, [8, 8])
    assert unit_shapes(encoded, pairs, WIDTH) == (1, [10, 10])
    assert unit_shapes(encoded, torch.arange(4)[:, None], WIDTH) == (1, [8, 7, 8, 7])


SIZES = {**tiny.SIZES, "vocab_size": 40, "head_dim": 8, "bos_token_id": 1, "eos_token_id": 2}
MODELS = {
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "cohere": lambda: CohereForCausalLM(CohereConfig(**SIZES)),
    "granite": lambda: GraniteForCausalLM(GraniteConfig(**SIZES)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2)),
}
NOT_SHARING = {
    "a window": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES)),
    "no attention": lambda: MambaForCausalLM(
        MambaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, state_size=4)
    ),
    "no mask of ours": lambda: _without("attention_mask", MODELS["qwen2"]()),
    "no places of ours": lambda: _without("position_ids", MODELS["qwen2"]()),
}


def _without(name, model):
    """Make a model that takes an input and does not look at it."""
    model.model.register_forward_pre_hook(
        lambda _, given, named: (given, {**named, name: None}), with_kwargs=True
    )
    return model


@pytest.mark.parametrize("name", MODELS)
def test_models_that_can_share(name):
    torch.manual_seed(0)
    assert sharing_width(open_model(MODELS[name]().eval())) == 16


@pytest.mark.parametrize("name", NOT_SHARING)
def test_models_that_cannot(name):
    torch.manual_seed(0)
    assert sharing_width(open_model(NOT_SHARING[name]().eval())) is None


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    """A few problems, so that a step draws several trajectories of each."""
    table = read_table("builtin")
    rows = [row._asdict() for _, row in zip(range(24), table.trajectories(), strict=False)]
    file = tmp_path_factory.mktemp("few") / "rows.jsonl"
    names = ("prompt", "completion", "reward")
    file.write_text("".join(json.dumps({n: row[n] for n in names}) + "\n" for row in rows))
    config = Config(data=str(file), batch_size=8, eval_problems="none", learning_rate=1e-3)
    return set_up(replace(config, reference_cache="off"))


@pytest.mark.cpu
@pytest.mark.parametrize(
    ("objective", "how"),
    [
        ("dpo", {}),
        ("fpa_dpo", {"tokens_per_microbatch": 200, "gradient_checkpointing": True}),
        ("grpo", {"rows": "all", "batch_size": 16}),
        ("rpo", {"lora_rank": 2, "micro_batch_size": 6}),
    ],
)
def test_a_run_trains_the_same_and_computes_less(objective, how, setup, tmp_path):
    setup = with_config(setup, **how)
    apart = started(
        replace(setup, base=replace(setup.base, width=None)), objective, tmp_path / "apart"
    )
    shared = started(setup, objective, tmp_path / "shared")
    for run in (apart, shared):
        for step in (1, 2, 3):
            run.step(step)
    losses = [[line["loss"] for line in run.history] for run in (apart, shared)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4, abs=1e-6)
    assert shared.updater.cost.tokens_trained == apart.updater.cost.tokens_trained
    assert shared.updater.cost.tokens_shared > 0 == apart.updater.cost.tokens_shared
    assert shared.updater.cost.flops < apart.updater.cost.flops


def test_sharing_can_be_turned_off():
    config = Config(eval_problems="none")
    assert set_up(config).base.width == 128
    assert set_up(replace(config, share_prefixes="off")).base.width is None
