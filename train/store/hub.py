"""The Hugging Face hub: a repository made or found, and files put there in one commit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from objectives.errors import InputError

Kind = Literal["model", "dataset"]
Files = Mapping[str, Path | str]  # by their names there; text, or where the file is


def check_id(repo: str) -> None:
    """Raise InputError for what is no id of a repository."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise InputError(f"--push-to-hub {repo}: {error}") from None
    if "/" not in repo:
        raise InputError(f"--push-to-hub {repo}: expected USER/NAME")


def open_repository(repo: str, kind: Kind, private: bool) -> None:
    """Make the repository where it is not there, before anything that is to be put there is made.

    Raises InputError where that cannot be: no token, no permission, no network.
    """
    from huggingface_hub import HfApi

    try:
        HfApi().create_repo(repo, repo_type=kind, private=private or None, exist_ok=True)
    except Exception as error:  # whatever the client raises, of its own and of the network
        raise InputError(
            f"--push-to-hub {repo}: {_line(error)}: log in with hf auth login, and see that you "
            f"may write there"
        ) from None


def push(repo: str, kind: Kind, files: Files, message: str) -> str:
    """Put files into a repository in one commit; return its address.

    Raises InputError where that fails; nothing that is here has changed then.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    operations = [
        CommitOperationAdd(name, content.encode() if isinstance(content, str) else content)
        for name, content in files.items()
    ]
    try:
        return (
            HfApi().create_commit(repo, operations, commit_message=message, repo_type=kind).repo_url
        )
    except Exception as error:  # whatever the client raises, of its own and of the network
        raise InputError(f"--push-to-hub {repo}: {_line(error)}") from None


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
