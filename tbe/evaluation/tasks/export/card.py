"""Describes an exported network as plain types, for its card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tbe.checkpoints.exported import CARD, LIBRARY
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.export.readme import readme
from tbe.runs import versions, write_json

CHANNELS = {2: "optical flow to the right and down", 3: "RGB"}
PACKAGES = ("safetensors", "onnx", "onnxscript", "onnxruntime")
IN_CONFIG = ("backbone", "features_dim", "num_classes")


def clip_shape(evaluation: Evaluation) -> tuple[int, ...]:
    """Returns the shape (C, T, H, W) of the clips that the network is evaluated on."""
    data: Any = evaluation.datamodule
    augment = data.eval_views.augment
    return len(augment.mean), data.eval_clips.num_frames, augment.size, augment.size


def describe(evaluation: Evaluation, dynamic_sizes: Sequence[str]) -> dict[str, Any]:
    """Describes inputs, outputs and the origin of the weights; null if unknown."""
    data: Any = evaluation.datamodule
    augment = data.eval_views.augment
    classifier, shape = evaluation.classifier, clip_shape(evaluation)
    return {
        "name": evaluation.name,
        "backbone": evaluation.backbone_config,
        "features_dim": evaluation.require_backbone("export").num_features,
        "num_classes": None if classifier is None else classifier.head.out_features,
        "input": {
            "name": "clips",
            "layout": "(B, C, T, H, W)",
            "dtype": "float32",
            "shape": ["batch", *shape],
            "dynamic": ["batch", *dynamic_sizes],
            "channels": CHANNELS.get(shape[0]),
            "value_range": [0, 1],  # before mean and std
            "mean": [round(value, 6) for value in augment.mean.flatten().tolist()],
            "std": [round(value, 6) for value in augment.std.flatten().tolist()],
            "stride": data.eval_clips.stride,
            "short": data.eval_clips.short,
            "short_side": data.short_side,
            "crop_share": getattr(augment.crop, "share", None),
        },
        "origin": evaluation.origin,
        "run_metrics": _run_metrics(evaluation.origin),
        "versions": versions() | {name: _version(name) for name in PACKAGES},
    }


def write_card(card: dict[str, Any], folder: Path) -> None:
    """Writes card.json, README.md, and config.json, by which the Hub counts downloads."""
    write_json(folder / CARD, card)
    write_json(folder / "config.json", {"library_name": LIBRARY, **{name: card[name] for name in IN_CONFIG}})
    (folder / "README.md").write_text(readme(card), encoding="utf-8")


def _run_metrics(origin: Any) -> dict[str, Any] | None:
    """Returns the final metrics of the training run, if it is ours and its folder still exists."""
    if not isinstance(origin, dict) or "stage" not in origin:
        return None
    file = Path(origin["path"]).parent.parent / "metrics.json"
    if not file.is_file():
        return None
    metrics = json.loads(file.read_text())
    metrics.pop("protocol", None)
    return metrics


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
