"""Resolves a training config: checkpoint aliases, the follow-up stage, and finished runs of a sweep."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from tbe import runs
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.atomic_io import latest_intact
from tbe.checkpoints.checkpoint import Checkpoint
from tbe.checkpoints.foreign import ForeignWeights
from tbe.checkpoints.moved_names import read_config
from tbe.checkpoints.preprocessing import colors
from tbe.config import plain
from tbe.errors import UserError
from tbe.launch import moved_keys
from tbe.launch.quoting import key_of
from tbe.launch.resuming import check_changes
from tbe.launch.said_once import check_said_once
from tbe.launch.same_backbone import check_same, chooses_group, named_over
from tbe.launch.settings import check_settings
from tbe.launch.stages import Stage, write_stage

log = logging.getLogger(__name__)

# What only pretraining uses: left out of the config of other stages, whatever the experiment says of it.
PRETRAINING_ONLY = ("method", "be", "loss", "consistency", "contrastive")
# What says where a run computes. The one that follows it does so in the same processes, which are there already.
PLACE = ("accelerator", "devices", "num_nodes", "strategy")
# What a command line says of the machine, and so of both.
OF_THE_MACHINE = (
    *("trainer", "precision", "process_timeout", "data_dir"),
    *("datamodule.num_workers", "datamodule.read_timeout"),
)
# What changes the method of a variant.
NAMING = ("be", "method", "host", "contrastive.negative", "method.negative")
CONTRASTIVE = re.compile(r"\bcontrastive\.(\w+)")  # in an interpolation
# What the protocol of the numbers, and a run that goes on, know by another name.
SAID_BY = {"datamodule.batch_size": "batch_size", "datamodule.seed": "seed", "datamodule.short_side": "clip.short_side"}
SAID_BY |= {
    f"datamodule.{clips}.{part}": f"clip.{part}"
    for clips in ("train_clips", "eval_clips")
    for part in ("num_frames", "stride", "short")
}
# How long a run is, which may change where it goes on.
LENGTH = ("epochs", "trainer.max_steps", "trainer.max_time")
# What decides which clips a run takes, and how it is measured.
OF_THE_CLIPS = ("data", "clip", "reader", "eval_augment", "evaluation")


def prepare(config: DictConfig, overrides: list[str]) -> list[Stage]:
    """Writes the resolved config of the run, and of the run that follows it (`then`), before either starts.

    Returns them as stages; a run that a repeated sweep, or one that resumes, finds done is marked so.
    """
    resolved, messages = resolve(config, overrides)
    for message in messages:
        log.warning(message)
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return [_continue(stage, overrides) for stage in resolved]
    if len(resolved) > 1 and resolved[0]["resume"] and _is_done(resolved[0]):
        return [_continue(stage, overrides) for stage in resolved]
    return [_write(stage, is_new=not stage["resume"]) for stage in resolved]


def resolve(config: DictConfig, overrides: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the resolved configs of the run and of the one that follows it, and messages to log about them.

    Writes nothing. Raises UserError for settings that can't be run, or can't resume from their checkpoint.
    """
    checkpoint, messages = _resumed(config, overrides)
    messages += _without_effect(config, overrides)
    messages += _nothing_to_tell(config)
    _name_changes(config, overrides)
    stages = [config]
    messages += _take_weights(config, overrides)
    if config.then:
        stages.append(_following(stages[0], overrides))
        messages += _not_followed(stages[0], stages[1], overrides)
        messages += _of_other_colors(stages[1], config)
    messages += [message for stage in stages for message in _measured_on_other_colors(stage)]
    for stage in stages:
        check_settings(stage)
        _leave_out_tasks_not_chosen(stage)
        if stage.stage != "pretrain":
            OmegaConf.set_struct(stage, False)
            for part in PRETRAINING_ONLY:
                stage.pop(part, None)
    resolved = [plain(stage) for stage in stages]
    for of_stage in resolved:
        check_said_once("train", of_stage, SAID_BY)
    if checkpoint is None:
        return resolved, messages
    _check_folders(resolved, checkpoint)
    return resolved, messages + check_changes(resolved[0], checkpoint, overrides)


