"""What is trained on: a graded completion of a prompt."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Text = str | list[dict]  # plain, or a conversation's messages
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Trajectory(NamedTuple):
    """A graded completion of a prompt: both are text, or both are messages of one conversation.

    Messages of the completion continue the prompt's, and begin and end with the assistant's. What
    the assistant wrote of them is trained; turns of the user and of tools are what it reads.
    """

    prompt: Text
    completion: Text
    reward: float
    group: Any  # what rollouts of one prompt have in common
    weight: float = 1.0
    truncated: bool = False
    token_ids: list[int] | None = None  # the completion as it was sampled
    template: Mapping[str, Any] = NOTHING  # what the chat template takes besides the messages
    where: str = ""  # it stands: `FILE row 3`, for messages
