"""From raw clips, already on the device, to what a module consumes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class ContrastiveViews(nn.Module):
    """An anchor and another clip of each video, as query, key and negative.

    Takes clips uint8 (B, 2, T, C, H, W). Query and key are the anchor's frames under two independent
    augmentations, the negative is the other clip; each (B, C, T, S, S) float32. So two clips are decoded
    for three views.
    """

    def __init__(self, augment: nn.Module):
        super().__init__()
        self.augment = augment

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        anchor, another = batch.pop("clips").unbind(dim=1)
        sizes = batch.pop("size")
        return {
            "query": self.augment(anchor, sizes),
            "key": self.augment(anchor, sizes),
            "negative": self.augment(another, sizes),
            **batch,
        }


class LabelledClips(nn.Module):
    """Clips uint8 (B, N, T, C, H, W) of each video, augmented each on its own: `clips` (B, N, C, T, S, S) float32."""

    def __init__(self, augment: nn.Module):
        super().__init__()
        self.augment = augment

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        raw: Tensor = batch.pop("clips")
        sizes = batch.pop("size").repeat_interleave(raw.shape[1], dim=0)
        clips = self.augment(raw.flatten(0, 1), sizes)
        return {"clips": clips.unflatten(0, raw.shape[:2]), **batch}