def _without_effect(config: DictConfig, overrides: list[str]) -> list[str]:
    """Returns a message about settings that nothing in this run reads.

    Those of pretraining in another stage, and in pretraining those of `contrastive` that method and loss don't take.
    """
    if config.stage == "pretrain":
        named = {key_of(override) for override in overrides if key_of(override).startswith("contrastive.")}
        unread = sorted(key for key in named if key.split(".")[1] not in _read_of_contrastive(config))
        by = " and ".join(str(config[part].get("_target_")).rpartition(".")[2] for part in ("method", "loss"))
        return [f"{', '.join(unread)}: without effect, {by} don't read it"] if unread else []
    keys = [key_of(override) for override in overrides if key_of(override).split(".")[0] in PRETRAINING_ONLY]
    keys += [f"{part}={config[part]}" for part in ("variant", "host") if _names_alone(config, overrides, part)]
    if not keys:
        return []
    instead = "its training clips are distracted by be@module.distractor=<choice>, its loss is module.loss"
    return [f"{', '.join(keys)}: without effect, settings of pretraining in a run of stage={config.stage}: {instead}"]


def _read_of_contrastive(config: DictConfig) -> set[str]:
    """Returns the keys of `contrastive` that other settings of the run refer to."""
    others = OmegaConf.masked_copy(config, [str(key) for key in config if key != "contrastive"])
    read: set[str] = set()
    found = CONTRASTIVE.findall(OmegaConf.to_yaml(others))
    while new := set(found) - read:
        read |= new
        found = CONTRASTIVE.findall(OmegaConf.to_yaml(OmegaConf.masked_copy(config.contrastive, sorted(new))))
    return read


def _nothing_to_tell(config: DictConfig) -> list[str]:
    """Returns a message about clips that are mirrored at random before it is to be told whether they are mirrored."""
    task, share = OmegaConf.select(config, "method.pretext._target_"), config.augment.get("flip", 0.5)
    if config.stage != "pretrain" or not str(task).endswith(".Flip") or share in (0, 1):
        return []
    mirrored = f"clips that are mirrored at random, augment.flip={share}"
    return [f"method=flip: nothing to learn of {mirrored}: set augment.flip=0"]


def _names_alone(config: DictConfig, overrides: list[str], part: str) -> bool:
    """Returns whether a variant or a host is chosen that changes nothing but settings of pretraining and names."""
    others = [override for override in overrides if key_of(override) != part]
    if not config.get(part) or len(others) == len(overrides):
        return False
    try:
        without = compose("train", overrides=others)
    except HydraException:  # others change what it brings
        return False
    kept = [str(key) for key in without if key not in (*PRETRAINING_ONLY, "variant", "host", "run_dir")]
    one, other = (OmegaConf.to_container(OmegaConf.masked_copy(whole, kept)) for whole in (config, without))
    return one == other


def _not_followed(config: DictConfig, following: DictConfig, overrides: list[str]) -> list[str]:
    """Returns a message about videos and clips that are chosen for the first of two runs on one data set alone."""
    named = [key_of(override).rpartition("@")[-1] for override in overrides]
    keys = [key for key in named if key.split(".")[0] in OF_THE_CLIPS]
    kinds = [(stage.data.get("_target_"), stage.data.get("name")) for stage in (config, following)]
    alone = [key for key in keys if OmegaConf.select(config, key) != OmegaConf.select(following, key)]
    if kinds[0] != kinds[1] or not alone:
        return []
    return [f"{', '.join(alone)}: of the first run alone, not of then={config.then}, unless then_with says it, too"]


def _name_changes(config: DictConfig, overrides: list[str]) -> None:
    """Adds to the variant, which names the run's network in tables, the distractor or method chosen in its place.

    A recipe of pretraining whose stage is another has none of its variant.
    """
    if config.stage != "pretrain" and not _chosen("variant", overrides):
        config.variant = None
    changes = [override for override in overrides if key_of(override) in NAMING]
    if config.get("variant") and config.stage == "pretrain" and changes:
        config.variant = " ".join([config.variant, *changes])


def _leave_out_tasks_not_chosen(config: DictConfig) -> None:
    """Drops what a recipe sets of tasks that `task=` has replaced by others."""
    OmegaConf.set_struct(config, False)
    for name in [name for name, task in config.tasks.items() if "_target_" not in task]:
        del config.tasks[name]


