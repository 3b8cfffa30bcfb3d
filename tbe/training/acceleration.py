"""Speeds up a training step or reduces its memory, without changing its results: the `performance` configs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tbe.backbones.activation_checkpointing import recompute_activations
from tbe.backbones.base import VideoBackbone
from tbe.errors import UserError

PRECISIONS = ("highest", "high", "medium")


def accelerate(
    module: nn.Module,
    device: torch.device,
    channels_last: bool = False,
    compile: bool | str = False,
    checkpoint_activations: bool = False,
    matmul_precision: str = "highest",
) -> None:
    """Prepares, in place, a module for training on a device; its state dict keeps its keys.

    compile: true, or a backend of torch.compile, applied to all backbones, moving averages included. Calls of
    `forward_features` (consistency=temporal_inversion) are not compiled. matmul_precision: of float32 products on a
    GPU; a CPU keeps its own, so that its results stay the same. Raises UserError if torch.compile does not work here.
    """
    if matmul_precision not in PRECISIONS:
        raise UserError(f"matmul_precision: expected one of {', '.join(PRECISIONS)}, got {matmul_precision!r}")
    if compile and checkpoint_activations:
        # When compiled, recomputing a batch norm would read statistics that the next view has already changed.
        raise UserError("compile, checkpoint_activations: expected at most one of them, got both")
    if device.type == "cuda":
        torch.set_float32_matmul_precision(matmul_precision)
    if channels_last:
        module.to(memory_format=torch.channels_last_3d)
    if checkpoint_activations:
        recompute_activations(module)
    if compile:
        backend = compile if isinstance(compile, str) else "inductor"
        check_compiler(backend, device)
        for part in module.modules():
            if isinstance(part, VideoBackbone):
                part.compile(backend=backend)  # in place: a compiled wrapper would rename the weights


def check_compiler(backend: str, device: torch.device) -> None:
    """Raises UserError, with the first line of the reason, if torch.compile does not work on this device."""
    try:
        torch.compile(_probe, backend=backend)(torch.ones(8, device=device))
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"compile: expected that torch.compile works here, got {reason}. It needs a C++ compiler (Debian: g++; the "
            "environment variable CXX chooses another) and on a GPU also Triton. Or set performance.compile=false"
        ) from error


def _probe(numbers: Tensor) -> Tensor:
    return 2 * numbers + 1
