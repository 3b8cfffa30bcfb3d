"""Says where a setting is now that a command line names at its old place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tbe.errors import UserError

TRAIN = {
    "arm": "variant",
    "arms": "variants",
    "least_matched": "min_matched",
    "be.least": "be.min_ratio",
    "augment.colour": "augment.color",
    "augment.grey": "augment.gray",
    "module.distracted": "module.distractor_views",
    "module.erase": "be",
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
    "task@evaluate": "task",
    "evaluate": "tasks",
}
EVAL = {
    "least_matched": "min_matched",
    "num_workers": "datamodule.num_workers",
    "read_timeout": "datamodule.read_timeout",
    "channels_last": "performance.channels_last",
    "clips_at_once": "max_clips_per_forward",
}


def check(overrides: Iterable[str], moved: Mapping[str, str]) -> None:
    """Raises a UserError for the first override of a key that moved, with its place and the override there."""
    for override in overrides:
        key, equals, value = override.lstrip("+~").partition("=")
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            place = moved.get(".".join(parts[:length]))
            if equals and place:
                place = ".".join([place, *parts[length:]])
                raise UserError(f"{key} is now {place}: expected {place}={value}, got {override}")
