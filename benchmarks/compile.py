"""What torch.compile gives each backbone, and how long it takes to compile: `python benchmarks/compile.py`.

A step is forward, backward and SGD, with the other switches that are fastest: channels_last, on a GPU bf16 too. Of
backbones that are built of the same blocks one is measured. Above 1 the compiled step is faster. How long it took to
compile is the time of the first step, which finds nothing cached.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple

import harness
import torch
from anywhere import ROOT
from harness import Finding, compare, in_turn
from hydra.utils import instantiate
from omegaconf import OmegaConf
from step_ways import RATE
from torch import nn

from tbe.acceleration import accelerate

SECONDS = 520  # after which no further backbone is begun


class Family(NamedTuple):
    """Leaves of configs/backbone of the same blocks, and (B, T, H, W) of the first on a CPU and on a GPU."""

    leaves: tuple[str, ...]
    cpu: tuple[int, int, int, int]
    cuda: tuple[int, int, int, int]


FAMILIES = (  # those that compile longest come last
    Family(("tiny",), (4, 8, 32, 32), (64, 8, 64, 64)),
    Family(("c3d",), (1, 16, 64, 64), (32, 16, 112, 112)),
    Family(("r2plus1d_small", "r2plus1d_18", "tv_r2plus1d_18"), (1, 8, 64, 64), (32, 16, 112, 112)),
    Family(("r3d_18", "r3d_34", "r3d_50", "tv_r3d_18", "tv_mc3_18"), (1, 8, 64, 64), (32, 16, 112, 112)),
    Family(("tv_swin3d_t",), (1, 4, 64, 64), (8, 16, 224, 224)),
    Family(("tv_mvit_v2_s",), (1, 8, 112, 112), (8, 16, 224, 224)),
    Family(("i3d", "s3d", "s3dg", "tv_s3d"), (1, 8, 64, 64), (16, 16, 224, 224)),
)


def measure(device: str, quick: bool = False, rounds: int = 5) -> Iterator[Finding]:
    """A family after the other, as long as there is time; quick: the first, without compiling anything."""
    start = perf_counter()
    for family in FAMILIES[:1] if quick else FAMILIES:
        if perf_counter() - start > SECONDS:
            print(f"compile: without {', '.join(family.leaves)}, the time is spent", flush=True)
            continue
        yield of_family(family, device, rounds, backend="eager" if quick else "inductor")


def of_family(family: Family, device: str, rounds: int, backend: str) -> Finding:
    """An eager against a compiled step."""
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
    """torch.compile compiles everything anew."""
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
