"""Rows of every layout, for tests of what they are read as."""

from train.data.table import table_of


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


def user(content):
    return turn("user", content)


def said(content, **more):
    return turn("assistant", content, **more)


ASK, SEVEN, NINE = user("How many?"), said("Seven."), said("Nine.")


def read(*rows):
    return list(table_of(list(rows), "rows").trajectories())


def parts(*rows):
    return [(t.prompt, t.completion) for t in read(*rows)]


def groups(*rows):
    return [t.group for t in read(*rows)]


PAIR = {"prompt": [ASK], "chosen": [SEVEN], "rejected": [NINE]}
SIDES = [([ASK], [SEVEN]), ([ASK], [NINE])]
WHOLE = {"chosen": [ASK, SEVEN], "rejected": [ASK, NINE]}
SYSTEM = turn("system", "Be brief.")
ROLLOUT = {"prompt": "Q?", "completion": "A.", "reward": 1}
