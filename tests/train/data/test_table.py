"""Tables of trajectories, their tokens, units and batches."""

import pandas as pd
import pytest
import torch

from objectives import OBJECTIVES
from objectives.errors import InputError
from train.data.micro_batches import micro_batch
from train.data.offline import unit_indices
from train.data.table import read_table
from train.data.tokenized import encode
from train.data.units import select_units
from train.models.load import load_model


@pytest.fixture(scope="module")
def tokenizer():
    return load_model("builtin")[1]


ROLLOUTS = [
    {"prompt": "1+2=", "completion": "#3", "reward": 1.0, "group_id": 4},
    {"prompt": "1+2=", "completion": "#4", "reward": -1.0, "group_id": 4},
    {"prompt": "1+2=", "completion": "#5;", "reward": -1.0, "group_id": 4, "truncated": True},
    {"prompt": "2*2=", "completion": "#4", "reward": 1.0, "group_id": 9},
]


def test_rollouts_from_json_lines_and_parquet_are_the_same(write_rows, tmp_path):
    path = tmp_path / "rows.parquet"
    pd.DataFrame(ROLLOUTS).fillna({"truncated": False}).to_parquet(path)
    sources = write_rows(ROLLOUTS), str(path)
    one, other = (list(read_table(source).trajectories()) for source in sources)
    assert [t._replace(where="") for t in one] == [t._replace(where="") for t in other]
    assert [t.where for t in one] == [f"{sources[0]} row {n}" for n in (1, 2, 3, 4)]
    assert one[2].truncated


def test_preference_pairs_become_two_rows_each(write_rows, tokenizer):
    rows = [
        {"prompt": "1+2=", "chosen": "#3", "rejected": "#4", "weight": 2.0},
        {"prompt": "2+2=", "chosen": "#4", "rejected": "#5"},
    ]
    table = read_table(write_rows(rows))
    encoded = encode(table, tokenizer, 128)
    assert encoded.pairs.tolist() == [[0, 1], [2, 3]]
    assert encoded.reward.tolist() == [1, -1, 1, -1]
    assert encoded.weight.tolist() == [2, 1, 1, 1]  # a pair has the product: 2 and 1


def test_labels_and_conversations(write_rows):
    user = {"role": "user", "content": "1+2="}
    answers = [{"role": "assistant", "content": text} for text in ("#3", "#4")]
    labelled = read_table(
        write_rows([{"prompt": [user], "completion": [answers[0]], "label": False}])
    )
    assert next(labelled.trajectories())[:3] == ([user], [answers[0]], -1.0)
    implicit = read_table(
        write_rows([{"chosen": [user, answers[0]], "rejected": [user, answers[1]]}])
    )
    assert [t.prompt for t in implicit.trajectories()] == [[user], [user]]
    assert [t.completion for t in implicit.trajectories()] == [[answer] for answer in answers]


def test_completions_end_with_end_of_sequence_unless_truncated(write_rows, tokenizer):
    encoded = encode(read_table(write_rows(ROLLOUTS)), tokenizer, 128)
    end = tokenizer.eos_token_id
    assert [row.completion[-1] == end for row in encoded.tokens] == [True, True, False, True]
    assert tokenizer.decode(encoded.tokens[0].prompt) == "1+2="


def test_completions_end_as_they_are_where_there_is_no_end_of_sequence(write_rows):
    endless = load_model("builtin")[1]
    endless.eos_token = None
    encoded = encode(read_table(write_rows(ROLLOUTS)), endless, 128)
    assert encoded.tokens[0].completion == endless("#3")["input_ids"]


def test_sampled_ids_are_kept_only_where_they_spell_the_completion(write_rows, tokenizer):
    ids = [*tokenizer("#3")["input_ids"], tokenizer.eos_token_id]
    rows = [{**ROLLOUTS[0], "completion_ids": ids}, {**ROLLOUTS[1], "completion_ids": ids}]
    encoded = encode(read_table(write_rows(rows)), tokenizer, 128)
    assert encoded.tokens[0].completion == ids
    assert tokenizer.decode(encoded.tokens[1].completion, skip_special_tokens=True) == "#4"


def test_long_and_empty_completions_are_left_out_and_counted(write_rows, tokenizer):
    rows = [*ROLLOUTS, {**ROLLOUTS[0], "completion": "1" * 90}]
    rows.append({**ROLLOUTS[2], "completion": ""})
    encoded = encode(read_table(write_rows(rows)), tokenizer, 40)
    assert encoded.left_out == {"longer than 40 tokens": 1, "completion without tokens": 1}
    assert len(encoded.tokens) == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "1", "reward": 1}], "no column completion"),
        ([{"prompt": "1", "chosen": "2"}], "no column rejected"),
        ([{**ROLLOUTS[0]}, {**ROLLOUTS[0], "reward": float("nan")}], "row 2: reward is nan"),
        ([{**ROLLOUTS[0], "reward": "good"}], "row 1: reward is 'good'"),
        ([{**ROLLOUTS[0], "prompt": 3}], "row 1: prompt is 3"),
        ([{**ROLLOUTS[0], "completion": None}], "row 1: completion is None"),
        ([{"prompt": "1", "completion": "2", "label": "yes"}], "row 1: label is 'yes'"),
        ([], "holds no rows"),
    ],
)
def test_bad_rows_are_named(write_rows, rows, message):
    with pytest.raises(InputError, match=message):
        read_table(write_rows(rows))


