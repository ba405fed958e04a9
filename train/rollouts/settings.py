"""What rollouts are sampled from, and how."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from objectives.errors import InputError
from train.config.engines import EngineConfig
from train.config.flags import check, flag
from train.store.hub import check_id


@dataclass(frozen=True)
class Settings(EngineConfig):
    """What is sampled and how; each field is a flag."""

    model: str = flag("smollm2", "as for python -m train", "MODEL")
    problems: str = flag("", "JSON Lines, JSON, Parquet, CSV or TSV file of problems", "PATH")
    out: str = flag("rollouts.parquet", "table to write", "PATH")
    question_column: str | None = flag(None, "by default recognised", "NAME")
    answer_column: str | None = flag(None, "by default recognised", "NAME")
    limit: int | None = flag(None, "problems to sample on; by default all", above=0)
    offset: int = flag(0, "problems to skip first", least=0)
    samples: int = flag(8, "completions of each problem", above=0)
    temperature: float = flag(0.7, "of the samples", least=0)
    top_p: float = flag(1.0, "nucleus to sample from", above=0)
    max_new_tokens: int = flag(256, "length limit of a completion", "TOKENS", above=0)
    batch_size: int = flag(96, "completions at a time, and of a part", above=0)
    seed: int = flag(0, "seed of the samples", least=0)
    device: Literal["auto", "cpu", "cuda"] = flag("auto", "auto: cuda where there is one")
    dtype: Literal["auto", "float32", "bfloat16"] = flag(
        "auto", "of the weights; auto: bfloat16 on cuda, else float32"
    )

    push_to_hub: str | None = flag(
        None, "repository of the Hugging Face hub to put the table in, with a card", "USER/NAME"
    )
    hub_private: bool = flag(False, "make that repository private, where it is not there yet")

    def __post_init__(self):
        if self.push_to_hub is not None:
            check_id(self.push_to_hub)
        if not self.problems:
            raise InputError("name a file of problems with --problems")
        if Path(self.out).suffix != ".parquet":
            raise InputError(f"--out {self.out}: expected a name ending in .parquet")
        check(self)
        self.check_engine()
