"""Tensor names of C3D networks."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from tbe.checkpoints.foreign.family import Family

NAMES = ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b")
# Positions of the convolutions in our sequence, with and without batch norms.
NORMED = dict(zip(NAMES, (0, 4, 8, 11, 15, 18, 22, 25), strict=True))
PLAIN = dict(zip(NAMES, (0, 3, 6, 8, 11, 13, 16, 18), strict=True))


def pooled_misfit(backbone: nn.Module, names: Collection[str]) -> str:
    if isinstance(list(backbone.modules())[-1], nn.MaxPool3d):
        return "its features are the mean of conv5b, this backbone's the mean of pool5"
    return ""


# From video-clip-order-prediction, reused by RSPNet and BE. The biases are folded into the batch norms.
WITH_BATCH_NORM = Family(
    name="C3D with batch norm",
    part=r"(conv|bn)(1|2|[345][ab])\.",
    rules=(
        (r"^conv(\w+)\.", lambda found: f"body.{NORMED[found[1]]}."),
        (r"^bn(\w+)\.", lambda found: f"body.{NORMED[found[1]] + 1}."),
    ),
    choose="backbone=c3d backbone.pool5=false",
    marker=r"^bn1\.",
    misfit=pooled_misfit,
)
WITHOUT = Family(
    name="C3D",
    part=WITH_BATCH_NORM.part,
    rules=((r"^conv(\w+)\.", lambda found: f"body.{PLAIN[found[1]]}."),),
    choose="backbone=c3d backbone.batch_norm=false",
    unmarked=r"^bn1\.",
)
NUMBERED = Family(
    name="C3D of numbered layers",
    part=rf"features\.({'|'.join(map(str, PLAIN.values()))})\.(weight|bias)$",
    rules=((r"^features\.", "body."),),
    choose="backbone=c3d backbone.batch_norm=false",
)
FAMILIES = (WITH_BATCH_NORM, WITHOUT, NUMBERED)
