"""maj@k: answers that are equal in value are one vote, right or wrong."""

import pytest

from eval.grading import grade, votes
from eval.scores import score
from objectives.errors import InputError


def rows(answers, gold):
    verdicts = grade([f"\\boxed{{{answer}}}" for answer in answers], [gold] * len(answers))
    return [{"index": 0, "sample": k, "gold": gold, **verdict._asdict()}
            for k, verdict in enumerate(verdicts)]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "majority"),
    [
        (["0.2", "\\frac15", "1/5", "0.5", "\\frac12"], 0),
        (["0.2", "\\frac15", "2/4", "0.5", "\\frac12"], 1),
        (["0.2", "\\frac15", "0.5", "\\frac12"], 0.5),
        (["x+1", "1+x", "\\frac12"], 0),
        (["07", "7", "\\frac12"], 0),
    ],
)
def test_votes_are_counted_by_value(answers, majority):
    assert score("set", rows(answers, "1/2")).majority_at_k == majority


def test_answers_of_one_value_get_one_spelling():
    found = votes([["0.5", None, "\\frac12", "3"], ["4", "04", "5"], []])
    assert found == [["0.5", None, "0.5", "3"], ["4", "4", "5"], []]


def test_answers_that_cannot_be_compared_in_time_are_votes_for_themselves():
    tower = "9^{9^{9^{9^{9}}}}"
    assert votes([[tower, "x+1", tower]], time_limit=1.0) == [[tower, "x+1", tower]]


def test_what_was_right_without_a_box_is_told():
    verdicts = grade(["\\boxed{7}", "The answer is 7.", "7 or so", "8"], ["7"] * 4)
    kept = [{"index": n, "sample": 0, "gold": "7", **v._asdict()} for n, v in enumerate(verdicts)]
    assert score("set", kept).correct_without_box == 0.5
    del kept[1]["boxed"]  # as versions before kept them
    assert score("set", kept).correct_without_box == 0.25


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("correct", None, "completion 1 of problem 0 is neither right nor wrong, but null"),
        ("correct", float("nan"), "neither right nor wrong, but NaN: grade them again"),
        ("correct", "yes", 'neither right nor wrong, but "yes"'),
        ("correct", 1, "neither right nor wrong, but 1"),
        ("tokens", None, "completion 1 of problem 0 has null tokens: a number is expected"),
        ("seconds", "12", 'has "12" seconds: a number is expected'),
        ("seconds", float("nan"), "has NaN seconds: a number is expected"),
    ],
)
def test_what_is_no_verdict_is_no_evidence(name, value, complaint):
    kept = rows(["1/2", "3"], "1/2")
    kept[1][name] = value
    with pytest.raises(InputError, match=f"set: .*{complaint}"):
        score("set", kept)
