"""Which tokens entangle chosen and rejected, and what each objective's weights make of it.

python -m diagnostics.entanglement                      # the built-in base and rollouts
python -m diagnostics.entanglement --run runs/dpo       # a run's last checkpoint
python -m diagnostics.entanglement --run runs/dpo --checkpoint 100 --objective dpo,fpa_dpo
python -m diagnostics.entanglement --model smollm2 --data pairs.jsonl --parameters head --pairs 8
python -m diagnostics.entanglement --model POLICY --reference BASE --data PAIRS --log FILE

Writes pairs.csv, summary.json, entanglement.png and token_matrix.png; of a policy that is not the
reference itself also moved.csv and moved.png.
"""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from objectives.catalogue import CATALOGUE
from objectives.errors import InputError, command_line
from objectives.output_lock import held
from train.config.builtin_tasks import TASKS
from train.config.diagnosis import MOST
from train.config.flags import Parser, add_flags, check, flag, flag_name, from_flags
from train.config.future import FUTURE_FLAGS, INITIAL
from train.config.objective_flags import hyper_parameters, objective_names

DEFAULT_OBJECTIVES = ("dpo", "rpo", "ipo", "fpa")  # simper's ratio is offline_rl's
# Settings of a run that say what its objective sees.
KEPT = ("model", "data", "data_config", "data_split", "max_tokens", "advantage", "online",
        "online_updates")  # fmt: skip


AUTO = "auto"


@dataclass(frozen=True)
class Settings:
    """Each field is a flag."""

    run: str | None = flag(None, "run folder: its policy, against the base it began from", "PATH")
    checkpoint: int | None = flag(None, "step of the run's checkpoint, by default the last", "STEP")
    model: str | None = flag(
        None, "without --run: as in python -m train, by default builtin", "MODEL"
    )
    reference: str | None = flag(
        None, "with --model: what it began from, by default an adapter's base, or itself", "MODEL"
    )
    data: str | None = flag(
        None, "without --run: as in python -m train, by default builtin", "DATA"
    )
    objective: str | None = flag(
        None, "names with commas between, by default that of the run, and dpo,rpo,ipo,fpa", "NAMES"
    )
    pairs: int = flag(64, "pairs to draw", above=0)
    parameters: str = flag(
        AUTO,
        "all, head (the output head alone, in closed form), or a regular expression; auto: all of "
        f"a model of up to {MOST / 1e6:.0f} million, of a larger one the head",
        "WHICH",
    )
    lam: float | None = flag(
        None, "λ of the future policy, by default the run's own, or 1", least=0
    )
    max_tokens: int | None = flag(
        None, "longer trajectories are left out, as in python -m train", "TOKENS"
    )
    log: str | None = flag(
        None, "what training logged: TRL's trainer_state.json, or metrics.jsonl", "FILE"
    )
    seed: int = flag(0, "seed of the draw")
    device: Literal["auto", "cpu", "cuda"] = flag("auto", "auto: cuda where there is one")
    out: str | None = flag(
        None, "folder to write, by default runs/entanglement, or diagnostics/entanglement-step-N "
        "in the run's", "PATH"
    )  # fmt: skip

    def __post_init__(self):
        check(self)
        if self.lam is not None and math.isinf(self.lam):
            raise InputError(f"--lam {self.lam}: must be 0 or more")
        if self.run is None and self.checkpoint is not None:
            raise InputError("--checkpoint needs --run, whose checkpoint it names")
        if self.reference is not None and self.model is None:
            raise InputError("--reference needs --model, the policy that began from it")
        if self.log is not None and self.run is None and self.model is None:
            raise InputError("--log needs --model or --run, the policy whose training it tells of")
        for name in ("model", "data"):
            if self.run is not None and getattr(self, name) is not None:
                raise InputError(f"--{name}: not with --run, which has its own")


