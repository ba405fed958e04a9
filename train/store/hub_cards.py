"""What the hub reads at the top of a card: base, data, scores. The licence is left to the user."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.problems.tasks import VALIDATION
from objectives.markdown import code, fenced, plain
from train.config.builtin_tasks import TASKS

ID = re.compile(r"[\w.-]+/[\w.-]+")
TAGS = ["objective-zoo", "offline-rl"]


def model_metadata(config: Mapping[str, Any], metrics: Mapping[str, float], name: str) -> str:
    """Return the YAML of a trained model's card.

    config: the run's settings. metrics: accuracies on its problems, by the names of metrics.jsonl.
    name: of the repository.
    """
    from huggingface_hub import EvalResult, ModelCardData

    adapter = config.get("lora_rank") is not None
    problems = str(config.get("eval_problems", "auto"))
    task = problems.removesuffix(VALIDATION)
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type="builtin" if task in ("auto", *TASKS) else "problems",
            dataset_name=problems,
            metric_type="accuracy",
            metric_name=metric.removeprefix("eval/").replace("_", " "),
            metric_value=round(value, 4),
        )
        for metric, value in metrics.items()
    ]
    known = {"base_model": config["model"], "datasets": config["data"]}
    card = ModelCardData(
        library_name="peft" if adapter else "transformers",
        tags=[*TAGS, str(config["objective"])],
        pipeline_tag="text-generation",
        model_name=name if results else None,
        eval_results=results or None,
        **{what: own for what, own in known.items() if _of_hub(str(own))},
    )
    return f"---\n{card.to_yaml()}\n---\n\n"


def _of_hub(name: str) -> bool:
    """Whether a name is an id of the hub, as base and data of a card must be."""
    return bool(ID.fullmatch(name)) and not Path(name).exists()


def rollouts_card(settings: Mapping[str, Any], command: str, summary: str, file: str) -> str:
    """Return the card of graded rollouts: the YAML, how they were made, and what came out.

    settings: of the command. summary: as it prints it. file: the table's name there.
    """
    from huggingface_hub import DatasetCardData

    own = settings.get("reward")
    graded = "1 where the answer is right, else -1" if own is None else f"what {code(own)} gave"
    card = DatasetCardData(
        task_categories=["text-generation"],
        tags=[*TAGS, "rollouts"],
        configs=[{"config_name": "default", "data_files": file}],
    )
    return (
        f"---\n{card.to_yaml()}\n---\n\n"
        f"# Rollouts of {plain(str(settings['model']))}\n\n"
        f"{settings['samples']} completions of each problem of {plain(str(settings['problems']))} "
        f"at temperature {settings['temperature']}, graded: {code('reward')} is {graded}. Made by "
        f"objective-zoo with\n\n"
        f"{fenced(command)}\n\n"
        f"{fenced(summary)}\n"
    )
