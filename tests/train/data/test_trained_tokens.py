"""Completions of which others wrote a part: what is trained of them, all the way to the loss."""

import copy

import pytest
import torch

from diagnostics.trajectories import completion_log_probs, learnt, pack
from tests.helpers import tiny
from train.data.input_rows import collate
from train.data.offline import mean_length
from train.data.tokenized import TokenizedData
from train.data.tokens import FlatTokens, Tokens
from train.learning.divergence import mismatched_ratios
from train.models.language_model import open_model
from train.models.reference_states import lay_out, reference_states

# The assistant, then a user, then the assistant; the two sides of a pair, and one of one turn.
ROWS = [
    Tokens([5, 6, 7, 8], [9, 10, 0, 11, 12, 13, 1], [True, True, False, False, True, True, True]),
    Tokens([5, 6, 7, 8], [9, 10, 0, 11, 12, 14, 1], [True, True, False, False, True, True, True]),
    Tokens([3], [4, 1]),
    Tokens([3], [2, 4, 5, 1], [True, False, False, True]),
]


def data(rows):
    reward = torch.tensor([1.0, -1.0] * (len(rows) // 2))
    group = torch.arange(len(rows)) // 2
    return TokenizedData(
        FlatTokens.of(rows), reward, group, torch.ones(len(rows)), None, {}, 9, 0
    )  # fmt: skip


def logits_of(model, row):
    ids = torch.tensor([row.whole])
    return model.model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)


def expected(model, row):
    """Return the log-probs of the trained tokens, straight from the model's logits."""
    seen = logits_of(model, row)
    marks = [False] * len(row.prompt) + (row.trained or [True] * len(row.completion))
    return [seen[n - 1, row.whole[n]].item() for n, mark in enumerate(marks) if mark]


def float32(name):
    return open_model(copy.deepcopy(tiny.model(name)).float())


@pytest.fixture(scope="module")
def model():
    return float32("qwen2 tied")


def test_rows_come_back_as_they_were_with_what_is_trained():
    flat = FlatTokens.of(ROWS)
    assert list(flat) == ROWS
    assert list(flat[1:3]) == ROWS[1:3]
    assert flat.trained.tolist() == [5, 5, 2, 2]
    assert flat.completions.tolist() == [7, 7, 2, 4]
    assert ROWS[0].learnt == learnt(ROWS[0]) == [9, 10, 12, 13, 1]
    assert ROWS[2].learnt == learnt(ROWS[2][:2]) == [4, 1]
    assert mean_length(data(ROWS), torch.tensor([0, 3])) == 3.5


def test_what_is_trained_is_part_of_what_the_reference_cache_is_known_by():
    other = [ROWS[0]._replace(trained=[True] * 6 + [False]), *ROWS[1:]]
    seen = {
        tuple(part.numpy().tobytes() for part in FlatTokens.of(rows).parts(torch.arange(4)))
        for rows in (ROWS, other)
    }
    assert len(seen) == 2


@pytest.mark.parametrize(("width", "paired"), [(None, False), (10**6, True), (10**6, False)])
def test_log_probs_are_those_of_the_trained_tokens(model, width, paired):
    rows = collate(ROWS, width=width, paired=paired)
    assert (rows.branch is not None) == (width is not None)
    assert rows.mask.tolist() == [[True] * 5, [True] * 5, *[[True] * 2 + [False] * 3] * 2]
    assert rows.targets.tolist() == [token for row in ROWS for token in row.learnt]
    assert int(rows.tokens) == 11 + 11 + 3 + 5
    ours = model.log_probs(rows)
    for row, values in zip(ROWS, ours, strict=True):
        assert values.tolist()[: len(row.learnt)] == pytest.approx(expected(model, row), abs=1e-4)


def test_diagnostics_measure_the_trained_tokens(model):
    packed = pack(ROWS)
    assert packed.targets[0].tolist() == [9, 10, 12, 13, 1]
    values = completion_log_probs(model.model, packed)
    for row, own in zip(ROWS, values, strict=True):
        assert own.tolist()[: len(row.learnt)] == pytest.approx(expected(model, row), abs=1e-4)
    with pytest.raises(ValueError, match="completion without tokens"):
        pack([([1], [2], [False])])


def test_the_reference_keeps_states_of_the_trained_tokens_only(model, tmp_path):
    held = data(ROWS)
    layout = lay_out(held, torch.arange(4), model)
    assert layout.tokens == 14
    states, read = reference_states(model, held, layout, tmp_path, tmp_path / "run")
    assert read == 30
    index = torch.tensor([3, 0])
    with torch.no_grad():
        direct = model.hidden(collate([ROWS[3], ROWS[0]]))
    torch.testing.assert_close(states.hidden(index, torch.device("cpu")), direct)


def test_completions_of_other_prompts_keep_what_is_trained_of_them(model):
    other = float32("llama tied")
    ratios = mismatched_ratios(model, other, data(ROWS), torch.arange(4), 2)
    # Row 0 gets the completion of row 2 or 3, and so on; cut to 9 tokens in all.
    swapped = [
        {
            sum(expected(model, row)) - sum(expected(other, row))
            for theirs in others
            for row in [
                Tokens(own.prompt, theirs.completion[: 9 - len(own.prompt)],
                       theirs.trained and theirs.trained[: 9 - len(own.prompt)])
            ]
        }
        for own, others in zip(ROWS, [ROWS[2:], ROWS[2:], ROWS[:2], ROWS[:2]], strict=True)
    ]  # fmt: skip
    for ratio, possible in zip(ratios.tolist(), swapped, strict=True):
        assert any(ratio == pytest.approx(value, abs=1e-3) for value in possible)


def test_ratios_of_models_in_float64_are_float64():
    models = [
        open_model(copy.deepcopy(tiny.model(name))) for name in ("llama untied", "llama tied")
    ]
    ratios = mismatched_ratios(*models, data(ROWS), torch.arange(4), 2)
    assert ratios.dtype == torch.float64
    near = mismatched_ratios(
        float32("llama untied"), float32("llama tied"), data(ROWS), torch.arange(4), 2
    )
    torch.testing.assert_close(ratios, near.double(), atol=1e-4, rtol=1e-4)
