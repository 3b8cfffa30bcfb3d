"""The story of an evaluation: checkpoints to networks, tasks to numbers, one table. Called by eval.py."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from tbe import checkpoint as checkpoints
from tbe import results
from tbe.cache import FeatureCache, weights_digest
from tbe.callbacks.progress import ProgressBar
from tbe.checkpoint import Checkpoint, ForeignWeights
from tbe.commands import command
from tbe.config import build, plain
from tbe.distributed import rank
from tbe.tasks.base import ComparingTask, Evaluation

log = logging.getLogger(__name__)

RANDOM = "random"
CARRIED = ("data", "clip", "reader", "backbone")


def prepare(config: DictConfig, overrides: list[str]) -> list[Path]:
    """Writes the resolved config, with files for 'latest' and run folders, and what the checkpoint knows filled in."""
    names = [str(name) for name in _listed(config.checkpoint)]
    found = [name if name == RANDOM else str(checkpoints.find(name, config.runs).resolve()) for name in names]
    for name, file in zip(names, found, strict=True):
        if name == "latest":
            log.info("checkpoint=latest: %s", file)
    OmegaConf.set_struct(config, False)
    config.checkpoint = found
    config.query = _listed(config.query)
    trained = (checkpoints.read_any(file) for file in found if file != RANDOM)
    carried = next((checkpoint.config for checkpoint in trained if checkpoint.config), {})
    usual_reader = config.pop("usual_reader")
    if not carried and set(found) != {RANDOM}:
        _check_chosen(config, next(file for file in found if file != RANDOM))
    carried = {"reader": usual_reader, **carried}
    for part in CARRIED:
        config[part] = _completed(part, config.get(part), carried.get(part))
    return [results.write_config(Path(config.run_dir), plain(config))]


def run(files: list[Path]) -> None:
    """Measures each checkpoint with each task; writes metrics.json and prints a table."""
    config = yaml.safe_load(files[0].read_text())
    folder = Path(config["run_dir"])
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    rows: dict[str, dict[str, float]] = {}
    protocols = {}
    for name, checkpoint in _named(config):
        pl.seed_everything(config["seed"], workers=True, verbose=False)
        rows[name] = evaluate(config, name, checkpoint)
        protocols[name] = checkpoint.origin() if checkpoint else RANDOM
    if rank() == 0:
        protocol = describe(config) | {"checkpoints": protocols}
        metrics = rows if len(rows) > 1 else next(iter(rows.values()))
        results.write_json(folder / "metrics.json", metrics | {"protocol": protocol})
        for task in map(build, config["tasks"].values()):
            if isinstance(task, ComparingTask):
                task.compare(rows, folder)
        results.table(
            rows, title=f"{', '.join(config['query'])} of {protocol['data']}, gallery {config['gallery']}, in percent"
        )
        print(f"run: {folder}")


def evaluate(config: dict[str, Any], name: str, checkpoint: Checkpoint | ForeignWeights | None) -> dict[str, float]:
    """The metrics of one network under all tasks."""
    classifier = checkpoint.classifier() if checkpoint else None
    if classifier is not None:
        backbone = classifier.backbone
    else:
        backbone = checkpoint.backbone() if checkpoint else build(config["backbone"])
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
    )
    metrics: dict[str, float] = {}
    for task in config["tasks"].values():
        metrics |= build(task).run(evaluation)
    return metrics


def _cache(config: dict[str, Any], backbone: nn.Module) -> FeatureCache | None:
    """Where features are kept between runs; nowhere on several machines, whose disks may differ."""
    if not config["cache"] or config["trainer"].get("num_nodes", 1) > 1:
        return None
    parts = ("data", "reader", "clip", "eval_augment", "clips", "precision", "seed")
    protocol = {part: config[part] for part in parts} | {"versions": results.versions()}
    return FeatureCache(Path(config["cache"]), weights_digest(backbone), protocol)


def describe(config: dict[str, Any]) -> dict[str, Any]:
    """What one needs to know to repeat the numbers."""
    chosen = ("tasks", "gallery", "query", "clips", "clip", "seed", "precision")
    return {
        "data": build(config["data"]).name,
        "data_config": config["data"],
        **{name: config[name] for name in chosen},
        "versions": results.versions(),
    }


def _completed(part: str, chosen: Any, carried: Any) -> Any:
    """A chosen config, single keys of it set over the checkpoint's, or the checkpoint's."""
    if chosen is None and carried is None:
        raise ValueError(f"eval: expected {part}=<choice> where no trained checkpoint says it, got none")
    if chosen is None or carried is None or "_target_" in chosen or (part == "clip" and "size" in chosen):
        return carried if chosen is None else chosen
    return OmegaConf.merge(carried, chosen)


def _check_chosen(config: DictConfig, file: str) -> None:
    """A ValueError for parts that nothing says, where all weights are another project's, such as `file`."""
    open_parts = [part for part in ("backbone", "data", "clip") if config.get(part) is None]
    if open_parts:
        choices = " ".join(f"{part}=<choice>" for part in open_parts)
        raise ValueError(
            f"eval: {file} was not written by train.py and does not say how it was trained: expected {choices} "
            "beside it, got none. backbone= is the network that it holds the weights of"
        )


def _named(config: dict[str, Any]) -> Iterator[tuple[str, Checkpoint | ForeignWeights | None]]:
    """Each checkpoint, read when its turn comes, with a name of its own."""
    used: set[str] = set()
    for file in config["checkpoint"]:
        checkpoint = None if file == RANDOM else checkpoints.read_any(file, config["backbone"], config["least_matched"])
        name = checkpoint.name if checkpoint else "random init"
        if name in used and checkpoint:
            name = f"{name} ({Path(file).parent.parent.name}, {Path(file).stem})"
        used.add(name)
        yield name, checkpoint


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, ListConfig)) else [value]


main = command("eval", prepare, run)
