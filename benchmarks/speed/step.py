"""A training step of MoCo with Background Erasing, ours against the published way: `python -m benchmarks.speed.step`.

Each way trains a network of its own on a batch on the device; `step_variants.py` has them. Switches are turned on
one after the other. On a GPU the bar is set against the published way with what it gets there by default, convolutions
in TF32; strict float32 stands beside it. The erasing, the augmentation of the raw batch and the arithmetic are measured
against the fastest of these steps, the arithmetic as the share of what a large matrix product of the same type
reaches. What torch.compile adds is measured with --compiled, for all networks by `compile.py`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from time import perf_counter

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import harness
from benchmarks.common.harness import Finding, compare, in_turn
from benchmarks.speed.augment import BLUR, ours
from benchmarks.speed.op_breakdown import where_time_goes
from benchmarks.speed.step_variants import CASES, QUICK, Case, OriginalStep, OurStep, Switches
from tbe.data.views import ContrastiveViews

ORIGINAL, STRICT = "original", "original in strict float32"
STEPS = {
    "fp32": Switches(),
    "+ channels_last": Switches(channels_last=True),
    "+ bf16": Switches(channels_last=True, bf16=True),
    "+ fused": Switches(channels_last=True, bf16=True, fused=True),
}
COMPILED = {"cpu": Switches(channels_last=True), "cuda": STEPS["+ fused"]}  # the fastest on most machines
FUSED = "augmentation, augment.fused=true"
BARS = {"step": ">= 3", "erasing": "<= 0.03", FUSED: "<= 0.05"}  # on a GPU
SIDES = {"cuda": 8192, "cpu": 1024}  # of the matrix product
PRODUCTS = {"cuda": 10, "cpu": 1}  # a round: one alone, of a millisecond, would be measured with the wait for its end
SECONDS = {"cuda": 30, "cpu": math.inf}  # for the rounds of a comparison
# Algorithms that cuDNN tries for each convolution, of 10: the search of seven ways took what a part has of time.
ALGORITHMS = 4


def measure(
    device: str, quick: bool = False, rounds: int = 9, names: Sequence[str] = (), compiled: bool = False
) -> Iterator[Finding | str]:
    """Cases of a device, all unless some are named, one finding after the other; quick: a tiny case, once."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.benchmark_limit = ALGORITHMS
    cases = {"quick": QUICK} if quick else {name: CASES[device][name] for name in names or CASES[device]}
    for name, case in cases.items():
        yield from (of_compiling if compiled else of_case)(name, case, device, 1 if quick else rounds)


def of_case(name: str, case: Case, device: str, rounds: int) -> Iterator[Finding | str]:
    """Measures a backbone's step, its parts, and the time by kind of operation."""
    setting = setting_of(name, case)
    before = {ORIGINAL: OriginalStep(case, device)}
    fastest = list(STEPS)[-1]
    steps = {fastest: OurStep(case, device, STEPS[fastest])}
    if device == "cuda":  # what matters most comes before the others have warmed up, or the time is spent
        times = in_turn({**before, **steps}, rounds, 2, SECONDS[device])
        yield compare(times, ORIGINAL, fastest, f"{setting}, these two alone", BARS["step"])
        before[STRICT] = OriginalStep(case, device, strict=True)
    steps = {way: steps.get(way) or OurStep(case, device, switches) for way, switches in STEPS.items()}
    times = in_turn({**before, **steps}, rounds, 2, SECONDS[device])
    best = min(steps, key=lambda way: median(times[way]))
    bar = BARS["step"] if device == "cuda" else None
    for way in steps:
        yield compare(times, ORIGINAL, way, setting, bar if way == best else None)
    for way in list(before)[1:]:
        yield compare(times, way, best, setting)
    fused, chosen = steps["+ fused"], steps[best]
    yield of_arithmetic(case, device, fused, times[best], STEPS[best].bf16, f"{setting}, {best}", rounds)
    yield from of_parts(case, device, chosen, setting, rounds)
    table = where_time_goes(before[ORIGINAL], chosen, device)
    yield f"Where the time of a step goes, {setting}: in the published way, and in ours with {best}.\n\n{table}"
    yield from of_recomputation(case, device, fused, f"{setting}, + fused, in bf16", rounds)


