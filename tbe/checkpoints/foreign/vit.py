"""Tensor names of video transformers: VideoMAE, V-JEPA and V-JEPA 2, as their authors and as transformers name them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tbe.backbones.vit import ViT
from tbe.backbones.vit.positions import vectors
from tbe.checkpoints.foreign.family import IMAGENET, Family, Rule

QUERIES = re.compile(r"^(.*\.)(?:query\.bias|q_bias)$")
UNUSED_TABLE = (
    "If it is V-JEPA 2, which may hold a table of positions without using it, choose backbone.positions=rotary_tiled"
)
LARGE = "vit_l for its ViT-L (width, depth and heads are keys of the backbone)"


def joined(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Joins weights and biases of queries, keys and values, where a file keeps them apart, into those of one layer.

    Keys without a bias get one of zeros.
    """
    found = dict(tensors)
    for name in tensors:
        stem = name.removesuffix("query.weight")
        parts = [f"{stem}{part}.weight" for part in ("query", "key", "value")]
        if stem != name and found.keys() >= set(parts):
            found[f"{stem}qkv.weight"] = torch.cat([found.pop(part) for part in parts])
        if match := QUERIES.match(name):
            stem = match[1]
            values = next((part for part in (f"{stem}value.bias", f"{stem}v_bias") if part in found), None)
            if values is not None:
                queries = found.pop(name)
                keys = found.pop(f"{stem}key.bias", torch.zeros_like(queries))
                found[f"{stem}qkv.bias"] = torch.cat([queries, keys, found.pop(values)])
    return found


