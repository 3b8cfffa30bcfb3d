"""What a run leaves behind: its config, its final numbers, and how they were measured."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torchvision
import yaml

import tbe

CONFIG, METRICS = "config.yaml", "metrics.json"  # in a run's folder


def versions() -> dict[str, str]:
    """What the numbers were computed with."""
    return {
        "tbe": tbe.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "pytorch_lightning": pl.__version__,
    }


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Writes a file that is whole or absent."""
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(content, indent=2, allow_nan=True) + "\n")
    part.replace(file)


def write_config(folder: Path, config: dict[str, Any]) -> Path:
    """Writes the resolved config of a run, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / CONFIG
    part = file.with_name(file.name + ".part")
    part.write_text(yaml.safe_dump(config, sort_keys=False))
    part.replace(file)
    return file


def table(rows: dict[str, dict[str, float]], title: str, transposed: bool = False) -> None:
    """Prints one column for each of `rows` and one line a metric; transposed, the other way round."""
    from rich.console import Console
    from rich.table import Table

    metrics = list(dict.fromkeys(metric for row in rows.values() for metric in row))
    names, heads = (list(rows), metrics) if transposed else (metrics, list(rows))
    printed = Table("", title=title, title_justify="left")
    for head in heads:
        printed.add_column(head, justify="right")
    for name in names:
        cells = (rows[name].get(head) if transposed else rows[head].get(name) for head in heads)
        printed.add_row(name, *("" if cell is None else f"{cell:.4g}" for cell in cells))
    console = Console()
    if not console.is_terminal:  # a log file has no width to fit into
        console = Console(width=max(120, 18 * len(heads) + 60))
    console.print(printed)
