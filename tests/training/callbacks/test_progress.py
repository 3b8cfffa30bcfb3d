from types import SimpleNamespace

from pytorch_lightning.callbacks import RichProgressBar

from tbe.training.callbacks import progress
from tbe.training.callbacks.progress import INTERVAL, ProgressBar


def test_metrics_are_read_at_most_once_in_an_interval_of_training(monkeypatch):
    now, readings = [100.0], iter(range(100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(RichProgressBar, "get_metrics", lambda *_: {"v_num": 3, "train/loss": next(readings)})
    bar, trainer = ProgressBar(), SimpleNamespace(training=True)
    shown = []
    for _ in range(9):
        shown.append(bar.get_metrics(trainer, None)["train/loss"])
        now[0] += INTERVAL / 4
    assert shown == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    trainer.training = False  # the numbers of a validation are there once
    assert bar.get_metrics(trainer, None) == {"train/loss": 3}
