"""The file systems of fsspec, made so that an error comes at once and in one line: it is asked again elsewhere."""

from __future__ import annotations

import logging
from typing import Any

CONNECT = 10.0  # seconds
LOGGERS = {"gs": "gcsfs", "az": "azure.identity"}  # they write many lines for an error of which one is told here


def file_system(address: str, anonymous: bool, timeout: float) -> Any:
    """Makes the file system of fsspec for an address, whose answers may take `timeout` seconds.

    anonymous: without credentials. Raises PermissionError for an account that is named nowhere.
    """
    import fsspec

    scheme = address.split("://", 1)[0]
    options: dict[str, Any] = {}
    if scheme == "s3":
        limits = {"connect_timeout": CONNECT, "read_timeout": timeout, "retries": {"total_max_attempts": 1}}
        options = {"anon": anonymous, "config_kwargs": limits}
    elif scheme == "gs":
        options = {"token": "anon"} if anonymous else {}
    elif scheme == "az":
        options = {"anon": anonymous}
    options |= {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme in LOGGERS:
        logging.getLogger(LOGGERS[scheme]).setLevel(logging.CRITICAL)
    try:
        files = _google(options) if scheme == "gs" else fsspec.filesystem(scheme, **options)
    except ValueError as error:  # of adlfs
        raise PermissionError(str(error)) from error
    if hasattr(files, "retries"):
        files.retries = 1  # asked again here, after pauses that end
    return files


def _google(options: dict[str, Any]) -> Any:
    """Makes a file system of Google Cloud Storage without what asks of each bucket first of which kind it is."""
    from gcsfs.core import GCSFileSystem

    return GCSFileSystem(**options)
