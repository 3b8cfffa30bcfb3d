from types import SimpleNamespace

import torch

from tbe.training.callbacks import progress
from tbe.training.callbacks.progress import INTERVAL, ProgressBar


class Counting:
    """A trainer whose loss counts how often it is read."""

    training = True
    num_readings = 0

    @property
    def callback_metrics(self):
        self.num_readings += 1
        metrics = {"train/loss": torch.tensor(float(self.num_readings)), "val/knn_top1": torch.tensor([50.0])}
        return {**metrics, "lr-SGD": torch.tensor(0.1)}


def test_metrics_are_read_at_most_once_in_an_interval_of_training(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar, trainer, shown = ProgressBar(), Counting(), []
    for _ in range(9):
        shown.append(bar.get_metrics(trainer, None)["train/loss"])
        now[0] += INTERVAL / 4
    assert shown == [1, 1, 1, 1, 2, 2, 2, 2, 3]
    trainer.training = False  # the numbers of a validation are there once
    assert bar.get_metrics(trainer, None) == {"train/loss": 4, "val/knn_top1": 50}


def test_a_bar_without_metrics_shows_none():
    assert ProgressBar().get_metrics(SimpleNamespace(training=True, callback_metrics={}), None) == {}
