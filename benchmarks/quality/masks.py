"""Masks against true ones: `python -m benchmarks.quality.masks --mlr511 ../shared/data/mlr511`.

Measures `python -m tbe.prepare masks` on the embedded data set, whose masks are known exactly, with its camera as it is
and at rest, and on MLR511: real signers before one gray wall, one clip of each sign and signer, drawn by the seed from
repetitions 03 to 10 (01 and 02 were looked at when the matte was made). Their mattes were keyed off the wall, too, and
leave the lowest rows of a picture empty, which are counted once, and once not. A stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import tbe.prepare.__main__ as prepare
from tbe.data.biased_scenes import BiasedScenes
from tbe.data.sources.records import write_list
from tbe.data.video_writer import write_video
from tbe.prepare.tools.masks.against import Comparing

WAYS = ("motion", "matte")
EMPTY_ROWS = 4  # at the lower border, in the mattes of MLR511
HEAD = """# Masks against true ones

Written by `python -m benchmarks.quality.masks`. Percent; IoU, precision and recall over all frames of a video, then
means over videos; `5 %`: the IoU that one video in twenty stays below. Failed: nothing was found. Doubted: the command
itself says that the masks look wrong.

| videos | --by | videos | failed | doubted | IoU | 5 % | least | precision | recall |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--mlr511", type=Path, help="its folder, with videos/ and masks/; without, it is left out")
    parser.add_argument("--num-clips", type=int, default=100, help="of MLR511, at most (%(default)s)")
    parser.add_argument("--num-scenes", type=int, default=160, help="videos of the embedded data set (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="draws the clips of MLR511 (%(default)s)")
    parser.add_argument("--work", type=Path, default=Path("runs/masks"), help="the folder of the masks (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("results/masks/table.md"), help="the table (%(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    rows = list(measured(options))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(HEAD + "".join(rows), encoding="utf-8")
    print(HEAD + "".join(rows))


def measured(options: argparse.Namespace) -> Iterator[str]:
    """Yields the rows of the table."""
    data = BiasedScenes(str(options.work / "biased_scenes"), num_train=8, num_val=8, num_test=options.num_scenes)
    for source, title in (
        (data, "`biased_scenes`, its camera drifts"),
        (replace(data, camera_motion=0), "camera at rest"),
    ):
        source.prepare()
        truth = true_masks(source)
        for way in WAYS:
            place = options.work / source.folder.name / way
            files = [source.folder / "swap.txt"]
            yield row(title, way, masks(way, source.folder, files, truth, place, options.workers))
    if options.mlr511:
        chosen = options.work / "mlr511.txt"
        write_list(chosen, [(path, 0) for path in clips(options.mlr511 / "videos", options.num_clips, options.seed)])
        truth = options.mlr511 / "masks"
        for way in WAYS:
            place = options.work / "mlr511" / way
            found = masks(way, options.mlr511 / "videos", [chosen], truth, place, options.workers)
            yield row("MLR511", way, found)
            comparing = Comparing(place, truth, EMPTY_ROWS)
            without = [entry | comparing(entry["path"])._asdict() if "iou" in entry else entry for entry in found]
            yield row(f"MLR511 without the lowest {EMPTY_ROWS} of 144 rows", way, without)


def true_masks(source: BiasedScenes) -> Path:
    """Writes the true masks of the videos in front of other scenes, and returns their folder."""
    folder = source.folder.with_name(f"{source.folder.name}-masks")
    for index, path in enumerate(path.decode() for path in source.records("swap").paths):
        if not (folder / path).exists():
            levels = np.uint8(255) * source.masks("swap", [index])[0][..., None].repeat(3, axis=-1)
            write_video(folder / path, levels, source.fps, options={"crf": "0"})
    return folder


def clips(root: Path, count: int, seed: int) -> list[str]:
    """Draws one clip of each sign and signer, and of those as many as wanted."""
    rng = random.Random(seed)
    cells: dict[tuple[str, str], list[str]] = {}
    for file in sorted(root.glob("*/signer??_??.mp4")):
        signer, repetition = file.stem.split("_")
        if int(repetition) > 2:
            cells.setdefault((file.parent.name, signer), []).append(f"{file.parent.name}/{file.name}")
    drawn = [rng.choice(found) for found in cells.values()]
    return sorted(rng.sample(drawn, min(count, len(drawn))))


def masks(way: str, root: Path, lists: Sequence[Path], truth: Path, out: Path, workers: int) -> list[dict]:
    """Makes the masks of these videos, and returns the rows of both reports, by video."""
    told = ["--by", way, "--root", root, "--list", *lists, "--against", truth, "--out", out, "--workers", workers]
    try:
        prepare.main(["masks", *map(str, told)])
    except SystemExit as ended:
        if not str(ended.code).endswith("tries them again"):  # videos in which nothing is found are part of the result
            raise
    rows = {entry["path"]: entry for entry in _read(out / "masks_report.csv")}
    for entry in _read(out / "masks_iou.csv"):
        rows[entry["path"]] |= {name: float(entry[name]) for name in ("iou", "precision", "recall")}
    return list(rows.values())


def row(title: str, way: str, entries: Sequence[dict]) -> str:
    """Returns a row of the table."""
    found = [entry for entry in entries if entry["status"] == "ok"]
    iou = np.array([entry["iou"] for entry in found])
    doubted = sum(bool(entry["doubt"]) for entry in found)
    means = [100 * np.mean([entry[name] for entry in found]) for name in ("precision", "recall")]
    numbers = [100 * iou.mean(), 100 * np.quantile(iou, 0.05), 100 * iou.min(), *means]
    cells = [
        title,
        f"`{way}`",
        len(entries),
        len(entries) - len(found),
        doubted,
        *(f"{number:.1f}" for number in numbers),
    ]
    return f"| {' | '.join(map(str, cells))} |\n"


def _read(file: Path) -> list[dict]:
    with file.open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


if __name__ == "__main__":
    main()
