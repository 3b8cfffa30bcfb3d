"""The interface of a data set to the rest of the code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from tbe.data.sources.records import Records
from tbe.errors import UserError


class VideoSource(ABC):
    """A data set: named splits of records, and optional annotations of their videos.

    A subclass defines `name`, `num_classes`, `has` and `records`; the rest defaults to unknown. Annotations of single
    videos (`scenes`, `groups`, `foreground`) are in the order of the records of the same split.
    """

    name: str
    num_classes: int

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "labellings" in vars(cls):  # would be ignored
            raise UserError(f"{cls.__name__}: labellings is now labelings: rename the method")

    def prepare(self) -> None:  # noqa: B027  # many have nothing to prepare
        """Makes or checks the files; called once per machine before `records`."""

    @abstractmethod
    def has(self, split: str) -> bool:
        """Checks whether there is such a split, with at least one video."""

    @abstractmethod
    def records(self, split: str) -> Records:
        """Returns the videos of a split; raises UserError, naming the known splits, if `has` is false."""

    @property
    def class_names(self) -> Sequence[str] | None:
        """A name for each class, None if they have none."""
        return None

    def scenes(self, split: str) -> Tensor | None:
        """Returns the scene of each video of a split, int64 (n,), None if unknown."""
        return None

    def groups(self, split: str) -> Tensor | None:
        """Returns the group of each video of a split, int64 (n,): equal for the same persons or recording.

        None if unknown.
        """
        return None

    def foreground(self, split: str, index: int, frames: list[int]) -> np.ndarray | None:
        """Returns the actor's masks in these frames of a video, bool (n, H, W), None if unknown."""
        return None

    def foreground_version(self, split: str) -> list | None:
        """Returns plain types that change with the masks of a split, None if it has none, or they never change."""
        return None

    def labelings(self) -> dict[str, VideoSource]:
        """Returns the same videos under each kind of label they have, by its name; by default only 'class'."""
        return {"class": self}
