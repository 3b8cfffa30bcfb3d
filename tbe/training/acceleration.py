"""Speeds up a training step or reduces its memory, without changing its results: the `performance` configs."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from tbe.backbones.activation_checkpointing import recompute_activations
from tbe.backbones.base import VideoBackbone
from tbe.errors import UserError

PRECISIONS = ("highest", "high", "medium")
# Versions between which 3D convolutions in bfloat16 leave cuDNN unless in channels_last, and float32 leaves TF32.
SLOW_TORCH = ((2, 9), (2, 10))
SLOW_CUDNN = (91000, 91500)
HALF = ("bf16-true", "16-true")  # precisions in which weights themselves are of half precision

log = logging.getLogger(__name__)


def accelerate(
    module: nn.Module,
    device: torch.device,
    channels_last: bool | None = False,
    compile: bool | str = False,
    checkpoint_activations: bool = False,
    matmul_precision: str = "highest",
    precision: str = "32-true",
) -> None:
    """Prepares, in place, a module for training on a device; its state dict keeps its keys.

    channels_last: the memory format of 3D convolutions, None for that on a GPU alone. compile: true, or a backend of
    torch.compile, applied to all backbones, moving averages included. Calls of `forward_features`
    (consistency=temporal_inversion) are not compiled. matmul_precision: of float32 products on a GPU; a CPU keeps its
    own, so that its results stay the same. precision: the Trainer's, of which `check_convolutions` warns where it is
    slow. Raises UserError if torch.compile does not work here, or the precision, and for weights of half precision.
    """
    if precision in HALF:
        raise UserError(
            f"precision: expected 32-true, bf16-mixed or 16-mixed, got {precision}: weights of half precision are too "
            "coarse for the small steps of moving averages (MoCo's keys, BYOL, V-JEPA), which would stand still"
        )
    if matmul_precision not in PRECISIONS:
        raise UserError(f"matmul_precision: expected one of {', '.join(PRECISIONS)}, got {matmul_precision!r}")
    if compile and checkpoint_activations:
        # When compiled, recomputing a batch norm would read statistics that the next view has already changed.
        raise UserError("compile, checkpoint_activations: expected at most one of them, got both")
    if device.type == "cuda":
        torch.set_float32_matmul_precision(matmul_precision)
    is_channels_last = lays_out_channels_last(channels_last, device)
    check_convolutions(device, precision, is_channels_last)
    if is_channels_last:
        module.to(memory_format=torch.channels_last_3d)
    if checkpoint_activations:
        recompute_activations(module)
    if compile:
        backend = compile if isinstance(compile, str) else "inductor"
        check_compiler(backend, device)
        for part in module.modules():
            if isinstance(part, VideoBackbone):
                part.compile(backend=backend)  # in place: a compiled wrapper would rename the weights


def lays_out_channels_last(setting: bool | None, device: torch.device) -> bool:
    """Returns whether 3D convolutions get that memory format; None: on GPUs."""
    return device.type == "cuda" if setting is None else setting


def check_convolutions(device: torch.device, precision: str, channels_last: bool) -> None:
    """Warns of versions, and raises UserError for a CPU, whose 3D convolutions are slow or wrong in this precision."""
    if device.type == "cuda":
        _warn_of_versions(precision, channels_last)
    elif device.type == "cpu" and precision == "bf16-mixed":
        if not gradients_are_finite(device):
            raise UserError(
                f"precision={precision}: expected finite gradients of a 3D convolution on this CPU, got nan or inf: "
                "its kernels for bfloat16 are wrong. Set precision=32-true"
            )
        log.warning(
            "precision=bf16-mixed on a CPU: on some, gradients of the weights of convolutions become nan in sizes that "
            "the trial at the start does not have. Set precision=32-true if the run stops at a loss that is not finite"
        )


def _warn_of_versions(precision: str, channels_last: bool) -> None:
    torch_version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    cudnn = torch.backends.cudnn.version() or 0
    is_bf16 = precision.startswith("bf16")
    is_affected = torch_version in SLOW_TORCH and SLOW_CUDNN[0] <= cudnn < SLOW_CUDNN[1]
    if not is_affected or (is_bf16 and channels_last):
        return
    what = "bfloat16 are slow or wrong but in channels_last" if is_bf16 else "float32 do not use TF32, which is slow"
    log.warning(
        "torch %s with cuDNN %d: 3D convolutions in %s. Set precision=bf16-mixed performance.channels_last=true, or "
        "install cuDNN 9.15 or newer or another torch",
        torch.__version__,
        cudnn,
        what,
    )


def gradients_are_finite(device: torch.device) -> bool:
    """Tries two 3D convolutions in bfloat16, of few channels and of many, in both memory formats."""
    draws = torch.Generator().manual_seed(0)  # not the run's
    for channels in (3, 64):
        for layout in (torch.contiguous_format, torch.channels_last_3d):
            clips = torch.randn(2, channels, 4, 14, 14, generator=draws).to(device, memory_format=layout)
            kernel = torch.randn(64, channels, 3, 3, 3, generator=draws).to(device, memory_format=layout)
            kernel.requires_grad_()
            with torch.autocast(device.type, torch.bfloat16):
                values = torch.nn.functional.conv3d(clips, kernel, padding=1)
            (gradient,) = torch.autograd.grad(values.float().square().mean(), kernel)
            if not gradient.isfinite().all():
                return False
    return True


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
