import pytest
import torch

from tbe.data.readers import DecordReader
from tbe.data.readers.memory_reader import MemoryReader


class Counting:
    """A reader that counts what it opens."""

    def __init__(self):
        self.opened = []

    def __call__(self, path):
        self.opened.append(path)
        return DecordReader("cpu")(path)

    def worker_context(self, path):
        return "spawn"


@pytest.fixture
def files(video_folder):
    return [str(video_folder / "class 0" / f"video {number}.mp4") for number in (0, 2)]


def test_videos_are_read_once_and_give_the_same_frames(files):
    counting = Counting()
    reader = MemoryReader(counting)
    for _ in range(3):
        for file in files:
            torch.testing.assert_close(reader(file).frames([3, 0, 3]), DecordReader("cpu")(file).frames([3, 0, 3]))
            assert len(reader(file)) == len(DecordReader("cpu")(file))
    assert counting.opened == files
    assert reader.worker_context(files[0]) == "spawn"


def test_what_is_taken_is_a_copy(files):
    reader = MemoryReader(DecordReader("cpu"))
    before = reader(files[0]).frames([0]).clone()
    reader(files[0]).frames([0]).zero_()
    torch.testing.assert_close(reader(files[0]).frames([0]), before)


def test_what_does_not_fit_is_read_each_time(files):
    size = DecordReader("cpu")(files[0]).frames(range(12)).nbytes
    counting = Counting()
    reader = MemoryReader(counting, limit=1.5 * size / 1e9)
    for _ in range(2):
        for file in files:
            assert reader(file).frames([5]).shape[0] == 1
    assert counting.opened == [files[0], files[1], files[1]]


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(ValueError, match="expected more than 0 GB, got 0"):
        MemoryReader(DecordReader("cpu"), limit=0)
