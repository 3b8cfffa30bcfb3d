"""Updates configs of earlier versions, in checkpoints and run folders, to the present names of classes and keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# Former module of a `_target_` -> its present module.
MOVED = {
    "tbe.callbacks.finite_loss": "tbe.training.callbacks.loss_guard",
    "tbe.callbacks.gradient_flow": "tbe.training.callbacks.gradient_flow",
    "tbe.callbacks.knn_probe": "tbe.training.callbacks.knn_probe",
    "tbe.callbacks.progress": "tbe.training.callbacks.progress",
    "tbe.callbacks.save_on_interrupt": "tbe.training.callbacks.preemption",
    "tbe.callbacks.shared_statistics": "tbe.training.callbacks.buffer_sync",
    "tbe.checkpoint_files": "tbe.checkpoints.atomic_io",
    "tbe.consistency": "tbe.methods.consistency",
    "tbe.data.clips": "tbe.data.clip_samplers",
    "tbe.loggers": "tbe.training.csv_logger",
    "tbe.losses": "tbe.methods.losses",
    "tbe.modules.finetune": "tbe.training.finetune_module",
    "tbe.modules.optim": "tbe.training.optim",
    "tbe.modules.pretrain": "tbe.training.pretrain_module",
    "tbe.tasks.cam": "tbe.evaluation.tasks.cam",
    "tbe.tasks.confusion": "tbe.evaluation.tasks.confusion",
    "tbe.tasks.export": "tbe.evaluation.tasks.export",
    "tbe.tasks.features": "tbe.evaluation.tasks.save_features",
    "tbe.tasks.few_shot": "tbe.evaluation.tasks.few_shot",
    "tbe.tasks.knn": "tbe.evaluation.tasks.knn",
    "tbe.tasks.linear": "tbe.evaluation.tasks.linear",
    "tbe.tasks.retrieval": "tbe.evaluation.tasks.retrieval",
    "tbe.tasks.robustness": "tbe.evaluation.tasks.robustness",
    "tbe.tasks.scenes": "tbe.evaluation.tasks.scene_leakage",
    "tbe.tasks.semi": "tbe.evaluation.tasks.few_labels",
    "tbe.tasks.test": "tbe.evaluation.tasks.accuracy",
    "tbe.tasks.tsne": "tbe.evaluation.tasks.tsne",
}
# Former class (in its present module) -> its present name.
RENAMED = {
    "pytorch_lightning.callbacks.EMAWeightAveraging": "tbe.training.callbacks.averaging.EMAWeightAveraging",
    "tbe.augment.ColourJitter": "tbe.augment.ColorJitter",
    "tbe.checkpoints.atomic_io.WholeCheckpoints": "tbe.checkpoints.atomic_io.AtomicCheckpoints",
    "tbe.data.clip_samplers.AnchorAndAnother": "tbe.data.clip_samplers.AnchorAndNegativeClips",
    "tbe.data.views.LabelledClips": "tbe.data.views.LabeledClips",
}
# Former single key of a training config -> its present place.
PLACES = {
    "negative": "method.negative",
    "queue_size": "method.queue_size",
    "key_momentum": "method.momentum",
    "mlp_head": "method.encoder.mlp",
    "temperature": "loss.temperature",
    "distracted": "module.distractor_views",
    "num_workers": "datamodule.num_workers",
    "read_timeout": "datamodule.read_timeout",
    "on_error": "datamodule.on_error",
    "max_failed": "datamodule.max_failed",
    "val_limit": "datamodule.val_limit",
    "eval_batch_size": "datamodule.eval_batch_size",
    "eval_clips": "datamodule.eval_clips.num_clips",
    "channels_last": "performance.channels_last",
    "compile": "performance.compile",
    "checkpoint_activations": "performance.checkpoint_activations",
    "matmul_precision": "performance.matmul_precision",
    "cudnn_benchmark": "performance.cudnn_benchmark",
    "on_bad_loss": "callbacks.finite_loss.policy",
    "max_loss": "callbacks.finite_loss.limit",
    "test_clips": "evaluation.clips",
    "test_queries": "evaluation.splits",
    "clips_at_once": "evaluation.max_clips_per_forward",
    "evaluate": "tasks",
}
# Groups that are newer than the single keys in them. All others had the values of their keys before.
NEW_GROUPS = ("performance", "evaluation", "tasks")
# Former key of a config or of one of our classes -> its present name.
KEYS = {
    "clips_at_once": "max_clips_per_forward",
    "colour": "color",
    "distracted": "distractor_views",
    "erase": "distractor",
    "grey": "gray",
    "least": "min_ratio",
    "least_matched": "min_matched",
}
VALUES = {"centre": "center"}  # of the key `position`
SETTINGS = {"arm": "variant", "arms": "variants"}  # overrides of a command, in the results of sweeps


def with_present_names(config: Any) -> Any:
    """Returns the config with its single keys in their groups, and with present names of our classes and their keys.

    Keys and classes of other packages are unchanged.
    """
    config = _grouped(config) if isinstance(config, dict) and "stage" in config else config
    return _renamed(config, is_ours=isinstance(config, dict))


def present_settings(settings: dict[str, str]) -> dict[str, str]:
    """Returns the overrides of a command by the present names of their keys."""
    return {SETTINGS.get(key, key): value for key, value in settings.items()}


def read_config(file: Path) -> Any:
    """Reads the config of a run written by any version."""
    return with_present_names(yaml.safe_load(file.read_text()))


def _grouped(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a resolved training config with the single keys of earlier versions in their groups."""
    grouped = {key: value for key, value in config.items() if key not in PLACES}
    for key, place in PLACES.items():
        group, *inner = place.split(".")
        if key not in config or group not in NEW_GROUPS or group in config:
            continue
        if inner:
            grouped.setdefault(group, {})[".".join(inner)] = config[key]
        else:
            grouped[group] = config[key]
    return grouped


def _renamed(config: Any, is_ours: bool = False) -> Any:
    if isinstance(config, list | tuple):
        return [_renamed(value) for value in config]
    if not isinstance(config, dict):
        return config
    config = {**config, "_target_": _present(config["_target_"])} if "_target_" in config else config
    if is_ours or str(config.get("_target_")).startswith("tbe."):
        config = {KEYS.get(key, key): value for key, value in config.items()}
        if config.get("position") in VALUES:
            config["position"] = VALUES[config["position"]]
    return {key: _renamed(value) for key, value in config.items()}


def _present(target: Any) -> Any:
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    moved = f"{MOVED[module]}.{name}" if module in MOVED else target
    return RENAMED.get(moved, moved) if isinstance(moved, str) else moved
