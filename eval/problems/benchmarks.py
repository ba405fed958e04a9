"""The benchmarks by name: where their problems are, how they are asked and graded."""

from eval.problems.arithmetic import TEST_COUNT
from eval.problems.benchmark import SMALL_SET_SAMPLES, Benchmark, Hub
from eval.problems.files import Problem
from eval.problems.tasks import TASKS, Task
from objectives.errors import InputError


class _BuiltIn(Benchmark):
    """The test problems of a built-in task, which need no file."""

    def load(self, folder: str | None = None) -> list[Problem]:
        task = TASKS[self.name]
        return task.problems(task.held_out())


DIGESTS = {  # of the built-in tasks' problems
    "builtin": "b934d70080ba98630119e2e274b13f4d6543d4ed289ae98c825caef9f66bbb82",
    "chains-6": "e85e80135baca7b173e8055626825fc7545d750fd6dd97556de483039864d514",
    "chains": "dc283d555dd2c84d6ca35550d744c19a31f00f54b72bc517069f25510640776f",
}


def _built_in(task: Task) -> Benchmark:
    return _BuiltIn(
        task.name, "", "", TEST_COUNT,
        max_new_tokens=task.max_new_tokens,
        prompt=lambda tokenizer, question: question,
        grade=task.grade,
        digest=DIGESTS[task.name],
    )  # fmt: skip


BENCHMARKS = {
    entry.name: entry
    for entry in (
        Benchmark(
            "gsm8k",
            "gsm8k",
            "question, answer (worked; the result after ####)",
            1319,
            Hub("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", config="main"),
            max_new_tokens=512,
            digest="715960cd25b3b72359d153b7a44b376964ef5945caad8c1bdfcc32db1a58b0ba",
        ),
        Benchmark(
            "math500",
            "math500",
            "problem, answer",
            500,
            Hub("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"),
            digest="cd01b30e7b9406d74db63a1cf59557f9c2c25d3be17fcb312cad71db305300e0",
        ),
        Benchmark(
            "amc",
            "amc23",
            "question, answer (a number)",
            40,
            Hub("math-ai/amc23", "80815d37005feb82cd7f8fbc6901d5d3eff43057"),
            samples=SMALL_SET_SAMPLES,
            digest="49d64c9b8749fd1fdc30179b417e610270db8e46465b79a9680971ab560ac4e1",
        ),
        Benchmark(
            "aime",
            "aime",
            "problem, answer (a number)",
            30,
            Hub("HuggingFaceH4/aime_2024", "2fe88a2f1091d5048c0f36abc874fb997b3dd99a", "train"),
            samples=SMALL_SET_SAMPLES,
        ),
        Benchmark(
            "aime25",
            "aime25",
            "problem, answer (a number)",
            30,
            Hub("math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b"),
            samples=SMALL_SET_SAMPLES,
        ),
        Benchmark(
            "minerva",
            "minerva_math",
            "problem, solution (the result in \\boxed{}) or answer",
            272,
            Hub("math-ai/minervamath", "ee46ddc498933b1977577953250ca5c66be64f96"),
            digest="dd132b8a29f4731fe9a990a1874efb4b8d6d249910739901d2c8faf197492760",
        ),
        Benchmark(
            "olympiadbench",
            "olympiadbench",
            "question, final_answer (a list of answers)",
            675,
            Hub(
                "Hothan/OlympiadBench",
                "91184b52131e7fc9455fef848035173aea8cc01a",
                "train",
                "OE_TO_maths_en_COMP",
            ),
            digest="e11148bcb3c347838f6e291af45220e7f301b4239f4ad7466d1587bc954430a3",
        ),
        Benchmark("math_perturb", "math_perturb", "problem, answer", 279),
        *map(_built_in, TASKS.values()),
    )
}


def benchmarks_named(text: str) -> list[Benchmark]:
    """Read names with commas between. Raises InputError for one that is none."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in BENCHMARKS:
            raise InputError(f"--benchmarks {name}: not one of {', '.join(BENCHMARKS)}")
    return [BENCHMARKS[name] for name in names]
