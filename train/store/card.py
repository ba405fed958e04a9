"""A run's model card: what was trained, how, and how it went."""

from collections.abc import Mapping

from objectives.markdown import code, fenced, plain


def model_card(config: dict, table: str, pictures: Mapping[str, str]) -> str:
    """Return a model card: what was trained, how, and how it went.

    config: settings, objective and provenance. pictures: names of files in `plots`, by what they
    show.
    """
    shown = "".join(f"![{plain(what)}](plots/{name})\n\n" for what, name in pictures.items())
    versions = ", ".join(f"{name} {text}" for name, text in config["versions"].items() if text)
    return (
        f"# {plain(config['objective'])} from {plain(config['model'])}\n\n"
        f"Trained by objective-zoo with the objective {code(config['objective'])} on "
        f"{plain(config['data'])}, seed {config['seed']}.\n\n"
        f"{fenced(config['command'])}\n\n"
        f"{fenced(table)}\n\n"
        f"{shown}"
        f"Made with {plain(versions)}; git revision {plain(config['git_revision'] or 'unknown')}. "
        f"Every setting is in `config.json`, every step in `metrics.jsonl`.\n"
    )
