"""Export formats: their requirements, writers and readers."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from tbe.backbones.classifier import Classifier
from tbe.errors import UserError

SIZES = {"frames": 2, "height": 3, "width": 4}  # axes of the clips that may be dynamic in a traced network
MAX_CLIPS = 2**20  # torch 2.6 needs an upper bound of the dynamic batch size
CLIPS = "clips"  # the argument of every network's forward
Network = Callable[[Tensor], Tensor]


class Trace(NamedTuple):
    """The traced program of a network, and the dynamic axes of its clips by their number."""

    program: ExportedProgram
    free: dict[int, str]


class Format(NamedTuple):
    """A file format for a network from clips (B, C, T, H, W) to vectors; the packages and torch version it needs.

    write takes the network, its trace if `traced` (else None), and the file. read returns the network from the file; it
    may use the architecture of the network that it is given, never its weights.
    """

    suffix: str
    packages: tuple[str, ...]
    traced: bool
    write: Callable[[nn.Module, Any, Path], None]
    read: Callable[[Path, nn.Module], Network]
    min_torch: str = "2.6"


def check_formats(names: Sequence[str]) -> None:
    """Raises UserError for unknown formats and those that need another torch or a missing package."""
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise UserError(f"task=export: expected formats among {', '.join(FORMATS)}, got {list(names)}")
    for name in names:
        if torch.__version__ < FORMATS[name].min_torch:
            raise UserError(
                f"task=export: expected torch {FORMATS[name].min_torch} or newer for format {name!r}, "
                f"got {torch.__version__}"
            )
    wanted = {package: name for name in names for package in FORMATS[name].packages}
    missing = [package for package in wanted if find_spec(package) is None]
    if missing:
        raise UserError(
            f"task=export: expected the packages of format {wanted[missing[0]]!r}, got none called "
            f"{', '.join(missing)}. Install them with: pip install -e '.[export]' (or 'tbe-video[export]')"
        )


def trace(network: nn.Module, probes: Sequence[Tensor], dynamic_sizes: Sequence[str]) -> Trace:
    """Traces a network on the first of these clips, for any batch and any of the `dynamic_sizes`.

    Raises UserError for a size that the network fixes, or that can't vary up to the size of the last clip.
    """
    free = {SIZES[size]: size for size in dynamic_sizes}
    dims = {0: Dim("batch", min=1, max=MAX_CLIPS)} | dict.fromkeys(free, Dim.AUTO)
    program = torch.export.export(network, (probes[0],), dynamic_shapes={CLIPS: dims}, strict=False)
    shape = next(node for node in program.graph.nodes if node.name == CLIPS).meta["val"].shape
    fixed = [size for axis, size in free.items() if isinstance(shape[axis], int)]
    reason = f"it fixes {', '.join(fixed)}" if fixed else ""
    if free and not fixed:
        try:
            program.module()(probes[-1])
        except (AssertionError, RuntimeError) as error:  # the message contains the constraint
            reason = str(error)
    if reason:
        raise UserError(
            f"tasks.export.dynamic_sizes: expected sizes that can vary in this network from {tuple(probes[0].shape)} "
            f"to {tuple(probes[-1].shape)}, got {list(dynamic_sizes)}: {reason}"
        )
    return Trace(program, {0: "batch"} | free)


def _write_safetensors(network: nn.Module, traced: Trace | None, file: Path) -> None:
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    file.write_bytes(save(weights, metadata={"format": "pt"}))  # save_file creates files readable only by their owner


def _read_safetensors(file: Path, network: nn.Module) -> Network:
    # Weights are cleared first, so that none missing in the file come from the network it is compared with.
    emptied = copy.deepcopy(network).to_empty(device="cpu")
    emptied.load_state_dict(load_file(file))
    return emptied


def _write_torch_export(network: nn.Module, traced: Trace, file: Path) -> None:
    torch.export.save(traced.program, file)


def _read_torch_export(file: Path, network: nn.Module) -> Network:
    return torch.export.load(file).module()


def _write_onnx(network: nn.Module, traced: Trace, file: Path) -> None:
    for name in ("onnx_ir", "onnxscript"):  # they log every pass over the graph
        logging.getLogger(name).setLevel(logging.WARNING)
    torch.onnx.export(
        traced.program,
        f=file,
        dynamo=True,
        dynamic_shapes={CLIPS: traced.free},  # the names of the axes in the file
        verbose=False,
        input_names=[CLIPS],
        output_names=["logits" if isinstance(network, Classifier) else "features"],
        external_data=False,  # a single file, of at most 2 GB
    )


def _read_onnx(file: Path, network: nn.Module) -> Network:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda clips: torch.from_numpy(session.run(None, {CLIPS: clips.numpy()})[0])


FORMATS = {
    "safetensors": Format("safetensors", ("safetensors",), False, _write_safetensors, _read_safetensors),
    "torch_export": Format("pt2", (), True, _write_torch_export, _read_torch_export),
    # torch 2.6 can't convert batch norm with any onnxscript version that still installs.
    "onnx": Format("onnx", ("onnx", "onnxscript", "onnxruntime"), True, _write_onnx, _read_onnx, min_torch="2.7"),
}
