"""Gives the configs of earlier versions, in checkpoints and in folders of runs, the names that classes have now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# A module that configs named as a `_target_` -> where its classes are now.
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


def with_present_names(config: Any) -> Any:
    """The same config, with each `_target_` of a module that has moved at its present place."""
    if isinstance(config, dict):
        return {
            key: _present(value) if key == "_target_" else with_present_names(value) for key, value in config.items()
        }
    return [with_present_names(value) for value in config] if isinstance(config, list | tuple) else config


def read_config(file: Path) -> Any:
    """Reads the config of a run, whichever version wrote it."""
    return with_present_names(yaml.safe_load(file.read_text()))


def _present(target: Any) -> Any:
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    return f"{MOVED[module]}.{name}" if module in MOVED else target
