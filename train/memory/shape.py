"""The sizes of a model, from its configuration: it is built without storage, and nothing loaded."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig

from objectives.errors import InputError
from train.devices.sharding import layers_of


@dataclass(frozen=True)
class Shape:
    """What of a decoder decides its memory; counts are of numbers, not of bytes."""

    parameters: int
    layers: int
    layer: int  # parameters of a layer
    linear: int  # weights of its linear maps
    largest: int  # of one of them
    inputs: int  # numbers that its linear maps read of a token
    sides: int  # rows and columns of its linear maps: times a rank, the parameters of LoRA
    maps: int  # linear maps of a layer
    vocabulary: int
    hidden: int
    inner: int  # width of the feed-forward
    heads: int
    query: int  # width of all heads' queries
    key: int  # width of all keys, which heads may share
    tied: bool  # the head is the embedding

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def root(self) -> int:
        """Parameters outside of the layers: embedding, head and last norm."""
        return self.parameters - self.layers * self.layer


def shape_of(config: PreTrainedConfig) -> Shape:
    """Return the sizes of a model of this configuration, built without storage.

    Raises InputError for a model that is no decoder of equal layers, or that cannot be made.
    """
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        layers = layers_of(model)
    except InputError:
        raise
    except Exception as error:  # a configuration may hold anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"no model can be made of this configuration ({reason:.160})") from None
    counts = {sum(p.numel() for p in layer.parameters()) for layer in layers}
    text = config.get_text_config()
    inner = getattr(text, "intermediate_size", None)
    if len(counts) != 1 or not isinstance(inner, int):
        raise InputError(
            f"{type(model).__name__}: memory is computed for decoders whose layers are equal, with "
            f"an intermediate_size"
        )
    linear = [m for m in layers[0].modules() if isinstance(m, nn.Linear)]
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    shared = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    return Shape(
        parameters=sum(p.numel() for p in model.parameters()),
        layers=len(layers),
        layer=counts.pop(),
        linear=sum(m.weight.numel() for m in linear),
        largest=max(m.weight.numel() for m in linear),
        inputs=sum(m.in_features for m in linear),
        sides=sum(m.in_features + m.out_features for m in linear),
        maps=len(linear),
        vocabulary=embedding.weight.shape[0],
        hidden=text.hidden_size,
        inner=inner,
        heads=text.num_attention_heads,
        query=text.num_attention_heads * width,
        key=shared * width,
        tied=head.weight is embedding.weight,
    )
