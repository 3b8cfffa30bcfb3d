"""Backbones of this project as encoders: their feature maps are the tokens."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from torch import Tensor

from tbe.backbones.base import VideoBackbone
from tbe.backbones.preprocessing import Preprocessing
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.checkpoint import Checkpoint
from tbe.checkpoints.foreign import ForeignWeights
from tbe.checkpoints.preprocessing import stored_preprocessing
from tbe.encoders.base import Encoder, Encoding, InputSpec
from tbe.encoders.names import Settings, changed, check_known, check_no_allow
from tbe.encoders.report import LoadReport
from tbe.errors import UserError

READOUTS = ("mean", "mean_std", "moments")


class BackboneEncoder(Encoder):
    """A backbone from clips (B, 3, T, H, W) to feature maps; 'mean' is its own pooling."""

    def __init__(
        self, name: str, backbone: VideoBackbone, spec: InputSpec, report: LoadReport, pool: str | None = None
    ) -> None:
        if backbone.in_channels != len(spec.mean):
            raise UserError(
                f"{name}: expected mean and std of {backbone.in_channels} channels, as its backbone takes, got "
                f"{len(spec.mean)}"
            )
        super().__init__(name, spec, report, READOUTS, pool)
        self.backbone = backbone
        self.run: Checkpoint | None = None  # what it was read from, without its weights

    def encode(self, inputs: Tensor) -> Encoding:
        maps = self.backbone.forward_features(inputs)
        return Encoding(maps.flatten(2).transpose(1, 2), grid=tuple(maps.shape[2:]))  # type: ignore[arg-type]


def load_own(
    name: str,
    path: str,
    settings: Settings,
    *,
    backbone: VideoBackbone | None = None,
    preprocessing: Preprocessing | None = None,
    **options: Any,
) -> BackboneEncoder:
    """Returns the backbone of a checkpoint of this project, or of foreign weights for a backbone that is given.

    Raises UserError for a corrupt file, weights that do not fit, or foreign weights without `backbone` and
    `preprocessing`.
    """
    check_no_allow(name, settings)
    found = checkpoints.read_any(path, min_matched=settings.min_matched)
    if isinstance(found, ForeignWeights) and (backbone is None or preprocessing is None):
        raise UserError(
            f"{path}: expected backbone= and preprocessing= for weights that train.py did not write, got "
            f"{backbone and type(backbone).__name__} and {preprocessing}"
        )
    if backbone is None:
        backbone = found.backbone()
    else:
        found.load_into(backbone)
    if preprocessing is None:
        preprocessing = stored_preprocessing(found.config["clip"], found.config["eval_augment"], path)
    spec, unknown = changed(spec_of(preprocessing), options)
    check_known(name, unknown)
    encoder = BackboneEncoder(name, backbone, spec, report_of(found, backbone, path), settings.pool)
    if isinstance(found, Checkpoint):
        encoder.run = replace(found, weights={})
        encoder.architecture = json.dumps(found.config.get("backbone"), sort_keys=True)
    return encoder


def spec_of(made: Preprocessing) -> InputSpec:
    """Returns the preprocessing of a backbone as the spec of an encoder."""
    return InputSpec(
        num_frames=made.num_frames,
        frame_stride=made.stride,
        size=(made.size, made.size),
        mean=tuple(made.mean),
        std=tuple(made.std),
        crop=made.crop,
        squash=made.squash,
        short=made.short,
        short_side=made.short_side,
    )


def report_of(found: checkpoints.Checkpoint | ForeignWeights, backbone: VideoBackbone, source: str) -> LoadReport:
    """Returns the account of a load that did not fail: all tensors of ours, those that matched of a foreign file."""
    if isinstance(found, ForeignWeights) and found.match is not None:
        match = found.match
        return LoadReport(
            source=f"{source}, {match.family}",
            total=match.total,
            matched=len(match.matched),
            missing=match.missing,
            mismatched=match.reshaped,
            surplus=match.surplus,
            unexpected=match.unexpected,
        )
    total = len(backbone.state_dict())
    return LoadReport(source, total=total, matched=total)
