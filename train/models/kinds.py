"""Models that are no causal language models, and weights that are not there, in one line each."""

from collections.abc import Collection

from transformers import PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from objectives.errors import InputError

# Quantised in a way that transformers undoes while it loads, where it cannot compute with it.
UNDONE = {"mxfp4"}
OTHERS = {  # how the names of classes end
    "ForSequenceClassification": "a classifier",
    "ForTokenClassification": "a classifier",
    "ForMultipleChoice": "a classifier",
    "ForQuestionAnswering": "a model that marks answers in a text",
    "ForMaskedLM": "an encoder, which looks at later tokens",
    "ForPreTraining": "an encoder, which looks at later tokens",
    "RewardModel": "a reward model",
}


def check_kind(name: str, config: PreTrainedConfig) -> None:
    """Raise InputError for a configuration of something else than a causal language model.

    name: of the model, for the message.
    """
    method = _quantised_by(config)
    if method is not None and method not in UNDONE:
        raise InputError(
            f"--model {name}: its weights are quantised ({method}), and can be neither trained nor "
            f"sampled from here: name the model that they were made from, or a .gguf file of them"
        )
    made = next(iter(config.architectures or []), None) or type(config).__name__
    kind = _kind(config, made)
    if kind is not None:
        raise InputError(
            f"--model {name}: {made} is {kind}; what is needed is a causal language model of text "
            f"(one whose config.json names a ...ForCausalLM)"
        )


def _kind(config: PreTrainedConfig, made: str) -> str | None:
    if config.is_encoder_decoder:
        return "an encoder-decoder"
    if made in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        return None
    for ending, kind in OTHERS.items():
        if made.endswith(ending):
            return kind
    if config.get_text_config(decoder=True) is not config:
        return "a model of images or sounds around one of text"
    return None


def check_complete(name: str, missing: Collection[str]) -> None:
    """Raise InputError where a model's class has weights that its files lack.

    They would be random: of a head, where the files are of a classifier or of a model without one.
    """
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"--model {name}: its files lack the weights {min(missing)}{more}: it is no causal "
            f"language model, or not all of one"
        )


def _quantised_by(config: PreTrainedConfig) -> str | None:
    settings = getattr(config, "quantization_config", None)
    if settings is None:
        return None
    settings = settings if isinstance(settings, dict) else settings.to_dict()
    return str(settings.get("quant_method", "in a way that its config.json does not name"))
