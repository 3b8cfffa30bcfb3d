"""Resolves an evaluation config: checkpoint aliases, and data, clip, reader and backbone of the checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from tbe import runs
from tbe.augment import KINETICS_MEAN, KINETICS_STD
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.checkpoint import Checkpoint
from tbe.checkpoints.foreign import ForeignWeights
from tbe.checkpoints.foreign.family import Colors
from tbe.config import build, plain
from tbe.errors import UserError
from tbe.evaluation import official_splits
from tbe.launch.quoting import key_of
from tbe.launch.said_once import check_said_once
from tbe.launch.same_backbone import check_same
from tbe.launch.settings import check_settings
from tbe.launch.stages import Stage, write_stage

log = logging.getLogger(__name__)

RANDOM = "random"
CARRIED = ("data", "clip", "reader", "backbone")
# Settings of loaders and trainer, and the keys that say them, of which the protocol and the cache of features are made.
SAID_BY = {
    "datamodule.source": "data",
    "datamodule.open_video": "reader",
    "datamodule.eval_clips.num_frames": "clip.num_frames",
    "datamodule.eval_clips.stride": "clip.stride",
    "datamodule.eval_clips.short": "clip.short",
    "datamodule.eval_clips.num_clips": "clips",
    "datamodule.eval_views.augment": "eval_augment",
    "datamodule.short_side": "clip.short_side",
    "datamodule.seed": "seed",
    "trainer.precision": "precision",
}
UNREAD = {  # with model=, and what to do instead
    "checkpoint": "name a run in model= too, such as model=[latest,<model>]",
    "eval_augment": "set model_options.mean, std, crop or squash",
    "min_matched": "set model_options.min_matched",
}


def prepare(config: DictConfig, overrides: list[str]) -> list[Stage]:
    """Writes the resolved config of an evaluation; returns its only stage.

    'latest' and run folders become files, and parts that are not chosen are those of the first checkpoint that has a
    config. Raises UserError for parts that neither says, and for weights that do not fit the chosen backbone.
    """
    check_settings(config)
    OmegaConf.set_struct(config, False)
    config.query = _listed(config.query)
    config.split = None if config.split is None else _listed(config.split)
    if config.model is not None:
        return [_for_models(config, overrides)]
    config.checkpoint = [_found(str(name), config) for name in _listed(config.checkpoint)]
    files = [file for file in _files(config.checkpoint) if file != RANDOM]
    trained = map(checkpoints.read_any, files)
    carried = next((checkpoint.config for checkpoint in trained if checkpoint.config), {})
    usual_reader = config.pop("usual_reader")
    is_foreign = bool(files) and not carried
    if is_foreign:
        _check_chosen(config, files[0])
    is_chosen = config.get("backbone") is not None
    carried = {"reader": usual_reader, **carried}
    for part in CARRIED:
        config[part] = _completed(part, config.get(part), carried.get(part))
    theirs = _published_colors(files, config) if is_foreign or len(files) > 1 else {}
    first = next(iter(theirs.values()), None) if is_foreign else None
    published = {} if first is None else {"eval_augment": first._asdict()}
    _measure_as_trained(config, published if is_foreign else carried, overrides)
    _tell_other_colors(theirs, config, len(files))
    if str(config.crops) not in config.crop_boxes:
        raise UserError(f"crops: expected {' or '.join(config.crop_boxes)}, got {config.crops}")
    chosen = plain(config)
    _check_said_once(chosen)
    official_splits.check(chosen["split"] or [], chosen["data"])
    if is_chosen:
        _check_backbone(chosen["backbone"], files, overrides)
    return [write_stage(chosen)]


def _for_models(config: DictConfig, overrides: list[str]) -> Stage:
    """Writes the config of an evaluation of models, each of which says how its clips are made."""
    for key in (key_of(override).rpartition("@")[-1] for override in overrides):
        if instead := UNREAD.get(key.split(".")[0]):
            raise UserError(f"eval: expected no {key}= beside model=, which does not read it: {instead}")
    if config.get("data") is None:
        raise UserError("eval: expected data=<choice> beside model=, which does not say it, got none")
    for part in ("clip", "backbone"):
        if config.get(part) is not None:
            raise UserError(
                f"eval: expected no {part}= beside model=, which says it: set model_options.<option> instead"
            )
    config.model = [str(name) for name in _listed(config.model)]
    config.checkpoint = config.model
    usual_reader = config.pop("usual_reader")
    config.reader = _completed("reader", config.get("reader"), usual_reader)
    # Stands in until a model is loaded: only then its clips are known.
    config.clip = {"num_frames": 1, "stride": 1, "short": "loop", "short_side": None, "size": 1}
    if str(config.crops) not in config.crop_boxes:
        raise UserError(f"crops: expected {' or '.join(config.crop_boxes)}, got {config.crops}")
    chosen = plain(config)
    _check_said_once(chosen)
    official_splits.check(chosen["split"] or [], chosen["data"])
    return write_stage(chosen | {"clip": None})


def _check_said_once(config: Mapping[str, Any]) -> None:
    """Raises UserError for clips or a precision that are not those which the protocol and the features' cache know."""
    boxes = config["crop_boxes"][str(config["crops"])]
    check_said_once("eval", {**config, "crops": boxes}, {**SAID_BY, "datamodule.eval_views.crops": "crops"})


