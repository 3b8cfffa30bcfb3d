"""A run that was stopped and goes on ends as one that was not: all that its last checkpoint and its tables hold."""

import itertools
import json
import os
import signal
import time
from unittest.mock import patch

import pytest
import torch
from torch.testing import assert_close

import tbe.train
from tbe.evaluation.tasks.knn import Knn
from tbe.training.callbacks.preemption import SIGNALS, SaveOnInterrupt
from tests.conftest import NARROW, SMALL, composed, started
from tests.forked import pair

INT, TERM = signal.SIGINT, signal.SIGTERM
# 4 batches an epoch, of a network as small as can be.
TINY = [*SMALL, *NARROW, "trainer=cpu", "epochs=2", "trainer.log_every_n_steps=1", "logger=csv"]
MOCO = ("method=moco",)
BYOL = ("method=byol", "loss=cosine")  # with a moving average as its target
# With directions drawn at each step, and ranks of the features of steps 2 3 and 5 6.
LEJEPA = ("method=lejepa", "be=inter", "method.encoder.hidden=16", "callbacks.rank.every=3")
LEJEPA += ("callbacks.rank.videos=16", "callbacks.rank.max_share=1")
VIT = ("backbone=vit_micro", "backbone.width=24", "backbone.depth=2", "backbone.heads=2")
VJEPA = ("method=vjepa",)  # with masks drawn at each step, and a moving average as its target
VICREG = ("method=vicreg", "be=original", "method.encoder.hidden=16", "method.encoder.dim=16")
# With tubes and blocks to skip drawn at each step, of a clip whose background is another's.
VIDEOMAE = ("method=videomae", "be=median_swap", "backbone=vit_micro", "method.decoder_depth=1")
VIDEOMAE += ("backbone.width=24", "backbone.depth=2", "backbone.heads=2", "backbone.drop_path=0.2")
ROTATION = ("method=rotation", "loss=cross_entropy")
# With groups of parameters, clips mixed by chance, and a moving average of the weights.
AVERAGED = (
    *("stage=finetune", "task=none", "callbacks=[finetune,ema]", "callbacks.ema.decay=0.9"),
    "optimizer=adamw_vit",
)
AVERAGED += ("mix@module.mix=mixup_cutmix",)
FINETUNE = ("stage=finetune", "task=none")  # with momentum and dropout


def run(folder, settings, resume=None):
    has_own = any(setting.startswith("backbone=") for setting in settings)
    kept = [setting for setting in TINY if not (has_own and setting.startswith("backbone."))]
    config = composed("train", *kept, *settings, run_dir=folder)
    config.resume = resume and str(resume)
    tbe.train.run(tbe.train.prepare(config, []))
    return folder


def stop(folder, settings, after, by):
    """A run that gets a signal at the end of so many batches, None for none, and leaves."""
    batches = itertools.count(1)

    def ask(callback, *batch, real=SaveOnInterrupt.on_train_batch_end):
        if next(batches) == after and by:
            os.kill(os.getpid(), by)
        real(callback, *batch)

    with patch.object(SaveOnInterrupt, "on_train_batch_end", ask), pytest.raises(SystemExit) as exit_code:
        run(folder, settings)
    assert exit_code.value.code == 130
    return folder


