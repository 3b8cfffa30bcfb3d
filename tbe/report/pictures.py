"""Pictures, films and interactive pages of runs, carried inside the page."""

from __future__ import annotations

import base64
from pathlib import Path

from tbe.report.folders import Run
from tbe.report.markup import Markup, tag

GENERATOR = "tbe.report"
PICTURES = {".png": "png", ".gif": "gif", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".svg": "svg+xml"}
FILMS = {".mp4": "mp4", ".webm": "webm"}
PAGES = {".html"}
SHOWN = {*PICTURES, *FILMS, *PAGES}
MIB = 2**20


def show(run: Run, file: Path, most_mib: float) -> Markup:
    """A picture to click on, a film or a page; a file of more MiB is only named."""
    name = file.relative_to(run.folder).as_posix()
    size = file.stat().st_size / MIB
    if size > most_mib:
        return tag("p", f"{name}: {size:.1f} MiB, more than the {most_mib:g} that a file may have here", class_="note")
    if file.suffix in PAGES:
        return _page(name, file)
    content = base64.b64encode(file.read_bytes()).decode()
    if file.suffix in FILMS:
        source = f"data:video/{FILMS[file.suffix]};base64,{content}"
        shown = tag("video", src=source, controls=True, loop=True, muted=True, preload="metadata", aria_label=name)
    else:
        image = tag("img", src=f"data:image/{PICTURES[file.suffix]};base64,{content}", alt=name, loading="lazy")
        shown = tag("button", image, type="button", class_="enlarge", aria_label=f"enlarge {name}")
    return tag("figure", shown, tag("figcaption", file.name), class_="picture", title=name)


def is_shown(file: Path) -> bool:
    """Whether a file is something to look at, and no page of this command."""
    if file.suffix not in SHOWN:
        return False
    return file.suffix not in PAGES or f'content="{GENERATOR}"'.encode() not in file.read_bytes()[:2000]


def _page(name: str, file: Path) -> Markup:
    """A page in a frame of its own, which can't reach the report."""
    text = file.read_text(encoding="utf-8", errors="replace")
    frame = tag("iframe", srcdoc=text, sandbox="allow-scripts", loading="lazy", title=name)
    return tag("details", tag("summary", f"{file.name} ", tag("small", "interactive")), frame, class_="wide")
