"""Samplers of the videos of an epoch and their order on each process, determined by seed, epoch and rank alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from torch.utils.data import Sampler

from tbe.errors import UserError


@dataclass(frozen=True, eq=False)
class DrawnKeys(Sequence[tuple[int, int]]):
    """Pairs (index, draw) as columns, int64 (n,) each: as objects those of ten million videos would take a gigabyte."""

    indices: np.ndarray
    draws: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, place: int) -> tuple[int, int]: ...

    @overload
    def __getitem__(self, place: slice) -> DrawnKeys: ...

    def __getitem__(self, place: Any) -> tuple[int, int] | DrawnKeys:
        if isinstance(place, slice):
            return DrawnKeys(self.indices[place], self.draws[place])
        return int(self.indices[place]), int(self.draws[place])


class EpochSampler(Sampler):
    """Shuffles the videos anew each epoch and gives every process the same number of them.

    Yields (index, draw) pairs, where draw seeds the item's own randomness. Everything follows from (seed, epoch,
    index), so there is no state to save: each iteration calls `position` for the epoch and the number of its items
    already seen. Drops the incomplete last batch of an epoch. Raises UserError for fewer items than one batch.
    """

    def __init__(
        self,
        num_items: int,
        seed: int,
        batch_size: int = 1,
        rank: int = 0,
        world_size: int = 1,
        position: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ):
        if num_items < batch_size * world_size:
            raise UserError(
                f"expected at least one batch of videos ({batch_size} per process, {world_size} processes), "
                f"got {num_items}. Set a smaller batch_size."
            )
        self.num_items = num_items
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.length = num_items // (batch_size * world_size) * batch_size
        self.position = position

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.keys())

    def keys(self) -> DrawnKeys:
        """Returns what an iteration that begins now yields."""
        epoch, num_seen = self.position()
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(self.num_items)
        draws = rng.integers(2**63, size=self.num_items)
        mine = order[self.rank : self.length * self.world_size : self.world_size][num_seen:]
        return DrawnKeys(mine.copy(), draws[mine])  # copies, so that what other processes draw does not stay


class ShardSampler(Sampler):
    """Yields every world_size-th video, in order: no video is seen twice, whatever the number of processes."""

    def __init__(self, num_items: int, rank: int = 0, world_size: int = 1):
        if num_items < world_size:
            raise UserError(f"expected at least one video for each of {world_size} processes, got {num_items}")
        self.indices = range(rank, num_items, world_size)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def keys(self) -> range:
        """Returns what an iteration yields."""
        return self.indices
