"""A training step of MoCo with Background Erasing, ours against the published way: `python benchmarks/step.py`.

Each way trains a network of its own on a batch that lies on the device; `step_ways.py` has them. Switches are turned on
one after the other. The erasing, the augmentation of the raw batch and the arithmetic are measured against the fastest
of these steps, the arithmetic as the share of what a large matrix product of the same type reaches.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from statistics import median

import torch
from harness import Finding, compare, in_turn, machine, markdown
from step_ways import CASES, QUICK, Case, OriginalStep, OurStep, Switches
from torch.utils.flop_counter import FlopCounterMode
from where_time_goes import where_time_goes

from tbe.augment import ClipAugment, ColourJitter, RandomResizedCrop
from tbe.data.views import ContrastiveViews

STEPS = {
    "fp32": Switches(),
    "+ channels_last": Switches(channels_last=True),
    "+ bf16": Switches(channels_last=True, bf16=True),
    "+ fused": Switches(channels_last=True, bf16=True, fused=True),
    "+ compile": Switches(channels_last=True, bf16=True, fused=True, compiled=True),
}
BARS = {"step": ">= 3", "erasing": "<= 0.03", "augmentation": "<= 0.05"}  # on a GPU
PROFILED = {"cuda": "+ fused", "cpu": "+ channels_last"}
SIDES = {"cuda": 8192, "cpu": 1024}  # of the matrix product


def measure(device: str, quick: bool = False, rounds: int = 9, compiled: bool = True) -> list[Finding]:
    """All cases of a device; quick: a tiny one without compiling, once."""
    torch.backends.cudnn.benchmark = True
    if quick:
        return of_case("quick", QUICK, device, 1, compiled=False)
    return [found for name, case in CASES[device].items() for found in of_case(name, case, device, rounds, compiled)]


def of_case(name: str, case: Case, device: str, rounds: int, compiled: bool) -> list[Finding]:
    """What a backbone's step costs, and parts of it."""
    chosen = {name: switches for name, switches in STEPS.items() if compiled or not switches.compiled}
    steps = {name: OurStep(case, device, switches) for name, switches in chosen.items()}
    setting = f"{name}, {case.batch} clips of {case.num_frames}x{case.size}x{case.size}"
    times = in_turn({"original": OriginalStep(case, device), **steps}, rounds, warm_up=2)
    best = min(steps, key=lambda step: median(times[step]))
    bars = BARS if device == "cuda" else {}
    found = [compare(times, "original", step, setting, bars.get("step") if step == best else None) for step in steps]
    found.append(of_arithmetic(steps["+ fused"], times[best], chosen[best].bf16, f"{setting}, {best}", device, rounds))
    found += of_parts(case, device, steps[best], setting, bars, rounds)
    return found + of_recomputation(case, device, steps["+ fused"], setting, rounds)


def of_parts(case: Case, device: str, step: OurStep, setting: str, bars: dict[str, str], rounds: int) -> list[Finding]:
    """The erasing and the augmentation against the step."""
    colour = ColourJitter(0.4, 0.4, 0.4, 0.1, prob=0.8)
    views = ContrastiveViews(ClipAugment(case.size, RandomResizedCrop(), colour=colour, grey=0.2, blur=0.5))
    raw = case.raw(device)
    parts = {
        "erasing": partial(step.module.erase, step.views["query"]),
        "augmentation": lambda: views(dict(raw)),  # it takes the batch apart
    }
    times = in_turn({**parts, "step": step}, rounds, warm_up=2)
    return [compare(times, part, "step", setting, bars.get(part)) for part in parts]


def of_arithmetic(step: OurStep, times: list[float], bf16: bool, setting: str, device: str, rounds: int) -> Finding:
    """How much of the speed of a large matrix product a step reaches, in its floating-point operations as counted."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    with FlopCounterMode(display=False) as counter:
        step()
    operations, side = counter.get_total_flops() / 1e12, SIDES[device]
    left, right = torch.randn(2, side, side, device=device).to(dtype)  # random: on zeros a GPU is faster
    product = 2 * side**3 / 1e12 / median(in_turn({"product": lambda: left @ right}, rounds, warm_up=3)["product"])
    speeds = [operations / seconds for seconds in times]
    absolute = f"{setting}: {median(speeds):.3g} of {product:.3g} TFLOP/s"
    return Finding(f"step / {dtype} product", absolute, *(pick(speeds) / product for pick in (median, min, max)))


def of_recomputation(case: Case, device: str, step: OurStep, setting: str, rounds: int) -> list[Finding]:
    """What checkpoint_activations costs in time and, on a GPU, saves in memory."""
    ways = {"recomputed": OurStep(case, device, STEPS["+ fused"]._replace(recomputed=True)), "kept": step}
    found = [compare(in_turn(ways, rounds, warm_up=2), "recomputed", "kept", setting)]
    if device == "cuda":
        recomputed, kept = (peak(way) for way in ways.values())
        memory = f"{setting}: {recomputed:.1f} of {kept:.1f} GB"
        found.append(Finding("recomputed / kept, memory", memory, *[recomputed / kept] * 3))
    return found


def peak(step: OurStep) -> float:
    """The most memory that a step takes above what lies on the device before it, in GB."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e9


def profiles(device: str) -> str:
    """Where the time goes in the published way of a step and in ours, as a page."""
    torch.backends.cudnn.benchmark = True
    way, facts = PROFILED[device], ", ".join(f"{fact} {value}" for fact, value in machine(device).items())
    text = f"# Where the time of a step goes\n\nWritten by `python benchmarks/step.py --profile`. On: {facts}.\n"
    for name, case in CASES[device].items():
        table = where_time_goes(OriginalStep(case, device), OurStep(case, device, STEPS[way]), device)
        text += f"\n## {name}: as published code takes it, and ours with {way}\n\n{table}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=CASES)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-compile", action="store_true", help="leave out the way that takes a minute to compile")
    parser.add_argument("--profile", action="store_true", help="writes PROFILE.md, in place of ratios")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.profile:
        Path(__file__).with_name("PROFILE.md").write_text(profiles(options.device), encoding="utf-8")
        return
    print(markdown(measure(options.device, rounds=options.rounds, compiled=not options.no_compile)))


if __name__ == "__main__":
    main()
