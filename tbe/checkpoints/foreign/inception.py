"""Tensor names of I3D and S3D networks."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from tbe.checkpoints.foreign.family import SYMMETRIC, Family, Rule

BRANCHES: Rule = (r"\.branch_?([0-3])\.", r".branches.\1.")
# Many ports wrap a branch of one unit in a sequence of length one.
ONE_UNIT: Rule = (r"\.branch0\.0\.", ".branch0.")
# Our blocks by position in the sequence of torchvision and several ports, which also count pooling layers.
POSITIONS = {
    "0": "0",
    "2": "2",
    "3": "3",
    "5": "mixed_3b",
    "6": "mixed_3c",
    "8": "mixed_4b",
    "9": "mixed_4c",
    "10": "mixed_4d",
    "11": "mixed_4e",
    "12": "mixed_4f",
    "14": "mixed_5b",
    "15": "mixed_5c",
}


def in_sequence(parent: str) -> Rule:
    """Returns the rule from a position below `parent` to our block; other positions keep an unknown name."""
    return rf"^{parent}\.(\d+)\.", lambda found: f"body.{POSITIONS.get(found[1], found[0])}."


def units(conv: str, norm: str) -> tuple[Rule, Rule]:
    """Returns the rules for a convolution and its batch norm, our 0 and 1."""
    return (rf"\.{conv}\.", ".0."), (rf"\.{norm}\.", ".1.")


def separable(*names: str) -> tuple[Rule, ...]:
    """Returns the rules for spatial, then temporal convolution and batch norm: our 0.0, 0.1, 1.0 and 1.1."""
    return tuple(
        (rf"\.{name}\.", f".{where}.") for name, where in zip(names, ("0.0", "0.1", "1.0", "1.1"), strict=True)
    )


def strided_elsewhere(backbone: nn.Module, names: Collection[str]) -> str:
    return (
        "its stem strides over time in the spatial convolution, ours in the temporal one: no backbone here matches it"
    )


def gates_misfit(backbone: nn.Module, names: Collection[str]) -> str:
    if any(".gating_b" in name for name in names):
        return "it gates each branch, ours each temporal convolution: no backbone here matches it"
    if any(name.endswith(".linear") for name, _ in backbone.named_modules()):
        return "it has no gates, this backbone has"
    return ""


PYTORCH_I3D = Family(
    name="I3D of pytorch-i3d",
    part=r"Conv3d_(1a|2b|2c)_|Mixed_",
    rules=(
        (r"^Conv3d_1a_7x7\.", "body.1."),
        (r"^Conv3d_2b_1x1\.", "body.3."),
        (r"^Conv3d_2c_3x3\.", "body.4."),
        (r"^Mixed_", "body.mixed_"),
        (r"\.b0\.", ".branches.0."),
        (r"\.b([12])a\.", r".branches.\1.0."),
        (r"\.b([123])b\.", r".branches.\1.1."),
        *units("conv3d", "bn"),
    ),
    choose="backbone=i3d",
    eps=1e-3,
    colors=SYMMETRIC,
)
# Two families share these names: weights converted from TensorFlow include their classifier, while pretraining
# projects (BE, FAME) use torch's default epsilon and other names for heads.
CONVERTED_CLASSIFIER = r"^conv3d_0c_1x1\."
KINETICS_I3D = Family(
    name="I3D of kinetics_i3d_pytorch",
    part=r"conv3d_(1a|2b|2c)_|mixed_",
    rules=(
        (r"^conv3d_1a_7x7\.", "body.1."),
        (r"^conv3d_2b_1x1\.", "body.3."),
        (r"^conv3d_2c_3x3\.", "body.4."),
        (r"^mixed_", "body.mixed_"),
        BRANCHES,
        *units("conv3d", "batch3d"),
    ),
    choose="backbone=i3d",
    eps=1e-3,
    marker=CONVERTED_CLASSIFIER,
    colors=SYMMETRIC,
)
BE_I3D = KINETICS_I3D._replace(
    name="I3D of BE and FAME", eps=1e-5, marker="", unmarked=CONVERTED_CLASSIFIER, colors=None
)
TORCHVISION_S3D = Family(
    name="torchvision s3d",
    part=r"features\.",
    rules=(in_sequence("features"), BRANCHES),
    choose="backbone=s3d or tv_s3d",
    eps=1e-3,
    misfit=gates_misfit,
)
KYLEMIN_S3D = Family(
    name="S3D of kylemin",
    part=r"base\.",
    rules=(
        in_sequence("base"),
        ONE_UNIT,
        BRANCHES,
        *separable("conv_s", "bn_s", "conv_t", "bn_t"),
        *units("conv", "bn"),
    ),
    choose="backbone=s3d",
    eps=1e-3,
    misfit=gates_misfit,
)
# Its `block1` to `block5` repeat the same tensors.
COCLR_S3D = Family(
    name="S3D of CoCLR",
    part=r"Conv_(1a|2b|2c)\.|Mixed_",
    rules=(
        (r"^Conv_1a\.", "body.0."),
        (r"^Conv_2b\.", "body.2."),
        (r"^Conv_2c\.", "body.3."),
        (r"^Mixed_", "body.mixed_"),
        ONE_UNIT,
        BRANCHES,
        *separable("conv1", "bn1", "conv2", "bn2"),
        *units("conv", "bn"),
    ),
    choose="backbone=s3d, for networks without gates",
    eps=1e-5,
    misfit=gates_misfit,
)
S3D_PYTORCH = Family(
    name="S3D of s3d.pytorch",
    part=r"features\.",
    rules=(
        (r"^(features\.[03]|.*\.branch[12]\.1)\.conv\.", r"\1.0.0."),
        (r"^(features\.[03]|.*\.branch[12]\.1)\.bn\.", r"\1.0.1."),
        in_sequence("features"),
        ONE_UNIT,
        BRANCHES,
        *units("conv", "bn"),
        (r"\.conv2\.", ".1.0."),
        (r"\.bn2\.", ".1.1."),
    ),
    choose="backbone=s3d",
    eps=1e-3,
    marker=r"\.conv2\.",
    misfit=gates_misfit,
)
# From BE's code and RSPNet; recognized only to be refused with the reason.
RSPNET_S3DG = Family(
    name="S3D-G of BE and RSPNet",
    part=r"feature\.",
    rules=(
        (r"^feature\.sepConv1\.", "body.0."),
        (r"^feature\.basicConv3d\.", "body.2."),
        (r"^feature\.sep_conv2\.", "body.3."),
        (r"^feature\.sepInc_", "body.mixed_"),
        BRANCHES,
        (r"\.sep_conv\.", "."),
        (r"\.excitation\.", ".2.linear."),
        *units("conv3d", "bn"),
    ),
    choose="another file",
    eps=1e-3,
    misfit=strided_elsewhere,
)
FAMILIES = (
    PYTORCH_I3D,
    KINETICS_I3D,
    BE_I3D,
    TORCHVISION_S3D,
    KYLEMIN_S3D,
    COCLR_S3D,
    S3D_PYTORCH,
    RSPNET_S3DG,
)
