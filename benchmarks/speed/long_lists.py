"""Lists of ten million videos, seconds and memory that reading takes: `python -m benchmarks.speed.long_lists`.

As text, CSV and Parquet, each read and checked as a run does it. The seconds are those of the processor, so that other
programs on the machine do not count; the memory is that of the whole process, with all that it imports.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import harness
from benchmarks.common.harness import ROOT, Finding

SECONDS, GIB = 20, 2  # at most
NUM_CLASSES, AT_ONCE = 400, 100_000
PROGRAM = "import sys; from benchmarks.speed import long_lists; long_lists.read(sys.argv[1])"


def measure(device: str, quick: bool = False) -> Iterator[Finding]:
    """Seconds against 20, and GiB against 2, for each format."""
    num_videos = 5_000 if quick else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        for name in ("list.txt", "list.csv", "list.parquet"):
            file = Path(folder, name)
            write(file, num_videos)
            seconds, gib = _cost(file)
            file.unlink()
            setting = f"{num_videos:,} videos, {file.suffix[1:]}"
            for what, found, most in ((f"{SECONDS} s", seconds, SECONDS), (f"{GIB} GiB at the peak", gib, GIB)):
                yield Finding(f"reading / {what}", setting, *(found / most,) * 3, "<= 1")


def write(file: Path, num_videos: int) -> None:
    """Writes a list of clips like those of Kinetics, as a table with their scenes and groups."""
    if file.suffix == ".parquet":
        _write_parquet(file, num_videos)
        return
    with file.open("w") as out:
        if file.suffix == ".csv":
            out.write("path,label,num_frames,scene,group\n")
        row = "{},{},{},scene {},{}\n" if file.suffix == ".csv" else "{} {} {}\n"
        for first in range(0, num_videos, AT_ONCE):
            out.writelines(row.format(*values) for values in zip(*columns(first, num_videos).values(), strict=True))


def read(file: str) -> None:
    """Reads a list as a run does, and prints the seconds of the processor and the GiB of this process."""
    import time

    from tbe.data.sources.records import check_labels, fence, read_list

    began = time.process_time()
    records = read_list(file, "/data")
    check_labels(records, NUM_CLASSES, file)
    fence(records, file)
    seconds = time.process_time() - began
    print(json.dumps([seconds, peak_gib()]))


def peak_gib() -> float:
    """Returns the largest memory of this process; getrusage would count that of the process which started it."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 2**20


def columns(first: int, num_videos: int) -> dict[str, list]:
    """Returns the columns of AT_ONCE videos from the first on."""
    numbers = np.arange(first, min(num_videos, first + AT_ONCE))
    labels = (numbers % NUM_CLASSES).tolist()
    paths = [f"class_{number % NUM_CLASSES:03d}/video_{number:08d}_000010_000020.mp4" for number in numbers.tolist()]
    num_frames = (240 + numbers % 61).tolist()
    scenes, groups = (numbers % 365).tolist(), (numbers // 8).tolist()
    return {"path": paths, "label": labels, "num_frames": num_frames, "scene": scenes, "group": groups}


def _write_parquet(file: Path, num_videos: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    kinds = {"path": pa.string(), "label": pa.int64(), "num_frames": pa.int64(), "scene": pa.int64()}
    schema = pa.schema({**kinds, "group": pa.int64()})
    with pyarrow.parquet.ParquetWriter(file, schema) as out:
        for first in range(0, num_videos, AT_ONCE):
            out.write_table(pa.table(columns(first, num_videos), schema))


def _cost(file: Path) -> tuple[float, float]:
    """Returns the seconds and GiB of a process that reads the list."""
    program = [sys.executable, "-c", PROGRAM, str(file)]
    output = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    seconds, gib = json.loads(output.splitlines()[-1])
    return seconds, gib


if __name__ == "__main__":
    harness.command(__doc__, measure, quick="5,000 videos")
