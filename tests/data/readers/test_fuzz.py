"""Five hundred spoiled videos and as many spoiled lists: each is read, or named; nothing crashes or hangs."""

import importlib
import random

import pytest
import torch

from tbe.data.clip_samplers import RandomClip
from tbe.data.dataset import VideoDataset
from tbe.data.epoch_samplers import EpochSampler
from tbe.data.fault_tolerance.loader import FaultTolerantDataset, FaultTolerantLoader, ReplayedSampler
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.sources.records import make_records, read_list
from tbe.data.video_writer import write_video
from tests.conftest import moving_square

TRIALS = 500
KINDS = {"a.mp4": "libx264", "b.avi": "mpeg4", "c.mkv": "libx264"}


@pytest.fixture
def spoiling(monkeypatch):
    """The ways in which `benchmarks/faults/run.py` spoils bytes."""
    return importlib.import_module("benchmarks.faults.corrupt")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    for name, codec in KINDS.items():
        write_video(folder / name, moving_square(20), fps=25, codec=codec)
    return {name: (folder / name).read_bytes() for name in KINDS}


def test_every_spoiled_video_is_read_or_named(whole, spoiling, tmp_path):
    chance, names = random.Random(0), []
    ways = [spoiling.flipped, spoiling.truncated, spoiling.with_a_hole, spoiling.doubled, spoiling.begun_as_another]
    for number in range(TRIALS):
        kind = chance.choice(list(KINDS))
        spoil = chance.choice(ways)
        more = {"others": list(whole.values())} if spoil is spoiling.begun_as_another else {}
        names.append(f"{spoil.__name__}_{number}.{kind.split('.')[1]}")
        (tmp_path / names[-1]).write_bytes(spoil(whole[kind], chance, **more))
    records = make_records(tmp_path, names, [0] * TRIALS, [0] * TRIALS)
    videos = FaultTolerantDataset(VideoDataset(records, AutoReader(), RandomClip(4, 2)), seconds=20, replaces=True)
    sampler = ReplayedSampler(EpochSampler(TRIALS, seed=0, batch_size=10))
    loader = FaultTolerantLoader(videos, batch_size=10, sampler=sampler, num_workers=2, collate_fn=videos.collate)
    asked, failed, replaced = 0, set(), set()
    for batch in loader:
        asked += len(batch["index"])
        failed |= {fault.path for fault in batch["faults"]}
        replaced |= {pair[0] for pair in batch["replaced"]}
        assert batch["clips"].dtype == torch.uint8
        assert batch["clips"].shape[1:4] == (1, 4, 3)
    assert asked == TRIALS
    assert replaced <= failed  # what did not come is named; some fail only where other frames of them are asked for
    assert 0 < len(replaced) < TRIALS


def test_every_spoiled_list_is_read_or_refused_with_its_name(spoiling, tmp_path):
    chance = random.Random(1)
    ways = [spoiling.flipped, spoiling.truncated, spoiling.with_a_hole, spoiling.doubled]
    lines = [f"class {number % 7}/video_{number}.mp4 {number % 7} {number + 1}" for number in range(40)]
    content = "\n".join(lines).encode()
    file, refusals = tmp_path / "train.txt", []
    for _ in range(TRIALS):
        spoil = chance.choice(ways)
        file.write_bytes(spoil(content, chance))
        try:
            records = read_list(file, tmp_path)
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert len(records) == len(records.labels) == len(records.num_frames) > 0
            assert (records.labels >= 0).all()
    assert 0 < len(refusals) < TRIALS
    assert all(str(file) in refusal for refusal in refusals)
