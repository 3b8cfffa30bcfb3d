"""Reads the folder that `task=export` writes: weights as safetensors, and the card that says of which network."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from tbe.checkpoints import foreign
from tbe.errors import MissingFile, UserError
from tbe.runs import EXPORTED

CARD, WEIGHTS, HEAD = "card.json", EXPORTED.name, "classifier.safetensors"
LIBRARY = "tbe-video"  # in config.json, which the Hub counts downloads by
STAGE = "export"
CENTER_CROP = "tbe.augment.CenterCrop"


def is_exported(path: str | os.PathLike) -> bool:
    """Returns whether a path is an exported folder, or the weights in one."""
    path = Path(path)
    return (path / CARD).is_file() or (path.name == WEIGHTS and path.with_name(CARD).is_file())


def read_card(folder: str | os.PathLike) -> dict[str, Any]:
    """Returns the card of an exported folder; raises UserError for one without, or with another card."""
    file = Path(folder, CARD)
    if not file.is_file():
        raise MissingFile(
            f"{folder}: expected a folder that task=export wrote, with {CARD} and {WEIGHTS}, got none. Export the "
            "checkpoint first: python eval.py task=export checkpoint=<run>"
        )
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        known = {"name", "backbone", "features_dim", "input", "files", "origin"} <= card.keys()
    except (ValueError, AttributeError):
        known = False
    if not known or WEIGHTS not in card["files"]:
        raise UserError(f"{file}: expected the card of an export with {WEIGHTS}, got another file. Export it again")
    return card


def read_exported(path: str | os.PathLike) -> dict[str, Any]:
    """Returns an exported folder, or the weights in one, as the content of a checkpoint.

    Raises UserError for files that differ from what the card says of them.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    card = read_card(folder)
    weights = {f"backbone.{name}": value for name, value in _tensors(folder, WEIGHTS, card).items()}
    if HEAD in card["files"] and (folder / HEAD).is_file():
        weights |= {f"classifier.{name}": value for name, value in _tensors(folder, HEAD, card).items()}
    origin = card["origin"] if isinstance(card["origin"], dict) else {}
    config = {"run_name": card["name"], "backbone": card["backbone"], **_clips(card["input"])}
    return {
        "tbe": {"stage": STAGE, "backbone": "backbone.", "config": config},
        "state_dict": weights,
        "epoch": origin.get("epoch", 0),
        "global_step": origin.get("step", 0),
    }


def _tensors(folder: Path, name: str, card: dict[str, Any]) -> dict[str, Tensor]:
    file = folder / name
    if not file.is_file():
        raise MissingFile(f"{file}: expected the weights beside {CARD}, got no such file. Copy the whole folder")
    if hashlib.sha256(file.read_bytes()).hexdigest() != card["files"][name].get("sha256"):
        raise UserError(f"{file}: expected the SHA-256 that {CARD} says, got another: copy the folder again")
    return foreign.read(file)


def _clips(given: dict[str, Any]) -> dict[str, Any]:
    """Returns the configs of clips and of the evaluation's augmentation."""
    _, _, num_frames, size, _ = given["shape"]
    crop = {"_target_": CENTER_CROP, "share": given["crop_share"]} if given["crop_share"] else {"_target_": "unknown"}
    clip = {
        "num_frames": num_frames,
        "stride": given["stride"],
        "size": size,
        "short_side": given["short_side"],
        "short": given.get("short", "loop"),
    }
    return {"clip": clip, "eval_augment": {"crop": crop, "mean": given["mean"], "std": given["std"]}}
