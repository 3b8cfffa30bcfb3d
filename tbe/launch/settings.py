"""Checks the values of a config before anything is built from them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tbe.data.storage.addresses import check_addresses
from tbe.errors import UserError

ABSENT = object()


class Kind(NamedTuple):
    """A kind of value: its description, and a function that tests a value."""

    expected: str
    holds: Callable[[Any], bool]


def whole(least: int) -> Kind:
    """Returns the kind of whole numbers from `least` on."""
    return Kind(f"a whole number of at least {least}", lambda value: type(value) is int and value >= least)


def number(least: float, most: float = math.inf, above: bool = False) -> Kind:
    """Returns the kind of numbers from `least` on, or `above` it, up to `most`."""
    expected = f"a number {'above' if above else 'from' if most < math.inf else 'of at least'} {least:g}"
    expected += f" to {most:g}" if most < math.inf else ""
    return Kind(expected, lambda value: _is_number(value) and least <= value <= most and not (above and value == least))


def or_null(kind: Kind, meaning: str) -> Kind:
    """Returns a kind that also allows null; meaning: of null."""
    return Kind(f"{kind.expected}, or null for {meaning}", lambda value: value is None or kind.holds(value))


YES_OR_NO = Kind("true or false", lambda value: isinstance(value, bool))
SHARE = number(0, 1)
SECONDS = number(0, above=True)
BATCHES = or_null(
    Kind("a whole number of batches, or a share of them as 0.5", lambda value: _is_number_of_batches(value)),
    "all",
)
DURATION = or_null(
    Kind("'<days>:<hours>:<minutes>:<seconds>', such as 00:12:00:00", lambda value: _is_duration(value)), "no limit"
)
KINDS = {
    "seed": whole(0),
    "epochs": whole(0),
    "batch_size": whole(1),
    "datamodule.eval_batch_size": whole(1),
    "accumulate": whole(1),
    "lr_batch": or_null(whole(1), "any"),
    "validate_every": whole(1),
    "datamodule.eval_clips.num_clips": whole(1),
    "evaluation.clips": whole(1),
    "clips": whole(1),
    "max_clips_per_forward": or_null(whole(1), "all"),
    "evaluation.max_clips_per_forward": or_null(whole(1), "all"),
    "datamodule.val_limit": or_null(whole(1), "all"),
    "datamodule.max_failed": SHARE,
    "min_matched": SHARE,
    "datamodule.read_timeout": SECONDS,
    "process_timeout": SECONDS,
    "callbacks.finite_loss.limit": number(0, above=True),
    "datamodule.num_workers": or_null(whole(0), "one a core"),
    "method.queue_size": whole(1),
    "method.momentum": SHARE,
    "loss.temperature": number(0, above=True),
    "method.encoder.mlp": YES_OR_NO,
    "performance.channels_last": or_null(YES_OR_NO, "channels_last on GPUs"),
    "performance.checkpoint_activations": YES_OR_NO,
    "performance.cudnn_benchmark": YES_OR_NO,
    "performance.background_checkpoints": YES_OR_NO,
    "be.ratio": SHARE,
    "be.prob": SHARE,
    "be.min_ratio": SHARE,
    "be.foreground": SHARE,
    "clip.num_frames": whole(1),
    "clip.stride": whole(1),
    "clip.size": whole(1),
    "optimizer.lr": number(0),
    "optimizer.weight_decay": number(0),
    "optimizer.momentum": SHARE,
    "trainer.num_nodes": whole(1),
    "trainer.max_steps": whole(-1),
    "trainer.max_time": DURATION,
    "trainer.log_every_n_steps": whole(0),
    "trainer.gradient_clip_val": or_null(number(0), "none"),
    "trainer.limit_train_batches": BATCHES,
    "trainer.limit_val_batches": BATCHES,
    "trainer.limit_predict_batches": BATCHES,
    "videos": whole(1),
    "fps": number(0, above=True),
}


def check_settings(config: DictConfig) -> None:
    """Raises UserError for a value of the wrong kind, credentials in an address, and a GPU that is not there."""
    for key, kind in KINDS.items():
        value = _select(config, key)
        if value is not ABSENT and not kind.holds(value):
            raise UserError(f"{key}: expected {kind.expected}, got {value!r}. Set {key}=<value>")
    check_addresses(_select(config, "data"))
    _check_device(_select(config, "trainer.accelerator"))


def _select(config: DictConfig, key: str) -> Any:
    """Returns the value of a key; ABSENT if the config has none."""
    try:
        return OmegaConf.select(config, key, default=ABSENT)
    except OmegaConfBaseException:  # what it refers to is missing, as is said when all of it is resolved
        return ABSENT


def _check_device(accelerator: Any) -> None:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    there["gpu"] = any(there.values())
    if not there.get(accelerator, True):
        raise UserError(
            f"trainer.accelerator={accelerator}: expected a GPU, got none that torch {torch.__version__} sees on this "
            "machine. Choose trainer=cpu, trainer=default (a GPU where there is one), or trainer=ddp_cpu for several "
            "processes; nvidia-smi and torch.cuda.is_available() say what is missing"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def _is_number_of_batches(value: Any) -> bool:
    return whole(0).holds(value) or (isinstance(value, float) and 0 <= value <= 1)


def _is_duration(value: Any) -> bool:
    return OmegaConf.is_dict(value) or (isinstance(value, str) and bool(re.fullmatch(r"\d+(:\d\d?){3}", value)))
