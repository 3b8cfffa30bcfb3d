"""Checkpoint files on a disk that may be full and a machine that may die: whole, or those before them."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from tbe.errors import UserError

PREVIOUS = ".previous"  # what the name of the checkpoint before ends with
PART = ".part"
MAGIC = b"PK"  # what a zip file begins with
FOLDER = 0x10  # the attribute of an entry of a zip file that is a folder

log = logging.getLogger(__name__)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the file, then puts it in its place: whenever a run is killed, there is a whole checkpoint.

    The checkpoint that stood there is kept as `<name>.previous`, for the case that the disk spoils the new one. An
    OSError that says what is left when a checkpoint can't be written.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        """Writes the checkpoint to a local path."""
        path = Path(path)
        part = path.with_name(path.name + PART)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                _link(path, path.with_name(path.name + PREVIOUS))
            os.replace(part, path)
        except (OSError, RuntimeError) as error:  # torch's own writer raises the latter for a full disk
            with suppress(OSError):
                part.unlink(missing_ok=True)
            kept = f"that of before is whole: {path}" if path.exists() else "there is none of before"
            reason = str(error).splitlines()[0]
            raise OSError(f"could not write the checkpoint {path} ({reason}): is the disk full? {kept}") from error

    def remove_checkpoint(self, path: str | os.PathLike) -> None:
        """Removes a checkpoint and the one that stood there before it."""
        for name in (path, f"{path}{PREVIOUS}"):
            Path(name).unlink(missing_ok=True)


def latest_intact(path: str | os.PathLike) -> Path:
    """The checkpoint, or, where its file is torn, the one before, with a warning; a ValueError where both are."""
    path = Path(path)
    previous = path.with_name(path.name + PREVIOUS)
    if is_intact(path):
        return path
    if is_intact(previous):
        log.warning("%s is torn: going on from the checkpoint before it, %s", path, previous)
        return previous
    raise UserError(
        f"{path}: expected a whole checkpoint, got a torn file, and no whole one before it as {previous}. Start again "
        "from another checkpoint, or anew without resume"
    )


def require_intact(path: str | os.PathLike) -> None:
    """A ValueError for a checkpoint with other bytes than were written, which says whether that before it is whole.

    For what is measured or started from, where another checkpoint than the named one would give other numbers.
    """
    if _has_its_bytes(path):
        return
    previous = Path(f"{path}{PREVIOUS}")
    advice = (
        f"The one before it is whole: name that, or put it in its place: {previous}"
        if is_intact(previous)
        else "There is no whole one before it: name another checkpoint"
    )
    raise UserError(f"{path}: expected a whole checkpoint, got a torn file. {advice}")


def could_be_torn(path: str | os.PathLike) -> bool:
    """Whether a file that torch can't read may be a checkpoint: it begins as one, or the one before it lies there."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC or os.path.exists(f"{path}{PREVIOUS}")


def is_intact(path: str | os.PathLike) -> bool:
    """Whether all bytes of a checkpoint are those that were written, by the checksums in it, and torch can read it."""
    if not _has_its_bytes(path):
        return False
    try:
        torch.load(path, mmap=True, map_location="cpu", weights_only=True)  # the pages of tensors are not read
    except Exception:  # bytes that mean nothing can raise any
        return False
    return True


def _has_its_bytes(path: str | os.PathLike) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            # No checksum is over the attributes; torch reads nothing from a folder, and gives what the memory held.
            is_read = not any(entry.external_attr & FOLDER for entry in archive.infolist())
            return is_read and archive.testzip() is None
    except Exception:  # as above
        return False


def _link(path: Path, other: Path) -> None:
    """Gives a file a second name, in place of what had it; copies it where the disk has no second names."""
    between = other.with_name(other.name + PART)
    between.unlink(missing_ok=True)
    try:
        os.link(path, between)
    except OSError:
        shutil.copyfile(path, between)
    os.replace(between, other)
