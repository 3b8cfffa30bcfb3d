"""Writes embedded videos as an interactive, self-contained HTML page."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from tbe.data.datamodule import VideoDataModule
from tbe.data.sources.records import Records
from tbe.evaluation.tasks.tsne.points import Points
from tbe.viz.palette import style
from tbe.viz.to_rgb import pixels

TEMPLATE = Path(__file__).with_name("page.html")


def write_page(file: Path, title: str, points: Points, pictures: list[str]) -> None:
    """Writes the page; `pictures` are data URLs, one per point, or an empty list."""
    low, high = points.xy.min(axis=0), points.xy.max(axis=0)
    placed = (points.xy - low) / np.where(high > low, high - low, 1)
    kinds = {kind: sorted(set(names)) for kind, names in points.named.items()}
    most = max(map(len, kinds.values()))
    data = {
        "title": title,
        "points": np.round([[x, 1 - y] for x, y in placed.tolist()], 4).tolist(),
        "paths": points.paths,
        "kinds": [
            {"kind": kind, "names": known, "of": [known.index(name) for name in points.named[kind]]}
            for kind, known in kinds.items()
        ],
        "styles": [[style(number).color, np.round(style(number).shape, 3).tolist()] for number in range(most)],
        "pictures": pictures,
    }
    # A '<' in a path could end the script.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    page = TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/ null", text)
    file.write_text(page, encoding="utf-8")


def thumbnails(datamodule: VideoDataModule, records: Records, side: int) -> list[str]:
    """Returns the middle frame of each video as a JPEG data URL, with a short side of at most `side` pixels."""
    return [_as_url(frame) for (frame,) in datamodule.frames(records, count=1, short_side=side)]


def _as_url(frame: Tensor) -> str:
    """Encodes a frame uint8 (C, H, W) as a JPEG data URL."""
    as_clip = (frame[None, :, None] / 255, frame.new_zeros(1), frame.new_ones(1))
    out = io.BytesIO()
    Image.fromarray(pixels(*as_clip)[0, 0]).save(out, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