def last(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same_end(straight, resumed):
    ours, theirs = last(straight), last(resumed)
    assert ours.keys() == theirs.keys()
    assert ours["optimizer_states"][0]["state"]
    # Weights, queue and moving averages are in the first, moments in the second.
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step", "metrics"):
        assert_close(theirs[part], ours[part], rtol=0, atol=0, msg=lambda text, part=part: f"{part}: {text}")
    assert (straight / "metrics.csv").read_bytes() == (resumed / "metrics.csv").read_bytes()
    measured = [json.loads((folder / "metrics.json").read_text()) for folder in (straight, resumed)]
    assert {**measured[0], "protocol": None} == {**measured[1], "protocol": None}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """straight(settings) is a run that nobody stops, trained once for all tests that compare with it."""
    known = {}

    def trained(settings):
        if settings not in known:
            known[settings] = run(tmp_path_factory.mktemp("straight"), settings)
        return known[settings]

    return trained


@pytest.mark.parametrize(
    ("settings", "after", "by", "steps"),
    [
        (MOCO, 2, INT, 2),
        (MOCO, 4, INT, 4),  # at the end of an epoch
        (MOCO, 6, TERM, 6),
        (MOCO, 8, INT, 8),  # with nothing left to train
        ((*MOCO, "accumulate=3"), 1, INT, 1),  # within the first of its steps, of batches 1 2 3 and 4
        ((*MOCO, "accumulate=3"), 8, INT, 4),
        ((*BYOL, "accumulate=2"), 5, TERM, 3),
        (LEJEPA, 5, INT, 5),
        (VJEPA, 3, INT, 3),
        (VICREG, 3, INT, 3),
        ((*LEJEPA, *VIT, "method.token_drop=0.5"), 3, INT, 3),
        ((*VJEPA, *VIT), 3, INT, 3),
        (VIDEOMAE, 5, TERM, 5),
        (ROTATION, 3, INT, 3),
        (FINETUNE, 5, INT, 5),
        (AVERAGED, 5, INT, 5),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(int(value)),
)
def test_a_stopped_run_resumes_as_if_it_had_not_been(straight, tmp_path, settings, after, by, steps):
    expected = straight(settings)
    stopped = stop(tmp_path, settings, after, by)
    assert last(stopped)["global_step"] == steps
    assert_same_end(expected, run(stopped, settings, resume=stopped))


@pytest.mark.parametrize(("where", "by"), [("task", INT), ("network", TERM)])
def test_a_run_interrupted_while_measuring_measures_after_it_resumes(straight, tmp_path, monkeypatch, where, by):
    settings = (*MOCO, "task=[knn]", "evaluation.clips=1")
    expected, handlers, queued = straight(settings), [signal.getsignal(number) for number in SIGNALS], []

    def measure(task, evaluation, real=Knn.run):
        if where == "task":
            os.kill(os.getpid(), by)
        with torch.nn.modules.module.register_module_forward_pre_hook(lambda *call: os.kill(os.getpid(), by)):
            return real(task, evaluation)

    def requeue():
        queued.append(by)
        os.kill(os.getpid(), by)  # a scheduler that asks twice is not heard

    monkeypatch.setattr(tbe.train.cluster_jobs, "requeue", requeue)
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as exit_code:
        patched.setattr(Knn, "run", measure)
        run(tmp_path, settings)
    assert exit_code.value.code == 130
    assert queued == [TERM] * (by == TERM)
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    assert not (tmp_path / "metrics.json").exists()
    assert_same_end(expected, run(tmp_path, settings, resume=tmp_path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts the run with fork")
def test_a_killed_run_resumes_as_if_it_had_not_been(straight, tmp_path):
    settings = (*MOCO, "epochs=4", "validate_every=4")
    expected = straight(settings)
    process = started("train.py", *TINY, *settings, f"hydra.run.dir={tmp_path}")
    while not (tmp_path / "checkpoints" / "last.ckpt.previous").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 8 <= last(tmp_path)["global_step"] < 16
    assert_same_end(expected, run(tmp_path, settings, resume=tmp_path))


def test_a_checkpoint_within_a_step_of_several_batches_is_warned_of(tmp_path, caplog):
    def save(callback, trainer, module, outputs, batch, batch_idx):
        trainer.save_checkpoint(tmp_path / f"{batch_idx}.ckpt")

    with patch.object(SaveOnInterrupt, "on_train_batch_end", save):
        run(tmp_path, (*MOCO, "accumulate=3", "epochs=1", "datamodule.val_limit=1"))
    (warning,) = [record.getMessage() for record in caplog.records if "within a step" in record.getMessage()]
    assert "saved a checkpoint within a step of 3 batches, at step 0: a run that resumes from it loses" in warning


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts the run with fork")
def test_two_processes_leave_together_at_the_end_of_a_step_and_resume_as_if_they_had_not(tmp_path):
    """They agree in the steps of batches 1 2 of an epoch, not in those of 3 4; the second one alone gets a signal."""
    settings = (*MOCO, "trainer=ddp_cpu", "batch_size=4", "accumulate=2", "+callbacks.interrupt.every=4")
    composed("train", *TINY, *settings, run_dir=tmp_path)  # for both of them

    def leave(rank):
        flags, broadcast = [], torch.distributed.broadcast

        def recorded(tensor, *where, **more):
            flags.extend([tensor] if tensor.shape == (1,) and tensor.dtype == torch.int64 else [])
            return broadcast(tensor, *where, **more)

        with patch.object(torch.distributed, "broadcast", recorded):
            run(tmp_path / "straight", settings)
        assert not flags  # Lightning would send, and read, whether a signal came, in each batch
        stop(tmp_path / "stopped", settings, after=3, by=TERM if rank else None)

    assert pair(leave) == [0, 0]
    (tmp_path / "stopped" / "checkpoints" / "last.ckpt").rename(tmp_path / "left.ckpt")
    assert pair(lambda rank: run(tmp_path / "stopped", settings, resume=tmp_path / "left.ckpt")) == [0, 0]
    left = torch.load(tmp_path / "left.ckpt", weights_only=True)
    assert left["global_step"] == 3
    assert not torch.equal(*left["statistics"])
    assert_same_end(tmp_path / "straight", tmp_path / "stopped")
