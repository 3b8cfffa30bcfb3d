"""Tensor names of 3D residual networks."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from tbe.checkpoints.foreign.family import Family, Rule

STAGES: Rule = (r"^layer([1-4])\.", lambda found: f"stages.{int(found[1]) - 1}.")
SHORTCUT: Rule = (r"\.downsample\.", ".shortcut.")


def pools(backbone: nn.Module) -> bool:
    return any(isinstance(module, nn.MaxPool3d) for module in backbone.modules())


def unpooled_misfit(backbone: nn.Module, names: Collection[str]) -> str:
    return "these networks have no pooling after the stem, this backbone has" if pools(backbone) else ""


def hara_misfit(backbone: nn.Module, names: Collection[str]) -> str:
    if not pools(backbone):
        return "these networks have pooling after the stem, this backbone has not"
    if not any(".downsample." in name for name in names):
        return "its shortcuts have no weights (type A), this backbone's have (type B)"
    return ""


TORCHVISION = Family(
    name="torchvision video resnet",
    part=r"stem\.|layer[1-4]\.",
    rules=(
        STAGES,
        SHORTCUT,
        (r"\.conv1\.0\.", ".branch.0."),
        (r"\.conv1\.1\.", ".branch.1."),
        (r"\.conv2\.0\.", ".branch.3."),
        (r"\.conv2\.1\.", ".branch.4."),
    ),
    choose="backbone=r3d_18 or r2plus1d_18, or the same network as tv_r3d_18, tv_r2plus1d_18 or tv_mc3_18",
    misfit=unpooled_misfit,
)
# The released networks and the 3D ResNets of many pretraining projects, including BE's.
HARA_BASIC = Family(
    name="3D-ResNets, basic blocks",
    part=r"conv1\.|bn1\.|layer[1-4]\.",
    rules=(
        (r"^conv1\.", "stem.0."),
        (r"^bn1\.", "stem.1."),
        STAGES,
        SHORTCUT,
        (r"\.conv1\.", ".branch.0."),
        (r"\.bn1\.", ".branch.1."),
        (r"\.conv2\.", ".branch.3."),
        (r"\.bn2\.", ".branch.4."),
    ),
    choose="backbone=r3d_18 or r3d_34 with +backbone.stem_kernel=[7,7,7] +backbone.stem_pool=true",
    misfit=hara_misfit,
)
HARA_BOTTLENECK = Family(
    name="3D-ResNets, bottleneck blocks",
    part=HARA_BASIC.part,
    rules=(
        *HARA_BASIC.rules[:4],
        (r"\.conv1\.", ".branch.0.0."),
        (r"\.bn1\.", ".branch.0.1."),
        (r"\.conv2\.", ".branch.1."),
        (r"\.bn2\.", ".branch.2."),
        (r"\.conv3\.", ".branch.4."),
        (r"\.bn3\.", ".branch.5."),
    ),
    choose="backbone=r3d_50",
    misfit=hara_misfit,
)
# From video-clip-order-prediction, reused by RSPNet and BE.
R2PLUS1D = Family(
    name="R(2+1)D of order prediction",
    part=r"conv[1-5]\.|bn1\.",
    rules=(
        (r"^conv1\.spatial_conv\.", "stem.0."),
        (r"^conv1\.bn\.", "stem.1."),
        (r"^conv1\.temporal_conv\.", "stem.3."),
        (r"^bn1\.", "stem.4."),
        (r"^conv([2-5])\.block1\.", lambda found: f"stages.{int(found[1]) - 2}.0."),
        (r"^conv([2-5])\.blocks\.(\d+)\.", lambda found: f"stages.{int(found[1]) - 2}.{int(found[2]) + 1}."),
        (r"\.bn1\.", ".branch.1."),
        (r"\.bn2\.", ".branch.4."),
        (r"\.downsamplebn\.", ".shortcut.4."),
        (r"\.conv1\.", ".branch.0."),
        (r"\.conv2\.", ".branch.3."),
        (r"\.downsampleconv\.", ".shortcut."),
        (r"\.spatial_conv\.", ".0."),
        (r"\.bn\.", ".1."),
        (r"\.temporal_conv\.", ".3."),
    ),
    choose="backbone=r2plus1d_small",
    misfit=unpooled_misfit,
)
FAMILIES = (TORCHVISION, HARA_BASIC, HARA_BOTTLENECK, R2PLUS1D)
