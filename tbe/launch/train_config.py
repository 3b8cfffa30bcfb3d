"""What a training run is asked for, made whole: files for names, the run that follows, what a sweep has done before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from tbe import runs
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.atomic_io import latest_intact
from tbe.checkpoints.moved_names import read_config
from tbe.config import plain
from tbe.errors import UserError
from tbe.launch import moved_keys
from tbe.launch.settings import check_settings

# What only pretraining uses: left out of the config of other stages, whatever the experiment says of it.
PRETRAINING_ONLY = ("method", "be", "loss", "consistency", "contrastive")
# What says where a run computes. The one that follows it does so in the same processes, which are there already.
PLACE = ("accelerator", "devices", "num_nodes", "strategy")
# What a command line says of the machine, and so of both.
OF_THE_MACHINE = ("trainer", "precision", "process_timeout", "datamodule.num_workers", "datamodule.read_timeout")


def prepare(config: DictConfig, overrides: list[str]) -> list[Path]:
    """Writes the resolved config of the run, and of the run that follows it (`then`), before either starts.

    Returns their files; of a run that a repeated sweep finds done, that of its metrics.
    """
    stages = [_with_checkpoint(config, overrides)]
    if config.then:
        stages.append(_following(stages[0], overrides))
    for stage in stages:
        check_settings(stage)
        if stage.stage != "pretrain":
            OmegaConf.set_struct(stage, False)
            for part in PRETRAINING_ONLY:
                stage.pop(part, None)
    resolved = [plain(stage) for stage in stages]
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return [_continue(stage) for stage in resolved]
    return [_write(stage, is_new=not stage["resume"]) for stage in resolved]


def _following(config: DictConfig, overrides: list[str]) -> DictConfig:
    """The run that starts from what this one leaves, on the same machine."""
    chosen = list(config.then_with)
    moved_keys.check(chosen, moved_keys.TRAIN)
    keys = {_key(override) for override in chosen}
    shared = [override for override in overrides if _key(override) in OF_THE_MACHINE and _key(override) not in keys]
    following = compose("train", overrides=[f"experiment={config.then}", *shared, *chosen])
    following.run_dir = os.path.join(config.run_dir, following.stage)
    following.init_from = os.path.join(config.run_dir, runs.LAST)
    if not _chosen("backbone", chosen):
        following.backbone = config.backbone
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
    """How many processes a run has, as its config says it."""
    devices = config.trainer.devices
    number = len(devices) if OmegaConf.is_list(devices) else devices
    return f"trainer.devices={number} trainer.num_nodes={config.trainer.num_nodes}"


def continued(file: Path) -> Path:
    """The config of a stage that was started before, to go on where that was; of one that is done, its metrics."""
    return _continue(read_config(file.with_name(runs.CONFIG)))


def _with_checkpoint(config: DictConfig, overrides: list[str]) -> DictConfig:
    """Turns 'latest' and run folders into files, and takes the backbone from where the weights come from."""
    if config.resume:
        folder = os.path.join(config.runs, config.run_name)
        config.resume = str(latest_intact(runs.find(str(config.resume), folder, nested=False).resolve()))
        stage = checkpoints.read(config.resume).stage
        if stage != config.stage:
            raise UserError(f"resume={config.resume}: expected a checkpoint of stage={config.stage}, got {stage}'s")
    if config.init_from:
        config.init_from = str(runs.find(str(config.init_from), config.runs).resolve())
        if not _chosen("backbone", overrides):
            # A file of another project does not say its network: that of the config is then meant.
            config.backbone = checkpoints.read_any(config.init_from).config.get("backbone", config.backbone)
    return config


def _continue(config: dict[str, Any]) -> Path:
    """Writes the config of a run, of one that was stopped in its folder so that it goes on where that was.

    Returns the config's file, or that of the metrics where the run is done. A ValueError for a finished run with other
    settings.
    """
    folder = Path(config["run_dir"])
    before, metrics, last = folder / runs.CONFIG, folder / runs.METRICS, folder / runs.LAST
    is_same = before.exists() and {**read_config(before), "resume": config["resume"]} == config
    if metrics.exists() and not is_same:
        raise UserError(
            f"{folder}: expected no finished run or the same one, found one with other settings. Choose another "
            "hydra.sweep.dir, or move it away"
        )
    if runs.is_complete(metrics):
        return metrics
    if is_same and last.exists():
        config = config | {"resume": str(latest_intact(last))}
    return _write(config, is_new=not is_same and not config["resume"])


def _write(config: dict[str, Any], is_new: bool) -> Path:
    """Writes the config of a run, which is another one than what lies in its folder where it is new."""
    folder = Path(config["run_dir"])
    before = folder / runs.CONFIG
    # Runs were once known to Weights & Biases by an id in their config.
    logger = {} if is_new or not before.exists() else read_config(before).get("logger", {})
    runs.identify(folder, is_new, known=logger.get("wandb", {}).get("id"))
    return runs.write_config(folder, config)


def _chosen(group: str, overrides: list[str]) -> bool:
    """Whether a config group was named on the command line."""
    return any(_key(override).split(".")[0] == group for override in overrides)


def _key(override: str) -> str:
    """What an override sets: a key, or a group."""
    return override.lstrip("+~").partition("=")[0]