def _following(config: DictConfig, overrides: list[str]) -> DictConfig:
    """Returns the config of the follow-up run, which starts from the weights of this one, on the same devices."""
    chosen = list(config.then_with)
    moved_keys.check(chosen, moved_keys.TRAIN)
    keys = {key_of(override) for override in chosen}
    shared = [override for override in overrides if key_of(override) in OF_THE_MACHINE and key_of(override) not in keys]
    following = compose("train", overrides=[f"experiment={config.then}", *shared, *chosen])
    following.run_dir = os.path.join(config.run_dir, following.stage)
    following.init_from = os.path.join(config.run_dir, runs.LAST)
    theirs = plain(config.backbone)
    if not chooses_group(chosen):
        following.backbone = named_over(theirs, following, chosen)
    check_same(theirs, plain(following.backbone), f"then={config.then}", chosen)
    if not _chosen("seed", chosen):
        following.seed = config.seed
    if not _chosen("trainer", chosen):
        for part in PLACE:
            following.trainer[part] = config.trainer[part]
    if _processes(following) != _processes(config):
        raise UserError(
            f"then_with: expected the processes of the first run ({_processes(config)}), got {_processes(following)}. "
            "Leave trainer out of it, or start the second run by itself, with init_from=<folder of the first>"
        )
    return following


def _processes(config: DictConfig) -> str:
    """Returns the overrides that set the number of processes of a run."""
    devices = config.trainer.devices
    number = len(devices) if OmegaConf.is_list(devices) else devices
    return f"trainer.devices={number} trainer.num_nodes={config.trainer.num_nodes}"


def continued(stage: Stage) -> Stage:
    """Returns a stage that was started before so that it goes on where that was, marked where it is done."""
    return _continue(stage.config, [])


def _resumed(config: DictConfig, overrides: list[str]) -> tuple[Checkpoint | None, list[str]]:
    """Returns the checkpoint to resume, None for a new run, and messages about it.

    Sets `resume` to its file, `init_from` to that of the first start, and the backbone to the checkpoint's unless it is
    chosen. Raises UserError for a checkpoint of another stage.
    """
    if not config.resume:
        return None, []
    folder = os.path.join(config.runs, config.run_name)
    config.resume = str(latest_intact(runs.find(str(config.resume), folder, nested=False).resolve()))
    checkpoint = checkpoints.read(config.resume)
    if checkpoint.stage != config.stage:
        raise UserError(
            f"resume={config.resume}: expected a checkpoint of stage={config.stage}, got {checkpoint.stage}'s"
        )
    if not _chosen("backbone", overrides):
        config.backbone = checkpoint.config.get("backbone", config.backbone)
    asked, config.init_from = config.init_from, checkpoint.config.get("init_from")
    if asked in (None, config.init_from):
        return checkpoint, []
    return checkpoint, [f"init_from={asked}: not read, the run goes on; it started from {config.init_from}"]


def _take_weights(config: DictConfig, overrides: list[str]) -> list[str]:
    """Sets `init_from` to a file, and the backbone to that of the weights unless it is chosen; returns messages."""
    if not config.init_from or config.resume:
        return []
    is_latest = config.init_from == "latest"
    config.init_from = str(runs.find(str(config.init_from), config.runs, stage="pretrain").resolve())
    if is_latest:
        log.info("init_from=latest: %s, of the newest run of stage=pretrain", config.init_from)
    found = checkpoints.read_any(config.init_from)
    before = found.config
    theirs = before.get("backbone")  # a file of another project does not say its network: that of the config is meant
    if theirs is not None and not chooses_group(overrides):
        config.backbone = named_over(theirs, config, overrides)
    check_same(theirs, plain(config.backbone), f"init_from={config.init_from}", overrides)
    if isinstance(found, ForeignWeights):
        own = found.colors(plain(config.backbone))
        before = {"augment": own._asdict()} if own is not None else {}
    return _of_other_colors(config, before)


def _of_other_colors(config: DictConfig, before: Mapping[str, Any]) -> list[str]:
    """Returns a message about colors that are normalized otherwise than in the training of the weights, `before`."""
    theirs, ours = colors(before), colors(config)
    if None in (theirs, ours) or theirs == ours:
        return []
    return [
        f"init_from={config.init_from}: was trained on colors of mean and std {theirs}, what starts from it "
        f"is on {ours}: set mean and std of augment and eval_augment alike (with a + before those that the recipe has "
        "not: +augment.mean=[...]), unless that is meant"
    ]


