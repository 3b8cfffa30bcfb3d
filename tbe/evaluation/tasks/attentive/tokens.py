"""The tokens of frozen networks for all clips of a split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tbe.augment.turned import mirror
from tbe.backbones.base import VideoBackbone
from tbe.errors import UserError
from tbe.evaluation.features import extract
from tbe.evaluation.tasks.base import Evaluation

BYTES = 4  # of a float32


class Tokens(nn.Module):
    """A network whose features are all of its tokens: (B, N * D), with D in `width`.

    flip: whether those of the mirrored clip follow: (B, 2 * N * D). Raises UserError if those of all clips
    would take more than `max_gigabytes` of memory.
    """

    def __init__(self, network: nn.Module, count_clips: Callable[[], int], max_gigabytes: float, flip: bool) -> None:
        super().__init__()
        self.network = network
        self.count_clips = count_clips  # not a number: a data set may be drawn only when it is first read
        self.max_gigabytes, self.flip = max_gigabytes, flip
        self.width = 0

    def forward(self, clips: Tensor) -> Tensor:
        tokens = tokens_of(self.network, clips)
        if self.flip:
            tokens = torch.cat([tokens, tokens_of(self.network, mirror(clips))], dim=1)
        num_clips = self.count_clips()
        gigabytes = BYTES * tokens[0].numel() * num_clips / 1e9
        if gigabytes > self.max_gigabytes:
            raise UserError(
                f"attentive: expected at most max_gigabytes={self.max_gigabytes:g} of tokens, got {gigabytes:.1f}: "
                f"{num_clips} clips, each {tokens.shape[1]} tokens of {tokens.shape[2]} channels. Set clips= "
                "or crops= lower, or tasks.attentive.max_gigabytes= higher if there is memory"
            )
        self.width = tokens.shape[2]
        return tokens.flatten(1)


def tokens_of(network: nn.Module, clips: Tensor) -> Tensor:
    """Returns the tokens (B, N, D) of normalized clips; those of a backbone of ours are the places of its maps."""
    if isinstance(network, VideoBackbone):
        return network.forward_features(clips).flatten(2).transpose(1, 2)
    if not hasattr(network, "tokens"):
        raise UserError(f"attentive: expected a network with tokens, got {type(network).__name__}")
    return network.tokens(clips)  # type: ignore[operator]  # torch types it as a tensor


def extract_tokens(
    evaluation: Evaluation, split: str, max_gigabytes: float, flip: bool = False
) -> tuple[Tensor, Tensor]:
    """Returns tokens (n, N, t, D) of the N clips of each video, of mirrored ones too with `flip`, and labels (n,)."""
    data: Any = evaluation.datamodule

    def count_clips() -> int:
        return len(data.source.records(split)) * data.eval_clips.num_clips * len(data.eval_views.cropped)

    network = Tokens(evaluation.backbone, count_clips, max_gigabytes, flip)
    vectors, labels = extract(
        network,
        data,
        split,
        evaluation.trainer,
        per_clip=True,
        max_clips_per_forward=evaluation.max_clips_per_forward,
    )["clean"]
    tokens = vectors.unflatten(-1, (1 + flip, -1, network.width))
    return tokens.flatten(1, 2), labels
