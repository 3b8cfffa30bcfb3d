"""Encoders as evaluations take them: a network of normalized clips, and how its clips are made."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tbe.augment import ClipAugment
from tbe.augment.crops import middle
from tbe.backbones.preprocessing import Preprocessing
from tbe.data.clip_samplers import UniformClips
from tbe.data.datamodule import VideoDataModule
from tbe.data.views import Crop, LabeledClips
from tbe.encoders import Encoder
from tbe.errors import UserError


class NormalizedEncoder(nn.Module):
    """Takes clips (B, C, T, H, W) that are normalized as an encoder's spec says, in place of clips in [0, 1].

    So 0 is the mean color for every model, whoever normalizes.
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, clips: Tensor) -> Tensor:
        return self.encoder(self._denormalized(clips))

    def maps(self, clips: Tensor) -> Tensor | None:
        """Returns feature maps (B, F, t, h, w), None if there are none."""
        return self.encoder.maps(self._denormalized(clips))

    def tokens(self, clips: Tensor) -> Tensor:
        """Returns the tokens (B, N, D) of clips."""
        return self.encoder.tokens(self._denormalized(clips))

    def _denormalized(self, clips: Tensor) -> Tensor:
        return clips * self.encoder.std + self.encoder.mean


def preprocessing_of(encoder: Encoder) -> Preprocessing:
    """Returns how clips are made for a `NormalizedEncoder`; raises UserError for a size that is not square."""
    return dataclasses.replace(encoder.spec.preprocessing(), mean=encoder.spec.mean, std=encoder.spec.std)


def origin_of(encoder: Encoder) -> dict[str, Any]:
    """Returns where an encoder's weights come from, what was loaded, what is read out and by whom, as plain types."""
    spec = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(encoder.spec).items()}
    by = {encoder.library: version(encoder.library)} if encoder.library else {}
    return {"model": encoder.name, "loaded": str(encoder.report), "pool": encoder.pool, "spec": spec, "library": by}


def make_clips_for(
    made: Preprocessing, datamodule: VideoDataModule, num_clips: int, crops: Sequence[Crop] = ()
) -> None:
    """Lets a datamodule make the clips of an evaluation as a network wants them."""
    augment = ClipAugment(made.size, middle(made.crop, made.squash), flip=0.0, mean=made.mean, std=made.std)
    datamodule.eval_clips = UniformClips(made.num_frames, made.stride, made.short, num_clips=num_clips)
    datamodule.eval_views = LabeledClips(augment, crops)
    datamodule.short_side = made.short_side


def names_of(models: Sequence[str]) -> list[str]:
    """Returns what models are called in tables and folders, such as hf_a_b; raises UserError for one named twice.

    A folder is called by its own name, unless two have the same: hf:/models/a/b is hf_b.
    """
    if len(set(models)) < len(models):
        raise UserError(f"model: expected each model once, got {', '.join(models)}")
    short = [_as_name(_without_parents(model)) for model in models]
    names = short if len(set(short)) == len(short) else [_as_name(model) for model in models]
    if len(set(names)) < len(names):
        raise UserError(f"model: expected models whose names differ in letters or numbers, got {', '.join(models)}")
    return names


def _as_name(model: str) -> str:
    return re.sub(r"[^\w.@+-]+", "_", model).strip("_.") or "model"


def _without_parents(model: str) -> str:
    """Returns the name of a model without the folders above its own: a Hub id, which is no folder, stays as it is."""
    kind, colon, rest = model.rpartition(":")
    path, at, weights = rest.partition("@")
    return f"{kind}{colon}{Path(path).name}{at}{weights}" if Path(path).is_dir() else model
