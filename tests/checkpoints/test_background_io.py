"""Checkpoints written in the background: the same files, whole when killed, and an error is not lost."""

import importlib
import os
import threading

import pytest
import torch
from torch.testing import assert_close

from tbe.checkpoints.atomic_io import AtomicCheckpoints, is_intact
from tbe.checkpoints.background_io import BackgroundCheckpoints
from tests.checkpoints.test_atomic_io import number


class Held(AtomicCheckpoints):
    """Writes when it is told to."""

    def __init__(self):
        self.may = threading.Event()

    def save_checkpoint(self, *given, **more):
        assert self.may.wait(60)
        super().save_checkpoint(*given, **more)


def test_training_goes_on_while_a_checkpoint_is_written_as_it_was_when_it_was_asked_for(tmp_path):
    held, last, weights = Held(), tmp_path / "last.ckpt", torch.ones(10)
    background = BackgroundCheckpoints(held)
    background.save_checkpoint({"number": 1.0, "weights": weights}, last)
    weights.fill_(2)
    assert not last.exists()
    held.may.set()
    background.save_checkpoint({"number": 2.0, "weights": weights}, last)
    weights.fill_(3)
    assert background.load_checkpoint(last)["number"] == 2  # reading waits for both
    assert (number(last), number(tmp_path / "last.ckpt.previous")) == (2, 1)
    background.save_checkpoint({"number": 3.0, "weights": weights}, last)
    background.remove_checkpoint(last)
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_written_ends_the_run_with_the_reason(tmp_path):
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    background = BackgroundCheckpoints(AtomicCheckpoints())
    with pytest.raises(OSError, match="could not write the checkpoint"):  # at once, if the thread is that quick
        background.save_checkpoint({"weights": torch.ones(1)}, tmp_path / "checkpoints" / "last.ckpt")
        background.teardown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts the writer with fork")
@pytest.mark.parametrize("trial", range(4))
def test_a_run_killed_while_it_writes_in_the_background_leaves_a_whole_checkpoint(tmp_path, trial):
    last = tmp_path / "last.ckpt"
    kill_writer = importlib.import_module("benchmarks.faults.checkpoints").kill_writer
    kill_writer(last, 0.02 + 0.03 * trial, BackgroundCheckpoints)
    assert is_intact(last)
    assert number(last) >= 0


def test_a_run_that_writes_in_the_background_leaves_the_same_checkpoints_and_is_resumed(train, trained):
    run = train("performance.background_checkpoints=true", folder="background")
    ours, other = (torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in (run, trained))
    assert_close(ours["state_dict"], other["state_dict"], rtol=0, atol=0)
    assert (run / "checkpoints" / "best.ckpt").exists()
    train("performance.background_checkpoints=true", "epochs=2", f"resume={run}", folder="background")
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1
