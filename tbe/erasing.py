"""Background Erasing: remove the background by adding the background."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BackgroundErasing(nn.Module):
    """Adds one random frame of each clip, as a static background, to all frames of that clip.

    Clips (B, C, T, H, W), floats of any value range or uint8, keep their shape and type:

        x~_j = (1 - weight) * x_j + weight * x_k,    one k and one weight ~ U[0, ratio] for each clip.

    Motion keeps its direction: frame differences only shrink. A clip is left as it is with
    probability 1 - prob. The weights sum to 1, so it commutes with normalisation and can follow it.
    With ratio or prob 0 the clips themselves are returned; otherwise a new tensor.
    Wang et al., "Removing the Background by Adding the Background", CVPR 2021 (arXiv:2009.05769);
    the paper's gamma is `ratio`, its lambda the weight.
    """

    def __init__(self, ratio: float = 0.3, prob: float = 1.0):
        super().__init__()
        for name, value in {"ratio": ratio, "prob": prob}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"BackgroundErasing: expected {name} from 0 to 1, got {value}")
        self.ratio = ratio
        self.prob = prob

    def forward(self, clips: Tensor) -> Tensor:
        if clips.dim() != 5:
            raise ValueError(f"BackgroundErasing: expected clips (B, C, T, H, W), got shape {tuple(clips.shape)}")
        if self.ratio == 0 or self.prob == 0:
            return clips
        weights = draw_weights(len(clips), self.ratio, self.prob, clips.device)
        return add_static_frame(clips, random_frames(clips), weights)

    def extra_repr(self) -> str:
        return f"ratio={self.ratio}, prob={self.prob}"


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
