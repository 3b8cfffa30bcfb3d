"""Evaluates checkpoints: builds their networks, measures each with each task, writes metrics.json and prints tables."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import nn

from tbe import runs
from tbe.auditing import models
from tbe.backbones.base import VideoBackbone
from tbe.backbones.classifier import Classifier
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.checkpoint import Checkpoint
from tbe.checkpoints.foreign import ForeignWeights
from tbe.checkpoints.preprocessing import of_other_clips
from tbe.config import build
from tbe.distributed import rank
from tbe.encoders import Encoder, load_encoder
from tbe.encoders.load import is_function_name
from tbe.errors import UserError
from tbe.evaluation import official_splits
from tbe.evaluation.feature_cache import FeatureCache, weights_digest
from tbe.evaluation.tasks.base import ComparingTask, Evaluation
from tbe.launch import worker_processes
from tbe.launch.eval_config import RANDOM, prepare
from tbe.launch.stages import Stage
from tbe.launch.task_runner import Metrics, TaskRunner
from tbe.reporting.console import print_tables
from tbe.reporting.summary import sentences, small_tables
from tbe.training.acceleration import lays_out_channels_last
from tbe.training.callbacks.progress import ProgressBar

__all__ = ["prepare", "run"]  # what a command starts

Trained = Checkpoint | ForeignWeights | Encoder

# Of what features mean, in the names of those that are kept: raised where a perturbation or a partner becomes another.
REVISION = 2

log = logging.getLogger(__name__)


class Subject(NamedTuple):
    """A checkpoint to measure on an official split.

    split: its number, None for the split of the data's config. checkpoint: None for the untrained network.
    has_checkpoint_per_split: whether the other splits have checkpoints of their own.
    """

    name: str
    split: int | None
    checkpoint: Trained | None
    has_checkpoint_per_split: bool

    @property
    def title(self) -> str:
        return self.name if self.split is None else f"{self.name}, split {self.split}"


def run(stages: list[Stage]) -> None:
    """Measures each checkpoint with each task, on each official split asked for.

    metrics.json is written after each task, and a task that fails costs no other number. Raises an error that names
    the tasks that failed, once all others are done.
    """
    ((config, run_dir, _),) = stages
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    tasks = TaskRunner({name: build(task) for name, task in config["tasks"].items()}, run_dir)
    results = Results(config, run_dir)
    subjects = read_subjects(config)
    if rank() == 0:
        remove_results(subjects, results.folders, tasks.tasks)
    for subject in subjects:
        pl.seed_everything(config["seed"], workers=True, verbose=False)
        measure(config, subject, tasks, results)
    if rank() == 0 and len(tasks.failed) < len(tasks.tasks) * len(subjects):
        compare(subjects, results, tasks)
        report(config, results)
    tasks.check()


def read_subjects(config: dict[str, Any]) -> list[Subject]:
    """Reads each checkpoint of the config once; returns it with each official split that it is measured on."""
    splits = config["split"] or [None]
    found: list[dict[int | None, Trained | None]] = []
    for entry in config["checkpoint"]:
        if isinstance(entry, dict):
            found.append({split: _read(entry[split], config) for split in splits})
        else:
            found.append(dict.fromkeys(splits, _read(entry, config)))
    for of_split in found:
        for split, checkpoint in of_split.items():
            run = getattr(checkpoint, "run", checkpoint)  # of an encoder, what it was read from
            if isinstance(run, Checkpoint):
                _check_split(run, config["data"] if split is None else config["data"] | {"split": split})
    first = [next(iter(of_split.values())) for of_split in found]
    names = models.names_of(config["model"]) if config["model"] else _names(first)
    _tell_of_other_clips(names, first, config.get("tasks", ()))
    return [
        Subject(name, split, checkpoint, isinstance(entry, dict))
        for name, entry, of_split in zip(names, config["checkpoint"], found, strict=True)
        for split, checkpoint in of_split.items()
    ]


def _check_split(checkpoint: Checkpoint, data: dict[str, Any]) -> None:
    """Raises UserError for a network that was trained with the labels of another official split of this data set.

    Official splits divide the same videos in other ways: most test videos of one are training videos of the others.
    """
    theirs = checkpoint.config.get("data") or {}  # none in an export
    numbers = theirs.get("split"), data.get("split")
    is_of_data = "name" in theirs and theirs["name"] == data.get("name")
    if checkpoint.stage != "pretrain" and is_of_data and numbers[0] != numbers[1]:
        raise UserError(
            f"{checkpoint.path}: expected a network that was trained on split {numbers[1]} of {data.get('name')}, got "
            f"one that was trained with the labels of split {numbers[0]}, which has most of its test videos. Measure "
            f"it on split={numbers[0]}, or one of each split: checkpoint='<runs>/<name>_{official_splits.NUMBER}'"
        )


def _read(file: str, config: dict[str, Any]) -> Trained | None:
    if config["model"]:
        chosen = {name: value for name, value in config["model_options"].items() if value is not None}
        pl.seed_everything(config["seed"], workers=True, verbose=False)  # of weights that are asked for as random
        return load_encoder(file, runs=config["runs"], **chosen)
    return None if file == RANDOM else checkpoints.read_any(file, config["backbone"], config["min_matched"])


def _tell_of_other_clips(names: list[str], found: list[Trained | None], tasks: Iterable[str]) -> None:
    """Warns of networks that were trained on other clips than those of the first, on which all are measured.

    Raises UserError if they are to be exported: the card of each says which clips it takes.
    """
    configs = {name: one.config for name, one in zip(names, found, strict=True) if isinstance(one, Checkpoint)}
    others = of_other_clips(configs)
    if others and "export" in tasks:
        raise UserError(
            f"task=export: expected checkpoints that were trained on the same clips, crops and colors, as their cards "
            f"say, got others of {', '.join(others)} than of {next(iter(configs))}. Export each by a command of its own"
        )
    if others and rank() == 0:
        log.warning(
            f"{', '.join(others)}: trained on other clips, crops or colors than {next(iter(configs))}, and measured on "
            "the same ones as it. Commands of their own measure each on its own"
        )


def _names(found: list[Trained | None]) -> list[str]:
    """Returns what each checkpoint is called in tables and folders.

    Runs of one name are told apart by their variants where those differ, else by their folders, else by a number.
    """
    plain = [checkpoint.name if checkpoint else "random init" for checkpoint in found]
    variants = [getattr(checkpoint, "config", {}).get("variant") for checkpoint in found]
    names: list[str] = []
    for name, checkpoint, variant in zip(plain, found, variants, strict=True):
        alike = [other for other, of_name in zip(variants, plain, strict=True) if of_name == name]
        if len(alike) > 1 and None not in alike and len(set(alike)) == len(alike):
            name = f"{name} {variant}"
        file = Path(getattr(checkpoint, "path", RANDOM))
        told = [name, *(f"{name} ({file.parent.parent.name}, {file.stem}{more})" for more in _numbers(len(plain)))]
        names.append(next(name for name in told if name not in names))
    return names


def _numbers(count: int) -> list[str]:
    """Returns what tells apart as many of one name: nothing for the first, then ', 2', ', 3' and so on."""
    return ["", *(f", {number}" for number in range(2, count + 1))]


class Results:
    """The metrics of each checkpoint on each split so far, and the protocol that they were measured by."""

    def __init__(self, config: dict[str, Any], run_dir: Path):
        self.config = config
        self.run_dir = run_dir
        numbers = config["split"] or [None]
        self.folders = {number: run_dir / f"split_{number}" if len(numbers) > 1 else run_dir for number in numbers}
        self.measured: dict[str, dict[int | None, Metrics]] = {}
        self.origins: dict[str, Any] = {}
        self.protocol = describe(config) | {"checkpoints": self.origins}
        self.seen: dict[Any, str] = {}  # of the videos, once for all checkpoints

    def keep(self, subject: Subject, metrics: Metrics, unmeasured: dict[str, str]) -> None:
        """Replaces the metrics of a subject and writes metrics.json; unmeasured: tasks -> why they have no numbers."""
        origin = _origin(subject.checkpoint)  # which counts what was loaded
        if subject.has_checkpoint_per_split:
            self.origins.setdefault(subject.name, {})[f"split {subject.split}"] = origin
        else:
            self.origins[subject.name] = origin
        self.measured.setdefault(subject.name, {})[subject.split] = metrics
        if rank() == 0 and any(row for of_split in self.measured.values() for row in of_split.values()):
            rows = self._rows()
            content = next(iter(rows.values())) if self._is_alone() else rows
            protocol = self.protocol | ({runs.UNMEASURED: unmeasured} if unmeasured else {})
            runs.write_json(self.run_dir / runs.METRICS, content | {"protocol": protocol})

    def columns(self) -> dict[str, Metrics]:
        """Returns the columns of the printed table: one for each checkpoint, or for each of its splits."""
        rows = self._rows()
        if len(self.folders) == 1:
            return rows
        return {
            split if self._is_alone() else f"{name}, {split}": metrics
            for name, of_split in rows.items()
            for split, metrics in of_split.items()
        }

    def _is_alone(self) -> bool:
        return len(self.config["checkpoint"]) == 1

    def _rows(self) -> dict[str, Any]:
        """Returns the metrics of each checkpoint, of several splits those of each and, once all are there, the mean."""
        if len(self.folders) == 1:
            return {name: next(iter(of_split.values())) for name, of_split in self.measured.items()}
        rows = {
            name: {f"split {number}": metrics for number, metrics in of_split.items()}
            for name, of_split in self.measured.items()
        }
        return {
            name: official_splits.summarize(row) if len(row) == len(self.folders) else row for name, row in rows.items()
        }


def describe(config: dict[str, Any]) -> dict[str, Any]:
    """Returns what is needed to repeat the numbers."""
    chosen = ("tasks", "gallery", "query", "split", "clips", "crops", "clip", "seed", "precision")
    return {
        "data": build(config["data"]).name,
        "data_config": config["data"],
        **{name: config[name] for name in chosen},
        "eval_augment": None if config["model"] else config["eval_augment"],  # a model says it itself
        "versions": runs.versions(),
    }


def measure(config: dict[str, Any], subject: Subject, tasks: TaskRunner, results: Results) -> None:
    """Runs all tasks on a subject, and hands the metrics to `results` after each."""
    folder = results.folders[subject.split]
    folder.mkdir(parents=True, exist_ok=True)
    of_split = official_splits.config_for_split(config, subject.split, folder)
    evaluation = build_evaluation(of_split, subject, results.seen)
    with worker_processes.abort_together(evaluation.trainer.strategy.launcher):
        tasks.run(evaluation, partial(results.keep, subject), subject.title)


def build_evaluation(config: dict[str, Any], subject: Subject, seen: dict[Any, str] | None = None) -> Evaluation:
    """Builds the network of a subject, with the data and the trainer to measure it; seen: as in FeatureCache."""
    checkpoint = subject.checkpoint
    trainer = build(config["trainer"])(
        logger=False,
        enable_checkpointing=False,
        callbacks=[ProgressBar()],
        default_root_dir=config["run_dir"],
    )
    backbone, classifier = _build_networks(config, checkpoint, trainer.strategy.root_device)
    datamodule = build(config["datamodule"])
    if isinstance(checkpoint, Encoder):
        crops = [build(crop) for crop in config["crop_boxes"][str(config["crops"])]]
        models.make_clips_for(models.preprocessing_of(checkpoint), datamodule, config["clips"], crops)
    return Evaluation(
        name=subject.name,
        backbone=backbone,
        classifier=classifier,
        datamodule=datamodule,
        trainer=trainer,
        gallery=config["gallery"],
        queries=config["query"],
        folder=Path(config["run_dir"]),
        cache=_cache(config, backbone, checkpoint, seen),
        backbone_config=_backbone_config(config, checkpoint),
        origin=_origin(checkpoint),
        max_clips_per_forward=config["max_clips_per_forward"],
    )


def _backbone_config(config: dict[str, Any], checkpoint: Trained | None) -> dict[str, Any] | None:
    """Returns the config that the network is built from; None for a model of another origin."""
    found: dict[str, Any] | None = getattr(checkpoint, "config", {}).get("backbone", config.get("backbone"))
    return found


def _origin(checkpoint: Trained | None) -> dict[str, Any] | str:
    """Returns where weights come from, for the protocol."""
    if isinstance(checkpoint, Encoder):
        return models.origin_of(checkpoint)
    return checkpoint.origin() if checkpoint else RANDOM


def _build_networks(
    config: dict[str, Any], checkpoint: Trained | None, device: torch.device
) -> tuple[VideoBackbone | models.NormalizedEncoder, Classifier | None]:
    """Returns the network, untrained without a checkpoint, and the classifier that it is of, if there is one."""
    if isinstance(checkpoint, Encoder):
        return models.NormalizedEncoder(checkpoint), None
    classifier = checkpoint.classifier() if checkpoint else None
    if classifier is not None:
        backbone = classifier.backbone
    else:
        backbone = checkpoint.backbone() if checkpoint else build(config["backbone"])
    if lays_out_channels_last(config["performance"]["channels_last"], device):
        backbone.to(memory_format=torch.channels_last_3d)
    return backbone, classifier


def _cache(
    config: dict[str, Any], backbone: nn.Module, checkpoint: Trained | None, seen: dict[Any, str] | None = None
) -> FeatureCache | None:
    """Returns the cache of features between runs; None on several machines, whose disks may differ.

    None with `trainer.limit_predict_batches`, as trainer=debug sets it: another run would take some videos for all.
    None for a function of another package, or a repository's own code, which may change.
    """
    is_limited = config["trainer"].get("limit_predict_batches") not in (None, 1.0)
    if not config["cache"] or config["trainer"].get("num_nodes", 1) > 1 or is_limited:
        return None
    if isinstance(checkpoint, Encoder) and (is_function_name(checkpoint.name) or checkpoint.report.custom_code):
        return None
    parts = ("data", "reader", "clip", "eval_augment", "clips", "crops", "precision", "seed")
    made = {part: (config.get("datamodule") or {}).get(part) for part in ("eval_clips", "eval_views")}
    protocol = {part: config[part] for part in parts} | made | {"versions": runs.versions(), "revision": REVISION}
    if isinstance(checkpoint, Encoder):
        protocol |= models.origin_of(checkpoint) | {"model_options": config["model_options"]}
        protocol["network"] = checkpoint.architecture
    else:  # of which weights do not tell all, such as the positions of a ViT
        protocol["backbone"] = _backbone_config(config, checkpoint)
    return FeatureCache(Path(config["cache"]), weights_digest(backbone), protocol, seen={} if seen is None else seen)


def remove_results(subjects: list[Subject], folders: Mapping[int | None, Path], tasks: Iterable[str]) -> None:
    """Removes what an evaluation before wrote of these subjects in these tasks, maybe of other splits."""
    for subject in subjects:
        for name in tasks:
            top = (folders[subject.split] / name).resolve()
            written = (top / subject.name).resolve()
            if top in written.parents and written.is_dir():
                shutil.rmtree(written)


def compare(subjects: list[Subject], results: Results, tasks: TaskRunner) -> None:
    """Lets each task that can compare checkpoints do so, on each split, for those that it could measure."""
    for name, task in tasks.tasks.items():
        if not isinstance(task, ComparingTask):
            continue
        for split, folder in results.folders.items():
            rows = {
                subject.name: results.measured[subject.name][split]
                for subject in subjects
                if subject.split == split and tasks.name(name, subject.title) not in tasks.failed
            }
            if rows:
                with tasks.attempt(f"the comparison of {name}"):
                    task.compare(rows, folder)


def report(config: dict[str, Any], results: Results) -> None:
    """Prints the tables of all metrics, what they mean in words, and the run's folder."""
    columns, queries = results.columns(), config["query"]
    title = f"{', '.join(queries)} of {results.protocol['data']}, gallery {config['gallery']}, in percent"
    print_tables(small_tables(columns, queries), title, sentences(columns, queries))
    print(f"run: {results.run_dir}")
