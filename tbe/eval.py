"""The story of an evaluation: checkpoints to networks, tasks to numbers, one table. Called by eval.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from tbe import runs
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.checkpoint import Checkpoint
from tbe.checkpoints.foreign import ForeignWeights
from tbe.config import build
from tbe.distributed import rank
from tbe.evaluation import official_splits
from tbe.evaluation.feature_cache import FeatureCache, weights_digest
from tbe.evaluation.tasks.base import ComparingTask, Evaluation
from tbe.launch import worker_processes
from tbe.launch.eval_config import RANDOM, prepare
from tbe.launch.stages import Stage
from tbe.launch.task_runner import Metrics, TaskRunner
from tbe.reporting.console import print_tables
from tbe.reporting.summary import sentences, small_tables
from tbe.training.callbacks.progress import ProgressBar

__all__ = ["evaluate", "prepare", "run"]  # what a command starts

Measured = dict[str, dict[int | None, Metrics]]  # of each checkpoint on each split


def run(stages: list[Stage]) -> None:
    """Measures each checkpoint with each task, on each of the splits; writes metrics.json and prints a table.

    metrics.json is written after each task. What fails costs no other number; the command ends with an error then.
    """
    ((config, run_dir, _),) = stages
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    numbers = config["split"] or [None]
    folders = {number: run_dir / f"split_{number}" if len(numbers) > 1 else run_dir for number in numbers}
    tasks = TaskRunner({name: build(task) for name, task in config["tasks"].items()}, run_dir)
    measured: Measured = {}
    protocol = describe(config) | {"checkpoints": {}}
    for found, name in zip(config["checkpoint"], _names(config), strict=True):
        for number, folder in folders.items():
            checkpoint = _read(found[number] if isinstance(found, dict) else found, config)
            pl.seed_everything(config["seed"], workers=True, verbose=False)
            folder.mkdir(parents=True, exist_ok=True)
            origins = (
                protocol["checkpoints"].setdefault(name, {}) if isinstance(found, dict) else protocol["checkpoints"]
            )
            place = f"split {number}" if isinstance(found, dict) else name

            def keep(
                metrics: Metrics,
                missing: dict[str, str],
                name: str = name,
                number: int | None = number,
                checkpoint: Checkpoint | ForeignWeights | None = checkpoint,
                origins: dict[str, Any] = origins,
                place: str = place,
            ) -> None:
                origins[place] = checkpoint.origin() if checkpoint else RANDOM  # counts what was loaded
                measured.setdefault(name, {})[number] = metrics
                if rank() == 0 and any(row for found in measured.values() for row in found.values()):
                    told = protocol | ({runs.UNMEASURED: tasks.failed | missing} if tasks.failed | missing else {})
                    numbers = _rows(config, measured, folders)[0]
                    runs.write_json(run_dir / runs.METRICS, numbers | {"protocol": told})

            with_split = official_splits.config_for_split(config, number, folder)
            evaluate(with_split, name, checkpoint, tasks, keep, called=_called(name, number))
    if len(tasks.failed) == len(tasks.tasks) * len(config["checkpoint"]) * len(folders):
        tasks.check()  # there is nothing to show
    if rank() == 0:
        _report(config, measured, folders, tasks)
        print(f"run: {run_dir}")
    tasks.check()


def _report(config: dict[str, Any], measured: Measured, folders: dict[int | None, Path], tasks: TaskRunner) -> None:
    """Prints what was measured of each checkpoint on each split, and draws what tasks show of all of them."""
    for task_name, task in tasks.tasks.items():
        if isinstance(task, ComparingTask):
            for number, folder in folders.items():
                rows = {
                    name: found[number]
                    for name, found in measured.items()
                    if tasks.name(task_name, _called(name, number)) not in tasks.failed
                }
                if rows:
                    with tasks.attempt(f"the comparison of {task_name}"):
                        task.compare(rows, folder)
    columns = _rows(config, measured, folders)[1]
    title = f"{', '.join(config['query'])} of {build(config['data']).name}, gallery {config['gallery']}, in percent"
    print_tables(small_tables(columns, config["query"]), title, sentences(columns, config["query"]))


def _rows(
    config: dict[str, Any], measured: Measured, folders: dict[int | None, Path]
) -> tuple[dict[str, Any], dict[str, Metrics]]:
    """What metrics.json has of what is measured so far, and the columns of the table."""
    rows: dict[str, Any] = {name: next(iter(found.values())) for name, found in measured.items()}
    columns, alone = rows, len(config["checkpoint"]) == 1
    if len(folders) > 1:
        rows = {
            name: {f"split {number}": metrics for number, metrics in found.items()} for name, found in measured.items()
        }
        rows = {name: official_splits.summarize(row) if len(row) == len(folders) else row for name, row in rows.items()}
        columns = {
            column if alone else f"{name}, {column}": row
            for name, found in rows.items()
            for column, row in found.items()
        }
    return next(iter(rows.values())) if alone else rows, columns


def evaluate(
    config: dict[str, Any],
    name: str,
    checkpoint: Checkpoint | ForeignWeights | None,
    tasks: TaskRunner,
    keep: Callable[[Metrics, dict[str, str]], None],
    called: str,
) -> Metrics:
    """The metrics of one network under all tasks, handed to `keep` after each; called: in what is said of it."""
    classifier = checkpoint.classifier() if checkpoint else None
    if classifier is not None:
        backbone = classifier.backbone
    else:
        backbone = checkpoint.backbone() if checkpoint else build(config["backbone"])
    if config["performance"]["channels_last"]:
        backbone.to(memory_format=torch.channels_last_3d)
    evaluation = Evaluation(
        name=name,
        backbone=backbone,
        classifier=classifier,
        datamodule=build(config["datamodule"]),
        trainer=build(config["trainer"])(
            logger=False,
            enable_checkpointing=False,
            callbacks=[ProgressBar()],
            default_root_dir=config["run_dir"],
        ),
        gallery=config["gallery"],
        queries=config["query"],
        folder=Path(config["run_dir"]),
        cache=_cache(config, backbone),
        backbone_config=checkpoint.config.get("backbone", config["backbone"]) if checkpoint else config["backbone"],
        origin=checkpoint.origin() if checkpoint else RANDOM,
        max_clips_per_forward=config["max_clips_per_forward"],
    )
    with worker_processes.abort_together(evaluation.trainer.strategy.launcher):
        return tasks.run(evaluation, keep, called)


def _cache(config: dict[str, Any], backbone: nn.Module) -> FeatureCache | None:
    """Where features are kept between runs; nowhere on several machines, whose disks may differ."""
    if not config["cache"] or config["trainer"].get("num_nodes", 1) > 1:
        return None
    parts = ("data", "reader", "clip", "eval_augment", "clips", "crops", "precision", "seed")
    protocol = {part: config[part] for part in parts} | {"versions": runs.versions()}
    return FeatureCache(Path(config["cache"]), weights_digest(backbone), protocol)


def describe(config: dict[str, Any]) -> dict[str, Any]:
    """What one needs to know to repeat the numbers."""
    chosen = ("tasks", "gallery", "query", "split", "clips", "crops", "clip", "seed", "precision")
    return {
        "data": build(config["data"]).name,
        "data_config": config["data"],
        **{name: config[name] for name in chosen},
        "versions": runs.versions(),
    }


def _called(name: str, number: int | None) -> str:
    """A checkpoint and the number of the split, as one says them."""
    return name if number is None else f"{name}, split {number}"


def _read(file: str, config: dict[str, Any]) -> Checkpoint | ForeignWeights | None:
    return None if file == RANDOM else checkpoints.read_any(file, config["backbone"], config["min_matched"])


def _names(config: dict[str, Any]) -> list[str]:
    """Returns what each checkpoint is called in tables and folders.

    Runs of one name are told apart by their variants where those differ, else by their folders.
    """
    files = [next(iter(found.values())) if isinstance(found, dict) else found for found in config["checkpoint"]]
    checkpoints = [_read(file, config) for file in files]
    plain = [checkpoint.name if checkpoint else "random init" for checkpoint in checkpoints]
    variants = [checkpoint.config.get("variant") if checkpoint else None for checkpoint in checkpoints]
    names: list[str] = []
    for name, file, variant in zip(plain, files, variants, strict=True):
        alike = [other for other, of_name in zip(variants, plain, strict=True) if of_name == name]
        if len(alike) > 1 and None not in alike and len(set(alike)) == len(alike):
            name = f"{name} {variant}"
        is_used = name in names
        names.append(f"{name} ({Path(file).parent.parent.name}, {Path(file).stem})" if is_used else name)
    return names