def main() -> None:
    parser = Parser(
        "diagnostics.entanglement",
        "Gradient entanglement of chosen and rejected trajectories. Objectives' own "
        "hyper-parameters are flags too (python -m train --list shows them).",
    )
    add_flags(parser, Settings)
    arguments, rest = parser.parse_known_args(sys.argv[1:])
    settings = from_flags(Settings, arguments)
    names = None if settings.objective is None else objective_names(settings.objective)
    if names is None and settings.run is None:
        names = _default_names(None)
    hyper_parameters(rest, names or list(CATALOGUE), parser.flags)  # those of a run are read below

    # Imported here so that a mistyped flag is answered at once.
    from train.store.folder import require_free
    from train.store.opened import open_run

    log = None
    if settings.log is not None:
        from diagnostics.entanglement.training_log import read_training_log

        log = read_training_log(Path(settings.log))
    run = None
    if settings.run is not None:
        run = open_run(Path(settings.run), settings.checkpoint)
        _check_pairs(run)
    if names is None:
        names = _default_names(run.config["objective"] if run else None)
    specs = _specs(names, hyper_parameters(rest, names, parser.flags), run)
    folder = Path(settings.out) if settings.out else Path("runs/entanglement")
    if settings.out is None and run is not None:
        folder = run.path / "diagnostics" / f"entanglement-step-{run.step}"
    with held(folder):
        require_free(folder, "files")
        _diagnose(settings, run, specs, folder, log)


def _check_pairs(run) -> None:
    """Raise InputError for a run that sampled from problems, of which it keeps no pairs."""
    data, model = run.config["data"], run.config["model"]
    if run.config.get("online") and data not in TASKS:
        raise InputError(
            f"--run {run.path}: it sampled from the problems {data} and keeps no pairs; make some "
            f"with python -m train.rollouts --model {model} --problems {data}, then instead of "
            f"--run give --model {run.checkpoint} --reference {model} --data rollouts.parquet"
        )


def _default_names(own: str | None) -> list[str]:
    """Return the default objectives after the run's own, without those that repeat its columns."""

    def base(name: str) -> str:
        return CATALOGUE.find(name).base or name

    first = [own] if own else []
    return first + [n for n in DEFAULT_OBJECTIVES if not own or base(n) != base(own)]


def _specs(names: list[str], given: dict[str, dict], run) -> dict:
    """Return the objectives with what was given, the run's own else as it was trained."""
    from train.config.spec import objective_spec

    own = run.spec if run is not None else None
    specs = {}
    for name in names:
        for word in FUTURE_FLAGS.keys() & given[name].keys():
            raise InputError(f"{flag_name(word)} is for training; here λ is set by --lam")
        recorded = own.record() if own is not None and own.name == name else {}
        specs[name] = objective_spec(name, {**recorded, **given[name]})
    return specs


