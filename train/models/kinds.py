"""Models that are no causal language models, and weights that are not there, in one line each."""

from collections.abc import Collection, Mapping

from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from objectives.errors import InputError

# Quantised in a way that transformers undoes while it loads, where it cannot compute with it.
UNDONE = {"mxfp4"}
# Of rotary embeddings and causal masks, in files of years ago.
FORMER_BUFFERS = (".inv_freq", ".masked_bias")
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
    named = config.architectures or []
    if not (isinstance(named, list | tuple) and all(isinstance(each, str) for each in named)):
        raise InputError(
            f"--model {name}: in its config.json `architectures` is {named!r:.40}, and must be a "
            f"list of names of classes"
        )
    made = next(iter(named), "") or type(config).__name__
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


def check_complete(name: str, model: PreTrainedModel, found: Mapping[str, Collection]) -> None:
    """Raise InputError where a model's files and its class do not have the same weights.

    What the files lack would be random: a head, where they are of a classifier or of a model
    without one. What the class has no place for would be dropped: layers, or a head of another
    kind. found: what transformers tells of loading it, less what it leaves out on purpose.
    """
    made = type(model).__name__
    surplus = [key for key in found["unexpected_keys"] if not _is_computed(model, key)]
    if missing := found["missing_keys"]:
        others = f"; they have {first_of(surplus)}, which {made} does not" if surplus else ""
        raise InputError(
            f"--model {name}: its files lack the weights {first_of(missing)}{others}: it is no "
            f"causal language model, or not all of one"
        )
    if surplus:
        raise InputError(
            f"--model {name}: its files have the weights {first_of(surplus)}, which {made} has not "
            f"by its config.json: it is another model's, or of one that is more than text"
        )
    if others := {key: shapes for key, *shapes in found["mismatched_keys"]}:
        theirs, ours = others[min(others)]
        raise InputError(
            f"--model {name}: its files and its config.json differ in the shape of "
            f"{first_of(others)}: {tuple(theirs)} and {tuple(ours)}"
        )


def first_of(names: Collection[str]) -> str:
    """Return the first of some names, and how many there are besides."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{min(names)}{more}"


def _is_computed(model: PreTrainedModel, key: str) -> bool:
    """Say whether a weight is a buffer that the model makes itself, or made in earlier versions."""
    buffers = (name for name, _ in model.named_buffers())
    return key.endswith(FORMER_BUFFERS) or any(f".{name}".endswith(f".{key}") for name in buffers)


def _quantised_by(config: PreTrainedConfig) -> str | None:
    settings = getattr(config, "quantization_config", None)
    if settings is None:
        return None
    settings = settings if isinstance(settings, dict) else settings.to_dict()
    return str(settings.get("quant_method", "in a way that its config.json does not name"))
