"""Untrusted or unusable input: malicious checkpoints, lists that leave their root, bad files and folders."""

from __future__ import annotations

import builtins
import inspect
import os
import pathlib
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import nn

import tbe
from benchmarks.faults.report import Outcome
from benchmarks.faults.small_runs import PATIENCE, ROOT, SIZE
from benchmarks.faults.videos import whole_videos
from tbe.checkpoints import checkpoint as checkpoints
from tbe.data.fault_tolerance.quarantine import MIN_COUNTED
from tbe.data.readers import DecodeError
from tbe.data.sources.records import fence, read_list, write_list

# Modules that a malicious config might name, besides ours and their imports.
OTHERS = ("builtins", "os", "subprocess", "shutil", "importlib", "runpy", "pickle", "socket", "ctypes", "hydra.utils")
OTHERS += ("torch", "torch.hub", "torch.utils.collect_env", "torch.utils.cpp_extension", "torch.nn.modules.module")
OTHERS += ("torchvision.models", "torchvision.io", "torchvision.datasets", "numpy")
PARTS = ("backbone", "data", "reader", "clip")
STEPS = ("..", ".", "inside", "linked_outside", "linked_inside", "clip.mp4")
STARTS = ("", "/", "{root}/", "{outside}/", "C:\\", "..\\")
VIDEOS, MAX = 40, 0.05  # videos of a run, and its max_failed
FOLDER_OF_VIDEOS = ["experiment=none", "data=folder", "data.num_classes=2", "data.val_share=0", "~data.splits.test"]
FOLDER_OF_VIDEOS += ["clip=8x2_32", "clip.stride=1", "augment=crop_flip", "backbone=tiny", "batch_size=4", "epochs=1"]
FOLDER_OF_VIDEOS += ["contrastive.queue_size=8", "datamodule.num_workers=1", "trainer=cpu", "task=none", "logger=csv"]


class Harm:
    """Runs a call when it is unpickled."""

    def __init__(self, call: Callable, *arguments: Any):
        self.reduced = (call, arguments)

    def __reduce__(self) -> tuple[Callable, tuple]:
        return self.reduced


def refused_targets(trials: int) -> Outcome:
    """Reads checkpoints whose config names arbitrary importable targets."""
    chance, names = Random(4), _names()
    refused, built, let_through = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for part, name in chance.sample(sorted(product(PARTS, names)), trials):
            file = _checkpoint(Path(folder), config={"run_name": "x", part: {"_target_": name}})
            try:
                checkpoints.read(file)
            except ValueError as error:
                refused += "not loaded" in str(error)
                continue
            built += _is_harmless(name)
            let_through += not _is_harmless(name)
    happened = (
        f"{refused:,} refused with one error, {built} let through: classes of networks, data sets, readers; drawn from "
        f"{len(names):,} names of modules of Python, torch, torchvision and `tbe`, and of what `tbe` imports"
    )
    lost = f"**{trials - refused - built} others**" if refused + built < trials else "nothing"
    return Outcome("the config in a checkpoint names something to call", trials, happened, lost)


def refused_pickles(trials: int) -> Outcome:
    """Reads checkpoints with a pickled call in one of their parts."""
    chance, refused, ran = Random(5), 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder, mark = Path(name), Path(name, "ran")
        text = f"open({str(mark)!r}, 'w').close()"
        calls = [(os.system, f"touch {mark}"), (subprocess.call, ["touch", str(mark)]), (pathlib.Path.touch, mark)]
        calls += [(builtins.exec, text), (builtins.eval, text), (builtins.open, str(mark), "w")]
        for _ in range(trials):
            where = chance.choice(["config", "state_dict", "callbacks", "optimizer_states"])
            harm = {chance.choice(["backbone", "weight", "0"]): Harm(*chance.choice(calls))}
            try:
                checkpoints.read(_checkpoint(folder, **{where: harm}))
            except ValueError as error:
                refused += "ckpt" in str(error)
            ran += mark.exists()
            mark.unlink(missing_ok=True)
    lost = "nothing" if refused == trials and not ran else f"**{max(ran, trials - refused)} not refused**"
    happened = f"{refused:,} refused with one error that names the file, {ran} ran"
    return Outcome("a checkpoint has a call pickled in it (`os.system`, `exec`, ...)", trials, happened, lost)


