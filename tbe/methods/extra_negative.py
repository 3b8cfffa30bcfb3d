"""An additional negative for contrastive methods, taken from the same or another video."""

from __future__ import annotations

from torch import Tensor, nn

from tbe.distributed import previous_in_global_batch, world_size
from tbe.errors import UserError

KINDS = ("same_video", "other_video", "none")


class ExtraNegative(nn.Module):
    """Compares each query with one additional clip, embedded with gradient by the query encoder.

    kind: 'same_video' takes another clip of the query's video, so that shared appearance does not help; 'other_video'
    takes the clip of the next video in the global batch, as the reference implementation does on
    Something-Something; 'none' adds nothing. After Wang et al., CVPR 2021 (arXiv:2009.05769).
    """

    def __init__(self, kind: str):
        super().__init__()
        if kind not in KINDS:
            raise UserError(f"negative: expected one of {', '.join(KINDS)}, got {kind!r}")
        self.kind = kind
        self.views = () if kind == "none" else ("negative",)  # the views that it reads

    def forward(self, encoder: nn.Module, queries: Tensor, views: Tensor | None) -> Tensor:
        """Returns similarities (V * B, 1), or (V * B, 0) for 'none', of queries (V * B, D) with views (B, C, T, H, W).

        The queries are V batches in a row; all V queries of a video share its negative.
        """
        if self.kind == "none":
            return queries.new_empty(len(queries), 0)
        if views is None:
            raise UserError(f"method.negative={self.kind}: expected another clip of each video as negative, got none")
        others = encoder(views)
        if self.kind == "other_video":
            if len(others) * world_size() < 2:
                raise UserError(
                    "method.negative=other_video: expected a batch of at least 2 videos over all processes, "
                    f"got {len(others)}"
                )
            others = previous_in_global_batch(others)
        return (queries * others.repeat(len(queries) // len(others), 1)).sum(dim=1, keepdim=True)

    def extra_repr(self) -> str:
        return self.kind
