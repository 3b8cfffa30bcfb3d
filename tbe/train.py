"""Trains: builds the objects of a config, fits, measures the trained network, writes metrics.json and prints tables."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.loggers import Logger

from tbe import runs
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.background_io import wait_for_checkpoints, write_in_background
from tbe.checkpoints.checkpoint import CarryConfig
from tbe.config import build
from tbe.distributed import rank
from tbe.evaluation.tasks.base import Evaluation
from tbe.launch import cluster_jobs, worker_processes
from tbe.launch.quoting import override
from tbe.launch.stages import Stage
from tbe.launch.task_runner import Metrics, TaskRunner, TasksFailed
from tbe.launch.train_config import continued, prepare
from tbe.reporting.console import print_tables
from tbe.reporting.summary import sentences, small_tables
from tbe.training.acceleration import accelerate
from tbe.training.callbacks.last_metrics import LastMetrics
from tbe.training.callbacks.preemption import Interrupted, LeaveOnInterrupt
from tbe.training.pretrain_module import PretrainModule

__all__ = ["build_module", "continued", "prepare", "run"]  # what commands start, and what tests build

log = logging.getLogger(__name__)

ACCELERATIONS = ("channels_last", "compile", "checkpoint_activations", "matmul_precision")


def run(stages: list[Stage]) -> float | None:
    """Trains each stage in turn, but those that are done; returns the objective of the last one.

    Raises TasksFailed, once all stages are done, if final tasks of any of them could not be measured.
    """
    objective, failures = None, []
    for config, run_dir, done in stages:
        if done:
            print(f"done before: {run_dir / runs.METRICS}")
            found = json.loads((run_dir / runs.METRICS).read_text()).get(config["objective"])
        else:
            try:
                found = train(config)
            except TasksFailed as failure:  # the network is trained: the next stage can start from it
                failures.append(failure)
                found = None
        objective = objective if found is None else found  # a run that follows has none of its own
    if rank() == 0:
        print(f"run: {stages[0].run_dir}")
    if failures:
        raise TasksFailed("; ".join(map(str, failures)))
    return objective


def train(config: dict[str, Any]) -> float | None:
    """Trains and measures one stage, and writes metrics.json; returns the metric named by `objective`.

    Raises TasksFailed, once all is written and printed, if some of the final tasks could not be measured.
    """
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    datamodule = build(config["datamodule"])
    module = build_module(config, datamodule.source.num_classes)
    if config["stage"] == "pretrain":
        datamodule = datamodule.for_views(module.method.views)
    tasks = TaskRunner({name: build(task) for name, task in config["tasks"].items()}, Path(config["run_dir"]))
    origin = load_initial_weights(module, config)
    last = Path(config["run_dir"], runs.LAST)
    last_metrics, leaving = LastMetrics(), LeaveOnInterrupt(last)
    trainer = build_trainer(config, last_metrics, leaving)
    switches = {name: config["performance"][name] for name in ACCELERATIONS}
    accelerate(module, trainer.strategy.root_device, precision=str(trainer.precision), **switches)
    _tell_of_unvalidated_end(config, trainer)
    _tell_of_another_batch(config, trainer)
    with leaving, exit_with_resume_hint(config, trainer), worker_processes.abort_together(trainer.strategy.launcher):
        fit(config, module, datamodule, trainer)
        if not trainer.global_step:  # epochs=0: the untrained network, to measure or to finetune beside trained ones
            trainer.save_checkpoint(last)
            wait_for_checkpoints(trainer)
        trained = last_metrics.of(trainer) | best_metrics(trainer)
        protocol = describe(config) | {"init": origin, "epochs": trainer.current_epoch, "steps": trainer.global_step}
        best = Path(config["run_dir"], runs.BEST)
        if best.exists() and tasks.tasks:
            protocol["measured"] = checkpoints.read(best).origin()
        keep = partial(write_metrics, config, trainer, trained, protocol)
        metrics = trained | measure(config, module, datamodule, trainer, tasks, keep)
    if trainer.is_global_zero:
        report(config, metrics)
    tasks.check()
    return metrics.get(config["objective"]) if config["objective"] else None


def best_metrics(trainer: pl.Trainer) -> dict[str, float]:
    """Returns the scores by which checkpoints were chosen, as `best/<metric>`: of their epoch, not of the last one."""
    kept: list[Any] = [callback for callback in trainer.checkpoint_callbacks if getattr(callback, "monitor", None)]
    scores = {f"best/{callback.monitor}": callback.best_model_score for callback in kept}
    return {name: float(score) for name, score in scores.items() if score is not None}


def _tell_of_unvalidated_end(config: dict[str, Any], trainer: pl.Trainer) -> None:
    """Warns where the last epoch can't be chosen, because it is not validated."""
    every, epochs = trainer.check_val_every_n_epoch or 1, trainer.max_epochs or 0
    if (
        trainer.is_global_zero
        and config["tasks"]
        and "best" in (config["callbacks"] or {})
        and epochs > 0
        and epochs % every
    ):
        log.warning(
            "epochs=%d: no multiple of validate_every=%d, so that the last epochs are not validated: best.ckpt, which "
            "the final tasks measure, is of epoch %d at the latest",
            *(epochs, every, epochs - epochs % every),
        )


