"""What a record says of its making, where one command may have begun and another goes on."""

from collections.abc import Mapping

from objectives.errors import InputError
from objectives.json_files import require
from train.models.identity import model_digest
from train.store.digests import BASE, REFERENCE, compare_digests, known_digests
from train.store.provenance import changes, provenance


def origin_of_samples(
    where: str,
    model: str,
    command: str,
    begun: Mapping | None,
    engine: str,
    reference: str | None = None,
) -> dict:
    """Return `digests` and `made_with` for a record of samples; print what is other than before.

    where: the record's place. model: as it is named. begun: what the record holds already, None
    where nothing is sampled yet. engine: the name of what samples. reference: the name of a second
    model that they depend on. `made_with` gets an entry more
    for other versions or another engine, which decide nothing. Raises InputError where the model
    has changed, by its content.
    """
    now, named = provenance(command, engine), {BASE: model}
    if reference is not None:
        named[REFERENCE] = reference
    found = {what: model_digest(name) for what, name in named.items()}
    digests = {what: digest for what, digest in found.items() if digest is not None}
    if begun is None:
        return {"digests": digests, "made_with": [now]}
    before = known_digests(where, begun)
    made = begun.get("made_with", [])
    require(where, {"made_with": made}, {"made_with": list})
    if not all(isinstance(entry, dict) for entry in made):
        raise InputError(f"{where}: made_with is no list of objects")
    unknown = compare_digests(where, "sampling", before, digests, named)
    other = changes(made[-1], now) if made else None
    for line in filter(None, (unknown, other and f"{where}: {other}")):
        print(line, flush=True)
    made = [*made, now] if other or not made else made
    return {"digests": {**digests, **before}, "made_with": made}
