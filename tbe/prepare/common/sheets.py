"""Draws contact sheets: samples of what a command made, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from tbe.runs import replacing

T = TypeVar("T")


def spread(items: Sequence[T], count: int) -> list[T]:
    """Returns at most `count` items, evenly spread from the first to the last."""
    numbers = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[number] for number in numbers]


def in_rows(pictures: Sequence[np.ndarray], across: int) -> np.ndarray:
    """Puts pictures of one size, uint8 (H, W, 3), beside and below each other; black where the last row ends."""
    blank = np.zeros_like(pictures[0])
    filled = [*pictures, *[blank] * (-len(pictures) % across)]
    rows = [np.concatenate(filled[start : start + across], axis=1) for start in range(0, len(filled), across)]
    return np.concatenate(rows)


def write_sheet(picture: np.ndarray, file: Path) -> None:
    """Writes a picture uint8 (H, W, 3) as PNG, atomically."""
    import torch  # slow to import
    from torchvision.io import encode_png

    content = encode_png(torch.from_numpy(picture).permute(2, 0, 1).contiguous()).numpy().tobytes()
    with replacing(file) as part:
        part.write_bytes(content)