def _tell_of_another_batch(config: dict[str, Any], trainer: pl.Trainer) -> None:
    """Warns of a learning rate that was chosen for another number of videos a step than this run has."""
    wanted, processes, accumulate = config.get("lr_batch"), trainer.world_size, trainer.accumulate_grad_batches
    got = config["batch_size"] * processes * accumulate
    lr, is_asked = config["optimizer"].get("lr"), not config["resume"] and bool(trainer.max_epochs)
    if wanted in (None, got) or lr is None or not is_asked or not trainer.is_global_zero:
        return
    more = wanted * accumulate / got
    log.warning(
        "%s: optimizer.lr is for %d videos a step (lr_batch), got %d (batch_size=%d, processes: %d, accumulate=%d). "
        "Set %slr_batch=%d, with optimizer.lr=%.3g in place of %g (in proportion), or as it is where it is meant for "
        "these",
        *(config["run_name"], wanted, got, config["batch_size"], processes, accumulate),
        f"accumulate={more:.0f} for as many, or " if more == int(more) else "",
        *(got, lr * got / wanted, lr),
    )


def build_module(config: dict[str, Any], num_classes: int) -> pl.LightningModule:
    """Builds the module of the stage; a classifier without `num_classes` in its config gets that of the data set."""
    if "num_classes" in config["module"] and config["module"]["num_classes"] is None:
        return build(config["module"], num_classes=num_classes)
    return build(config["module"])


def load_initial_weights(module: Any, config: dict[str, Any]) -> dict[str, Any] | None:
    """Loads the weights that `init_from` names into the backbone; returns where they come from."""
    if not config["init_from"]:
        return None
    if config["resume"] and not Path(config["init_from"]).exists():  # no longer needed
        return {"path": config["init_from"]}
    source = checkpoints.read_any(config["init_from"], min_matched=config["min_matched"])
    source.load_into(module.backbone)
    if isinstance(module, PretrainModule):
        module.method.after_loading()
    return source.origin()


def build_trainer(config: dict[str, Any], *more: pl.Callback) -> pl.Trainer:
    """Builds the Trainer with the loggers and callbacks of the config, `more`, and one that stores the config."""
    callbacks = [build(callback) for callback in config["callbacks"].values()] + [CarryConfig(config), *more]
    # Averages of the weights first: a checkpoint that another callback saves after a step has that step in them.
    callbacks.sort(key=lambda callback: not isinstance(callback, WeightAveraging))
    loggers = [build(logger) for logger in config["logger"].values()]
    trainer = build(config["trainer"])(callbacks=callbacks, logger=loggers, default_root_dir=config["run_dir"])
    if config["performance"].get("background_checkpoints"):  # older configs have no such key
        write_in_background(trainer)
    return trainer


def fit(config: dict[str, Any], module: pl.LightningModule, datamodule: Any, trainer: pl.Trainer) -> None:
    """Trains the module, or resumes its training.

    An interruption ends the command here, with the hint how to resume: all processes have agreed on it, so none has to
    abort the others.
    """
    try:
        with exit_with_resume_hint(config, trainer):
            trainer.fit(module, datamodule, ckpt_path=config["resume"], weights_only=True)
    finally:
        _finish(trainer.loggers)


