"""Exact retrieval against the bare matrix product, and other ways to it: `python benchmarks/retrieval.py`.

The 50 nearest of a gallery of 240,000 vectors of 1,024 dimensions, fp32, cosine. On a CPU for 2,000 queries, with
--queries 20000 for as many as the bar is set for, ten times as long. The ways that need the whole matrix, or sort it,
have a smaller gallery. Peak memory is that of a process of its own, with torch and both sets of vectors.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import torch
from harness import Finding, compare, in_turn, markdown
from torch import Tensor
from torchmetrics.functional.retrieval import retrieval_hit_rate

from tbe.metrics import mean_average_precision, recall_at_k
from tbe.neighbours import nearest, nearest_by_faiss
from tbe.neighbours.exact import BLOCKS

K = 50
NUM_CLASSES = 100
PEAK = """
import torch
from tbe.neighbours import nearest
nearest(torch.randn({queries}, {dims}), torch.randn({gallery}, {dims}), {k})
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def measure(
    device: str, quick: bool = False, queries: int = 2000, gallery: int = 240_000, dims: int = 1024, rounds: int = 3
) -> list[Finding]:
    """Each way in terms of another; `quick` for a look at whether it runs."""
    if quick:
        queries, gallery, dims, rounds = 100, 5000, 64, 2
    torch.manual_seed(0)
    findings = searches(*vectors(device, queries, gallery, dims), rounds)
    small = max(1, queries // 10), gallery // 10
    findings += sorts(*vectors(device, *small, dims), rounds)
    if sys.platform == "linux":
        findings.append(peak_memory(queries, gallery, dims))
    return findings


def vectors(device: str, queries: int, gallery: int, dims: int) -> tuple[Tensor, Tensor]:
    return torch.randn(queries, dims, device=device), torch.randn(gallery, dims, device=device)


def searches(queries: Tensor, gallery: Tensor, rounds: int) -> list[Finding]:
    """What the search costs beside the products, in bf16, and with faiss."""
    setting = f"{len(queries):,} x {len(gallery):,} x {gallery.shape[1]:,}"
    ways = {
        "nearest": partial(nearest, queries, gallery, K),
        "bare product": partial(bare_product, queries, gallery),
        "nearest in bf16": partial(nearest, queries, gallery, K, precision="bf16"),
    }
    try:
        nearest_by_faiss(queries[:1], gallery[:K], K)
        ways["faiss"] = partial(nearest_by_faiss, queries, gallery, K)
    except ValueError as error:
        print(f"without faiss: {error}")
    times = in_turn(ways, rounds, warm_up=0 if len(queries) * len(gallery) > 1e8 else 1)
    findings = [compare(times, "nearest", "bare product", setting, "<= 1.25")]
    findings += [compare(times, other, "nearest", setting) for other in list(ways)[2:]]
    shared = agreement(ways["nearest"]()[1], ways["nearest in bf16"]()[1])
    findings.append(Finding("neighbours of bf16 / fp32 that are the same", setting, shared, shared, shared))
    return findings


def bare_product(queries: Tensor, gallery: Tensor) -> None:
    """All products, in the blocks that `nearest` has: faster than whole rows, and 20,000 of those would be 18 GiB."""
    room = queries.new_empty(BLOCKS[0] * BLOCKS[1])
    for block in gallery.split(BLOCKS[1]):
        for part in queries.split(BLOCKS[0]):
            torch.mm(part, block.T, out=room[: len(part) * len(block)].view(len(part), len(block)))


def agreement(found: Tensor, others: Tensor) -> float:
    """The share of neighbours (n, k) that are among the others (n, k) too."""
    return (found.unsqueeze(2) == others.unsqueeze(1)).any(dim=2).float().mean().item()


def sorts(queries: Tensor, gallery: Tensor, rounds: int) -> list[Finding]:
    """Ways that compute and sort all distances, and torchmetrics query by query."""
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
    setting = f"{len(queries):,} x {len(gallery):,} x {gallery.shape[1]:,}"
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
    """GiB of main memory that a process of its own needs at most."""
    # Not getrusage, whose maximum a child takes over from the process that starts it.
    program = PEAK.format(queries=queries, gallery=gallery, dims=dims, k=K)
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    peak = float(output) / 2**20
    return Finding("peak memory, GiB / 1", f"{queries:,} x {gallery:,} x {dims:,}, CPU", peak, peak, peak, "<= 3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--queries", type=int, default=2000, help="20000: as many as the bar is set for")
    parser.add_argument("--gallery", type=int, default=240_000)
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="small, two rounds")
    print(markdown(measure(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
