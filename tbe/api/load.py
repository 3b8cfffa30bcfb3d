"""Loads a trained backbone together with its preprocessing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from tbe import runs as folders
from tbe.api.build import build, compose_choices, resolve
from tbe.augment.turned import FLOW
from tbe.backbones.base import VideoBackbone
from tbe.backbones.preprocessing import Preprocessing
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints import hub
from tbe.checkpoints.foreign import ForeignWeights
from tbe.checkpoints.preprocessing import stored_preprocessing
from tbe.errors import UserError


def load(
    checkpoint: str | os.PathLike = "latest",
    *,
    backbone: str | VideoBackbone | None = None,
    preprocessing: str | Preprocessing | None = None,
    device: str | torch.device = "cpu",
    runs: str | os.PathLike | None = None,
    min_matched: float = 0.9,
) -> VideoBackbone:
    """Returns a trained backbone, (B, C, T, H, W) -> (B, F), in eval mode, with its `preprocessing` attached.

    checkpoint: a file, the folder of a run, of several runs (the newest), or 'latest', the newest run below `runs`
    (None: the environment variable TBE_RUNS, else runs/); a folder that `task=export` wrote, or `hf:<id>`, such a
    folder on the Hub. A checkpoint of this project contains its backbone config and preprocessing. Weights of other
    projects need `backbone`, a choice of `configs/backbone` or a network, of whose tensors they must provide at least
    the fraction `min_matched`, and `preprocessing`, a choice of `configs/clip` or the numbers; with None, `embed` asks
    for it. A choice of clips keeps colors and crop of the checkpoint, and colors of other projects' where these are
    known.
    Raises MissingFile if there is no such file; UserError for a corrupt file or weights of another architecture, and
    for a Hub that can't be reached.
    """
    root = os.environ.get("TBE_RUNS", "runs") if runs is None else runs
    name = os.fspath(checkpoint)
    if name.startswith(hub.PREFIX):
        name = os.fspath(hub.exported_folder(name.removeprefix(hub.PREFIX)))
    path = folders.find(name, root)
    found = checkpoints.read_any(path, min_matched=min_matched)
    if backbone is not None:
        network = build("backbone", backbone) if isinstance(backbone, str) else backbone
        found.load_into(network)
    elif isinstance(found, ForeignWeights):
        raise UserError(
            f"{path}: expected backbone=<a choice of configs/backbone> for weights that train.py did not write, got "
            "none. Name their network, such as tbe.load(path, backbone='r3d_18')"
        )
    else:
        network = found.backbone()
    match = found.match if isinstance(found, ForeignWeights) else None
    colors = match.colors._asdict() if match is not None and match.colors is not None else {}
    network.preprocessing = _preprocessing(preprocessing, found.config, network, str(path), colors)
    return network.to(device).eval()


def _preprocessing(
    chosen: str | Preprocessing | None,
    carried: Mapping[str, Any],
    network: VideoBackbone,
    path: str,
    colors: Mapping[str, Any],
) -> Preprocessing | None:
    """Returns the chosen preprocessing, else that of the checkpoint; None if there is neither.

    A choice of clips keeps crop and colors of the checkpoint; colors: those of another project's weights, where known.
    """
    if isinstance(chosen, Preprocessing):
        return chosen
    if chosen is None and not carried:
        return None
    if chosen is None:
        return stored_preprocessing(carried["clip"], carried["eval_augment"], path)
    clip = resolve(compose_choices({"clip": chosen}), "clip")
    before = carried.get("eval_augment", {})
    colors = {**colors, **{name: before[name] for name in ("mean", "std") if name in before}}
    if str(before.get("crop", {}).get("_target_")).endswith(".CenterCrop"):
        colors["crop"] = before["crop"]
    center = "flow_center" if network.in_channels == FLOW else "center"
    augment = {**resolve(compose_choices({"augment": center}), "augment"), **colors}
    return stored_preprocessing(clip, augment, path)
