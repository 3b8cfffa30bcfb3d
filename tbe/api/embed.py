"""Computes features of videos with any backbone."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.api.build import build
from tbe.api.read import read_clips
from tbe.augment import ClipAugment
from tbe.augment.crops import middle
from tbe.augment.layout import find_layout
from tbe.augment.turned import FLOW
from tbe.backbones.preprocessing import Preprocessing
from tbe.data.dataset import shrink
from tbe.data.readers import OpenVideo
from tbe.data.views import LabeledClips
from tbe.encoders import Encoder
from tbe.errors import UserError
from tbe.evaluation.features import pooled

log = logging.getLogger(__name__)

PathLike = str | os.PathLike
ON_ERROR = ("raise", "skip")


@torch.no_grad()  # not inference_mode: features may be used in training
def embed(
    model: nn.Module,
    videos: Tensor | PathLike | Sequence[PathLike],
    *,
    num_clips: int = 10,
    batch_size: int = 16,
    normalize: bool = False,
    layout: str | None = None,
    on_error: str = "raise",
    preprocessing: Preprocessing | None = None,
    reader: str | OpenVideo | None = None,
    device: str | torch.device | None = None,
    num_workers: int = 0,
    read_timeout: float = 60,
) -> Tensor:
    """Returns one row of features for each video, float32 (V, F) on the CPU, in the order of `videos`.

    model: a network from clips (B, C, T, H, W) to (B, F). Those from `tbe.load` have their `preprocessing`, for others
    it must be given. The model runs in eval mode on `device` (None: where it is), with at most `batch_size` clips at a
    time.
    videos: one or several paths of files (with reader='frames', of folders of images), each embedded as the mean over
    `num_clips` clips spread over the video, exactly as `eval.py task=features` does; or clips, one row each,
    (B, C, T, H, W) or in `layout` 'BTCHW'. uint8 clips are cropped and normalized like those of files; float clips go
    into the network unchanged.
    normalize: whether to scale rows to unit length, so that their products are cosine similarities.
    on_error: for an unreadable file, 'raise' a DecodeError that names it, or 'skip': its row is NaN, with a warning.
    reader: a choice of `configs/reader` or a callable that opens a path; None chooses by file.
    num_workers: processes that read ahead; a file that takes longer than `read_timeout` seconds counts as unreadable.
    Raises UserError for an empty list of videos, a preprocessing beside an encoder, which has its own, and features
    that are not finite, or not one vector for each clip.
    """
    if on_error not in ON_ERROR:
        raise UserError(f"tbe.embed: expected on_error to be one of {', '.join(ON_ERROR)}, got {on_error!r}")
    if batch_size < 1:
        raise UserError(f"tbe.embed: expected batch_size of at least 1, got {batch_size}")
    if num_clips < 1:
        raise UserError(f"tbe.embed: expected num_clips of at least 1, got {num_clips}")
    check_says_itself("tbe.embed", model, preprocessing)
    preprocessing = preprocessing or getattr(model, "preprocessing", None)
    if device is not None:
        model.to(device)
    with _evaluating(model):
        if isinstance(videos, Tensor):
            features = _of_clips(model, videos, layout, batch_size, preprocessing)
            unreadable = torch.zeros(len(features), dtype=torch.bool)
        elif isinstance(videos, np.ndarray):
            raise UserError("tbe.embed: expected clips as a tensor, got an array of NumPy: torch.from_numpy(clips)")
        else:
            paths = [videos] if isinstance(videos, str | os.PathLike) else list(videos)
            open_video = _reader(reader, paths, _needed(preprocessing))
            settings = (num_clips, max(1, batch_size // num_clips), num_workers, read_timeout, on_error == "skip")
            batches = read_clips(paths, _needed(preprocessing), open_video, *settings)
            features, unreadable = _of_files(model, batches, paths, batch_size, _needed(preprocessing))
    _check_finite(features, unreadable)
    return F.normalize(features, dim=1) if normalize else features


def check_says_itself(where: str, model: object, preprocessing: Preprocessing | None) -> None:
    """Raises UserError for a preprocessing beside an encoder, which normalizes by itself: clips would be twice."""
    if isinstance(model, Encoder) and preprocessing is not None:
        raise UserError(
            f"{where}: expected no preprocessing= beside {model.name!r}, which says itself how its clips are made: "
            "load it with the settings that you want, tbe.load_encoder(name, num_frames=..., size=...)"
        )


def _of_clips(
    model: nn.Module, clips: Tensor, layout: str | None, batch_size: int, preprocessing: Preprocessing | None
) -> Tensor:
    """Returns features (B, F) of clips."""
    if find_layout(clips, layout, "tbe.embed") == "BTCHW":
        clips = clips.transpose(1, 2)
    clips = clips.as_subclass(Tensor)
    if not len(clips):
        raise UserError("tbe.embed: expected at least one clip, got none")
    if clips.dtype != torch.uint8 and not clips.is_floating_point():
        raise UserError(f"tbe.embed: expected clips of uint8 or floats, got {clips.dtype}")
    is_shifted = preprocessing is None or any(preprocessing.mean)  # else the model itself normalizes
    if clips.is_floating_point() and is_shifted and clips.min() >= 0:
        log.warning(
            "tbe.embed: these float clips have no value below 0, as if not normalized: pass uint8, or subtract the "
            "preprocessing's mean and divide by its std"
        )
    rows: list[Tensor] = []
    for part in clips.split(batch_size):
        part = part.to(_device_of(model))
        if part.dtype == torch.uint8:
            part = _prepared(part, _needed(preprocessing))
        rows.append(pooled(model, part, rows[0].shape[1] if rows else None).cpu())
    return torch.cat(rows)


def _of_files(
    model: nn.Module, batches: Iterator[dict], paths: Sequence[PathLike], batch_size: int, preprocessing: Preprocessing
) -> tuple[Tensor, Tensor]:
    """Returns features (V, F) of files, averaged over clips and NaN if unreadable, and which are unreadable (V,)."""
    device = _device_of(model)
    views = LabeledClips(_augment(preprocessing)).to(device)
    rows: list[Tensor] = []
    failed = set()
    for batch in batches:
        for fault in batch.get("faults", ()):
            failed.add(fault.path)
            log.warning("tbe.embed: no features of %s: %s", fault.path, fault.reason)
        clips = views({"clips": batch["clips"].to(device), "size": batch["size"].to(device)})["clips"]
        num_features = rows[0].shape[1] if rows else None
        vectors = torch.cat([pooled(model, part, num_features) for part in clips.flatten(0, 1).split(batch_size)])
        rows.append(vectors.unflatten(0, clips.shape[:2]).mean(dim=1).cpu())
    features = torch.cat(rows)
    unreadable = torch.tensor([os.fspath(path) in failed for path in paths])
    return features.masked_fill_(unreadable.unsqueeze(1), torch.nan), unreadable


def _prepared(clips: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Resizes, crops and normalizes uint8 clips (B, C, T, H, W) for the network."""
    frames = shrink(clips.transpose(1, 2).flatten(0, 1), preprocessing.short_side).unflatten(0, (len(clips), -1))
    sizes = torch.tensor(frames.shape[-2:], device=clips.device).expand(len(clips), 2)
    return _augment(preprocessing).to(clips.device)(frames, sizes)


