"""How fast a command goes, and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST, BETWEEN = 10.0, 60.0  # seconds to the first line of a log, and from line to line


class Throughput:
    """Counts finished videos, or what `unit` says, of `total`; tells their number a second and the time left."""

    def __init__(self, total: int, unit: str = "videos", clock: Callable[[], float] = time.monotonic):
        self.total = total
        self.unit = unit
        self.clock = clock
        self.began = clock()
        self.next_line = self.began + FIRST
        self.done = 0

    def advance(self) -> None:
        """Counts one more."""
        self.done += 1

    def is_due(self) -> bool:
        """Checks whether a log should have a line now; at first soon, then once a minute."""
        if self.clock() < self.next_line:
            return False
        self.next_line = self.clock() + BETWEEN
        return True

    @property
    def rate(self) -> float:
        """How many a second so far."""
        return self.done / max(1e-9, self.clock() - self.began)

    def under_way(self) -> str:
        """Returns how far it is, how fast, and the time left."""
        left = (self.total - self.done) / self.rate if self.done else 0.0
        return f"{self.done} of {self.total} {self.unit}, {self.rate:.3g} {self.unit}/s, {in_words(left)} left"

    def at_the_end(self) -> str:
        """Returns how many there were, how long they took, and how fast that was."""
        return f"{self.done} {self.unit} in {in_words(self.clock() - self.began)}, {self.rate:.3g} {self.unit}/s"


def in_words(seconds: float) -> str:
    """Returns a duration as '2 h 5 min', '5 min 3 s' or '3 s'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
