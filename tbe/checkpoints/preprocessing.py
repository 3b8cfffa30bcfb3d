"""The preprocessing that a checkpoint's config describes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tbe.augment import KINETICS_MEAN, KINETICS_STD
from tbe.backbones.preprocessing import Preprocessing
from tbe.errors import UserError


def stored_preprocessing(clip: Mapping[str, Any], augment: Mapping[str, Any], where: str) -> Preprocessing:
    """Returns the preprocessing defined by resolved configs of clips and of the evaluation augmentation.

    Raises UserError for an augmentation without a center crop. The class that a config names is not imported.
    """
    if not str(augment["crop"]["_target_"]).endswith(".CenterCrop"):
        raise UserError(
            f"{where}: expected an eval_augment with a CenterCrop, got {augment['crop']['_target_']}. Set the "
            "preprocessing: tbe.load(path, preprocessing=tbe.Preprocessing(...))"
        )
    return Preprocessing(
        num_frames=clip["num_frames"],
        stride=clip["stride"],
        size=clip["size"],
        mean=tuple(augment.get("mean", KINETICS_MEAN)),
        std=tuple(augment.get("std", KINETICS_STD)),
        short_side=clip["short_side"],
        short=clip["short"],
        crop=augment["crop"]["share"],
    )


def colors(config: Mapping[str, Any]) -> tuple[list[float], list[float]] | None:
    """Returns the mean and the std by which the training clips of a config are normalized; None where it has none."""
    augment = config.get("augment")
    if augment is None:
        return None
    mean, std = (augment.get(name, usual) for name, usual in (("mean", KINETICS_MEAN), ("std", KINETICS_STD)))
    return list(mean), list(std)


def of_other_clips(configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns the names of the training configs whose preprocessing is known and another one than the first's."""
    known: dict[str, Preprocessing] = {}
    for name, config in configs.items():
        with suppress(KeyError, UserError):
            known[name] = stored_preprocessing(config["clip"], config["eval_augment"], name)
    return [name for name, made in known.items() if made != next(iter(known.values()))]