def _augment(preprocessing: Preprocessing) -> ClipAugment:
    """Returns the deterministic center crop and normalization of the preprocessing."""
    return ClipAugment(
        preprocessing.size,
        middle(preprocessing.crop, preprocessing.squash),
        flip=0.0,
        mean=preprocessing.mean,
        std=preprocessing.std,
    )


def _needed(preprocessing: Preprocessing | None) -> Preprocessing:
    if preprocessing is None:
        raise UserError(
            "tbe.embed: expected a model with a `preprocessing`, as tbe.load attaches it, got none. Use "
            "tbe.load(path, preprocessing='16x4_112'), or pass preprocessing=tbe.Preprocessing(...) here"
        )
    return preprocessing


def _reader(reader: str | OpenVideo | None, paths: list[PathLike], preprocessing: Preprocessing) -> OpenVideo:
    """Returns the reader; raises UserError for an empty list of videos, or for a folder instead of a file."""
    if not paths:
        raise UserError("tbe.embed: expected at least one video, got none")
    flow = len(preprocessing.mean) == FLOW
    if reader is None and not flow:
        folder = next((path for path in paths if Path(path).is_dir()), None)
        if folder is not None:
            raise UserError(
                f"tbe.embed: expected video files, got the folder {folder}. List its files, such as "
                f"sorted(Path(folder).rglob('*.mp4')), or if it holds the frames of one video set reader='frames'"
            )
    if reader is None:
        reader = "flow" if flow else "auto"
    return build("reader", reader) if isinstance(reader, str) else reader


def _check_finite(features: Tensor, unreadable: Tensor) -> None:
    wrong = ~features.isfinite().all(dim=1) & ~unreadable
    if wrong.any():
        raise UserError(
            f"tbe.embed: expected finite features, got nan or inf for {int(wrong.sum())} of {len(wrong)} videos, the "
            f"first at index {int(wrong.nonzero()[0])}: check the network's weights and precision"
        )


def _device_of(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Puts the model in eval mode, then restores the mode of each of its modules."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
