"""What a run is said to cost."""

import subprocess
import sys

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from tests.helpers.tiny import SIZES
from train.devices.peak_memory import CLEAR_PEAK
from train.run.cost import Cost, matrix_parameters


def test_six_operations_a_parameter_and_token_trained_two_for_others():
    cost = Cost(1000, 1000, tokens_trained=7, tokens_frozen=5, tokens_generated=3)
    assert cost.flops == 1000 * (6 * 7 + 2 * (5 + 3))
    assert cost.as_dict()["flops"] == cost.flops


@pytest.mark.parametrize("tied", [True, False])
def test_the_embedding_counts_where_it_is_the_head(tied):
    model = LlamaForCausalLM(LlamaConfig(**{**SIZES, "tie_word_embeddings": tied}))
    embedding = model.get_input_embeddings().weight.numel()
    total = sum(p.numel() for p in model.parameters())
    assert matrix_parameters(model) == total - (0 if tied else embedding)
    # The same network costs the same, whether or not two of its matrices are one.
    other = LlamaForCausalLM(LlamaConfig(**{**SIZES, "tie_word_embeddings": not tied}))
    assert matrix_parameters(model) == matrix_parameters(other)


@pytest.mark.skipif(not CLEAR_PEAK.exists(), reason="the system cannot forget a peak of memory")
def test_the_peak_is_that_since_the_reset():
    code = (  # in a process of its own: what other tests hold and free must not go in between
        "import torch\n"
        "from train.devices.peak_memory import peak_memory, reset_peak_memory\n"
        "cpu, size = torch.device('cpu'), 200_000_000\n"
        "reset_peak_memory(cpu)\n"
        "before = peak_memory(cpu)\n"
        "torch.ones(size, dtype=torch.uint8)\n"
        "held = peak_memory(cpu)\n"
        "reset_peak_memory(cpu)\n"
        "print(held - before > 0.9 * size, peak_memory(cpu) < held - 0.5 * size)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
