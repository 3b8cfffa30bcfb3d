import pytest
import torch

from tbe.data.fault_tolerance.announced_batches import AnnouncedBatches
from tbe.data.fault_tolerance.loader import FaultTolerantDataset, FaultTolerantLoader, ReplayedSampler


class Asked(torch.utils.data.Dataset):
    """Videos whose items say what is to be read in advance when they are read."""

    def __init__(self):
        self.announced = []

    def __len__(self):
        return 12

    def prefetch(self, keys):
        self.announced = keys

    def __getitem__(self, index):
        return {"index": index, "announced": torch.tensor(self.announced)}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_worker_is_told_the_batch_that_it_gets_after_this_one(workers):
    videos = FaultTolerantDataset(Asked(), seconds=60)
    sampler = ReplayedSampler(torch.utils.data.SequentialSampler(videos))
    loader = FaultTolerantLoader(videos, 2, sampler=sampler, num_workers=workers, collate_fn=list)
    step = max(1, workers)
    assert len(loader) == 6
    for number, batch in enumerate(loader):
        found = batch[0]["announced"].tolist()
        after = [2 * (number + step), 2 * (number + step) + 1] if number + step < 6 else []
        assert found == [2 * number, 2 * number + 1, *after]


def test_announced_batches_are_the_same_batches():
    batches = [[1, 2], [3, 4], [5]]
    for workers in (0, 1, 2, 3, 5):
        assert list(AnnouncedBatches(batches, workers)) == batches
