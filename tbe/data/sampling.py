"""Which videos an epoch visits, in which order, on which process: functions of seed, epoch and rank alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochSampler(Sampler):
    """Shuffles anew each epoch and deals the videos out to processes in equal numbers.

    Yields (index, draw) pairs, where draw seeds the item's own chance. Everything follows from (seed, epoch,
    index), so nothing needs saving: `resume` names an epoch and how many of its items have been seen.
    Lightning calls `set_epoch`. What does not fill the last batch of an epoch is left out that time.
    """

    def __init__(self, num_items: int, seed: int, batch_size: int = 1, rank: int = 0, world_size: int = 1):
        if num_items < batch_size * world_size:
            raise ValueError(
                f"expected at least one batch of videos ({batch_size} a process, {world_size} processes), got {num_items}. "
                "Set a smaller batch_size."
            )
        self.num_items = num_items
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.length = num_items // (batch_size * world_size) * batch_size
        self.epoch = 0
        self.seen = {}

    def __len__(self) -> int:
        return self.length

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration is."""
        self.epoch = epoch

    def resume(self, epoch: int, num_seen: int) -> None:
        """Lets this epoch begin after its first num_seen items."""
        self.seen = {epoch: num_seen}

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(self.num_items)
        draws = rng.integers(2**63, size=self.num_items)
        mine = order[self.rank : self.length * self.world_size : self.world_size]
        for index in mine[self.seen.get(self.epoch, 0) :]:
            yield int(index), int(draws[index])


class ShardSampler(Sampler):
    """Every world_size-th video, in order: no video is seen twice, however many processes there are."""

    def __init__(self, num_items: int, rank: int = 0, world_size: int = 1):
        if num_items < world_size:
            raise ValueError(f"expected at least one video for each of {world_size} processes, got {num_items}")
        self.indices = range(rank, num_items, world_size)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)
