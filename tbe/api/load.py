"""Loads a trained backbone and says how its clips are made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from tbe import runs as folders
from tbe.api.build import build, compose_choices, resolve
from tbe.augment import KINETICS_MEAN, KINETICS_STD
from tbe.backbones.base import VideoBackbone
from tbe.backbones.preprocessing import Preprocessing
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.foreign import ForeignWeights
from tbe.errors import UserError

FLOW = 2  # channels of optical flow


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

    checkpoint: a file, the folder of a run, that of several runs (the newest), or 'latest', the newest run below
    `runs` (None: the environment variable TBE_RUNS, else runs/). A checkpoint of this project says which backbone it
    holds and how its clips are made. Weights of other projects need `backbone`, a choice of `configs/backbone` or a
    network, whose tensors they must give at least the share `min_matched` of; their clips are made as
    `preprocessing` says, a choice of `configs/clip` or the numbers. None leaves open how, and `embed` then asks.
    A FileNotFoundError where there is no such file; a ValueError for a torn one, or weights of another architecture.
    """
    root = os.environ.get("TBE_RUNS", "runs") if runs is None else runs
    path = folders.find(os.fspath(checkpoint), root)
    found = checkpoints.read_any(path, min_matched=min_matched)
    if backbone is not None:
        network = build("backbone", backbone) if isinstance(backbone, str) else backbone
        found.load_into(network)
    elif isinstance(found, ForeignWeights):
        raise UserError(
            f"{path}: expected backbone=<a choice of configs/backbone> for weights that train.py did not write, got "
            "none. Name the network that they are of, such as tbe.load(path, backbone='r3d_18')"
        )
    else:
        network = found.backbone()
    network.preprocessing = _preprocessing(preprocessing, found.config, network, str(path))
    return network.to(device).eval()


def _preprocessing(
    chosen: str | Preprocessing | None, carried: Mapping[str, Any], network: VideoBackbone, path: str
) -> Preprocessing | None:
    """What was chosen, else what a checkpoint carries; None where neither says."""
    if isinstance(chosen, Preprocessing):
        return chosen
    if chosen is None and not carried:
        return None
    if chosen is None:
        return numbers(carried["clip"], carried["eval_augment"], path)
    clip = resolve(compose_choices({"clip": chosen}), "clip")
    center = "flow_center" if network.in_channels == FLOW else "center"
    return numbers(clip, resolve(compose_choices({"augment": center}), "augment"), path)


def numbers(clip: Mapping[str, Any], augment: Mapping[str, Any], where: str) -> Preprocessing:
    """Returns the preprocessing of resolved configs: of a clip, and of the augmentation in evaluation.

    A ValueError for an augmentation that does not crop the middle. The class that a config names is not imported.
    """
    if not str(augment["crop"]["_target_"]).endswith(".CenterCrop"):
        raise UserError(
            f"{where}: expected an eval_augment with a CenterCrop, got {augment['crop']['_target_']}. Say how "
            "clips are made: tbe.load(path, preprocessing=tbe.Preprocessing(...))"
        )
    return Preprocessing(
        num_frames=clip["num_frames"],
        stride=clip["stride"],
        size=clip["size"],
        mean=tuple(augment.get("mean", KINETICS_MEAN)),
        std=tuple(augment.get("std", KINETICS_STD)),
        short_side=clip["short_side"],
        short=clip["short"],
        crop=augment["crop"]["share"],
    )
