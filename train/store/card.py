"""A run's model card: what was trained, how, and how it went."""

from collections.abc import Mapping


def model_card(config: dict, table: str, pictures: Mapping[str, str]) -> str:
    """Return a model card: what was trained, how, and how it went.

    config: settings, objective and provenance. pictures: names of files in `plots`, by what they
    show.
    """
    shown = "".join(f"![{what}](plots/{name})\n\n" for what, name in pictures.items())
    versions = ", ".join(f"{name} {text}" for name, text in config["versions"].items() if text)
    return (
        f"# {config['objective']} from {config['model']}\n\n"
        f"Trained by objective-zoo with the objective `{config['objective']}` on "
        f"{config['data']}, seed {config['seed']}.\n\n"
        f"```\n{config['command']}\n```\n\n"
        f"```\n{table}\n```\n\n"
        f"{shown}"
        f"Made with {versions}; git revision {config['git_revision'] or 'unknown'}. "
        f"Every setting is in `config.json`, every step in `metrics.jsonl`.\n"
    )
