"""The README's Python runs and prints what the README shows."""

import re
from pathlib import Path

from objectives import future_policy
from tests.zoo import loss_and_gradient, random_batch

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_example_prints_what_is_shown(capsys):
    code, shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL).groups()
    exec(code, {})
    assert capsys.readouterr().out == shown


def test_the_new_objective_works():
    names: dict = {}
    exec(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1], names)
    policy, batch = random_batch()
    loss, _ = loss_and_gradient(names["leaky_reinforce"], policy, batch, leak=0.2)
    assert loss.shape == batch.reward.shape
    loss_and_gradient(future_policy(names["leaky_reinforce"]), policy, batch)
