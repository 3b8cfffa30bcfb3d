"""One process against two, and the bytes that a step moves between processes: `python -m benchmarks.speed.scaling`.

Each process trains on a batch of its own, with all that crosses processes in a run (configs/trainer/ddp.yaml): over
gloo on the CPU, over NCCL where there are two GPUs. Bytes are counted where they leave, and compared with `step_bytes`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from benchmarks.common import harness
from benchmarks.common.harness import Finding
from benchmarks.speed.step_variants import CASES, DIM, MOMENTUM, QUICK, RATE, RATIO, Case
from tbe.erasing import BackgroundErasing
from tbe.methods.encoder import Encoder
from tbe.methods.losses import InfoNCE
from tbe.methods.moco import MoCo

FLOAT = 4  # bytes


def step_bytes(processes: int, parameters: int, batch: int, clip: int, dim: int = DIM) -> dict[str, float]:
    """Bytes that each process sends in a step of MoCo with batch_norm=shuffle, on average.

    parameters: with gradient; clip: numbers of a clip, C * T * H * W; batch: clips a process. Gradients and gathered
    keys are thought to go round in a ring. The order of the shuffle does not cross, for all draw it from a common seed,
    and nor do buffers; with DDP's `broadcast_buffers` the queue would.
    """
    others = processes - 1
    return {
        "gradients": 2 * others / processes * FLOAT * parameters,
        "shuffled views": others / processes * FLOAT * batch * clip,
        "gathered keys": 2 * others * FLOAT * batch * dim,  # to undo the shuffle, and for the queue
    }


def measure(device: str, quick: bool = False, rounds: int = 3, steps: int = 10) -> list[Finding | str]:
    """Compares the throughput of two processes with one, and counted with expected bytes; quick: tiny, once.

    Also returns the expected bytes of the networks that are measured on GPUs.
    """
    device = "cuda" if device == "cuda" and torch.cuda.device_count() > 1 else "cpu"
    case = QUICK if quick else next(iter(CASES[device].values()))
    rounds, steps = (1, 2) if quick else (rounds, steps)
    runs = [[_run(number, case, device, steps) for number in (1, 2)] for _ in range(rounds)]
    speed_ups = [2 * one["seconds"] / two["seconds"] for one, two in runs]
    setting = f"{case.batch} clips of {case.num_frames}x{case.size}x{case.size} a process, {device}"
    found: list[Finding | str] = [
        Finding("2 processes / 1, clips a second", setting, median(speed_ups), min(speed_ups), max(speed_ups))
    ]
    two = runs[0][1]
    expected = step_bytes(2, two["parameters"], case.batch, 3 * case.num_frames * case.size**2)
    for name, value in expected.items():
        counts = [run["bytes"][name] / steps for _, run in runs]
        absolute = f"{setting}: {name}, {median(counts):,.0f} of {value:,.0f} bytes a step"
        found.append(
            Finding("bytes counted / expected", absolute, *(pick(counts) / value for pick in (median, min, max)))
        )
    return [*found, f"On paper, on 1, 8 and 64 GPUs:\n\n{table()}"]


def table(processes: tuple[int, ...] = (1, 8, 64)) -> str:
    """Formats `step_bytes` of the networks measured on GPUs, in megabytes, as Markdown."""
    columns = [f"{name}, {number}" for name in CASES["cuda"] for number in processes]
    found = [
        step_bytes(number, _num_parameters(case), case.batch, 3 * case.num_frames * case.size**2)
        for case in CASES["cuda"].values()
        for number in processes
    ]
    lines = [f"| MB a step and process | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    lines += [f"| {kind} | {' | '.join(f'{row[kind] / 1e6:.3g}' for row in found)} |" for kind in found[0]]
    return "\n".join(lines) + "\n"


def _num_parameters(case: Case) -> int:
    with torch.device("meta"):  # without allocating weights
        return sum(parameter.numel() for parameter in Encoder(case.backbone(), DIM).parameters())


def _run(processes: int, case: Case, device: str, steps: int) -> dict[str, Any]:
    """Returns the measurements of the first of this many processes."""
    mp.set_forkserver_preload(["tbe.training.pretrain_module"])  # imports torch and Lightning once, not in each process
    with tempfile.TemporaryDirectory() as folder:
        given = processes, case, device, steps, folder
        mp.start_processes(_train, given, nprocs=processes, start_method="forkserver")
        return torch.load(Path(folder, "found.pt"))


def _train(rank: int, processes: int, case: Case, device: str, steps: int, folder: str) -> None:
    torch.set_num_threads(1)
    where = torch.device(device, rank) if device == "cuda" else torch.device(device)
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{folder}/meeting", rank=rank, world_size=processes)
    try:
        torch.manual_seed(0)
        step, method, counted = _step(case, where)
        for _ in range(2):
            step()
        counted.clear()
        dist.barrier()
        seconds = _timed(step, steps, where)
        if rank == 0:
            parameters = sum(parameter.numel() for parameter in method.encoder.parameters())
            torch.save({"seconds": seconds, "parameters": parameters, "bytes": dict(counted)}, Path(folder, "found.pt"))
    finally:
        dist.destroy_process_group()


def _step(case: Case, device: torch.device) -> tuple[Any, MoCo, Counter]:
    method = MoCo(Encoder(case.backbone(), DIM), case.queue, MOMENTUM, "same_video").to(device)
    parallel = DistributedDataParallel(method, broadcast_buffers=False, gradient_as_bucket_view=True)
    erase, loss, views = BackgroundErasing(RATIO), InfoNCE(), case.views(str(device))
    optimizer = torch.optim.SGD(method.encoder.parameters(), RATE, momentum=0.9)
    counted = _count(parallel)

    def step() -> None:
        optimizer.zero_grad()
        loss(*parallel(erase(views["query"]), views["key"], views["negative"])).backward()
        optimizer.step()
        method.after_step()

    return step, method, counted


def _count(parallel: DistributedDataParallel) -> Counter:
    """Counts from now on the bytes that this process sends, by what they are for."""
    counted: Counter[str] = Counter()
    others = dist.get_world_size() - 1
    gather, exchange = dist.all_gather, dist.all_to_all_single

    def gradients(state, bucket):  # torch refuses annotations that are strings
        counted["gradients"] += 2 * others / (others + 1) * bucket.buffer().nbytes
        return allreduce_hook(state, bucket)

    def gathered(parts: list[Tensor], tensor: Tensor) -> None:
        counted["gathered keys"] += others * tensor.nbytes
        gather(parts, tensor)

    def exchanged(arrived: Tensor, tensor: Tensor, output_sizes: list[int], input_sizes: list[int]) -> None:
        leaving = len(tensor) - input_sizes[dist.get_rank()]
        counted["shuffled views"] += leaving * tensor[0].nbytes
        exchange(arrived, tensor, output_sizes, input_sizes)

    parallel.register_comm_hook(None, gradients)
    dist.all_gather, dist.all_to_all_single = gathered, exchanged
    return counted


def _timed(step: Any, steps: int, device: torch.device) -> float:
    start = perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(harness.machine(options.device))
    print(harness.page(measure(options.device, rounds=options.rounds)))


if __name__ == "__main__":
    main()
