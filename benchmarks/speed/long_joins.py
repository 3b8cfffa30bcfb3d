"""Joins of ten million videos, seconds and memory that `--join` takes: `python -m benchmarks.speed.long_joins`.

Parts of `verify` and `transcode` that are done, of a text list, with one failed video in a thousand. The seconds are
those of the processor; the memory is that of the whole process, with all that it imports. No video is there: what the
parts made is taken to be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import harness
from benchmarks.common.harness import ROOT, Finding
from benchmarks.speed import long_lists

SECONDS, GIB = 600, 2  # at most
PARTS, FAILED = 8, 999  # one of so many videos has failed
PROGRAM = "import sys; from benchmarks.speed import long_joins; long_joins.join(sys.argv[1:])"
SETTINGS = "short_side=256 keyframes=12 crf=23 preset=medium"  # transcode's own


class Tool(NamedTuple):
    """A command, the name of its report, its columns, and a row of a video that is ok and of one that failed."""

    name: str
    report: str
    columns: str
    done: str
    failed: str


TOOLS = (
    Tool(
        "verify",
        "list_report.csv",
        "path,label,status,frames,height,width,reason",
        "{path},{label},ok,{num_frames},256,340,",
        "{path},{label},failed,0,0,0,could not open {path}",
    ),
    Tool(
        "transcode",
        "transcode_report.csv",
        "path,status,frames,height,width,settings,reason",
        f"{{path}},ok,{{num_frames}},256,340,{SETTINGS},",
        f"{{path}},failed,0,0,0,{SETTINGS},could not open {{path}}",
    ),
)


def measure(device: str, quick: bool = False) -> Iterator[Finding]:
    """Seconds against 600, and GiB against 2, for each command."""
    num_videos = 5_000 if quick else 10_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "videos").mkdir()
        long_lists.write(folder / "list.txt", num_videos)
        for tool in TOOLS:
            out = folder / tool.name
            out.mkdir()
            write_parts(tool, out, num_videos)
            seconds, gib = _cost(tool, folder)
            setting = f"{num_videos:,} videos in {PARTS} parts, {tool.name}"
            for what, found, most in ((f"{SECONDS} s", seconds, SECONDS), (f"{GIB} GiB at the peak", gib, GIB)):
                yield Finding(f"joining / {what}", setting, *(found / most,) * 3, "<= 1")


def write_parts(tool: Tool, out: Path, num_videos: int) -> None:
    """Writes the reports of all parts of a command."""
    stem, _, suffix = tool.report.rpartition(".")
    files = [(out / f"{stem}.part-{part:05d}-of-{PARTS:05d}.{suffix}").open("w") for part in range(1, PARTS + 1)]
    for file in files:
        file.write(tool.columns + "\n")
    for place, video in enumerate(_videos(num_videos)):
        row = tool.done if place % FAILED else tool.failed
        files[place % PARTS].write(row.format(**video) + "\n")
    for file in files:
        file.close()


def arguments_of(tool: Tool, folder: Path) -> list[str]:
    """Returns the command line that joins the parts of a command."""
    out = folder / tool.name
    arguments = [tool.name, "--root", folder / "videos", "--list", folder / "list.txt", "--join", "--out"]
    arguments += [out / "clean.txt", "--report", out / tool.report] if tool.name == "verify" else [out]
    return list(map(str, arguments))


def join(arguments: list[str]) -> None:
    """Runs a command in this process, and prints the seconds of the processor and the GiB that it took."""
    import time
    from contextlib import suppress
    from unittest.mock import patch

    from tbe.prepare.__main__ import main

    exists = os.path.exists
    made = patch("os.path.exists", lambda file: os.fspath(file).endswith(".mp4") or exists(file))
    with made, suppress(SystemExit):  # since some videos have failed
        main(arguments)
    print(json.dumps([time.process_time(), long_lists.peak_gib()]))


def _videos(num_videos: int) -> Iterator[dict]:
    """Yields the path, label and number of frames of each video of the list."""
    for first in range(0, num_videos, long_lists.AT_ONCE):
        columns = long_lists.columns(first, num_videos)
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(columns, values, strict=True))


def _cost(tool: Tool, folder: Path) -> tuple[float, float]:
    """Returns the seconds and GiB of a process that joins the parts of a command."""
    program = [sys.executable, "-c", PROGRAM, *arguments_of(tool, folder)]
    output = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    seconds, gib = json.loads(output.splitlines()[-1])
    return seconds, gib


if __name__ == "__main__":
    harness.command(__doc__, measure, quick="5,000 videos")
