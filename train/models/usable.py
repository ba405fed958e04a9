"""Whether what was loaded of a model can be used: its ends of text and its tokenizer are tried."""

from pathlib import Path
from typing import cast

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from objectives.errors import InputError
from objectives.json_files import read_object, shown

ENDS = ("bos_token_id", "eos_token_id", "pad_token_id")
MOST_IDS = 2**31  # of which torch and tokenizers take ids; old configurations have -1 for none
GENERATION = "generation_config.json"


def check_usable(
    name: str, source: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Raise InputError where generation's settings or the tokenizer are not what they should be.

    name: of the model, for messages. source: its folder, file or hub id. transformers passes over
    settings that it cannot read, and notices ids and limits only when they are used.
    """
    if (Path(source) / GENERATION).is_file():
        read_object(Path(source) / GENERATION)
    for settings in filter(None, (model.config, model.generation_config)):
        for end in ENDS:
            value = getattr(settings, end, None)
            for number in value if isinstance(value, list) else [value]:
                if number is not None and not _is_id(number):
                    raise InputError(f"--model {name}: its {end} is {shown(value)}, no token's id")
    try:
        ids = cast("list[int]", tokenizer("0")["input_ids"])
        tokenizer.decode(ids)
    except Exception as error:  # in Rust, or wherever a setting is used that may be anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"--model {name}: its tokenizer cannot be used ({reason:.160})") from None


def _is_id(number: object) -> bool:
    if not isinstance(number, int) or isinstance(number, bool):
        return False
    return -MOST_IDS <= number < MOST_IDS
