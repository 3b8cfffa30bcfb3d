"""Calls of transformers: quiet, and what goes wrong in them told in one line."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from zipfile import BadZipFile

from safetensors import SafetensorError

from tbe.checkpoints.hub import short
from tbe.errors import UserError

BROKEN = (SafetensorError, pickle.UnpicklingError, BadZipFile, EOFError, struct.error, json.JSONDecodeError)


def transformers(name: str) -> ModuleType:
    """Returns the package, imported when it is first needed, which takes seconds."""
    try:
        import transformers as library
    except ImportError as error:
        raise UserError(f'{name}: expected the package transformers: pip install -e ".[hf]"') from error
    return library


@contextmanager
def told(name: str, folder: str) -> Iterator[None]:
    """Turns what the library raises while it loads `folder` into one line that says what to do."""
    library = transformers(name)
    verbosity = library.utils.logging.get_verbosity()
    library.utils.logging.set_verbosity_error()  # its own table of missing tensors: they are counted here
    library.utils.logging.disable_progress_bar()
    try:
        yield
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(
            f"{name}: expected intact files of weights, got one that can't be read ({short(error)}). Copy it again"
        ) from error
    except OSError as error:
        raise UserError(
            f"{name}: expected a folder with config.json and the weights, or a Hub id that can be reached, got "
            f"neither: {short(error)}. Where there is no network, copy the repository's files into a folder "
            "and name it: hf:<folder>"
        ) from error
    except (ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError) as error:
        if "trust_remote_code" in str(error):
            raise UserError(
                f"{name}: expected a model of transformers itself, got a repository with code of its own, which is run "
                "only if asked for. If you have read it and trust it: trust_remote_code=true"
            ) from error
        raise UserError(
            f"{name}: expected a model that transformers {library.__version__} loads, got {short(error)}"
        ) from error
    finally:
        library.utils.logging.set_verbosity(verbosity)
        library.utils.logging.enable_progress_bar()
