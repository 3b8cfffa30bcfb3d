"""Where the time of two steps goes, by kinds of operations: a table of what step.py measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

# An operation's kind is the first with a word in its name.
KINDS = {
    "convolution": ("conv",),
    "batch norm": ("batch_norm",),
    "pooling": ("pool",),
    "matrix product": ("mm", "matmul", "linear", "einsum"),
    "optimizer's own time, `_foreach_` operations": ("_fused_", "_foreach_", "optimizer"),
    "copy, change of type or layout": ("copy", "cat", "clone", "contiguous", "to_copy"),
    "compiled": ("triton", "compiled", "inductor", "cpp_fused"),
}


def milliseconds(step: Callable[[], None], device: str, steps: int = 3) -> Counter[str]:
    """Returns the milliseconds of device time (on a CPU: host time) of a step by kind of operation."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    step()
    with profile(activities=activities) as found:
        for _ in range(steps):
            step()
    total: Counter[str] = Counter()
    for event in found.key_averages():
        if event.device_type == DeviceType.CPU:  # a kernel is counted with the operation that launches it
            spent = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
            total[kind_of(event.key)] += spent / steps / 1e3
    return total


def where_time_goes(before: Callable[[], None], after: Callable[[], None], device: str) -> str:
    """Formats the times of both steps as a Markdown table, one row per kind; says where no times were found."""
    old, new = milliseconds(before, device), milliseconds(after, device)
    if not (old.total() and new.total()):
        return "The profiler found no times on the device: it needs CUPTI, and leave to read its counters.\n"
    lines = ["| kind | before, ms a step | share | after, ms a step | share |", "|---|---:|---:|---:|---:|"]
    for kind in [*(kind for kind, _ in (old + new).most_common()), "all"]:
        cells = [(times.total() if kind == "all" else times[kind], times.total()) for times in (old, new)]
        lines.append(f"| {kind} | " + " | ".join(f"{spent:.1f} | {spent / whole:.1%}" for spent, whole in cells) + " |")
    return "\n".join(lines) + "\n"


def kind_of(operation: str) -> str:
    """Returns the kind of an operation, 'pooling' for 'aten::max_pool3d'; 'other' if it has none."""
    words = operation.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in words for part in parts)), "other")