def videomae_misfit(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """Tells networks that normalize after the pooling, as finetuned ones do, from those that are pretrained."""
    after_pooling = "its norm follows the pooling and belongs to its head: choose backbone.norm=false"
    return _other_positions(backbone, "flat") or _lacks_norm(backbone, tensors, after_pooling)


def vjepa_misfit(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """Tells positions of other clips, or of other waves, from those that the backbone computes."""
    if not isinstance(backbone, ViT):
        return ""
    if reason := _other_positions(backbone, "sincos"):
        is_tiled = backbone.positions == "rotary_tiled"  # as V-JEPA 2, which lacks something then
        return _lacks_norm(backbone, tensors) or reason if is_tiled else f"{reason}. {UNUSED_TABLE}"
    theirs, grid = tensors["pos_embed"], backbone.grid
    ours = vectors("sincos", backbone.num_features, grid, grid, theirs.device)
    if theirs.shape[1] != ours.shape[1]:
        return (
            f"its positions are those of {theirs.shape[1]} tubelets, this backbone's of {ours.shape[1]}: set "
            f"backbone.grid=[T,H,W] to the tubelets of its clips. {UNUSED_TABLE}"
        )
    if theirs.shape != ours.shape:  # of another width, as all else
        return ""
    is_same = torch.allclose(theirs.float(), ours, atol=1e-4)
    return _lacks_norm(backbone, tensors) if is_same else "its positions are others than backbone.positions=sincos"


def vjepa2_misfit(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """Tells other positions. A file with a table of them, which V-JEPA 2 does not use, can be of either V-JEPA."""
    return _other_positions(backbone, "rotary_tiled") or _lacks_norm(backbone, tensors)


def vjepa21_misfit(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    return (
        "V-JEPA 2.1 adds an embedding of videos to its tokens, scales its positions and has a norm for each of several "
        "layers, which no backbone here does"
    )


def _other_positions(backbone: nn.Module, wanted: str) -> str:
    if not isinstance(backbone, ViT) or backbone.positions == wanted:
        return ""
    return f"its positions are {wanted}, this backbone's are {backbone.positions}: choose backbone.positions={wanted}"


def _lacks_norm(
    backbone: nn.Module,
    tensors: Mapping[str, Tensor],
    reason: str = "it lacks the norm that follows the last block: choose backbone.norm=false, or a file that has it",
) -> str:
    """Tells files without the last norm, two tensors of many: an untrained one would change all features."""
    has_norm = any(re.fullmatch(r"(layer)?norm\.weight", name) for name in tensors)
    is_wanted = isinstance(backbone, ViT) and not isinstance(backbone.norm, nn.Identity)
    return reason if is_wanted and not has_norm else ""


MLP: tuple[Rule, ...] = ((r"\.mlp\.fc1\.", ".mlp.0."), (r"\.mlp\.fc2\.", ".mlp.2."))
AUTHORS: tuple[Rule, ...] = (
    (r"^patch_embed\.proj\.", "tubelets."),
    (r"\.attn\.qkv\.", ".attention.qkv."),
    (r"\.attn\.proj\.", ".attention.out."),
    *MLP,
)
PART = r"patch_embed\.|blocks\.|norm\."
VIDEOMAE = Family(
    name="VideoMAE",
    part=PART,
    rules=AUTHORS,
    choose="backbone=vit_s or vit_b with backbone.positions=flat",
    marker=r"\.attn\.q_bias$",
    unmarked=r"^cls_token$",
    misfit=videomae_misfit,
    colors=IMAGENET,
    join=joined,
)
VJEPA = Family(
    name="V-JEPA",
    part=PART,
    rules=AUTHORS,
    choose=f"backbone={LARGE}",
    marker=r"^pos_embed$",
    unmarked=r"^cls_token$|\.attn\.q_bias$|^norms_block\.",
    misfit=vjepa_misfit,
    colors=IMAGENET,
)
VJEPA2 = Family(
    name="V-JEPA 2",
    part=PART,
    rules=AUTHORS,
    choose=f"backbone={LARGE} with backbone.positions=rotary_tiled",
    marker=r"\.attn\.qkv\.weight$",
    unmarked=r"^cls_token$|\.attn\.q_bias$|^norms_block\.",
    misfit=vjepa2_misfit,
    colors=IMAGENET,
)
VJEPA21 = Family(
    name="V-JEPA 2.1",
    part=rf"{PART}|norms_block\.",
    rules=AUTHORS,
    choose="other weights, or its authors' code as model=<file>:<function>",
    marker=r"^norms_block\.",
    misfit=vjepa21_misfit,
    colors=IMAGENET,
)
TRANSFORMERS_VIDEOMAE = Family(
    name="VideoMAE of transformers",
    part=r"embeddings\.|encoder\.layer\.|layernorm\.",
    rules=(
        (r"^embeddings\.patch_embeddings\.projection\.", "tubelets."),
        (r"^encoder\.layer\.", "blocks."),
        (r"^layernorm\.", "norm."),
        (r"\.layernorm_before\.", ".norm1."),
        (r"\.layernorm_after\.", ".norm2."),
        (r"\.attention\.attention\.", ".attention."),
        (r"\.attention\.output\.dense\.", ".attention.out."),
        (r"\.intermediate\.dense\.", ".mlp.0."),
        (r"\.output\.dense\.", ".mlp.2."),
    ),
    choose=VIDEOMAE.choose,
    marker=r"^embeddings\.patch_embeddings\.projection\.",
    unmarked=r"cls_token|position_embeddings",
    misfit=videomae_misfit,
    colors=IMAGENET,
    join=joined,
)
TRANSFORMERS_VJEPA2 = Family(
    name="V-JEPA 2 of transformers",
    part=r"embeddings\.|layer\.|layernorm\.",
    rules=(
        (r"^embeddings\.patch_embeddings\.proj\.", "tubelets."),
        (r"^layer\.", "blocks."),
        (r"^layernorm\.", "norm."),
        (r"\.attention\.proj\.", ".attention.out."),
        *MLP,
    ),
    choose=VJEPA2.choose,
    marker=r"^embeddings\.patch_embeddings\.proj\.",
    misfit=vjepa2_misfit,
    colors=IMAGENET,
    join=joined,
)
FAMILIES = (VIDEOMAE, VJEPA, VJEPA2, VJEPA21, TRANSFORMERS_VIDEOMAE, TRANSFORMERS_VJEPA2)
