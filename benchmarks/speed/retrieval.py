"""Exact retrieval against the bare matrix product, and other ways to it: `python -m benchmarks.speed.retrieval`.

The 50 nearest of a gallery of 240,000 vectors of 1,024 dimensions for 20,000 queries, fp32, cosine. On a CPU a tenth of
the queries for bf16 and faiss; the ways that need the whole matrix, or sort it, have a smaller gallery too. Peak memory
is all that a process of its own takes, on a CPU with torch and both sets of vectors; on a GPU what lies there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torchmetrics.functional.retrieval import retrieval_hit_rate

from benchmarks.common import harness
from benchmarks.common.harness import ROOT, Finding, compare, in_turn
from tbe.evaluation.metrics import mean_average_precision, recall_at_k
from tbe.evaluation.neighbors import nearest, nearest_by_faiss
from tbe.evaluation.neighbors.exact import BLOCKS

K = 50
NUM_CLASSES = 100
PEAK = """
import torch
from tbe.evaluation.neighbors import nearest
nearest(torch.randn({queries}, {dims}), torch.randn({gallery}, {dims}), {k})
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def measure(
    device: str, quick: bool = False, queries: int = 20_000, gallery: int = 240_000, dims: int = 1024, rounds: int = 2
) -> Iterator[Finding]:
    """Compares the ways with each other; `quick` only checks that they run."""
    if quick:
        queries, gallery, dims = 100, 5000, 64
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest")  # exact; an earlier benchmark may have changed it
    if device == "cuda":
        rounds = 5
    data = vectors(device, queries, gallery, dims)
    yield from against_the_product(*data, rounds)
    yield peak_on_gpu(*data) if device == "cuda" else peak_memory(queries, gallery, dims)
    yield from searches(data[0] if device == "cuda" else data[0][: max(1, queries // 10)], data[1], rounds)
    del data
    yield from sorts(*vectors(device, max(1, queries // 100), gallery // 10, dims), rounds)


def vectors(device: str, queries: int, gallery: int, dims: int) -> tuple[Tensor, Tensor]:
    return torch.randn(queries, dims, device=device), torch.randn(gallery, dims, device=device)


def against_the_product(queries: Tensor, gallery: Tensor, rounds: int) -> Iterator[Finding]:
    """Compares the search with its matrix products alone."""
    ways = {"nearest": partial(nearest, queries, gallery, K), "bare product": partial(bare_product, queries, gallery)}
    is_long = queries.device.type == "cpu" and len(queries) * len(gallery) > 1e8
    nearest(queries[: BLOCKS[0]], gallery[: BLOCKS[1]], K)
    times = in_turn(ways, rounds, warm_up=0 if is_long else 1)  # of minutes: the start of threads is none of it
    yield compare(times, *ways, setting_of(queries, gallery), "<= 1.25")


def searches(queries: Tensor, gallery: Tensor, rounds: int) -> Iterator[Finding]:
    """Compares the search in bf16 and by faiss with fp32."""
    found: dict[str, Tensor] = {}

    def search(name: str, way: Callable[..., tuple[Tensor, Tensor]], **settings: str) -> None:
        found[name] = way(queries, gallery, K, **settings)[1]

    ways = {
        "nearest": partial(search, "nearest", nearest),
        "nearest in bf16": partial(search, "nearest in bf16", nearest, precision="bf16"),
    }
    if queries.device.type == "cpu":
        try:
            nearest_by_faiss(queries[:1], gallery[:K], K)
            ways["faiss"] = partial(search, "faiss", nearest_by_faiss)
        except ValueError as error:
            print(f"without faiss: {error}")
    times = in_turn(ways, rounds, warm_up=1 if queries.device.type == "cuda" else 0)
    for other in list(ways)[1:]:
        yield compare(times, other, "nearest", setting_of(queries, gallery))
        shared = agreement(found["nearest"], found[other])
        yield Finding(f"neighbors of {other} that nearest has too", setting_of(queries, gallery), *[shared] * 3)


def setting_of(queries: Tensor, gallery: Tensor) -> str:
    return f"{len(queries):,} x {len(gallery):,} x {gallery.shape[1]:,}"


def bare_product(queries: Tensor, gallery: Tensor) -> None:
    """Computes all products in the blocks of `nearest`: faster than whole rows, of which 20,000 would be 18 GiB."""
    room = queries.new_empty(BLOCKS[0] * BLOCKS[1])
    for block in gallery.split(BLOCKS[1]):
        for part in queries.split(BLOCKS[0]):
            torch.mm(part, block.T, out=room[: len(part) * len(block)].view(len(part), len(block)))


def agreement(found: Tensor, others: Tensor) -> float:
    """Returns the fraction of neighbors (n, k) that are also among the others (n, k)."""
    return (found.unsqueeze(2) == others.unsqueeze(1)).any(dim=2).float().mean().item()


def sorts(queries: Tensor, gallery: Tensor, rounds: int) -> list[Finding]:
    """Compares with ways that compute and sort all distances, and with torchmetrics query by query."""
    labels, gallery_labels = (
        torch.randint(NUM_CLASSES, (len(part),), device=part.device) for part in (queries, gallery)
    )
    data = queries, labels, gallery, gallery_labels
    ways: dict[str, Callable] = {
        "nearest": partial(nearest, queries, gallery, K, "euclidean"),
        "all distances, argsort": lambda: torch.cdist(queries, gallery).argsort(dim=1)[:, :K],
        "recall": partial(recall_at_k, *data, (K,)),
        "torchmetrics' hit rate": partial(hit_rate, *data),
        "mAP": partial(mean_average_precision, *data),
        "mAP of an argsort": partial(sorted_precision, *data),
    }
    times = in_turn(ways, rounds)
    setting = setting_of(queries, gallery)
    theirs = ("all distances, argsort", "nearest"), ("torchmetrics' hit rate", "recall"), ("mAP of an argsort", "mAP")
    return [compare(times, other, ours, setting) for other, ours in theirs]


def hit_rate(queries: Tensor, labels: Tensor, gallery: Tensor, gallery_labels: Tensor) -> float:
    near = torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(gallery).T
    rates = [retrieval_hit_rate(row, gallery_labels == label, K) for row, label in zip(near, labels, strict=True)]
    return 100 * torch.stack(rates).mean().item()


def sorted_precision(queries: Tensor, labels: Tensor, gallery: Tensor, gallery_labels: Tensor) -> float:
    near = torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(gallery).T
    hits = (gallery_labels[near.argsort(dim=1, descending=True)] == labels.unsqueeze(1)).float()
    precisions = hits.cumsum(dim=1) / torch.arange(1, len(gallery) + 1, device=gallery.device)
    return 100 * ((precisions * hits).sum(dim=1) / hits.sum(dim=1).clamp_min(1)).mean().item()


def peak_memory(queries: int, gallery: int, dims: int) -> Finding:
    """Measures the peak main memory of a process of its own, in GiB."""
    # Not getrusage, whose maximum a child takes over from the process that starts it.
    program = PEAK.format(queries=queries, gallery=gallery, dims=dims, k=K)
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return _peak(float(output) / 2**20, f"{queries:,} x {gallery:,} x {dims:,}, CPU")


def peak_on_gpu(queries: Tensor, gallery: Tensor) -> Finding:
    """Measures the peak GPU memory in GiB, including both sets of vectors."""
    torch.cuda.reset_peak_memory_stats()
    nearest(queries, gallery, K)
    return _peak(torch.cuda.max_memory_allocated() / 2**30, f"{setting_of(queries, gallery)}, GPU")


def _peak(gib: float, setting: str) -> Finding:
    return Finding("peak memory, GiB / 1", setting, gib, gib, gib, "<= 3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--gallery", type=int, default=240_000)
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="small, two rounds")
    options = vars(parser.parse_args())
    print(harness.machine(options["device"]))
    print(harness.page(measure(**options)))


if __name__ == "__main__":
    main()
