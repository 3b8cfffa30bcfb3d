"""Compares the settings of a resumed run with those of its checkpoint: which may change, and which are refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tbe.checkpoints.checkpoint import Checkpoint
from tbe.errors import UserError
from tbe.launch.quoting import key_of, override

# May a setting change while a run goes on? FREE: it says how, not what is learned. ASKED: from there on, where the
# command line says so; what it only leaves out is not meant. FIXED: weights, their optimizer or the place in the epoch
# would not fit. Of several keys the longest that a setting begins with counts; what none names is ASKED.
FREE, ASKED, FIXED = "free", "asked", "fixed"
RULES = {
    "seed": FIXED,
    "batch_size": FIXED,
    "accumulate": FIXED,
    "lr_batch": FREE,
    "data": FIXED,
    "data.root": FREE,
    "data.masks": FREE,
    "data.cache": FREE,
    "data.bucket": FREE,
    "data.how_to_get_lists": FREE,
    "data.lists": ASKED,
    "backbone": FIXED,
    "method": FIXED,
    "method.momentum": ASKED,
    "method.negative": ASKED,
    "method.extra_weight": ASKED,
    "method.batch_norm": ASKED,
    "contrastive.queue_size": FIXED,
    "contrastive.mlp": FIXED,
    "loss._target_": FIXED,
    "optimizer._target_": FIXED,
    "module": FIXED,
    "module.dropout": ASKED,
    "module.distractor": ASKED,
    "module.consistency": ASKED,
    "module.static_weight": ASKED,
    "module.distractor_views": ASKED,
    "module.loss": ASKED,
    "module.loss._target_": FIXED,
    "reader": FREE,
    "eval_augment": FREE,
    "callbacks": FREE,
    "callbacks.ema": ASKED,
    "logger": FREE,
    "tasks": FREE,
    "evaluation": FREE,
    "performance": FREE,
    "validate_every": FREE,
    "process_timeout": FREE,
    "datamodule": FREE,
    "datamodule.batch_size": FIXED,
    "datamodule.seed": FIXED,
    "datamodule.source": FIXED,
    "datamodule.train_clips": ASKED,
    "datamodule.train_views": ASKED,
    "trainer": FREE,
    "trainer.devices": FIXED,
    "trainer.num_nodes": FIXED,
    "trainer.limit_train_batches": FIXED,
    "trainer.accumulate_grad_batches": FIXED,
    "trainer.max_epochs": ASKED,
    "trainer.max_steps": ASKED,
    "trainer.precision": ASKED,
    "trainer.sync_batchnorm": ASKED,
    "trainer.gradient_clip_val": ASKED,
}
# Where a run lies, what it is called and what comes of it; and what no file may say of reading videos.
ITS_OWN = {"run_dir", "runs", "data_dir", "resume", "run_name", "name", "objective", "then", "then_with"}
ITS_OWN |= {"init_from", "min_matched", "data.allow_outside_root", "variant"}
# Keys that follow another one of another name: that one is told.
FOLLOWS = {
    "trainer.max_epochs": "epochs",
    "trainer.check_val_every_n_epoch": "epochs",
    "trainer.accumulate_grad_batches": "accumulate",
    "trainer.sync_batchnorm": "batch_norm",
    "method.momentum": "contrastive.key_momentum",
    "datamodule.eval_batch_size": "batch_size",
}
SHARE_OF_THE_BATCH = ("batch_size", "trainer.devices", "trainer.num_nodes")
ABSENT = object()


class Change(NamedTuple):
    """A setting, as a checkpoint has it and as it is now."""

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.key} {_told(self.before)} -> {_told(self.now)}"


def check_changes(config: dict[str, Any], checkpoint: Checkpoint, overrides: Sequence[str]) -> list[str]:
    """Compares a resolved config with that of the checkpoint it resumes, before anything is written.

    Returns messages about settings that change, and about those that a checkpoint of another version does not have.
    Raises UserError naming all that can't change, and all that would change although the command line does not say so.
    """
    where, changes = f"resume={checkpoint.path}", _changes(checkpoint.config, config)
    named = {_key(text) for text in overrides}
    known = [change for change in changes if ABSENT not in (change.before, change.now)]
    fixed = [change for change in known if _rule(change.key) == FIXED or _regroups(change)]
    if fixed and all(change.key in SHARE_OF_THE_BATCH for change in fixed) and _same_batch(checkpoint.config, config):
        fixed = []
    may_change = [change for change in known if _rule(change.key) == ASKED and not _regroups(change)]
    unasked = [change for change in may_change if not _is_named(change.key, named)]
    epochs = checkpoint.epoch + 1 if checkpoint.step else 0
    averages = [change for change in changes if change.key == "callbacks.ema" and change.now is ABSENT]
    refused = []
    if fixed:
        refused.append(
            f"{_listed(fixed)}: can't change in a run that goes on. Repeat what was said before, or start a new run "
            f"from its weights with {override('init_from', checkpoint.path)}"
        )
    if unasked:
        change = unasked[0]
        refused.append(
            f"{_listed(unasked)}: the command does not say it. Repeat what was said before, or, to change it from here "
            f"on, add {change.key}={_told(change.now)}"
        )
    if averages:
        refused.append(
            "callbacks.ema is left out: the weights of the checkpoint are the average, which the run would go on from. "
            "Repeat callbacks=[..., ema], or start a new run from the average with "
            f"{override('init_from', checkpoint.path)}"
        )
    if config["epochs"] < epochs:
        refused.append(f"epochs={config['epochs']}: expected at least {epochs}, as many as it has begun")
    if refused:
        raise UserError(f"{where}: expected the settings of the run that goes on, got others. {'. '.join(refused)}")
    unknown = [change for change in changes if change not in known and not _is_named(change.key, named)]
    return _said(where, [change for change in changes if change not in unknown], unknown)


def _regroups(change: Change) -> bool:
    """Returns whether the optimizer gets another number of groups of parameters: one for each layer, or one for all."""
    return change.key == "optimizer.layer_decay" and 1 in (change.before, change.now)


def _said(where: str, applied: list[Change], unknown: list[Change]) -> list[str]:
    lines = [f"{where}: goes on with {_listed(applied)}"] if applied else []
    if unknown := [change for change in unknown if _rule(change.key) != FREE]:
        keys = ", ".join(change.key for change in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        lines.append(
            f"{where}: was written by another version, whose settings are named otherwise ({len(unknown)}: {keys}). "
            "These could not be compared"
        )
    return lines


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Returns the settings that differ, without those that only follow another one."""
    own = (str(before.get("run_dir")), str(now.get("run_dir")))
    found = [change for change in _differing(before, now, "") if not _is_named(change.key, ITS_OWN)]
    found = [change for change in found if _moved(change.before, own) != change.now]
    keys = {change.key for change in found}
    told: dict[tuple[str, str, str], Change] = {}
    for change in sorted(found, key=lambda change: change.key.count(".")):
        told.setdefault((change.key.split(".")[-1], _told(change.before), _told(change.now)), change)
    return [change for change in found if change in told.values() and FOLLOWS.get(change.key) not in keys]


