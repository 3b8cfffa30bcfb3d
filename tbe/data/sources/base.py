"""What a data set is to the rest of the code: all that may be asked of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from tbe.data.sources.records import Records


class VideoSource(ABC):
    """A data set: named splits of records, and what is known of their videos.

    A subclass has `name`, `num_classes`, `has` and `records`; the rest has defaults for what is not known. Whatever
    tells of single videos (`scenes`, `foreground`) is in the order of the records of the same split.
    """

    name: str
    num_classes: int

    def prepare(self) -> None:  # noqa: B027  # many have nothing to make
        """Makes or checks the files; called once a machine before `records`."""

    @abstractmethod
    def has(self, split: str) -> bool:
        """Whether there is such a split, with at least one video."""

    @abstractmethod
    def records(self, split: str) -> Records:
        """The videos of a split; a ValueError names the known splits, an unknown one among them has no videos."""

    @property
    def class_names(self) -> Sequence[str] | None:
        """A name for each class, None where they have none."""
        return None

    def scenes(self, split: str) -> Tensor | None:
        """The scene of each video of a split, int64 (n,), None where they are not known."""
        return None

    def foreground(self, split: str, index: int, frames: list[int]) -> np.ndarray | None:
        """Where the actor is in these frames of a video: bool (n, H, W), None where nobody knows."""
        return None

    def labellings(self) -> dict[str, VideoSource]:
        """The same videos under each kind of label that they have, by its name: this one's classes alone."""
        return {"class": self}