def fenced_lists(trials: int) -> Outcome:
    """Reads lists with paths made of `..`, links, drives and absolute prefixes."""
    chance, refused, inside, outside = Random(6), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        root, other = Path(name, "root"), Path(name, "outside")
        for folder in (root / "inside", other):
            folder.mkdir(parents=True)
            (folder / "clip.mp4").touch()
        (root / "linked_outside").symlink_to(other)
        (root / "linked_inside").symlink_to("inside")
        for _ in range(trials):
            start = chance.choice(STARTS).format(root=root, outside=other)
            path = start + "/".join(chance.choices(STEPS, k=chance.randint(1, 5)))
            write_list(root / "train.txt", [(path, 0)])
            try:
                opened = fence(read_list(root / "train.txt", root), "a list").to_open(0)
            except (ValueError, DecodeError):
                refused += 1
                continue
            is_inside = Path(os.path.realpath(opened)).is_relative_to(os.path.realpath(root))
            inside, outside = inside + is_inside, outside + (not is_inside)
    happened = f"{refused:,} refused with one error, {inside:,} stay in the root, {outside} leave it"
    lost = f"**{outside} read**" if outside else "nothing"
    return Outcome("a list names paths with `..`, links, drives, absolute ones", trials, happened, lost)


def too_many_unreadable(trials: int) -> Outcome:
    """Trains on folders with more, or fewer, unreadable videos than accepted."""
    chance, stopped, ended, right = Random(7), 0, 0, 0
    for trial in range(trials):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            whole = next(iter(whole_videos(folder).values()))
            bad = chance.randint(MIN_COUNTED + 1, VIDEOS // 2) if trial % 2 else chance.randint(1, MIN_COUNTED)
            victims = set(chance.sample(range(VIDEOS), bad))
            for number in range(VIDEOS):
                (folder / f"{number}.mp4").write_bytes(whole[:100] if number in victims else whole)
            write_list(folder / "train.txt", [(f"{number}.mp4", number % 2) for number in range(VIDEOS)])
            run = folder / "run"
            code, said = _train(
                *FOLDER_OF_VIDEOS, f"data.root={folder}", f"datamodule.max_failed={MAX}", f"hydra.run.dir={run}"
            )
            table = run / "quarantine.csv"
            named = len(table.read_text().splitlines()) - 1 if table.exists() else 0
        is_stopped = code == 1 and said.startswith(f"error: expected at most {MAX:.0%} of the videos to be unreadable")
        stopped += is_stopped
        ended += code == 0
        right += is_stopped and named > MIN_COUNTED if trial % 2 else code == 0 and named == bad
    happened = (
        f"{stopped} runs with {MIN_COUNTED + 1} to {VIDEOS // 2} of {VIDEOS} stopped with one line, {ended} with up "
        f"to {MIN_COUNTED} ended well, with all of these in quarantine.csv"
    )
    lost = "nothing" if right == trials else f"**{trials - right} runs**"
    return Outcome(f"more videos than accepted are unreadable (`datamodule.max_failed={MAX}`)", trials, happened, lost)


def unwritable_folders(trials: int) -> Outcome:
    """Starts runs whose folder can't be created: a file is in the way, not writable, or too long a name."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "file")
        file.touch()
        places = [file / "run", Path("/proc/run"), Path(name, "n" * 300)]
        ends = [_train(*SIZE, "trainer=cpu", f"hydra.run.dir={places[trial % 3]}") for trial in range(trials)]
    clear = sum(code == 1 and said.startswith("error: ") for code, said in ends)
    lost = "nothing" if clear == trials else f"**{trials - clear} runs**"
    return Outcome("the folder of a run can't be made", trials, f"{clear} ended with one line before they began", lost)


def _names() -> list[str]:
    """Returns names of callables in our modules, in their imports, and in others."""
    modules = [
        *OTHERS,
        *(module.name for module in pkgutil.walk_packages(tbe.__path__, "tbe.") if "__main__" not in module.name),
    ]
    found = set()
    for module in modules:
        for name, part in vars(import_module(module)).items():
            found.add(f"{module}.{name}")
            if inspect.ismodule(part) and module.startswith("tbe."):
                found |= {f"{module}.{name}.{inner}" for inner in vars(part)}
    return sorted(found)


def _is_harmless(name: str) -> bool:
    """Returns whether a name is that of a network, data set or reader class."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError:  # a name reached through a module's imports, which must be refused
        return False
    return isinstance(found, type) and (issubclass(found, nn.Module) or found.__module__.startswith("tbe.data."))


def _checkpoint(folder: Path, config: dict[str, Any] | None = None, **others: Any) -> Path:
    """Returns a checkpoint like ours with this config and these parts."""
    carried = {"stage": "pretrain", "backbone": "b.", "config": {"run_name": "x"} if config is None else config}
    torch.save({checkpoints.KEY: carried, "state_dict": {}, "epoch": 0, "global_step": 0, **others}, folder / "x.ckpt")
    return folder / "x.ckpt"


def _train(*overrides: str) -> tuple[int, str]:
    """Returns the exit code of train.py and its last line of output."""
    known = {name: value for name, value in os.environ.items() if "SLURM" not in name and "TORCHELASTIC" not in name}
    done = subprocess.run(
        [sys.executable, "train.py", *overrides],
        cwd=ROOT,
        env={**known, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout.strip().rpartition("\n")[2]