def test_unreadable_files_are_named(tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": "1"}\n{"prompt"\n')
    with pytest.raises(InputError, match="line 2: not JSON"):
        read_table(str(broken))
    parquet = tmp_path / "broken.parquet"
    parquet.write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_table(str(parquet))
    with pytest.raises(InputError, match="no such file"):
        read_table("missing.parquet")


def test_a_prompt_longer_than_the_context_is_left_out_with_its_completion(write_rows, tokenizer):
    pair = {"prompt": "1+2=", "chosen": "#3", "rejected": "#4"}
    rows = [pair, {**pair, "prompt": "1+" * 80}, {**pair, "chosen": "#" * 200}]
    encoded = encode(read_table(write_rows(rows)), tokenizer, 128)
    assert encoded.left_out == {"prompt of 128 tokens or more": 2, "longer than 128 tokens": 1}
    assert encoded.pairs.tolist() == [[0, 1]]
    with pytest.raises(InputError, match=r"all trajectories are left out .2 prompt of 128 tokens"):
        units(encode(read_table(write_rows(rows[1:2])), tokenizer, 128), "dpo")


def test_a_token_beyond_the_embedding_is_refused_by_row(write_rows, tokenizer):
    table = read_table(write_rows([{"prompt": "1+2=", "chosen": "#3", "rejected": "#4"}] * 2))
    highest = tokenizer.convert_tokens_to_ids("4")
    assert len(encode(table, tokenizer, 128, vocabulary=len(tokenizer)).tokens) == 4
    with pytest.raises(InputError, match=r"rows.jsonl row 1: it has the token '#' \(id \d+\), and"):
        encode(table, tokenizer, 128, vocabulary=highest)


def units(encoded, name, rows="auto", advantage="auto"):
    return select_units(encoded, OBJECTIVES[name], rows, advantage)


def test_every_objective_sees_the_same_rows(write_rows, tokenizer):
    encoded = encode(read_table(write_rows(ROLLOUTS)), tokenizer, 128)
    assert units(encoded, "dpo").rows.tolist() == [[0, 1], [0, 2]]
    assert torch.equal(units(encoded, "fpa").rows, units(encoded, "dpo").rows)
    assert units(encoded, "fpa").left_out == {"of prompts all correct or all incorrect": 1}
    assert units(encoded, "fpa", rows="all").rows.flatten().tolist() == [0, 1, 2, 3]
    assert units(encoded, "sft").rows.tolist() == [[0]]
    assert units(encoded, "sft", rows="all").rows.tolist() == [[0], [3]]
    # Normalised in the whole group: (1 - (-1/3)) / sqrt(8/9)
    expected = [2**0.5, -(2**-0.5), -(2**-0.5), 0]
    assert units(encoded, "grpo").reward.tolist() == pytest.approx(expected)
    assert units(encoded, "grpo", rows="all").rows.flatten().tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["dpo", "sft"])
def test_nothing_to_train_on_is_said(write_rows, tokenizer, name):
    encoded = encode(read_table(write_rows(ROLLOUTS[1:3])), tokenizer, 128)
    with pytest.raises(InputError, match="2 trajectories 0 are correct"):
        units(encoded, name)


def test_order_of_the_data_is_a_function_of_step_and_seed():
    steps = [unit_indices(10, 4, step, seed=3) for step in range(5)]
    seen = torch.cat(steps)
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()
    assert torch.equal(unit_indices(10, 4, 3, seed=3), steps[3])
    assert not torch.equal(unit_indices(10, 4, 3, seed=4), steps[3])
    assert len(unit_indices(3, 8, 0, seed=0)) == 8  # a batch larger than the data repeats it


def test_micro_batches_keep_pairs_together(write_rows, tokenizer):
    encoded = encode(read_table(write_rows(ROLLOUTS)), tokenizer, 128)
    chosen = units(encoded, "dpo")
    micros = [micro_batch(encoded, chosen.reward, part, 3.0) for part in chosen.rows.split(1)]
    assert [m.batch.pairs.tolist() for m in micros] == [[[0, 1]], [[0, 1]]]
    assert [m.index.tolist() for m in micros] == [[0, 1], [0, 2]]
    assert micros[0].batch.mean_length.tolist() == [3.0, 3.0]


def test_rows_without_a_reward_are_all_right(write_rows, tokenizer):
    rows = [{"prompt": "1+2=", "completion": "#3"}, {"prompt": "2+2=", "completion": "#4"}]
    encoded = encode(read_table(write_rows(rows)), tokenizer, 128)
    assert units(encoded, "sft").rows.tolist() == [[0], [1]]
    for name in ("dpo", "grpo"):
        with pytest.raises(InputError, match=rf"{name} finds nothing .* sft alone learns from"):
            units(encoded, name)


def test_columns_that_are_not_used_are_said(write_rows, tokenizer):
    rows = [{"prompt": "1+2=", "chosen": "#3", "rejected": "#4", "score": 2, "images": []}]
    assert encode(read_table(write_rows(rows)), tokenizer, 128).notes == [
        "columns not used: score, images"
    ]