@contextmanager
def exit_with_resume_hint(config: dict[str, Any], trainer: pl.Trainer) -> Iterator[None]:
    """Ends the command when the run is interrupted: prints how to continue, and requeues a preempted job."""
    try:
        yield
    except Interrupted as interrupted:
        if trainer.is_global_zero:
            last, first = Path(str(interrupted)), Path(config["run_dir"]).parent / runs.LAST
            if config["init_from"] == str(first):  # of a run that this one follows: the command is that of both
                last = first
            how = f"with {override('resume', last)}" if last.exists() else "as it was: nothing is trained yet"
            print(f"interrupted: to continue, repeat the command {how}\nrun: {config['run_dir']}")
            if interrupted.is_preemption:
                cluster_jobs.requeue()
        raise SystemExit(130) from None


def _finish(loggers: list[Logger]) -> None:
    """Closes loggers that stay open: the next run of a sweep in this process would go on writing to them."""
    if rank() == 0:
        for logger in loggers:
            experiment = getattr(logger, "experiment", None)
            finish = getattr(experiment, "finish", None)  # Weights & Biases has one
            if finish is not None:
                finish()


def measure(
    config: dict[str, Any],
    module: Any,
    datamodule: Any,
    trainer: pl.Trainer,
    tasks: TaskRunner,
    keep: Callable[[Metrics, dict[str, str]], None],
) -> Metrics:
    """Runs the final tasks, with the best weights in validation if they were kept; returns their metrics.

    Calls `keep` with the metrics so far after each task, or once if there is none.
    """
    splits = config["evaluation"]["splits"]
    queries = [split for split in splits if datamodule.source.has(split)]
    if tasks.tasks and len(queries) < len(splits) and trainer.is_global_zero:
        missing = ", ".join(split for split in splits if split not in queries)
        log.warning("evaluation.splits: data=%s has no %s: no numbers of it", datamodule.source.name, missing)
    if not tasks.tasks or not queries:
        keep({}, {})
        return {}
    best = Path(config["run_dir"], runs.BEST)
    if best.exists():
        checkpoints.load_module(module, best)
    evaluation = Evaluation(
        name=config["run_name"],
        backbone=module.backbone,
        classifier=getattr(module, "classifier", None),
        datamodule=datamodule.for_measuring(config["evaluation"]["clips"]),
        trainer=trainer,
        gallery="train",
        queries=queries,
        num_asked=len(splits),
        folder=Path(config["run_dir"]),
        max_clips_per_forward=config["evaluation"]["max_clips_per_forward"],
    )
    return tasks.run(evaluation, keep)


def describe(config: dict[str, Any]) -> dict[str, Any]:
    """Returns what is needed to repeat the numbers."""
    chosen = ("name", "stage", "seed", "batch_size", "clip", "init_from", "resume")
    trainer = {"precision": "precision", "accumulate": "accumulate_grad_batches"}
    trainer |= {"devices": "devices", "num_nodes": "num_nodes"}
    return {
        "data": build(config["data"]).name,
        "backbone": config["backbone"],
        "be": config.get("be"),
        **{name: config[name] for name in chosen},
        **{name: config["trainer"][key] for name, key in trainer.items()},
        "eval_clips": config["datamodule"]["eval_clips"]["num_clips"],
        "test": config["evaluation"] if config["tasks"] else None,
        "versions": runs.versions(),
    }


def write_metrics(
    config: dict[str, Any],
    trainer: pl.Trainer,
    trained: Metrics,
    protocol: dict[str, Any],
    measured: Metrics,
    unmeasured: dict[str, str],
) -> None:
    """Writes metrics.json on the first process.

    trained: the last metrics of training; measured: those of the final tasks; unmeasured: tasks -> why they have none.
    """
    if trainer.is_global_zero:
        protocol = protocol | ({runs.UNMEASURED: unmeasured} if unmeasured else {})
        runs.write_json(Path(config["run_dir"], runs.METRICS), {**trained, **measured, "protocol": protocol})


def report(config: dict[str, Any], metrics: Metrics) -> None:
    """Prints the final metrics as tables, and what they mean in words."""
    columns, splits = {config["run_name"]: metrics}, config["evaluation"]["splits"]
    title = f"{config['stage']}: final numbers (accuracies in percent)"
    print_tables(small_tables(columns, splits), title, sentences(columns, splits))
