"""The encoder of masked modelling: the tokens of any backbone, of all places or of the seen ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.backbones.base import VideoBackbone
from tbe.backbones.statistics import StatisticsKept
from tbe.backbones.vit import ViT, select
from tbe.backbones.vit.positions import Grid
from tbe.errors import UserError
from tbe.methods.masked.whole_clips import look_at


class TokenEncoder(nn.Module):
    """Maps clips (B, C, T, H, W) to tokens, one for each tubelet: (B, t * h * w, F), along W, then H, then T.

    A ViT has them, and leaves the hidden ones out. Of any other backbone they are the feature maps, resized to the grid
    of tubelets of size `patch` (T, H, W), and hidden tubelets are gray in its clips, as in SimMIM (Xie et al., CVPR
    2022, arXiv:2111.09886); its batch norms keep the statistics of whole clips (`look_at`). Raises UserError for clips
    below a tubelet.
    """

    def __init__(self, backbone: VideoBackbone, patch: Sequence[int]):
        super().__init__()
        self.backbone = backbone
        t, h, w = backbone.patch if isinstance(backbone, ViT) else patch
        self.patch = (t, h, w)

    def grid_of(self, clips: Tensor) -> Grid:
        """Returns the number of tubelets along T, H and W."""
        t, h, w = (size // step for size, step in zip(clips.shape[2:], self.patch, strict=True))
        if min(t, h, w) < 1:
            raise UserError(
                f"method.patch: expected clips of at least {self.patch} frames, rows and columns, a tubelet, got "
                f"{tuple(clips.shape[2:])}"
            )
        return t, h, w

    def forward(self, clips: Tensor, keep: Tensor | None = None) -> Tensor:
        """Returns the tokens of all tubelets, or of those `keep` (B, K) alone, without seeing others: (B, K, F)."""
        if isinstance(self.backbone, ViT):
            return self.backbone.tokens(clips, keep)
        grid = self.grid_of(clips)
        if keep is None:
            return _as_tokens(self.backbone.forward_features(clips), grid)
        with StatisticsKept(self.backbone):
            maps = self.backbone.forward_features(clips * self._visible(clips, keep, grid))
        return select(_as_tokens(maps, grid), keep)

    def look_at(self, clips: Tensor) -> None:
        """Gives batch norms, in training, the statistics of whole clips; call it after passes with hidden places."""
        look_at(self.backbone, clips)

    def _visible(self, clips: Tensor, keep: Tensor, grid: Grid) -> Tensor:
        """Returns 1 where tubelets are seen and 0 elsewhere: (B, 1, T, H, W)."""
        seen = torch.zeros(len(clips), grid[0] * grid[1] * grid[2], dtype=clips.dtype, device=clips.device)
        seen = seen.scatter(1, keep, 1.0).view(-1, 1, *grid)
        for axis, step in enumerate(self.patch, start=2):
            seen = seen.repeat_interleave(step, dim=axis)
        rest = [size - made for size, made in zip(clips.shape[2:], seen.shape[2:], strict=True)]
        return F.pad(seen, (0, rest[2], 0, rest[1], 0, rest[0]))


def _as_tokens(maps: Tensor, grid: Grid) -> Tensor:
    if tuple(maps.shape[2:]) != grid:
        maps = F.interpolate(maps, grid, mode="trilinear", align_corners=False)
    return maps.flatten(2).transpose(1, 2)


def pixels(clips: Tensor, patch: Grid, is_normalized: bool) -> Tensor:
    """Returns the pixels of each tubelet of clips (B, C, T, H, W): (B, t * h * w, C * patch volume), float32.

    is_normalized: each tubelet has mean 0 and deviation 1 in each channel, so that what is to be predicted is its
    pattern (He et al., CVPR 2022, arXiv:2111.06377); the mean and std of the clips' own normalization cancel.
    """
    for axis, step in enumerate(patch, start=2):
        clips = clips.narrow(axis, 0, clips.shape[axis] // step * step)
    for axis, step in zip((2, 4, 6), patch, strict=True):
        clips = clips.unflatten(axis, (-1, step))
    # (B, C, t, p, h, q, w, r) -> (B, t, h, w, C, p, q, r)
    parts = clips.float().permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(5).flatten(1, 3)
    if is_normalized:
        deviation, mean = torch.std_mean(parts, dim=3, keepdim=True)
        parts = (parts - mean) / (deviation + 1e-6)
    return parts.flatten(2)
