import math
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from tbe.config import plain
from tbe.evaluation.ranks import lidar, rankme
from tbe.train import build_module
from tbe.training.callbacks.representation_rank import RepresentationRank
from tests.conftest import composed
from tests.methods.networks import Mean


class Logger:
    def __init__(self):
        self.rows = []

    def log_metrics(self, metrics, step):
        self.rows.append((step, metrics))


def watched(callback, batches, network, ends=False, seen_share=1.0):
    """The rows that the callback logs of these batches, and which of them it has looked at."""
    logger, looked = Logger(), []
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(_batches_that_stepped=0))
    trainer = SimpleNamespace(loggers=[logger], fit_loop=loop, callback_metrics={}, global_step=0)
    trainer.max_steps, trainer.max_epochs, trainer.num_training_batches = -1, 1, len(batches) if ends else math.inf
    trainer.strategy = SimpleNamespace(precision_plugin=SimpleNamespace(forward_context=nullcontext))
    method = SimpleNamespace(seen_share=seen_share)
    module = SimpleNamespace(backbone=network, method=method, log_dict=lambda ranks, logger: None)
    for number, batch in enumerate(batches):
        loop.epoch_loop._batches_that_stepped = trainer.global_step = number
        before = len(callback.features)
        callback.on_train_batch_start(trainer, module, batch, number)
        looked += [number] * (len(callback.features) != before)
    return logger.rows, looked


def drawn(number, views=("query", "key")):
    colors = torch.Generator().manual_seed(number)
    return {name: torch.rand(4, 3, 2, 4, 4) + 3 * torch.rand(4, 3, 1, 1, 1, generator=colors) for name in views}


def test_the_last_batches_of_each_period_are_measured_together():
    batches, network = [drawn(number) for number in range(12)], Mean(batch_norm=True)
    network.norm(10 * torch.randn(50, 8))  # else its batches would be normalized by their own statistics only in train
    before = {name: value.clone() for name, value in network.state_dict().items()}
    rows, looked = watched(RepresentationRank(every=5, videos=8, max_share=1), batches, network)
    assert looked == [3, 4, 8, 9]
    network.eval()
    for (step, found), pair in zip(rows, [(3, 4), (8, 9)], strict=True):
        assert step == pair[1]
        views = [torch.cat([network(batches[number][name]) for number in pair]) for name in ("query", "key")]
        assert found["train/rankme"] == pytest.approx(rankme(views[0].detach()))
        assert found["train/lidar"] == pytest.approx(lidar(torch.stack(views, dim=1).detach()))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_of_large_batches_as_many_videos_are_measured_as_asked():
    batches, network = [drawn(number) for number in range(2)], Mean()
    ((_, found),), _ = watched(RepresentationRank(every=2, videos=6, max_share=1), batches, network)
    last = torch.cat([network(batch["query"]) for batch in batches])[-6:]
    assert found["train/rankme"] == pytest.approx(rankme(last.detach()))


def test_no_more_batches_are_looked_at_than_the_share_allows():
    batches = [drawn(number) for number in range(25)]
    callback = partial(RepresentationRank, every=1, videos=8)
    assert watched(callback(max_share=0.2), batches, Mean())[1] == [8, 9, 18, 19]
    assert watched(callback(max_share=0.4), batches, Mean(), seen_share=0.5)[1] == [8, 9, 18, 19]


@pytest.mark.parametrize(
    ("method", "backbone", "share"),
    [
        ("moco", "vit_micro", 1),
        ("lejepa", "vit_micro", 1),
        ("lejepa", "vit_micro method.token_drop=0.75", 0.25),
        ("vicreg", "vit_micro method.token_drop=0.5", 0.5),
        ("videomae", "vit_micro", 0.1),
        ("videomae", "vit_micro method.ratio=0.75", 0.25),
        ("videomae", "tiny", 1),  # which can't leave out what is hidden
        ("vjepa", "vit_micro", 1),  # whose target is encoded whole
    ],
)
def test_steps_that_leave_tokens_out_are_told(method, backbone, share, tmp_path):
    overrides = [f"method={method}", *f"backbone={backbone}".split()]
    module = build_module(plain(composed("train", *overrides, run_dir=tmp_path)), num_classes=3)
    assert module.method.seen_share == pytest.approx(share)


def test_a_run_shorter_than_a_period_is_measured_at_its_end_and_a_longer_period_than_asked_is_said(caplog):
    batches = [drawn(number) for number in range(7)]
    with caplog.at_level("INFO"):
        rows, looked = watched(RepresentationRank(every=2, videos=8, max_share=0.2), batches, Mean(), ends=True)
    assert looked == [5, 6]
    assert len(rows) == 1
    (said,) = [record.getMessage() for record in caplog.records]
    assert "every 7 batches in place of every=2" in said


def test_the_network_goes_on_training_and_a_method_of_one_view_has_no_lidar():
    network = Mean(batch_norm=True)
    rows, _ = watched(RepresentationRank(every=1, videos=4, max_share=1), [drawn(0, ("query",))], network)
    assert network.training
    assert set(rows[0][1]) == {"train/rankme"}


def test_a_collapse_is_said_once_in_one_line(caplog):
    network = Mean()
    batches = [drawn(number) for number in range(6)]
    watched(RepresentationRank(every=1, videos=4, max_share=1), batches, network)
    assert not caplog.records
    with torch.no_grad():
        network.layer.weight.mul_(1e-3)
    watched(RepresentationRank(every=2, videos=4, max_share=1), batches, network)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("collapsed: at step 1 the features of 4 videos use 1.")
    assert "\n" not in said


@pytest.mark.parametrize(("threshold", "is_said"), [(1.5, False), (8.0, True)])
def test_a_collapse_is_below_the_threshold_that_is_asked_for(threshold, is_said, caplog):
    batches = [drawn(number) for number in range(2)]
    rows, _ = watched(RepresentationRank(every=2, videos=4, max_share=1, collapsed_below=threshold), batches, Mean())
    assert 1.5 < rows[0][1]["train/rankme"] < 8
    assert ["callbacks.rank.collapsed_below=8)" in record.getMessage() for record in caplog.records] == [True] * is_said


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="callbacks.rank: expected .* a max_share above 0 and up to 1"):
        RepresentationRank(max_share=0)