def of_compiling(name: str, case: Case, device: str, rounds: int) -> Iterator[Finding]:
    """Measures the gain by torch.compile and its compilation time."""
    switches = COMPILED[device]
    eager, compiled = (OurStep(case, device, switches._replace(compiled=way)) for way in (False, True))
    start = perf_counter()
    compiled()
    setting = f"{setting_of(name, case)}, compiled in {perf_counter() - start:.0f} s"
    ways = {ORIGINAL: OriginalStep(case, device), "eager": eager, "compiled": compiled}
    times = in_turn(ways, rounds, 2, SECONDS[device])
    yield compare(times, "eager", "compiled", setting)
    yield compare(times, ORIGINAL, "compiled", setting, BARS["step"] if device == "cuda" else None)


def setting_of(name: str, case: Case) -> str:
    return f"{name}, {case.batch} clips of {case.num_frames}x{case.size}x{case.size}"


def of_parts(case: Case, device: str, step: OurStep, setting: str, rounds: int) -> Iterator[Finding]:
    """Compares erasing, and augmentation of the raw batch, with the step."""
    raw = case.raw(device)
    parts: dict[str, Callable] = {"erasing": partial(step.module.distractor, step.views["query"])}
    for name, fused in {"augmentation": False, **({FUSED: True} if device == "cuda" else {})}.items():
        views = ContrastiveViews(ours(case.size, BLUR, fused))
        parts[name] = lambda views=views: views(dict(raw))  # it modifies the batch
    times = in_turn({**parts, "step": step}, rounds, 2, SECONDS[device])
    for part in parts:
        yield compare(times, part, "step", setting, BARS.get(part) if device == "cuda" else None)


def of_arithmetic(
    case: Case, device: str, step: OurStep, times: list[float], bf16: bool, setting: str, rounds: int
) -> Finding:
    """Compares the FLOP/s of a step, by counted operations, with those of a large matrix product."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    with FlopCounterMode(display=False) as counter:
        step()
    operations, number = counter.get_total_flops() / 1e12, PRODUCTS[device]
    side = 64 if case is QUICK else SIDES[device]
    left, right = torch.randn(2, side, side, device=device).to(dtype)  # random: on zeros a GPU is faster
    spent = in_turn({"products": lambda: [left @ right for _ in range(number)]}, rounds, 2, SECONDS[device])
    product = number * 2 * side**3 / 1e12 / median(spent["products"])
    speeds = [operations / seconds for seconds in times]
    absolute = f"{setting}: {median(speeds):.3g} of {product:.3g} TFLOP/s"
    return Finding(f"step / {dtype} product", absolute, *(pick(speeds) / product for pick in (median, min, max)))


def of_recomputation(case: Case, device: str, step: OurStep, setting: str, rounds: int) -> Iterator[Finding]:
    """Measures the time cost of checkpoint_activations and, on a GPU, its memory savings."""
    ways = {"recomputed": OurStep(case, device, STEPS["+ fused"]._replace(recomputed=True)), "kept": step}
    yield compare(in_turn(ways, rounds, 2, SECONDS[device]), "recomputed", "kept", setting)
    if device == "cuda":
        recomputed, kept = (peak(way) for way in ways.values())
        memory = f"{setting}: {recomputed:.1f} of {kept:.1f} GB"
        yield Finding("recomputed / kept, memory", memory, *[recomputed / kept] * 3)


def peak(step: OurStep) -> float:
    """Returns the peak memory of a step beyond that allocated before it, in GB."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=CASES)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compiled", action="store_true", help="what torch.compile adds, which takes minutes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(harness.machine(options.device))
    print(harness.page(measure(options.device, rounds=options.rounds, compiled=options.compiled)))


if __name__ == "__main__":
    main()
