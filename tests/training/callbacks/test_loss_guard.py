import json
import os
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import nn
from torch.testing import assert_close

import tbe.train
from tbe.methods.losses import InfoNCE
from tbe.training.callbacks.loss_guard import FiniteLoss, LossExploded
from tbe.training.pretrain_module import PretrainModule
from tests.conftest import NARROW, SMALL, composed, run_command
from tests.forked import pair

NAN = float("nan")


@pytest.fixture
def explode(monkeypatch):
    """explode({2: nan, ...}) makes the losses of these steps, counted from 1, as large as that."""

    def at(steps):
        calls = iter(range(1, 1000))
        real = InfoNCE.forward

        def forward(self, *comparisons):
            return real(self, *comparisons) * steps.get(next(calls), 1.0)

        monkeypatch.setattr(InfoNCE, "forward", forward)

    return at


@pytest.fixture
def states(monkeypatch):
    """The state of the module after each step of the optimizer."""
    found = []
    real = PretrainModule.optimizer_step

    def step(self, *args, **kwargs):
        real(self, *args, **kwargs)
        found.append({name: value.clone() for name, value in self.state_dict().items()})

    monkeypatch.setattr(PretrainModule, "optimizer_step", step)
    return found


def checkpoint(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("factor", [NAN, float("inf"), 1e6])
def test_a_run_stops_at_a_bad_loss_and_names_the_batch(train, tmp_path, explode, states, factor):
    explode({6: factor})
    with pytest.raises(
        LossExploded, match=r"expected a finite loss of at most 10000, .* epoch 1 at step .*bad_batch\.json"
    ):
        train("epochs=3")
    assert len(states) == 6
    run = tmp_path / "runs" / "run"
    assert checkpoint(run)["global_step"] == 4  # of the epoch before
    found = json.loads((run / "bad_batch.json").read_text())
    assert found["epoch"] == 1
    assert len(found["videos"]) == 8
    assert found["seeds"] == {"run": 0, "epoch": 1, "first_index": found["videos"][0]["index"]}
    assert all(video["path"].endswith(f"{video['index']:05d}.mp4") for video in found["videos"])
    assert len(found["videos"][0]["frames"]) == 2


def test_a_skipped_step_changes_nothing(train, explode, states):
    explode({2: NAN})
    run = train("epochs=1", "callbacks.finite_loss.policy=skip")
    first, second, third = states[:3]
    moved = [name for name in first if not torch.equal(first[name], second[name])]
    assert all("key_encoder" in name for name in moved)  # they follow the weights whatever the batch
    assert any(not torch.equal(second[name], third[name]) for name in first)
    assert checkpoint(run)["global_step"] == 4
    assert all(value.isfinite().all() for value in checkpoint(run)["state_dict"].values())
    assert json.loads((run / "bad_batch.json").read_text())["policy"] == "skip"


def test_with_accumulation_the_whole_step_is_left_out_and_only_that(train, explode, states):
    explode({2: float("inf")})
    train("epochs=1", "callbacks.finite_loss.policy=skip", "accumulate=2", "method.momentum=1.0")
    first, second = states
    assert all(value.isfinite().all() for value in second.values())
    weights = [name for name in first if "encoder" in name and "running" not in name and "num_" not in name]
    assert any(not torch.equal(first[name], second[name]) for name in weights)


@pytest.mark.parametrize("policy", ["stop", "skip"])
@pytest.mark.parametrize("value", [5e3, 5e4])
def test_the_limit_is_that_of_the_loss_itself_however_it_is_divided_and_scaled(tmp_path, policy, value):
    """In float16 the loss is multiplied before the backward pass, and with accumulation it is divided."""
    guard, loss, parts = FiniteLoss(str(tmp_path), policy, limit=1e4), torch.tensor(value), 6
    precision = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
    videos = SimpleNamespace(path=str)
    trainer = SimpleNamespace(accumulate_grad_batches=parts, precision_plugin=precision, current_epoch=0, global_step=0)
    trainer.train_dataloader, trainer.datamodule = SimpleNamespace(dataset=videos), SimpleNamespace(seed=0)
    trainer.global_rank, trainer.strategy = 0, SimpleNamespace(reduce_boolean_decision=lambda bad, all: bad)
    batch = {"index": torch.tensor([0])}
    guard.on_train_batch_start(trainer, nn.Identity(), batch, 0)
    divided = loss / parts
    if policy == "skip":
        guard.on_before_backward(trainer, nn.Identity(), precision.scaler.scale(divided))
        assert guard.is_bad == (value > 1e4)
    elif value < 1e4:
        guard.on_train_batch_end(trainer, nn.Identity(), {"loss": divided}, batch, 0)
    else:
        with pytest.raises(LossExploded):
            guard.on_train_batch_end(trainer, nn.Identity(), {"loss": divided}, batch, 0)
    if value > 1e4:
        assert float(json.loads((tmp_path / "bad_batch.json").read_text())["loss"]) == pytest.approx(value)


def test_a_run_that_skips_everything_ends(train, explode):
    explode(dict.fromkeys(range(1, 100), NAN))
    with pytest.raises(LossExploded, match="the last of 11 in a row"):
        train("epochs=4", "callbacks.finite_loss.policy=skip")


def test_a_healthy_run_leaves_no_note(train):
    assert not (train() / "bad_batch.json").exists()


def test_weights_that_are_not_finite_are_not_saved(train, tmp_path, monkeypatch):
    real, steps = PretrainModule.optimizer_step, iter(range(1, 100))

    def step(self, *args, **kwargs):
        real(self, *args, **kwargs)
        if next(steps) == 8:  # the last of the second epoch
            next(self.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr(PretrainModule, "optimizer_step", step)
    with pytest.raises(LossExploded, match="expected finite weights, got nan or inf in 1 tensors, .* not saved"):
        train("epochs=2", "callbacks=common")
    assert checkpoint(tmp_path / "runs" / "run")["global_step"] == 4


def test_a_policy_that_does_not_exist_is_refused(train):
    with pytest.raises(Exception, match="callbacks.finite_loss.policy: expected one of stop, skip, got 'ignore'"):
        train("callbacks.finite_loss.policy=ignore")


@pytest.fixture(scope="module")
def on_two_processes(tmp_path_factory, data_dir):
    """The folder of two runs of two processes, of which the second one's loss is not a number in the second step."""
    folder = tmp_path_factory.mktemp("two")
    settings = [*SMALL, *NARROW, "trainer=ddp_cpu", "batch_size=4", "epochs=1", "callbacks=common"]
    for policy in ("skip", "stop"):
        composed("train", *settings, f"callbacks.finite_loss.policy={policy}", run_dir=folder)  # for both of them

    def work(rank):
        os.environ["TBE_DATA"] = str(data_dir)
        calls, states = iter(range(1, 100)), []
        loss, step, factor = InfoNCE.forward, PretrainModule.optimizer_step, {(1, 2): NAN, (1, 6): NAN}

        def recorded(module, *args, **kwargs):
            step(module, *args, **kwargs)
            states.append({name: value.clone() for name, value in module.named_parameters()})

        InfoNCE.forward = lambda self, *views: loss(self, *views) * factor.get((rank, next(calls)), 1.0)
        PretrainModule.optimizer_step = recorded
        run_command(tbe.train, "train", [*settings, "callbacks.finite_loss.policy=skip"], folder / "skip")
        torch.save(states, folder / f"{rank}.pt")
        try:
            run_command(tbe.train, "train", [*settings, "callbacks.finite_loss.policy=stop"], folder / "stop")
        except Exception as error:
            (folder / f"{rank}.txt").write_text(f"{type(error).__name__}: {error}")
            raise

    return folder, pair(work)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts the processes with fork")
def test_a_step_that_one_process_must_skip_all_skip(on_two_processes):
    folder, _ = on_two_processes
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert_close(first, second, rtol=0, atol=0)
    assert all(torch.equal(value, first[1][name]) for name, value in first[0].items() if "key_encoder" not in name)
    assert any(not torch.equal(value, first[2][name]) for name, value in first[1].items())
    note = json.loads((folder / "skip" / "bad_batch_1.json").read_text())
    assert (note["process"], note["step"], len(note["videos"])) == (1, 1, 4)
    assert not (folder / "skip" / "bad_batch.json").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts the processes with fork")
def test_a_bad_loss_of_one_process_ends_all_and_its_error_names_its_batch(on_two_processes):
    folder, statuses = on_two_processes
    assert statuses == [1, 1]
    assert (folder / "0.txt").read_text().startswith("ProcessLost: process 0: the connection to another process broke")
    said, note = (folder / "1.txt").read_text(), folder / "stop" / "bad_batch_1.json"
    assert said.startswith(
        "LossExploded: expected a finite loss of at most 10000, got another one in epoch 0 at step 2 "
    )
    assert f"({note} names the videos)" in said
    assert json.loads(note.read_text())["loss"] == "nan"
    assert not (folder / "stop" / "checkpoints" / "last.ckpt").exists()
