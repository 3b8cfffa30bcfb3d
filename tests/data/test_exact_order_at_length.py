"""100,000 steps in which the number of processes changes: each video once an epoch, and the same ones in each step.

The samplers, positions, replacements and quarantine are those of training; only decoding and networks are left out.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tbe.data.clip_samplers import RandomClip
from tbe.data.datamodule import VideoDataModule
from tbe.data.epoch_samplers import EpochSampler
from tbe.data.readers import DecodeError
from tbe.data.sources.base import VideoSource
from tbe.data.sources.records import make_records

STEPS, BATCH, VIDEOS = 100_000, 32, 3_207  # of which seven are left over in each epoch
STEPS_OF_EPOCH = VIDEOS // BATCH
UNREADABLE = [5, 700, 701, 3_000]  # some of them are drawn in place of others, too
IS_UNREADABLE = np.isin(np.arange(VIDEOS), UNREADABLE)


class Numbered(VideoSource):
    name, num_classes = "numbered", 2
    videos = make_records("/r", [f"{number}.mp4" for number in range(VIDEOS)], np.arange(VIDEOS) % 2, np.zeros(VIDEOS))

    def has(self, split):
        return split == "train"

    def records(self, split):
        return self.videos


def read(videos, key):
    """Stands in for decoding: the number of the video."""
    if key[0] in UNREADABLE:
        raise DecodeError(f"could not read {key[0]}.mp4")
    return {"index": key[0]}


class Process:
    """One process of a run that begins, or goes on, at a step: its loader, and what it has replaced."""

    def __init__(self, rank, world_size, step, folder, monkeypatch):
        never = SimpleNamespace(worker_context=lambda path: None, reduced=lambda path, short_side: None)
        settings = {"num_workers": 0, "on_error": "skip", "quarantine": str(folder / "quarantine.csv"), "max_failed": 1}
        clips = RandomClip(2, 1)
        data = VideoDataModule(Numbered(), never, clips, torch.nn.Identity(), BATCH // world_size, clips, **settings)
        self.counters = SimpleNamespace(processed=0)
        loops = SimpleNamespace(batch_progress=SimpleNamespace(current=self.counters))
        trainer = SimpleNamespace(global_rank=rank, world_size=world_size, limit_train_batches=1.0)
        trainer.strategy = SimpleNamespace(root_device=torch.device("cpu"))
        trainer.fit_loop = SimpleNamespace(epoch_loop=loops)
        data.trainer = self.trainer = trainer
        self.counters.processed, trainer.current_epoch = step % STEPS_OF_EPOCH, step // STEPS_OF_EPOCH
        self.loader, self.quarantine = data.train_dataloader(), data.quarantine
        monkeypatch.setattr(type(self.loader.dataset.videos), "__getitem__", read)

    def epoch(self):
        """The numbers of the videos of each step that is left of an epoch, with their replacements."""
        keys = self.loader.sampler.sampler.keys()
        batches = keys.indices.reshape(-1, self.loader.batch_size).copy()
        replaced = batches.copy()
        for place in np.flatnonzero(IS_UNREADABLE[keys.indices]):
            item = self.loader.dataset[keys[int(place)]]
            self.quarantine.add(item["faults"])
            replaced.flat[place] = item["index"]
        self.trainer.current_epoch, self.counters.processed = self.trainer.current_epoch + 1, 0
        return batches, replaced


def steps_of(world_size, first, last, folder, monkeypatch):
    """What each process draws in the steps from the first to the last, (steps, world size, batch) twice."""
    processes = [Process(rank, world_size, first, folder, monkeypatch) for rank in range(world_size)]
    parts, num_steps = [], 0
    while num_steps < last - first:
        parts.append([np.stack(drawn, axis=1) for drawn in zip(*(one.epoch() for one in processes), strict=True)])
        num_steps += len(parts[-1][0])
    return [np.concatenate(drawn)[: last - first] for drawn in zip(*parts, strict=True)]


def joined(parts):
    """The videos of each step whatever process has them, sorted, (steps, BATCH) twice."""
    return [np.concatenate([np.sort(part[which].reshape(-1, BATCH)) for part in parts]) for which in range(2)]


def test_each_video_comes_once_an_epoch_and_each_step_has_the_same_videos_over_8_then_4_then_8_processes(
    tmp_path, monkeypatch
):
    stops = [0, 33_333, 33_350, 66_700, STEPS]  # within epochs and at the end of one
    worlds = [8, 4, 4, 8]
    parts = [
        steps_of(world, first, last, tmp_path, monkeypatch)
        for world, first, last in zip(worlds, stops, stops[1:], strict=False)
    ]
    drawn, trained = joined(parts)
    assert drawn.shape == (STEPS, BATCH)
    epochs = drawn[: STEPS // STEPS_OF_EPOCH * STEPS_OF_EPOCH].reshape(-1, STEPS_OF_EPOCH * BATCH)
    assert (np.diff(np.sort(epochs)) > 0).all()
    assert len({epoch.tobytes() for epoch in epochs}) == len(epochs)  # in another order each time

    alone = EpochSampler(VIDEOS, 0, BATCH, position=lambda: (777, 0)).keys().indices.reshape(-1, BATCH)
    assert (drawn[777 * STEPS_OF_EPOCH : 778 * STEPS_OF_EPOCH] == np.sort(alone)).all()

    assert not IS_UNREADABLE[trained].any()
    (tmp_path / "quarantine.csv").unlink()  # found again by a run that knows nothing
    whole = joined([steps_of(2, 33_300, 33_400, tmp_path, monkeypatch)])
    assert (whole[0] == drawn[33_300:33_400]).all()
    assert (whole[1] == trained[33_300:33_400]).all()  # also what replaces what


@pytest.mark.parametrize("world_size", [4, 8])
def test_with_as_many_processes_a_run_that_was_stopped_gives_each_of_them_what_it_would_have_had(
    tmp_path, monkeypatch, world_size
):
    whole = steps_of(world_size, 0, 350, tmp_path, monkeypatch)
    stopped = [steps_of(world_size, *part, tmp_path, monkeypatch) for part in ((0, 130), (130, 200), (200, 350))]
    for which in range(2):
        assert (np.concatenate([part[which] for part in stopped]) == whole[which]).all()
