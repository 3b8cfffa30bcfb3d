"""Background Erasing: remove the background by adding the background; and other static distractors."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Erasing(nn.Module, ABC):
    """Adds a static picture to all frames of each clip, as a background that says nothing about the clip.

        x~_j = (1 - weight) * x_j + weight * picture,    one weight ~ U[0, ratio] for each clip.

    Clips (B, C, T, H, W), floats of any value range or uint8, keep their shape and type. A clip is left as it is
    with probability 1 - prob. The weights sum to 1, so it commutes with normalisation and can follow it.
    With ratio or prob 0 the clips themselves are returned; otherwise a new tensor.
    """

    def __init__(self, ratio: float = 0.3, prob: float = 1.0):
        super().__init__()
        for name, value in {"ratio": ratio, "prob": prob}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{type(self).__name__}: expected {name} from 0 to 1, got {value}")
        self.ratio = ratio
        self.prob = prob

    @abstractmethod
    def pictures(self, clips: Tensor) -> Tensor:
        """What is added to each clip: (B, C, 1, H, W)."""

    def forward(self, clips: Tensor) -> Tensor:
        if clips.dim() != 5:
            raise ValueError(f"{type(self).__name__}: expected clips (B, C, T, H, W), got shape {tuple(clips.shape)}")
        if self.ratio == 0 or self.prob == 0:
            return clips
        weights = draw_weights(len(clips), self.ratio, self.prob, clips.device)
        return add_static_frame(clips, self.pictures(clips), weights)

    def extra_repr(self) -> str:
        return f"ratio={self.ratio}, prob={self.prob}"


class BackgroundErasing(Erasing):
    """Adds one random frame of each clip, as a static background, to all frames of that clip.

    Motion keeps its direction: frame differences only shrink. See `Erasing` for shapes and ranges.
    Wang et al., "Removing the Background by Adding the Background", CVPR 2021 (arXiv:2009.05769);
    the paper's gamma is `ratio`, its lambda the weight.
    """

    def pictures(self, clips: Tensor) -> Tensor:
        return random_frames(clips)


class InterVideoErasing(Erasing):
    """Adds one random frame of another clip of the batch: a background that the clip never had.

    A distractor of the same paper's ablation. A batch of one clip has no other and is refused.
    """

    def pictures(self, clips: Tensor) -> Tensor:
        if len(clips) < 2:
            raise ValueError(f"InterVideoErasing: expected a batch of at least 2 clips, got {len(clips)}")
        shift = torch.randint(1, len(clips), (1,)).item()  # drawn on the CPU: no wait for the device
        return random_frames(clips).roll(shift, dims=0)


def draw_weights(num_clips: int, ratio: float, prob: float, device: torch.device) -> Tensor:
    """One weight ~ U[0, ratio] for each clip, 0 with probability 1 - prob: float32 (num_clips,)."""
    weights = torch.rand(num_clips, device=device) * ratio
    if prob < 1:
        weights = weights * (torch.rand(num_clips, device=device) < prob)
    return weights


def random_frames(clips: Tensor) -> Tensor:
    """One frame of each clip, drawn uniformly: (B, C, 1, H, W)."""
    batch, channels, num_frames, height, width = clips.shape
    chosen = torch.randint(num_frames, (batch, 1, 1, 1, 1), device=clips.device)
    return clips.gather(2, chosen.expand(batch, channels, 1, height, width))


def add_static_frame(clips: Tensor, frames: Tensor, weights: Tensor) -> Tensor:
    """(1 - weight) * clip + weight * frame: clips (B, C, T, H, W), frames (B, C, 1, H, W), weights (B,) in [0, 1]."""
    weights = weights.view(-1, 1, 1, 1, 1)
    if clips.is_floating_point():
        return torch.lerp(clips, frames, weights.to(clips.dtype))
    mixed = torch.lerp(clips.float(), frames.float(), weights)
    return mixed.round_().to(clips.dtype)
