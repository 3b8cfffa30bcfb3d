"""Loads a model of transformers, and counts what of it was loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tbe.checkpoints.exported import LIBRARY
from tbe.checkpoints.hub import exported_folder
from tbe.encoders.base import Encoder, Layout
from tbe.encoders.huggingface.encoder import TransformersEncoder
from tbe.encoders.huggingface.library import told, transformers
from tbe.encoders.huggingface.processor import read_spec
from tbe.encoders.names import RANDOM, Settings, check_known
from tbe.encoders.own import load_own
from tbe.encoders.report import RANDOM as RANDOM_WEIGHTS
from tbe.encoders.report import LoadReport, listed, matches
from tbe.errors import UserError

IDLE = ("*predictor.*", "*mask_token", "*mask_tokens")  # not run, so a file may lack them
HEAD = re.compile(r"(^|\.)(pooler|head)\.")  # what sums a clip up: read out only where a file has all of it
TOWERS = ("vision_model", "video_model", "vision_tower", "visual")


def load_huggingface(name: str, asked: str, settings: Settings, **options: Any) -> Encoder:
    """Returns the encoder of `<folder or Hub id>[@random]`: a model of clips, or one of images, run on each frame.

    An exported backbone of this project is one, too. Of a model with a text tower it is the vision tower; of one with a
    classifier all but the last layer. Raises UserError for weights that lack tensors of the encoder, have them in
    another shape or hold more of its layers, for pickles with more than tensors, and for a repository's own code,
    unless it is trusted.
    """
    folder = asked.removesuffix(f"@{RANDOM}")
    if Path(folder).is_dir() and not Path(folder, "config.json").is_file():
        raise UserError(f"{name}: expected a config.json in the folder {folder}, got {_content(folder)}")
    library, trust_remote_code = transformers(name), settings.trust_remote_code
    with told(name, folder):
        known = library.PretrainedConfig.get_config_dict(folder)[0]
    if known.get("library_name") == LIBRARY:
        if folder != asked:
            raise UserError(
                f"{name}: expected an export's own weights, got @{RANDOM}: checkpoint={RANDOM} is untrained"
            )
        return load_own(name, os.fspath(exported_folder(folder)), settings, **options)
    with told(name, folder):
        config = library.AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        model, found = _load(library, folder, config, folder != asked, trust_remote_code)
        is_classifier = isinstance(getattr(model, "classifier", None), nn.Linear)
        if isinstance(getattr(model, "classifier", None), nn.Sequential):  # whose input is not seen: without it
            model, found = _load(library, folder, config, folder != asked, trust_remote_code, with_classifier=False)
    if is_classifier:
        model.classifier = nn.Identity()
    prefix, tower = _tower(name, model, is_classifier)
    spec, unknown = read_spec(name, folder, tower.config, _layout(tower), options, trust_remote_code)
    check_known(name, unknown)
    report = _account(model, prefix, tower, found, folder)
    if trust_remote_code and type(model).__module__.startswith("transformers_modules"):
        report = replace(report, custom_code=True)
    report.require(name, settings.min_matched, settings.allow)
    has_heads = not any(HEAD.search(tensor) for tensor in report.unexpected)
    kept = tower if _has_text(model) and not is_classifier else model
    return TransformersEncoder(
        name, kept, tower, spec, report, settings.pool, has_pooler=has_heads, has_head=has_heads and is_classifier
    )


def _load(
    library: Any,
    folder: str,
    config: Any,
    is_random: bool,
    trust_remote_code: bool,
    with_classifier: bool = True,
) -> tuple[nn.Module, dict[str, Collection[Any]] | None]:
    """Returns a model in float32, with its classifier if its files are of one, and what was not loaded of it.

    None for random weights, of which nothing is.
    """
    kind = library.AutoModel
    architectures = getattr(config, "architectures", None) or ()
    if with_classifier and any(name.endswith("Classification") for name in architectures):
        known = (library.AutoModelForVideoClassification, library.AutoModelForImageClassification)
        kind = next((auto for auto in known if type(config) in auto._model_mapping), kind)
    if is_random:
        return kind.from_config(config, trust_remote_code=trust_remote_code).float(), None
    return kind.from_pretrained(
        folder,
        config=config,
        trust_remote_code=trust_remote_code,
        dtype=torch.float32,
        weights_only=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are counted, and refused by name
    )


def _tower(name: str, model: nn.Module, is_classifier: bool) -> tuple[str, Any]:
    """Returns the part of a model that takes pictures, without a classifier, and the prefix of its tensors."""
    base: Any = model.base_model_prefix
    prefix, part = (f"{base}.", getattr(model, base)) if is_classifier and hasattr(model, base) else ("", model)
    if not _has_text(model) and str(part.main_input_name).startswith("pixel_values"):
        return prefix, part
    tower = next((tower for tower in TOWERS if hasattr(part, tower)), None)
    if tower is None:
        raise UserError(
            f"{name}: expected a model that takes pixel_values_videos or pixel_values, got {type(model).__name__}, "
            f"which takes {part.main_input_name}"
        )
    return f"{prefix}{tower}.", getattr(part, tower)


def _layout(tower: Any) -> Layout:
    """Returns BTCHW for a model of clips, BCHW for one of images."""
    is_video = tower.main_input_name == "pixel_values_videos" or hasattr(tower.config, "num_frames")
    return "BTCHW" if is_video else "BCHW"


def _account(
    model: nn.Module, prefix: str, tower: nn.Module, found: dict[str, Collection[Any]] | None, folder: str
) -> LoadReport:
    """Returns the account of the encoder's tensors; what a file lacks of heads counts as ignored."""
    start = prefix if _has_text(model) else ""
    own = {name for name in model.state_dict() if name.startswith(start) and not matches(name, IDLE)}
    if found is None:
        return LoadReport(RANDOM_WEIGHTS, total=len(own), matched=0)
    missing, reshaped = set(found["missing_keys"]) & own, {entry[0] for entry in found["mismatched_keys"]} & own
    heads = {name for name in missing | reshaped if HEAD.search(name)}
    others = set(found["unexpected_keys"])
    surplus = {name for name in others if hasattr(tower, _inside(name, model, prefix)) and not matches(name, IDLE)}
    own, missing, reshaped = own - heads, missing - heads, reshaped - heads
    return LoadReport(
        source=folder,
        total=len(own),
        matched=len(own - missing - reshaped),
        missing=tuple(sorted(missing)),
        mismatched=tuple(sorted(reshaped)),
        surplus=tuple(sorted(surplus)),
        unexpected=tuple(sorted(others - surplus | heads)),
    )


def _has_text(model: nn.Module) -> bool:
    return hasattr(model.config, "text_config")


def _inside(name: str, model: nn.Module, prefix: str) -> str:
    """Returns the child of the tower that a tensor of a file would belong to, by the first part of its name."""
    return name.removeprefix(f"{model.base_model_prefix}.").removeprefix(prefix).split(".")[0]


def _content(folder: str) -> str:
    return listed(sorted(os.listdir(folder))) or "nothing"