def _diagnose(settings: Settings, run, specs: dict, folder: Path, log) -> None:
    from diagnostics.entanglement.explained import explained_in_words
    from diagnostics.entanglement.explanation import explain
    from diagnostics.entanglement.measure import coefficient_columns, measure_pairs, token_cosines
    from diagnostics.entanglement.report import write_report
    from diagnostics.entanglement.summary import summarise
    from diagnostics.entanglement.table import most_entangled
    from diagnostics.entanglement.words import in_words, summary_table
    from diagnostics.parameters import select_parameters
    from train.config.spec import objective_spec
    from train.models.language_model import open_model
    from train.probes.checkpoint import SeenModels, probe_batch, seen_at
    from train.probes.pairs import drawn_pairs, read_probes
    from train.probes.policies import fpa_ratios, policy_beside, reference_of
    from train.run.setup import set_up
    from train.store.opened import load_checkpoint

    reference = reference_of(settings.model, settings.reference)
    config = _config(settings, run, reference)
    setup = set_up(config.with_online(False))
    print(setup.describe())
    base, tokenizer, data = setup.base.model, setup.base.tokenizer, setup.data
    if settings.parameters == AUTO:
        large = sum(parameter.numel() for parameter in base.model.parameters()) > MOST
        settings = replace(settings, parameters="head" if large else "all")
        if large:
            print(
                f"       gradients of the output head alone, as the model has more than "
                f"{MOST / 1e6:.0f} million parameters: --parameters all takes them all"
            )
    seen, place, lam = SeenModels(base, base, base), "the base itself", settings.lam
    if run is not None:
        policy = open_model(load_checkpoint(run, base.model, tokenizer))
        seen = seen_at(run, policy, base, config)
        place = f"{run.config['objective']} after {run.step} steps"
        lam = run.lam if lam is None else lam
    elif settings.model is not None and reference not in (None, settings.model):
        policy = open_model(policy_beside(settings.model, base.model, tokenizer, reference))
        seen, place = SeenModels(policy, base, base), f"{settings.model} (from {reference})"
    if log is not None and seen.policy is base:
        raise InputError(
            f"--log {settings.log}: tells of a training, and --model is the reference itself: name "
            f"what it began from with --reference"
        )
    lam = 1.0 if lam is None else lam
    pairs = drawn_pairs(data, settings.pairs, settings.seed)
    print(f"pairs  {len(pairs.number)} of {pairs.total}, seed {settings.seed}; policy: {place}")
    print(*(f"       {note}" for note in seen.notes), sep="\n", end="\n" if seen.notes else "")
    policy = seen.policy
    try:
        select_parameters(policy.model, settings.parameters)
    except ValueError as error:
        raise InputError(f"--parameters: {error}") from None

    def look(tokens):
        return read_probes(tokens, policy, base, seen.origin).log_probs(lam)

    prompts = tokenizer.batch_decode(
        [list(row[0]) for row in pairs.tokens[::2]], skip_special_tokens=True
    )
    measured = measure_pairs(policy.model, policy.head, pairs, prompts, settings.parameters, look)
    own = None if run is None else run.spec

    def weighed(of, under: SeenModels):
        columns = []
        for spec in specs.values():
            # Anchors are of the run's own outer steps.
            same = own is not None and (own.name, own.settings) == (spec.name, spec.settings)
            batch = probe_batch(
                of, spec, config, data, under if same else under._replace(anchors=None)
            )
            columns.append(coefficient_columns(of, spec.objective, batch, spec.hyper))
        return of.table(columns)

    table = weighed(measured, seen)
    summary = {
        "policy": place,
        "model": setup.config.model,
        "data": setup.config.data,
        "pairs_in_data": pairs.total,
        "seed": settings.seed,
        "parameters": settings.parameters,
        "lam": lam,
        "future_from": own.settings["future_from"] if own and own.future else INITIAL,
        "advantage": config.advantage,
        "notes": seen.notes,
        "hyper_parameters": {name: dict(spec.hyper) for name, spec in specs.items()},
        "at_reference": bool((measured.batch.anchor == measured.batch.reference).all()),
        **summarise(table, list(specs)),
    }
    explanation = None
    if policy is not base:

        def look_before(tokens):
            return read_probes(tokens, base, base).log_probs(lam)

        before = measure_pairs(
            base.model, base.head, pairs, prompts, settings.parameters, look_before
        )
        fpa = objective_spec("fpa", {})
        batch = probe_batch(measured, fpa, config, data, seen._replace(anchors=None))
        explanation = explain(
            measured, table, weighed(before, SeenModels(base, base, base)), list(specs),
            fpa_ratios(measured, fpa, batch, policy, base),
            specs.get("rpo", objective_spec("rpo", {})).hyper["beta"], log,
        )  # fmt: skip
        summary["moved"] = explanation.summary
    number = most_entangled(table)
    summary["most_entangled_pair"] = int(table["pair"][number])

    def matrix(number: int):
        return token_cosines(policy.model, policy.head, measured, number, look)

    written = write_report(folder, table, summary, number, matrix, tokenizer, explanation)
    words = in_words(summary)
    if explanation is not None:
        words = f"{explained_in_words(explanation.summary)}\n\n{words}"
    print(f"\n{summary_table(summary)}\n\n{words}\n", *written, sep="\n")


def _config(settings: Settings, run, reference: str | None):
    """Return the run's settings of data and of coefficients, to be computed in float32 here."""
    from train.config.settings import Config

    source = run.config if run is not None else {}
    kept = {name: source[name] for name in KEPT if name in source}
    asked = {"model": reference, "data": settings.data, "max_tokens": settings.max_tokens}
    return Config(
        **{**kept, **{name: value for name, value in asked.items() if value is not None}},
        seed=settings.seed,
        device=settings.device,
        dtype="float32",
        eval_problems="none",
    )


if __name__ == "__main__":
    command_line(main)