def _completed(part: str, chosen: Any, carried: Any) -> Any:
    """Returns the chosen config, that of the checkpoint, or that of the checkpoint with the chosen keys set over it."""
    if chosen is None and carried is None:
        raise UserError(f"eval: expected {part}=<choice> where no trained checkpoint says it, got none")
    if chosen is None or carried is None or "_target_" in chosen or (part == "clip" and "size" in chosen):
        return carried if chosen is None else chosen
    return OmegaConf.merge(carried, chosen)


def _measure_as_trained(config: DictConfig, carried: Mapping[str, Any], overrides: Iterable[str]) -> None:
    """Sets crop and colors of `eval_augment` to those that the checkpoint's own measurements had, unless chosen.

    They come as numbers: a checkpoint decides nothing else. Raises UserError for a crop that is no number.
    """
    keys = [key_of(override).rpartition("@")[-1] for override in overrides]
    before = carried.get("eval_augment")
    if before is None or "eval_augment" in keys:
        return
    own: dict[str, Any] = {}
    if "crop" in before and not str(before["crop"]["_target_"]).endswith(".CenterCrop"):
        raise UserError(
            f"eval: expected augment@eval_augment=<choice> beside {carried['run_name']}, whose own measurements took "
            "no center crop, got none"
        )
    own |= {"crop.share": float(before["crop"]["share"])} if "crop" in before else {}
    own |= {part: [float(value) for value in before[part]] for part in ("mean", "std") if part in before}
    for part, value in own.items():
        if not any(key.startswith(f"eval_augment.{part.split('.')[0]}") for key in keys):
            OmegaConf.update(config.eval_augment, part, value)


def _published_colors(files: Iterable[str], config: DictConfig) -> dict[str, Colors | None]:
    """Returns the colors that weights of other projects were trained on, by file; None if Kinetics' or not known."""
    backbone, found = plain(config)["backbone"], {}
    for file in files:
        weights = checkpoints.read_any(file)
        if isinstance(weights, ForeignWeights):
            found[file] = weights.colors(backbone)
    return found


def _tell_other_colors(theirs: Mapping[str, Colors | None], config: DictConfig, num_files: int) -> None:
    """Warns of weights of other projects that are measured on other colors than they were trained on.

    Raises UserError if these are exported with others: the card of each says what its colors are.
    """
    usual = {"mean": KINETICS_MEAN, "std": KINETICS_STD}
    ours = Colors(*(tuple(config.eval_augment.get(name, values)) for name, values in usual.items()))
    for file, colors in theirs.items():
        if colors is not None and colors != ours and num_files > 1 and "export" in config.tasks:
            raise UserError(
                f"task=export: expected weights that were trained on the same colors, as their cards say, got mean and "
                f"std {', '.join(map(str, map(list, colors)))} of {file}, and {', '.join(map(str, map(list, ours)))} "
                "here. Export each by a command of its own"
            )
        if colors is not None and colors != ours:
            log.warning(
                "%s: was trained on colors of mean and std %s, %s, and is measured on %s, %s: set eval_augment.mean "
                "and eval_augment.std, with a + before them, or measure it by a command of its own",
                file,
                *map(list, (*colors, *ours)),
            )


def _check_chosen(config: DictConfig, file: str) -> None:
    """Raises UserError for parts that are not chosen if all weights are another project's, such as `file`."""
    open_parts = [part for part in ("backbone", "data", "clip") if config.get(part) is None]
    if open_parts:
        choices = " ".join(f"{part}=<choice>" for part in open_parts)
        raise UserError(
            f"eval: {file} was not written by train.py and does not say how it was trained: expected {choices} "
            "beside it, got none. backbone= is the network that it holds the weights of"
        )


def _check_backbone(backbone: dict[str, Any], files: list[str], overrides: list[str]) -> None:
    """Raises UserError for a checkpoint of ours whose weights the chosen backbone does not fit, or uses otherwise."""
    for checkpoint in map(checkpoints.read_any, files):
        if isinstance(checkpoint, Checkpoint):
            check_same(checkpoint.config["backbone"], backbone, checkpoint.path, overrides)
            checkpoint.load_into(build(backbone))


def _found(name: str, config: DictConfig) -> str | dict[int, str]:
    """Returns the file of a checkpoint's name; of a name with '{split}' the file of each split by its number."""
    if name == RANDOM:
        return name
    if official_splits.NUMBER in name:
        if not config.split:
            raise UserError(
                f"checkpoint={name}: expected split=[1,2,3] beside it, for {official_splits.NUMBER}, got none"
            )
        names = {number: name.replace(official_splits.NUMBER, str(number)) for number in config.split}
        return {number: _file_of(found, config.runs) for number, found in names.items()}
    return _file_of(name, config.runs)


def _file_of(name: str, folder: str) -> str:
    """Returns the file of a checkpoint's name, and tells which one it is where that is not said."""
    file = runs.find(name, folder).resolve()
    best = file.parent / runs.BEST.name
    if not Path(name).is_file() and best.is_file():
        chosen = "the one that validation chose, which the run's own tasks measured, is"
        log.info("checkpoint=%s: %s, of the last epoch; %s %s", name, file, chosen, best.name)
    elif name == "latest":
        log.info("checkpoint=latest: %s", file)
    return str(file)


def _files(found: Iterable[str | Mapping[int, str]]) -> list[str]:
    return [file for entry in found for file in ([entry] if isinstance(entry, str) else entry.values())]


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, ListConfig)) else [value]
