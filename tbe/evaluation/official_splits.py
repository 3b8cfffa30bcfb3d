"""Evaluates official splits of a data set, such as the three of UCF101, and averages them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tbe.errors import UserError
from tbe.evaluation.intervals import deviation

NUMBER = "{split}"  # placeholder in the names of lists and checkpoints
SPREADS = ("_low", "_high", "_interval", "_deviation")  # ends of the names of what says how far a metric may be off


def check(numbers: list[int], data: Mapping[str, Any]) -> None:
    """Raises UserError for a data set without official splits, or for numbers that are not distinct integers."""
    if not numbers:
        return
    if len(set(numbers)) < len(numbers) or not all(isinstance(number, int) for number in numbers):
        raise UserError(f"split: expected distinct integers, such as [1,2,3], got {numbers}")
    files = [str(file) for file in (data.get("splits") or {}).values()]
    if "split" not in data or not any(NUMBER in file for file in files):
        name = data.get("name", data["_target_"].rpartition(".")[2])
        raise UserError(
            f"split={numbers}: expected a data set with lists of several splits, such as data=ucf101 with "
            f"train_{NUMBER}.txt, got {name} with {', '.join(files) or 'no lists'}"
        )


def config_for_split(config: dict[str, Any], number: int | None, folder: Path) -> dict[str, Any]:
    """Returns the config to evaluate one split, writing below `folder`; number None keeps the data's split."""
    config = config | {"run_dir": str(folder)}
    if number is None:
        return config
    data = config["data"] | {"split": number}
    return config | {"data": data, "datamodule": config["datamodule"] | {"source": data}}


def summarize(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Returns the metrics of each split, plus `mean` and standard `deviation` of the metrics common to all.

    How far a metric of one split may be off has no mean: averaged, it would pass for that of the mean.
    """
    every = list(rows.values())
    common = [metric for metric in every[0] if not _is_spread(metric) and all(metric in row for row in every)]
    values = {metric: [row[metric] for row in every] for metric in common}
    mean = {metric: float(np.mean(found)) for metric, found in values.items()}
    return {**rows, "mean": mean, "deviation": {metric: deviation(found) for metric, found in values.items()}}


def _is_spread(metric: str) -> bool:
    """Checks whether a metric, `task/name/split`, says how far another may be off."""
    return any(part.endswith(SPREADS) for part in metric.split("/"))
