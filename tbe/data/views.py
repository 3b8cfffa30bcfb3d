"""Turns raw clips, already on the device, into the views that a module consumes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tbe.errors import UserError

Crop = Callable[[Tensor], Tensor]  # sizes (B, 2) -> boxes (B, 4), as in tbe.augment


CLIP_OF = {"query": 0, "key": 0, "negative": 1}  # the clip of a video that each view shows


class ContrastiveViews(nn.Module):
    """Makes the views query, key and negative, or a subset of them, from an anchor and another clip of each video.

    Takes clips uint8 (B, 2, T, C, H, W), or (B, 1, T, C, H, W) without a negative. Query and key are the anchor's
    frames under two independent augmentations, the negative is the other clip; each (B, C, T, S, S) float32.
    So two decoded clips give three views. Raises UserError for unknown views or too few clips.
    """

    def __init__(self, augment: nn.Module, views: Sequence[str] = tuple(CLIP_OF)):
        super().__init__()
        unknown = [view for view in views if view not in CLIP_OF]
        if unknown:
            raise UserError(f"views: expected some of {', '.join(CLIP_OF)}, got {', '.join(unknown)}")
        self.augment = augment
        self.views = tuple(views)

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        clips, sizes = batch.pop("clips"), batch.pop("size")
        needed = 1 + max(CLIP_OF[view] for view in self.views)
        if clips.shape[1] < needed:
            raise UserError(
                f"train_clips: expected {needed} clips of each video, for the views {', '.join(self.views)}, got "
                f"{clips.shape[1]}. Use tbe.data.clip_samplers.AnchorAndNegativeClips"
            )
        return {view: self.augment(clips[:, CLIP_OF[view]], sizes) for view in self.views} | batch

    def extra_repr(self) -> str:
        return f"views={self.views}"


class LabeledClips(nn.Module):
    """Augments each clip of uint8 (B, N, T, C, H, W) on its own: `clips` (B, N, C, T, S, S) float32.

    With M `crops`, each clip is augmented once per crop, in place of the augmentation's own crop: `clips` is
    (B, N * M, C, T, S, S), with the crops of a clip adjacent.

    Batches of a `PerturbationDataset` also get `backdrops` (B, M, 2, C, 1, S, S), one for each crop, the frame `order`
    of each clip and, if there are masks, `foreground` bool (B, N * M, 1, T, S, S), cropped like the clips: for a
    deterministic augmentation.
    """

    def __init__(self, augment: nn.Module, crops: Sequence[Crop] = ()):
        super().__init__()
        self.augment = augment
        self.cropped = nn.ModuleList([_with_crop(augment, crop) for crop in crops] or [augment])

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        raw: Tensor = batch.pop("clips")
        sizes = batch.pop("size")
        views = {"clips": self._augmented(raw, sizes)}
        if "order" in batch:
            views["order"] = batch.pop("order").repeat_interleave(len(self.cropped), dim=1)
        if "backdrops" in batch:
            backdrops, their_sizes = batch.pop("backdrops"), batch.pop("backdrop_size")
            pictures = [augment(backdrops.flatten(0, 1), their_sizes.flatten(0, 1)) for augment in self.cropped]
            views["backdrops"] = torch.stack([part.unflatten(0, backdrops.shape[:2]) for part in pictures], dim=1)
        if "foreground" in batch:
            masks = batch.pop("foreground").expand(-1, -1, -1, raw.shape[3], -1, -1)
            levels = self._augmented(masks, sizes)
            mean, std = (getattr(self.augment, name).to(levels.device) for name in ("mean", "std"))
            views["foreground"] = (levels * std + mean)[:, :, :1] > 0.5
        return {**views, **batch}

    def _augmented(self, raw: Tensor, sizes: Tensor) -> Tensor:
        """Augments clips (B, N, T, C, H, W) of videos of these sizes (B, 2) to (B, N * M, C, T, S, S)."""
        clips, sizes = raw.flatten(0, 1), sizes.repeat_interleave(raw.shape[1], dim=0)
        crops = [augment(clips, sizes) for augment in self.cropped]
        views = crops[0] if len(crops) == 1 else torch.stack(crops, dim=1).flatten(0, 1)
        return views.unflatten(0, (len(raw), -1))


def _with_crop(augment: nn.Module, crop: Crop) -> nn.Module:
    """Returns the same augmentation with another crop, sharing its tensors."""
    other: Any = copy.copy(augment)
    other.crop = crop
    return other
