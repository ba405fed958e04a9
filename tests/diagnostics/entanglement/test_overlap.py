"""Token overlap against brute-force dynamic programming."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.entanglement.overlap import token_overlap

completions = st.lists(st.integers(0, 4), min_size=1, max_size=12)


def longest_common(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            longer = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else longer
    return table[-1][-1]


def edits(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


@given(completions, completions)
def test_against_dynamic_programming(a, b):
    found = token_overlap(a, torch.tensor(b))
    common = longest_common(a, b)
    assert len(found.aligned) == found.shared_a.sum() == found.shared_b.sum() == common
    assert found.overlap == pytest.approx(2 * common / (len(a) + len(b)))
    assert found.edit_distance == pytest.approx(edits(a, b) / max(len(a), len(b)))
    bag = sum(min(a.count(x), b.count(x)) for x in set(a))
    assert found.bag_overlap == pytest.approx(2 * bag / (len(a) + len(b)))
    assert a[: found.prefix] == b[: found.prefix]
    assert found.prefix in (len(a), len(b)) or a[found.prefix] != b[found.prefix]


@given(completions, completions)
def test_alignment_is_one(a, b):
    found = token_overlap(a, b)
    i, j = found.aligned.unbind(1)
    assert [a[k] for k in i] == [b[k] for k in j]
    assert (i.diff() > 0).all()
    assert (j.diff() > 0).all()
    assert found.aligned[: found.prefix].tolist() == [[k, k] for k in range(found.prefix)]
    assert found.shared_a.nonzero().flatten().tolist() == i.tolist()
    assert found.distinct_b.nonzero().flatten().tolist() == sorted(
        set(range(len(b))) - set(j.tolist())
    )


def test_by_hand():
    found = token_overlap([5, 6, 7, 8], [5, 7, 9, 8])
    assert found.prefix == 1
    assert found.aligned.tolist() == [[0, 0], [2, 1], [3, 3]]
    assert found.shared_a.tolist() == [True, False, True, True]
    assert found.distinct_b.tolist() == [False, False, True, False]
    assert found.overlap == 6 / 8
    assert found.edit_distance == 2 / 4


def test_identical_and_disjoint():
    same = token_overlap([3, 4, 4], [3, 4, 4])
    assert (same.prefix, same.overlap, same.bag_overlap, same.edit_distance) == (3, 1, 1, 0)
    assert not same.distinct_a.any()
    assert not same.distinct_b.any()
    other = token_overlap([3, 4], [5])
    assert (other.prefix, other.overlap, other.bag_overlap, other.edit_distance) == (0, 0, 0, 1)
    assert other.aligned.shape == (0, 2)


def test_thousands_of_tokens_are_quick():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randint(50_000, (2, 8000), generator=generator)
    b[::2] = a[::2]
    start = time.perf_counter()
    found = token_overlap(a, b)
    assert time.perf_counter() - start < 5
    assert found.overlap >= 0.5


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [1], "first completion of the pair has no tokens"),
        ([1], torch.tensor([], dtype=torch.long), "second completion of the pair has no tokens"),
        ([1], torch.tensor([[1]]), "one row"),
        (torch.tensor(1), [1], "one row"),
    ],
)
def test_no_tokens(a, b, message):
    with pytest.raises(ValueError, match=message):
        token_overlap(a, b)
