"""Additional negatives of contrastive methods, by name: other clips, the added background's owner, broken motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tbe.backbones.statistics import StatisticsKept
from tbe.distributed import previous_in_global_batch, world_size
from tbe.errors import UserError
from tbe.methods.base import Comparisons, WeightedComparisons
from tbe.methods.broken_motion import BROKEN

OTHER_CLIPS = ("same_video", "other_video")
OWNER = "background_owner"
NAMES = (*OTHER_CLIPS, OWNER, *BROKEN, "none")
Negatives = str | Sequence[str] | Mapping[str, float]


class Sources(NamedTuple):
    """What the extra negatives of B videos are made of.

    key: the key views (B, C, T, H, W), and keys, their embeddings (B, D). negative: another clip of each video, and
    owners (B, k): the videos of the batch whose frames were added to the queries; each None where it is not read.
    """

    key: Tensor
    keys: Tensor
    negative: Tensor | None = None
    owners: Tensor | None = None


class ExtraNegatives(nn.Module):
    """Adds negatives to a comparison, each with a weight: that of so many equal negatives.

    names: a name, several, or a weight for each name; names without one have `weight`.

    - 'same_video': another clip of the query's video, so that shared appearance does not help (Wang et al., CVPR 2021,
      arXiv:2009.05769).
    - 'other_video': that clip of the next video in the global batch, as BE's reference implementation does on
      Something-Something.
    - 'background_owner': the key of the video whose frame was added to the query, one for each such video.
    - 'reversed', 'shuffled', 'static': the key's clip, its motion broken (`broken_motion`).
    - 'none': nothing.

    Clips are embedded with gradient by the query encoder, keys are taken as they are.
    """

    weights: Tensor

    def __init__(self, names: Negatives, weight: float = 1.0):
        super().__init__()
        weights = {names: weight} if isinstance(names, str) else names
        if not isinstance(weights, Mapping):
            weights = dict.fromkeys(weights, weight)
        unknown = [name for name in weights if name not in NAMES]
        if unknown:
            raise UserError(f"negative: expected one of {', '.join(NAMES)}, or several, got {_quoted(unknown)}")
        if "none" in weights and len(weights) > 1:
            raise UserError(f"negative: expected none alone or other negatives, got {_quoted(weights)}")
        wrong = [f"{name}: {value}" for name, value in weights.items() if not value > 0]
        if wrong:
            raise UserError(f"negative: expected weights above 0, got {', '.join(wrong)}. Leave out what has none")
        self.names = tuple(name for name in weights if name != "none")
        self.views = ("negative",) if set(self.names) & set(OTHER_CLIPS) else ()  # the views it reads, beside the key
        self.reads_owners = OWNER in self.names
        self.is_weighted = any(weights[name] != 1 for name in self.names)
        # A buffer, so that no step copies it to the device; not persistent, because it is a setting.
        values = torch.tensor([float(weights[name]) for name in self.names])
        self.register_buffer("weights", values, persistent=False)

    def forward(
        self, comparisons: Comparisons, encoder: nn.Module, queries: Tensor, sources: Sources
    ) -> Comparisons | WeightedComparisons:
        """Returns the comparisons of queries (V * B, D) with the extra negatives behind theirs, (V * B, K + N).

        The queries are V batches in a row; all V queries of a video share its negatives.
        """
        if not self.names:
            return comparisons
        embedded = self._embed(encoder, sources)
        others = torch.cat(embedded, dim=1).repeat(len(queries) // len(embedded[0]), 1, 1)
        extra = (queries.unsqueeze(1) * others).sum(dim=2)
        negatives = torch.cat([comparisons.negatives, extra], dim=1)
        if not self.is_weighted:
            return Comparisons(comparisons.positives, negatives)
        weights = [weight.expand(part.shape[1]) for weight, part in zip(self.weights, embedded, strict=True)]
        usual = self.weights.new_ones(comparisons.negatives.shape[1])
        return WeightedComparisons(comparisons.positives, negatives, torch.cat([usual, *weights]))

    def _embed(self, encoder: nn.Module, sources: Sources) -> list[Tensor]:
        """Embeds the negatives of each name: (B, n, D), n of them for each video."""
        embedded: dict[str, Tensor] = {}
        if self.views:
            clips = encoder(self._given(sources.negative))
            embedded["same_video"] = clips.unsqueeze(1)
            if "other_video" in self.names:
                embedded["other_video"] = _of_other_videos(clips).unsqueeze(1)
        if self.reads_owners:
            embedded[OWNER] = sources.keys[_known(sources.owners)]
        for name in filter(BROKEN.__contains__, self.names):
            with StatisticsKept(encoder):  # of clips that evaluation never sees
                embedded[name] = encoder(BROKEN[name](sources.key)).unsqueeze(1)
        return [embedded[name] for name in self.names]

    def _given(self, clips: Tensor | None) -> Tensor:
        if clips is None:
            raise UserError(
                f"method.negative={'+'.join(self.names)}: expected another clip of each video as negative, got none"
            )
        return clips

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={weight:g}" for name, weight in zip(self.names, self.weights.tolist(), strict=True))


def _known(owners: Tensor | None) -> Tensor:
    if owners is None:
        raise UserError(
            f"method.negative={OWNER}: expected the videos whose frames were added to the queries (be=inter), got none"
        )
    return owners


def _of_other_videos(clips: Tensor) -> Tensor:
    if len(clips) * world_size() < 2:
        raise UserError(
            f"method.negative=other_video: expected a batch of at least 2 videos over all processes, got {len(clips)}"
        )
    return previous_in_global_batch(clips)


def _quoted(names: Sequence[str] | Mapping[str, float]) -> str:
    return ", ".join(map(repr, names))
