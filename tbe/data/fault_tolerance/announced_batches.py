"""Batches that name those after them, so that a worker can begin to read the next while it decodes the last of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any


class AnnouncedBatch(list):
    """The keys of a batch; following: those of the batch that the same worker gets next, empty if it is the last."""

    following: tuple[Any, ...] = ()


class AnnouncedBatches:
    """Wraps a batch sampler of a loader whose `num_workers` take turns, as torch lets them, or of one without any."""

    def __init__(self, batches: Iterable[list[Any]], num_workers: int):
        self.batches = batches
        self.distance = max(1, num_workers)

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]  # of samplers that have a length

    def __iter__(self) -> Iterator[AnnouncedBatch]:
        held: deque[AnnouncedBatch] = deque()
        for batch in self.batches:
            held.append(AnnouncedBatch(batch))
            if len(held) > self.distance:
                first = held.popleft()
                first.following = tuple(batch)
                yield first
        yield from held
