"""Whether a policy and its reference read and write the same tokens."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from objectives.errors import InputError
from train.models.language_model import open_model


def check_same_vocabulary(
    name: str,
    policy: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    its_name: str,
    reference: tuple[PreTrainedModel, PreTrainedTokenizerBase],
) -> None:
    """Raise InputError where a policy has another vocabulary than its reference.

    name, its_name: what --model and --reference say. Each comes with its tokenizer.
    """
    ours, theirs = policy[1].get_vocab(), reference[1].get_vocab()
    differ = [token for token in theirs.keys() & ours.keys() if theirs[token] != ours[token]]
    sizes = [len(open_model(model).head.weight) for model, _ in (policy, reference)]
    # One may have a token more, as for padding, and no row for it in the weights.
    apart = len(theirs.keys() - ours.keys()) and len(ours.keys() - theirs.keys())
    if differ or apart or sizes[0] != sizes[1]:
        raise InputError(
            f"--model {name} has another vocabulary than --reference {its_name}: {len(ours)} and "
            f"{len(theirs)} tokens, {sizes[0]} and {sizes[1]} rows of the output head"
        )