def _differing(before: Any, now: Any, key: str) -> Iterator[Change]:
    """Yields the settings that differ; for parts of different classes only the classes."""
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        if before != now:
            yield Change(key, before, now)
        return
    start = f"{key}." if key else ""
    if before.get("_target_") != now.get("_target_"):
        yield Change(f"{start}_target_", before.get("_target_", ABSENT), now.get("_target_", ABSENT))
        return
    for name in dict.fromkeys([*before, *now]):
        yield from _differing(before.get(name, ABSENT), now.get(name, ABSENT), f"{start}{name}")


def _moved(value: Any, folders: tuple[str, str]) -> Any:
    """Returns a value with the run's former folder replaced by its present one."""
    return value.replace(*folders) if isinstance(value, str) else value


def _same_batch(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Returns whether all processes together see the same videos in a step, however they are distributed."""
    sizes = [_videos_a_step(config) for config in (before, now)]
    return sizes[0] is not None and sizes[0] == sizes[1]


def _videos_a_step(config: Mapping[str, Any]) -> int | None:
    """Returns the videos of all processes in a step; None if the number of devices is that of the machine."""
    trainer = config.get("trainer", {})
    devices = trainer.get("devices")
    number = len(devices) if isinstance(devices, list) else int(devices) if str(devices).isdigit() else None
    return number and number * trainer["num_nodes"] * config["batch_size"]


def _rule(key: str) -> str:
    parts = key.split(".")
    keys = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((RULES[key] for key in keys if key in RULES), ASKED)


def _is_named(key: str, named: Iterable[str]) -> bool:
    """Returns whether a key, or a group that it is in, is among the named ones."""
    return any(key == one or key.startswith(f"{one}.") for one in named)


def _key(text: str) -> str:
    """Returns the key that an override sets; of `augment@eval_augment=center` the latter."""
    return key_of(text).rpartition("@")[-1]


def _listed(changes: Sequence[Change]) -> str:
    return ", ".join(map(str, changes))


def _told(value: Any) -> str:
    if value is ABSENT:
        return "(not said)"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) < 80 else f"{text[:76]} ..."
