"""torchvision's tensor names, for its networks as our backbones (tv_...)."""

from __future__ import annotations

from tbe.checkpoints.foreign.family import IMAGENET, Colors, Family

RESNET = Family(
    name="torchvision video resnet",
    part=r"stem\.|layer[1-4]\.",
    rules=((r"^stem\.", "body.0."), (r"^layer([1-4])\.", r"body.\1.")),
    choose="backbone=tv_r3d_18, tv_r2plus1d_18 or tv_mc3_18",
)
S3D = Family(
    name="torchvision s3d",
    part=r"features\.",
    rules=((r"^features\.", "body."),),
    choose="backbone=tv_s3d",
)
MVIT = Family(
    name="torchvision mvit",
    part=r"conv_proj\.|pos_encoding\.|blocks\.|norm\.",
    rules=((r"^", "body."),),
    choose="backbone=tv_mvit_v2_s",
    colors=Colors((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
)
SWIN = Family(
    name="torchvision swin3d",
    part=r"patch_embed\.|features\.|norm\.",
    rules=(
        (r"^patch_embed\.", "body.stages.0."),
        (r"^features\.", "body.stages.2."),
        (r"^norm\.", "body.stages.3."),
    ),
    choose="backbone=tv_swin3d_t",
    colors=IMAGENET,
)
FAMILIES = (RESNET, S3D, MVIT, SWIN)
