"""Write a model with its LoRA adapter added to its weights, in plain Hugging Face layout.

python -m train.merge --model runs/fpa/checkpoints/step-300 --out merged --dtype bfloat16
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from objectives.errors import InputError, command_line
from objectives.json_files import read_object
from objectives.output_lock import held
from objectives.whole_files import whole_folder
from train.config.flags import Parser, add_flags, flag, from_flags
from train.models.adapters import is_adapter
from train.store.provenance import called


@dataclass(frozen=True)
class Settings:
    model: str = flag(None, "the folder of an adapter, such as a checkpoint of a LoRA run", "PATH")
    out: str = flag("merged", "folder to write", "PATH")
    dtype: Literal["float32", "bfloat16"] = flag("float32", "of the weights")

    def __post_init__(self):
        if self.model is None or not is_adapter(Path(self.model)):
            raise InputError(f"--model {self.model}: name the folder of an adapter")


def merge(settings: Settings, command: str) -> Path:
    """Write what the settings ask for, and what it was made with; return the folder."""
    # Imported here so that a mistyped flag is answered at once.
    import torch

    from train.models.identity import model_digest
    from train.models.load import load_model
    from train.models.saving import write_model
    from train.store.digests import BASE
    from train.store.folder import require_free
    from train.store.provenance import MADE_WITH, provenance

    out = Path(settings.out)
    with held(out):
        require_free(out, "files")
        bits = _quantised(Path(settings.model))
        if bits is not None:
            print(f"       it was trained on its base in {bits}, and is added to the whole one")
        origin = {**provenance(command), "digests": {BASE: model_digest(settings.model)}}
        model, tokenizer = load_model(settings.model)  # added up in float32 and rounded once
        model.to(getattr(torch, settings.dtype))
        with whole_folder(out) as folder:
            write_model(model, folder)
            tokenizer.save_pretrained(folder)
            (folder / MADE_WITH).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
    return out


def _quantised(checkpoint: Path) -> str | None:
    """Return in how many bits a run had the weights under its adapter; None where none is known."""
    file = checkpoint.resolve().parent.parent / "config.json"
    try:
        return read_object(file).get("quantise") if file.is_file() else None
    except InputError:  # a file of somebody else
        return None


def main() -> None:
    parser = Parser("train.merge", __doc__)
    add_flags(parser, Settings)
    print(merge(from_flags(Settings, parser.parse_args()), called("train.merge")))


if __name__ == "__main__":
    command_line(main)
