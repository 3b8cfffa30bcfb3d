"""Embeds pictures, films and interactive pages of runs in the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tbe.reporting.html.folders import Run
from tbe.reporting.html.markup import Markup, tag

GENERATOR = "tbe.report"
PICTURES = {".png": "png", ".gif": "gif", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".svg": "svg+xml"}
FILMS = {".mp4": "mp4", ".webm": "webm"}
PAGES = {".html"}
SHOWN = {*PICTURES, *FILMS, *PAGES}
MIB = 2**20
MAX_WIDTH, MAX_HEIGHT = 1600, 1000  # pixels; larger pictures are reduced to this size of a common screen
QUALITY = 82  # of WebP, visually lossless


def show(run: Run, file: Path, most_mib: float) -> Markup:
    """Returns a picture to enlarge, a film or a page; a file of more than `most_mib` MiB is only listed."""
    name = file.relative_to(run.folder).as_posix()
    size = file.stat().st_size / MIB
    if size > most_mib:
        return tag("p", f"{name}: {size:.1f} MiB, more than the {most_mib:g} that a file may have here", class_="note")
    if file.suffix in PAGES:
        return _page(name, file)
    if file.suffix in FILMS:
        source = _data_url(f"video/{FILMS[file.suffix]}", file.read_bytes())
        shown = tag("video", src=source, controls=True, loop=True, muted=True, preload="metadata", aria_label=name)
    else:
        image = tag("img", src=_image_url(file), alt=name, loading="lazy")
        shown = tag("button", image, type="button", class_="enlarge", aria_label=f"enlarge {name}")
    return tag("figure", shown, tag("figcaption", file.name), class_="picture", title=name)


def is_shown(file: Path) -> bool:
    """Returns whether to show a file: not reports of this command, nor GIFs of films that also exist as video."""
    if file.suffix not in SHOWN or (file.suffix == ".gif" and file.with_suffix(".mp4").exists()):
        return False
    return file.suffix not in PAGES or f'content="{GENERATOR}"'.encode() not in file.read_bytes()[:2000]


def _image_url(file: Path) -> str:
    """Returns a picture as a data URL, reduced to display size; unchanged if that is not smaller."""
    content, kind = file.read_bytes(), PICTURES[file.suffix]
    try:
        with Image.open(io.BytesIO(content)) as image:
            if not getattr(image, "is_animated", False):
                image.thumbnail((MAX_WIDTH, MAX_HEIGHT), Image.Resampling.LANCZOS)
                smaller = io.BytesIO()
                image.save(smaller, "WEBP", quality=QUALITY, method=6)
                if smaller.tell() < len(content):
                    content, kind = smaller.getvalue(), "webp"
    except (UnidentifiedImageError, OSError):  # SVG, or Pillow without WebP
        pass
    return _data_url(f"image/{kind}", content)


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _page(name: str, file: Path) -> Markup:
    """Returns a page in a sandboxed frame, which can't access the report."""
    text = file.read_text(encoding="utf-8", errors="replace")
    frame = tag("iframe", srcdoc=text, sandbox="allow-scripts", loading="lazy", title=name)
    return tag("details", tag("summary", f"{file.name} ", tag("small", "interactive")), frame, class_="wide")
