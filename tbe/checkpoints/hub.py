"""The Hugging Face Hub: exported folders that are fetched from there, and a Hub out of reach told in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tbe.checkpoints.exported import CARD, HEAD, WEIGHTS
from tbe.errors import UserError, first_line

PREFIX = "hf:"  # of a Hub id where a path is expected
FETCHED = (CARD, WEIGHTS, HEAD, "README.md", "config.json")


def exported_folder(name: str, **options: Any) -> Path:
    """Returns the exported folder of a name: a folder, or a Hub id, whose files are downloaded once.

    options: of huggingface_hub's snapshot_download, such as revision, token and cache_dir. Raises UserError for a Hub
    that can't be reached, and for a repository without an export.
    """
    if os.path.isdir(name):
        return Path(name)
    instead = f"copy {CARD} and {WEIGHTS} of the repository into a folder, and name that"
    folder = downloaded(name, FETCHED, instead, **options)
    if not (folder / CARD).is_file():
        raise UserError(f"{name}: expected a repository that tbe.push wrote, with {CARD}, got one without")
    return folder


def downloaded(repository: str, files: Sequence[str], instead: str, **options: Any) -> Path:
    """Returns the folder of a repository's files that match these patterns, which are downloaded once.

    instead: what to do where there is no network. Raises UserError for a Hub that can't be reached.
    """
    with reached(repository, instead):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(repository, allow_patterns=list(files), **options))


@contextmanager
def reached(name: str, instead: str) -> Iterator[None]:
    """Turns what the Hub's library raises into one line that says what to do `instead`."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f'{name}: expected the package huggingface_hub: pip install -e ".[hub]"') from error
    except Exception as error:  # of the library, of HTTP, and of the system
        raise UserError(
            f"{name}: expected a folder, or a repository of the Hub that can be reached, got neither: "
            f"{short(error)}. Where there is no network, {instead}"
        ) from error


def short(error: Exception) -> str:
    """Returns the first sentence of an error."""
    return first_line(error).split(". ")[0][:300].rstrip(".")
