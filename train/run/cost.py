"""What a run costs: tokens, floating-point operations, seconds and memory."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from diagnostics.parameters import trained_parameters
from train.models.quantised import count


@dataclass
class Cost:
    """Grows while a run trains; `as_dict` is what `result.json` keeps of it."""

    parameters: int  # as `matrix_parameters` counts them
    trained_parameters: int  # those of them that are trained
    tokens_trained: int = 0  # of prompts and completions, forward and backward
    tokens_ahead: int = 0  # trained on to see the future, and taken back
    tokens_shared: int = 0  # of these, computed once with another trajectory's
    tokens_frozen: int = 0  # forward alone: reference, anchors, origin, KTO's mismatched rows
    tokens_generated: int = 0  # completions sampled to be trained on, whoever sampled them
    generation_seconds: float = 0.0  # within this run
    training_seconds: float = 0.0  # of optimizer steps, sampling aside
    held_out_seconds: float = 0.0  # of looks at held-out rows
    seconds: float = 0.0  # of everything, evaluations included

    @property
    def flops(self) -> float:
        """Estimated operations for each parameter and token: 2 forward; of a token trained, 4 more.

        (arXiv 2001.08361.) Of those 4, 2 are for the gradient at the parameter itself, which a
        frozen one does not have. Attention's products of queries and keys are left out, and so is
        the reading of prompts while generating.
        """
        forward = self.tokens_frozen + self.tokens_generated
        trained = 4.0 * self.parameters + 2.0 * self.trained_parameters
        computed = self.tokens_trained - self.tokens_shared + self.tokens_ahead
        return trained * computed + 2.0 * self.parameters * forward

    def as_dict(self) -> dict:
        return {**vars(self), "flops": self.flops}


def begin_cost(model: PreTrainedModel, tokens_frozen: int = 0) -> Cost:
    """Return the cost of a run that is to train a model, after so many tokens read without."""
    trained = matrix_parameters(model, trained_parameters(model).values())
    return Cost(matrix_parameters(model), trained, tokens_frozen=tokens_frozen)


def matrix_parameters(model: PreTrainedModel, among: Iterable[nn.Parameter] | None = None) -> int:
    """Return the number of parameters that every token is multiplied by.

    All but the input embedding, from which a token only takes a row; a tied one is the head too.
    among: those of the model's parameters to count, by default all.
    """
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head is not None and embedding is not None and head.weight is embedding.weight
    left_out = None if embedding is None or tied else embedding.weight
    among = model.parameters() if among is None else among
    return count(parameter for parameter in among if parameter is not left_out)
