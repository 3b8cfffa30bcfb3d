"""Atomic checkpoint files: a full disk or a crash leaves the new checkpoint or the previous one intact."""

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

PREVIOUS = ".previous"  # suffix of the previous checkpoint
PART = ".part"
MAGIC = b"PK"  # the first bytes of a zip file
FOLDER = 0x10  # the attribute bit that marks an entry of a zip file as a folder

log = logging.getLogger(__name__)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes to a temporary file, then renames it: a run killed at any time leaves an intact checkpoint.

    The previous checkpoint is kept as `<name>.previous`, in case the disk corrupts the new one. Raises OSError if a
    checkpoint can't be written; its message says which checkpoint is left.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        """Writes the checkpoint to a local path; raises OSError if it can't."""
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
        except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError for a full disk
            with suppress(OSError):
                part.unlink(missing_ok=True)
            kept = f"the previous one is intact: {path}" if path.exists() else "there is no previous one"
            reason = str(error).splitlines()[0]
            raise OSError(f"could not write the checkpoint {path} ({reason}): is the disk full? {kept}") from error

    def remove_checkpoint(self, path: str | os.PathLike) -> None:
        """Removes a checkpoint and its previous one."""
        for name in (path, f"{path}{PREVIOUS}"):
            Path(name).unlink(missing_ok=True)


def latest_intact(path: str | os.PathLike) -> Path:
    """Returns the checkpoint, or with a warning the previous one if it is corrupt; raises UserError if both are."""
    path = Path(path)
    previous = path.with_name(path.name + PREVIOUS)
    if is_intact(path):
        return path
    if is_intact(previous):
        log.warning("%s is corrupt: using the previous checkpoint, %s", path, previous)
        return previous
    raise UserError(
        f"{path}: expected an intact checkpoint, got a corrupt file, and no intact {previous}. Resume from another "
        "checkpoint, or start without resume"
    )


def require_intact(path: str | os.PathLike) -> None:
    """Raises UserError for a corrupt checkpoint; the message says whether the previous one is intact.

    For evaluation and initialization, where silently using another checkpoint would change the numbers.
    """
    if _has_its_bytes(path):
        return
    previous = Path(f"{path}{PREVIOUS}")
    advice = (
        f"The previous one is intact: use it, or move it to this path: {previous}"
        if is_intact(previous)
        else "There is no intact previous one: choose another checkpoint"
    )
    raise UserError(f"{path}: expected an intact checkpoint, got a corrupt file. {advice}")


def could_be_torn(path: str | os.PathLike) -> bool:
    """Returns whether an unreadable file may be a checkpoint: it starts like one, or a previous one exists."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC or os.path.exists(f"{path}{PREVIOUS}")


def is_intact(path: str | os.PathLike) -> bool:
    """Returns whether a checkpoint matches its checksums and torch can read it."""
    if not _has_its_bytes(path):
        return False
    try:
        torch.load(path, mmap=True, map_location="cpu", weights_only=True)  # memory-mapped: tensor data is not read
    except Exception:  # corrupt bytes can raise anything
        return False
    return True


def _has_its_bytes(path: str | os.PathLike) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            # Checksums don't cover attributes; for a folder entry torch would return uninitialized memory.
            is_read = not any(entry.external_attr & FOLDER for entry in archive.infolist())
            return is_read and archive.testzip() is None
    except Exception:  # as above
        return False


def _link(path: Path, other: Path) -> None:
    """Hard-links a file to another name, replacing it; copies where the file system has no hard links."""
    between = other.with_name(other.name + PART)
    between.unlink(missing_ok=True)
    try:
        os.link(path, between)
    except OSError:
        shutil.copyfile(path, between)
    os.replace(between, other)
