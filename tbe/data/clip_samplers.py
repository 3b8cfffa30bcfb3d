"""Clip samplers: map the length of a video to the frame indices (N, T) of its clips.

`short` says how a video shorter than its clip is filled: 'loop' starts it again, 'pad' repeats its last frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from tbe.errors import UserError

SHORT = ("loop", "pad")


@dataclass(frozen=True)
class ClipShape:
    """The settings of all samplers: num_frames frames, `stride` frames apart, and how short videos are filled."""

    num_frames: int
    stride: int = 1
    short: str = "loop"

    def __post_init__(self):
        for name in ("num_frames", "stride"):
            if getattr(self, name) < 1:
                raise UserError(f"clip: expected {name} of at least 1, got {getattr(self, name)}")
        if self.short not in SHORT:
            raise UserError(f"clip: expected short to be one of {', '.join(SHORT)}, got {self.short!r}")

    def last_start(self, length: int) -> int:
        """Returns the last frame at which a clip can start; 0 when the video is too short.

        Three frames at stride 3 fit last into 9 frames as 0 1 [2] 3 4 [5] 6 7 [8], so 2.
        """
        return max(0, length - (self.num_frames - 1) * self.stride - 1)

    def indices(self, starts: Tensor, length: int) -> Tensor:
        """Returns the frame indices (N, T) of clips that start at `starts` (N,) in a video of `length` frames."""
        if length < 1:
            raise ValueError(f"clip: expected a video of at least 1 frame, got {length}")
        indices = starts.unsqueeze(1) + torch.arange(self.num_frames) * self.stride
        return indices % length if self.short == "loop" else indices.clamp(max=length - 1)


@dataclass(frozen=True)
class RandomClip(ClipShape):
    """Draws one clip at a random position, for supervised training."""

    def __call__(self, length: int, generator: Generator | None = None) -> Tensor:
        start = torch.randint(self.last_start(length) + 1, (1,), generator=generator)
        return self.indices(start, length)


@dataclass(frozen=True)
class UniformClips(ClipShape):
    """Spreads num_clips clips evenly from the first to the last possible start; a single clip is the middle one."""

    num_clips: int = 10

    def __post_init__(self):
        super().__post_init__()
        if self.num_clips < 1:
            raise UserError(f"clip: expected num_clips of at least 1, got {self.num_clips}")

    def __call__(self, length: int, generator: Generator | None = None) -> Tensor:
        last = self.last_start(length)
        starts = torch.linspace(0, last, self.num_clips).round() if self.num_clips > 1 else torch.tensor([last // 2])
        return self.indices(starts.long(), length)


@dataclass(frozen=True)
class AnchorAndNegativeClips(ClipShape):
    """Draws a random clip and another clip of the same video, at least `min_shift` sampled frames away.

    If the video is too short for that, the other clip starts a third of the video later, wrapping around: the rule
    of BE's reference implementation for its same-video negative. Both clips of a video of one frame are that frame.
    """

    min_shift: int = 2

    def anchor(self) -> RandomClip:
        """Returns a sampler that draws the same first clip, without the other."""
        return RandomClip(self.num_frames, self.stride, self.short)

    def __call__(self, length: int, generator: Generator | None = None) -> Tensor:
        last, shift = self.last_start(length), self.min_shift * self.stride
        anchor = int(torch.randint(last + 1, (1,), generator=generator))
        # The starts far enough away lie below `before`, or at `after` and above.
        before, after = max(0, anchor - shift + 1), anchor + shift
        choices = before + max(0, last - after + 1)
        if choices:
            choice = int(torch.randint(choices, (1,), generator=generator))
            other = choice if choice < before else after + choice - before
        else:
            other = (anchor + max(1, length // 3)) % max(1, length)
        return self.indices(torch.tensor([anchor, other]), length)
