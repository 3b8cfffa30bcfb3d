"""Background Erasing against a copy of the clips and against a loop over frames: `python -m benchmarks.speed.erasing`.

A ratio is time over that of `clips.clone()`, which reads and writes every pixel once, as the erasing has to.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from benchmarks.common import harness
from benchmarks.common.harness import Finding, compare, in_turn
from tbe import BackgroundErasing

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "uint8": torch.uint8}
SHAPES = {"cpu": (8, 3, 16, 112, 112), "cuda": (32, 3, 16, 224, 224)}
RATIO = 0.3
BARS = {"erasing": "<= 1.4", "erasing in place": "<= 1.1"}  # in float32


def measure(device: str, quick: bool = False, rounds: int = 21) -> list[Finding]:
    """Batches of the size of a step, as floats and bytes; quick: a tiny one, once."""
    shape = (2, 3, 4, 16, 16) if quick else SHAPES[device]
    return [found for name in TYPES for found in against_a_copy(name, shape, device, 1 if quick else rounds)]


def against_a_copy(dtype: str, shape: tuple[int, ...], device: str, rounds: int) -> list[Finding]:
    clips, erase = (255 * torch.rand(shape, device=device)).to(TYPES[dtype]), BackgroundErasing(RATIO)
    overwrite, overwritten = BackgroundErasing(RATIO, inplace=True), clips.clone()
    ways = {"clone": clips.clone, "erasing": lambda: erase(clips), "erasing in place": lambda: overwrite(overwritten)}
    if clips.is_floating_point():
        ways["loop"] = lambda: erased_by_a_loop(clips, RATIO)
    times = in_turn(ways, rounds, warm_up=3)
    setting = f"{dtype} {'x'.join(map(str, shape))}"
    bars = BARS if dtype == "float32" else {}
    found = [compare(times, way, "clone", setting, bars.get(way)) for way in BARS]
    return found + ([compare(times, "loop", "erasing", setting)] if "loop" in times else [])


def erased_by_a_loop(clips: Tensor, ratio: float) -> Tensor:
    """Erases like the published code: clip by clip, frame by frame, with random numbers from the host."""
    mixed = clips.clone()
    for clip in mixed:
        chosen, weight = int(torch.randint(clip.shape[1], ())), float(torch.rand(()) * ratio)
        frame = clip[:, chosen].clone()
        for number in range(clip.shape[1]):
            clip[:, number] = (1 - weight) * clip[:, number] + weight * frame
    return mixed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=SHAPES)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    found = measure(options.device, rounds=options.rounds)
    print(harness.machine(options.device))
    print(harness.page(found))


if __name__ == "__main__":
    main()
