"""Asks a store again while it does not answer, and tells what is lost from what is refused."""

from __future__ import annotations

import logging
import os
import random
import re
import time
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from tbe.data.storage.pieces import LostPiece
from tbe.errors import UserError, first_line

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 20.0  # seconds, each twice as long as the one before, and drawn from half of it on
WRONG_ANSWERS = 3  # after which other bytes than expected are what there is, not what a broken connection left of it
# What libraries raise that find no credentials, or credentials that no service takes.
WITHOUT_CREDENTIALS = (
    *("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "ClientAuthenticationError"),
    *("TokenRetrievalError", "UnauthorizedSSOTokenError"),
)
FORBIDDEN = "Forbidden: "  # gcsfs has no error of its own for it
NOT_THERE, REFUSED, OUTSIDE = 404, (401, 403), 416  # of HTTP
SECRET = re.compile("SECRET|TOKEN|PASSWORD|CREDENTIAL|_KEY|SIGNATURE", re.IGNORECASE)  # in names of variables
SHORTEST_SECRET = 6


class StoreRefused(UserError):
    """A store that does not answer, or does not let one read: not the fault of a video."""


def asked(
    ask: Callable[[], Answer],
    what: str,
    patience: float,
    renew: Callable[[], None],
) -> Answer:
    """Returns what `ask` returns, asking again after pauses for up to `patience` seconds while it fails.

    what: is asked for, named in errors. renew: makes new credentials and connections, tried once where the store
    refuses. Raises LostPiece for what is not there or stays another, StoreRefused for all else.
    """
    start, num_wrong, is_renewed = time.monotonic(), 0, False
    for attempt in count():
        try:
            return ask()
        except Exception as error:  # each library has its own
            if is_missing(error):
                raise LostPiece(f"{what} is not there") from error
            if is_refused(error):
                if is_renewed:
                    raise StoreRefused(f"could not read {what}: {said(error)}. {WHAT_TO_DO}") from error
                is_renewed = True
                renew()
                continue
            if isinstance(error, LostPiece) or status_of(error) == OUTSIDE:
                num_wrong += 1
                if num_wrong >= WRONG_ANSWERS:
                    raise _lost(error, what) from error
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1)
            if time.monotonic() - start + pause > patience:
                raise StoreRefused(
                    f"could not read {what} for {patience:g} s (data.bucket.patience): {said(error)}. Nothing is lost: "
                    "once it answers, resume=latest goes on"
                ) from error
            log.info("%s: %s; asking again in %.1f s", what, said(error), pause)
        time.sleep(pause)
    raise AssertionError("unreachable")


WHAT_TO_DO = (
    "Renew the credentials, or allow them to read and list it; resume=latest then goes on. Without the permission to "
    "list, a missing object looks like this, too"
)


def is_missing(error: Exception) -> bool:
    """Checks whether an error says that something is not there."""
    return isinstance(error, FileNotFoundError) or status_of(error) == NOT_THERE


def is_refused(error: Exception) -> bool:
    """Checks whether an error says that one may not read."""
    is_without = type(error).__name__ in WITHOUT_CREDENTIALS
    is_forbidden = isinstance(error, OSError) and str(error).startswith(FORBIDDEN)
    return isinstance(error, PermissionError) or is_without or is_forbidden or status_of(error) in REFUSED


def status_of(error: BaseException) -> int | None:
    """Returns the HTTP status that an error tells, None if it tells none."""
    for holder in (error, getattr(error, "response", None), error.__cause__):
        for name in ("status", "status_code", "code"):
            if isinstance(status := getattr(holder, name, None), int):
                return status
        if isinstance(holder, dict):  # of botocore
            return holder.get("ResponseMetadata", {}).get("HTTPStatusCode")
        response = getattr(holder, "response", None)
        if isinstance(response, dict):
            return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return None


def said(error: Exception) -> str:
    """Returns an error as one line, without secrets of the environment and signatures of addresses."""
    text = re.sub(r"\?\S*", "?...", first_line(error)).rstrip(".")
    for name, value in os.environ.items():
        if SECRET.search(name) and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, "...")
    return text


def _lost(error: Exception, what: str) -> LostPiece:
    if isinstance(error, LostPiece):
        return error
    return LostPiece(f"{what} is shorter than the index says: the shard has changed since")
