"""Addresses of folders in buckets and on servers, and the libraries that read them."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tbe.errors import UserError


class Library(NamedTuple):
    """The package that fsspec reads a kind of address with, and the extra that has it."""

    package: str
    extra: str


LIBRARIES = {
    "s3": Library("s3fs", "s3"),
    "gs": Library("gcsfs", "gs"),
    "az": Library("adlfs", "az"),
    "hf": Library("huggingface_hub", "hub"),
    "https": Library("aiohttp", "s3"),
    "http": Library("aiohttp", "s3"),
}
SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
HOW = "Libraries find credentials by themselves: in environment variables, their own files, or the role of the machine"


def is_address(folder: str | os.PathLike[str]) -> bool:
    """Checks whether a folder is an address such as s3://bucket/folder, rather than a path."""
    return SCHEME.match(os.fspath(folder)) is not None


def check_address(folder: str, option: str) -> None:
    """Raises UserError, which does not repeat it, for an address of an unknown kind or with credentials in it."""
    scheme, rest = folder.split("://", 1)
    if scheme not in LIBRARIES:
        kinds = ", ".join(f"{kind}://" for kind in LIBRARIES)
        raise UserError(f"{option}: expected a folder, or an address with one of {kinds}, got {scheme}://...")
    parts = urlsplit(f"//{rest}")
    if "@" in parts.netloc or "?" in rest or "#" in rest:
        raise UserError(
            f"{option}: expected an address without credentials and signatures, got {scheme}://... with '@', '?' or "
            f"'#' in it: configs and checkpoints would keep them. {HOW}"
        )


def check_addresses(data: Any) -> None:
    """Raises UserError for credentials in any setting of a data set, before they are written anywhere."""
    for key, value in data.items() if hasattr(data, "items") else ():
        if isinstance(value, str) and is_address(value):
            check_address(value, f"data.{key}")


def check_library(folder: str, option: str) -> None:
    """Raises UserError if the library is missing that reads an address."""
    scheme = folder.split("://", 1)[0]
    library = LIBRARIES[scheme]
    for package in ("fsspec", library.package):
        if find_spec(package) is None:
            raise UserError(
                f"{option}={folder}: expected the package {package}, which reads {scheme}://, got none. Install it "
                f"(pip install -e '.[{library.extra}]')"
            )