def _measured_on_other_colors(config: DictConfig) -> list[str]:
    """Returns a message about colors that are normalized otherwise in training than in what measures it."""
    trained, measured = (colors({"augment": config.get(part)}) for part in ("augment", "eval_augment"))
    if None in (trained, measured) or trained == measured:
        return []
    return [
        f"augment: mean and std are {trained}, those of eval_augment, on which the network is validated and measured, "
        f"{measured}: set both alike, with a + before what the recipe has not (+eval_augment.mean=[...])"
    ]


def _check_folders(stages: list[dict[str, Any]], checkpoint: Checkpoint) -> None:
    """Raises UserError if a resumed run would replace the checkpoints of another one."""
    folder = stages[0]["run_dir"]
    is_its_own = Path(checkpoint.path).parent == Path(folder, runs.LAST.parent).resolve()
    if runs.has_checkpoint(folder) and not is_its_own and checkpoint.config.get("run_dir") != folder:
        raise UserError(
            f"{folder}: expected no checkpoints but those of the run that is resumed ({checkpoint.path}), got others, "
            "which would be replaced. Choose another hydra.run.dir"
        )
    for stage in stages[1:]:
        if runs.has_checkpoint(stage["run_dir"]) and not _is_done(stages[0]):
            raise UserError(
                f"{stage['run_dir']}: expected no run that followed before this one is done, got one, which would be "
                "replaced. Move it away, or leave then= out"
            )


def _is_done(config: dict[str, Any]) -> bool:
    """Returns whether the folder of a run has its final numbers, with the same settings."""
    return _has_the_same(config) and Path(config["run_dir"], runs.METRICS).exists()


def _has_the_same(config: dict[str, Any]) -> bool:
    """Returns whether the folder of a run has a config that trains the same, maybe of an earlier version."""
    before = Path(config["run_dir"], runs.CONFIG)
    return before.exists() and _compared(read_config(before)) == _compared(config)


def _compared(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a run is told by: neither from where it goes on, nor what is not set, nor what only warns."""
    return {key: value for key, value in config.items() if value is not None and key not in ("resume", "lr_batch")}


def _continue(config: dict[str, Any], overrides: list[str]) -> Stage:
    """Writes the config of a run, of one that was stopped in its folder so that it goes on where that was.

    Returns the stage, marked where the run is done. Raises a UserError for a finished run with other settings, and for
    a stopped one with such as can't change.
    """
    folder = Path(config["run_dir"])
    metrics, last, is_same = folder / runs.METRICS, folder / runs.LAST, _has_the_same(config)
    if metrics.exists() and not is_same:
        raise UserError(
            f"{folder}: expected no finished run or the same one, found one with other settings. Choose another "
            "folder (hydra.sweep.dir), or move it away"
        )
    if runs.is_complete(metrics):
        return Stage(config, folder, done=True)
    if last.exists() and (is_same or not config["resume"]):
        config = config | {"resume": str(latest_intact(last))}
        if not is_same:
            for message in _changed(config, overrides, last):
                log.warning(message)
    return _write(config, is_new=not is_same and not config["resume"])


def _changed(config: dict[str, Any], overrides: list[str], last: Path) -> list[str]:
    """Returns messages about settings that change in a run that was stopped, and is gone on with without being asked.

    Raises UserError for such as change what is learned, but for its length: it may be another run that lies there.
    """
    length = [override for override in overrides if key_of(override) in LENGTH]
    try:
        return check_changes(config, checkpoints.read(config["resume"]), length)
    except UserError as error:
        raise UserError(
            f"{last.parent.parent}: expected no run that was stopped there, or the same one, got one with other "
            f"settings. Choose another folder (hydra.sweep.dir), or move it away. {error}"
        ) from None


def _write(config: dict[str, Any], is_new: bool) -> Stage:
    """Writes the config of a run, which is another one than what lies in its folder where it is new."""
    folder = Path(config["run_dir"])
    before = folder / runs.CONFIG
    # Runs were once known to Weights & Biases by an id in their config.
    logger = {} if is_new or not before.exists() else read_config(before).get("logger", {})
    runs.identify(folder, is_new, known=logger.get("wandb", {}).get("id"))
    if HydraConfig.initialized():  # Hydra's own are those of the last command, which may have been refused
        runs.write_overrides(folder, HydraConfig.get().overrides.task)
    return write_stage(config)


def _chosen(group: str, overrides: list[str]) -> bool:
    """Returns whether a config group is set by an override."""
    return any(key_of(override).split(".")[0] == group for override in overrides)
