"""Checkpoints that are written while training goes on."""

from __future__ import annotations

import os
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.plugins.io import AsyncCheckpointIO


class BackgroundCheckpoints(AsyncCheckpointIO):
    """Writes checkpoints in a thread as the wrapped plugin does, atomically.

    Training waits for a copy in memory alone, of which there is one at most: the next checkpoint, as reading and
    removing, waits until the last one is written. What can't be written ends the run then, or at its end.
    """

    def save_checkpoint(self, *given: Any, **more: Any) -> None:
        self.teardown()
        super().save_checkpoint(*given, **more)

    def load_checkpoint(self, path: str | os.PathLike, *settings: Any, **more: Any) -> dict[str, Any]:
        self.teardown()
        return super().load_checkpoint(path, *settings, **more)

    def remove_checkpoint(self, path: str | os.PathLike) -> None:
        self.teardown()
        super().remove_checkpoint(path)


def write_in_background(trainer: pl.Trainer) -> None:
    """Makes a Trainer write its checkpoints in the background, in the way in which it writes them now."""
    trainer.strategy.checkpoint_io = BackgroundCheckpoints(trainer.strategy.checkpoint_io)


def wait_for_checkpoints(trainer: pl.Trainer) -> None:
    """Returns when all checkpoints that the Trainer was asked for are written; raises what kept one from it."""
    trainer.strategy.checkpoint_io.teardown()
