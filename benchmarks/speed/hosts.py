"""Steps of all methods of the comparison of hosts beside MoCo's, and monitors: `python -m benchmarks.speed.hosts`.

The settings are those of sweep=proof_real_hosts, of its network and of vit_micro. On a CPU times are the processor's,
whatever else runs. Memory is what a step keeps for the backward pass, and parameters, gradients, moments and buffers;
on a GPU the peak of a step. The share of the monitors is that of looking at the last batches of a period and of both
ranks, with the callback's own settings.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from benchmarks.common.harness import ROOT, Finding, command, compare, in_turn
from tbe.config import build, config_dir, plain, register_resolvers
from tbe.evaluation.ranks import lidar, rankme
from tbe.runs import run_folder
from tbe.train import build_module
from tbe.training.callbacks.representation_rank import RepresentationRank, features_of

HOSTS = sorted(file.stem for file in Path(ROOT, "configs", "host").glob("[!_]*.yaml") if file.stem != "none")
NETWORKS = {"the recipe's": [], "vit_micro": ["backbone=vit_micro"]}
QUICK = ["backbone.widths=[4,4,8,8]", "clip.size=16", "clip.num_frames=4", "batch_size=4", "contrastive.queue_size=8"]
BAR = "<= 1.02"


class Step:
    """A training step of a host, without the training loop: augmented views lie on the device."""

    def __init__(self, host: str, overrides: list[str], device: str):
        config = composed(["experiment=proof_real", "be=none", "callbacks=[common,rank]", f"host={host}", *overrides])
        torch.manual_seed(0)
        self.module = build_module(config, num_classes=0).to(device)
        self.module.log = lambda name, value, **settings: value.detach().clone()  # no trainer to log to
        clip = config["clip"]
        shape = (config["batch_size"], 3, clip["num_frames"], clip["size"], clip["size"])
        self.setting = "{}x{}x{}x{}".format(shape[0], *shape[2:])
        self.views = {name: torch.randn(shape, device=device) for name in self.module.method.views}
        trained = [value for value in self.module.parameters() if value.requires_grad]
        self.optimizer = build(config["optimizer"])(trained)
        self.monitor: RepresentationRank = build(config["callbacks"]["rank"])

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        self.module.training_step(self.views, 0).backward()
        self.optimizer.step()
        self.module.method.after_step()

    def memory(self) -> float:
        """Returns the bytes of a step: kept for the backward pass and of all that stays, or the peak of a GPU."""
        gc.collect()
        if next(iter(self.views.values())).is_cuda:
            torch.cuda.reset_peak_memory_stats()
            self()
            return torch.cuda.max_memory_allocated()
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self.module.training_step(self.views, 0).backward()
        stays: list[Tensor] = [*self.module.parameters(), *self.module.buffers()]
        stays += [value.grad for value in self.module.parameters() if value.grad is not None]
        stays += [value for state in self.optimizer.state.values() for value in state.values()]
        own = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in stays}
        return sum({**kept, **own}.values())


def composed(overrides: list[str]) -> dict[str, Any]:
    register_resolvers(run_folder)
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("train", overrides)
    config.run_dir = "."
    return plain(config)


def measure(device: str, quick: bool = False) -> Iterator[Finding]:
    """Compares all hosts with MoCo, and each and its monitors with itself; quick: small clips, two hosts, one round."""
    hosts = ["moco", "lejepa"] if quick else HOSTS
    for name, network in {"the recipe's": QUICK}.items() if quick else NETWORKS.items():
        steps = {host: Step(host, network, device) for host in hosts}
        setting = f"{name} network, {steps['moco'].setting}"
        times = in_turn(steps, 1 if quick else 9, warm_up=1, clock=clock_of(device))
        sizes = {host: step.memory() for host, step in steps.items()}
        for host in hosts:
            if host != "moco":
                yield compare(times, host, "moco", f"{setting}, time of a step")
                yield Finding(f"{host} / moco", f"{setting}, memory", *[sizes[host] / sizes["moco"]] * 3)
        if not quick and name == "vit_micro":  # whose steps are the cheapest beside a look
            steps["lejepa, token_drop=0.75"] = Step("lejepa", [*network, "method.token_drop=0.75"], device)
        for host, step in steps.items():
            yield of_monitors(host, step, setting, 1 if quick else 9, device)


def clock_of(device: str) -> Callable[[], float]:
    """Returns the clock of a device: work of a GPU goes on beside this process."""
    return time.process_time if device == "cpu" else time.perf_counter


def of_monitors(host: str, step: Step, setting: str, rounds: int, device: str) -> Finding:
    """Compares steps of a period with the ranks of its last batches to the steps alone, of one process."""
    views = [step.views[name] for name in ("query", "key") if name in step.views]
    backbone, monitor = step.module.backbone, step.monitor
    needed, period = monitor.period(len(views[0]), seen_share=step.module.method.seen_share)
    features = torch.cat([features_of(backbone, views)] * needed)
    ranks = [lambda: rankme(features[:, 0]), lambda: lidar(features)][: len(views)]
    ways = {"look": partial(features_of, backbone, views), "ranks": lambda: [rank() for rank in ranks]}
    times = in_turn({**ways, "step": step}, rounds, warm_up=1, clock=clock_of(device))
    rows = zip(times["look"], times["ranks"], times["step"], strict=True)
    ratios = [1 + (needed * look + ranks) / (period * one) for look, ranks, one in rows]
    told = f"{setting}, {needed} of {period} batches"
    return Finding(f"{host} with monitors / {host}", told, median(ratios), min(ratios), max(ratios), BAR)


if __name__ == "__main__":
    command(__doc__, measure, quick="small clips, two hosts, one round")
