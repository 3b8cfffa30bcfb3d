"""What torch.compile gives each backbone, and how long it takes to compile: `python -m benchmarks.speed.compile`.

A step is forward, backward and SGD, with the other switches that are fastest: channels_last, on a GPU bf16 too. Of
backbones that are built of the same blocks one is measured. Above 1 the compiled step is faster. How long it took to
compile is the time of the first step, which finds nothing cached.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import TimeoutError, get_context
from time import perf_counter
from typing import Any, NamedTuple

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from benchmarks.common import harness
from benchmarks.common.harness import ROOT, Finding, compare, in_turn
from benchmarks.speed.step_variants import RATE
from tbe.training.acceleration import accelerate

SECONDS = 520  # after which no further backbone is started
LIMIT = 240  # seconds per backbone, including compilation


class Family(NamedTuple):
    """Leaves of configs/backbone of the same blocks, and (B, T, H, W) of the first on a CPU and on a GPU."""

    leaves: tuple[str, ...]
    cpu: tuple[int, int, int, int]
    cuda: tuple[int, int, int, int]


FAMILIES = (  # slowest to compile last
    Family(("tiny",), (4, 8, 32, 32), (64, 8, 64, 64)),
    Family(("vit_s", "vit_micro", "vit_ti", "vit_b", "vit_l"), (1, 8, 112, 112), (32, 16, 224, 224)),
    Family(("c3d",), (1, 16, 64, 64), (32, 16, 112, 112)),
    Family(("r2plus1d_small", "r2plus1d_18", "tv_r2plus1d_18"), (1, 8, 64, 64), (32, 16, 112, 112)),
    Family(("r3d_18", "r3d_34", "r3d_50", "tv_r3d_18", "tv_mc3_18"), (1, 8, 64, 64), (32, 16, 112, 112)),
    Family(("i3d", "s3d", "s3dg", "tv_s3d"), (1, 8, 64, 64), (16, 16, 224, 224)),
    Family(("tv_mvit_v2_s",), (1, 8, 112, 112), (8, 16, 224, 224)),
    Family(("tv_swin3d_t",), (1, 4, 64, 64), (8, 16, 224, 224)),
)


def measure(device: str, quick: bool = False, rounds: int = 5) -> Iterator[Finding | str]:
    """Measures the families in turn while there is time; quick: only the first, without compiling."""
    if quick:
        yield of_family(FAMILIES[0], device, rounds, backend="eager")
        return
    start = perf_counter()
    for family in FAMILIES:
        left = min(LIMIT, SECONDS + LIMIT - (perf_counter() - start))
        if left < LIMIT:
            yield f"{', '.join(family.leaves)}: not begun, the time was spent."
            continue
        found = within(left, of_family, family, device, rounds, "inductor")
        yield found or f"{', '.join(family.leaves)}: not compiled and measured within {left:.0f} s."


def within(seconds: float, work: Callable[..., Finding], *arguments: Any) -> Finding | None:
    """Runs work in a process of its own, since compilation can't be interrupted; returns None on timeout."""
    with get_context("spawn").Pool(1) as pool:  # terminates the process
        try:
            return pool.apply_async(work, arguments).get(seconds)
        except TimeoutError:
            return None


def of_family(family: Family, device: str, rounds: int, backend: str) -> Finding:
    """Compares eager and compiled steps."""
    shape = family.cpu if device == "cpu" else family.cuda
    eager, compiled = (step_of(family.leaves[0], shape, device, compile) for compile in (False, backend))
    with nothing_cached():
        start = perf_counter()
        compiled()
        seconds = perf_counter() - start
        times = in_turn({"eager": eager, "compiled": compiled}, rounds)
    torch.compiler.reset()
    also = f" (also {', '.join(family.leaves[1:])})" if family.leaves[1:] else ""
    setting = f"{family.leaves[0]}{also}, {shape[0]} clips of {'x'.join(map(str, shape[1:]))}"
    return compare(times, "eager", "compiled", f"{setting}, compiled in {seconds:.0f} s")


def step_of(leaf: str, shape: tuple[int, int, int, int], device: str, compile: bool | str) -> Callable[[], None]:
    backbone: nn.Module = instantiate(OmegaConf.load(ROOT / "configs" / "backbone" / f"{leaf}.yaml")).to(device)
    accelerate(backbone, torch.device(device), channels_last=True, compile=compile, matmul_precision="high")
    optimizer = torch.optim.SGD(backbone.parameters(), RATE, momentum=0.9)
    clips = torch.randn(shape[0], 3, *shape[1:], device=device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = backbone(clips).square().mean()
        loss.backward()
        optimizer.step()

    return step


@contextmanager
def nothing_cached() -> Iterator[None]:
    """Disables the caches of torch.compile."""
    before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["TORCHINDUCTOR_CACHE_DIR"]
            else:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = before


if __name__ == "__main__":
    harness.command(__doc__, measure, quick="a tiny network, with torch.compile's backend that compiles nothing")
