"""A GPU that computes nothing, to find where the host would wait for one."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# These change tensors in place, and torch has them for real devices alone.
WITHOUT_SHAPES = (aten._fused_sgd_, aten._fused_adamw_)
# CUDA compiles these for integers at their first use, which fails where its library NVRTC is missing.
COMPILED_AT_FIRST_USE = (aten.prod, aten.gcd, aten.lcm)


class _WithoutADevice(FakeTensorMode):
    """Touches no GPU, whether the machine has one or not: torch would initialise one that it sees."""

    avoid_device_init = True


class PretendedGPU(TorchDispatchMode):
    """Within it the device 'cuda' exists. What reads its numbers on the host, or copies to or from it, is an error,
    and what CUDA compiles at its first use.

    Tensors on the CPU are real, and may be read. Copies that are not waited for (non_blocking) are allowed. `settled`:
    False as long as other copies and reading are allowed too, for what is set up once; any number is read as 1.
    """

    def __init__(self) -> None:
        if torch.__version__ < "2.7":
            pytest.skip(f"torch {torch.__version__} looks for a driver where tensors of a pretended GPU are drawn")
        super().__init__()
        # It knows shapes alone, so that what depends on numbers (.item(), a boolean mask as index) fails in it.
        self.device = _WithoutADevice(allow_non_fake_inputs=True)
        self.device.avoid_device_init = True  # older versions of torch set it when they make one
        self.settled = False

    def __enter__(self) -> PretendedGPU:
        self.device.__enter__()  # below this one: with it torch does not look for a real GPU
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.device.__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        to = kwargs.get("device")
        is_for_device = to is not None and torch.device(to).type == "cuda"
        if not is_for_device and not any(isinstance(tensor, FakeTensor) for tensor in tensors):
            with unset_fake_temporarily():
                return function(*args, **kwargs)
        if self.settled and not kwargs.get("non_blocking"):
            self._check(function, args, to, tensors)
        if function is aten._local_scalar_dense.default and (not self.settled or args[0].device.type == "cpu"):
            return 1.0 if args[0].is_floating_point() else 1
        if function is aten.any.default and not self.settled:  # torch draws weights again as long as any is too far off
            with unset_fake_temporarily():
                return torch.tensor(False)
        return None if function.overloadpacket in WITHOUT_SHAPES else function(*args, **kwargs)

    def _check(self, function, args, to, tensors: list[Tensor]) -> None:
        on_host = [tensor for tensor in tensors if not isinstance(tensor, FakeTensor) and tensor.dim()]
        if function.overloadpacket in COMPILED_AT_FIRST_USE:
            raise RuntimeError(f"{function} needs NVRTC")
        if function is aten._local_scalar_dense.default and args[0].device.type == "cuda":
            raise RuntimeError(f"the host waits: {function} reads a number")
        leaves = to is not None and torch.device(to).type == "cpu"
        if on_host or leaves:
            raise RuntimeError(f"the host waits: {function} copies {'from' if leaves else 'to'} the device")
        if function is aten.index_put_.default:
            masks = [index for index in args[1] if index is not None and index.dtype == torch.bool]
            if masks and args[2].numel() > 1:
                raise RuntimeError(f"the host waits: {function} counts what a mask chooses")


class Event:
    """An event on a device that has done all it was asked to."""

    def record(self) -> None: ...

    def query(self) -> bool:
        return True

    def synchronize(self) -> None: ...


class _Accelerator(CPUAccelerator):
    def setup_device(self, device: torch.device) -> None: ...


class _OnThePretendedGPU(SingleDeviceStrategy):
    """A module whose tensors are made there needs no moving; a backward pass does not run, gradients are zeros."""

    def __init__(self) -> None:
        super().__init__(torch.device("cuda", 0), accelerator=_Accelerator())

    def model_to_device(self) -> None:
        self.model._device = self.root_device

    def backward(self, loss: Tensor, optimizer: Any, *args: Any, **kwargs: Any) -> Tensor:
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)
        return loss

    def teardown(self) -> None: ...


class Settled(pl.Callback):
    """Lets a pretended GPU be waited for in the first batches of an epoch and after its last one, and not between."""

    def __init__(self, gpu: PretendedGPU, first: int = 2):
        self.gpu, self.first, self.num_batches = gpu, first, 0

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.gpu.settled = self.first <= batch_idx + 1 < trainer.num_training_batches
        self.num_batches += self.gpu.settled

    def on_exception(self, *error: Any) -> None:
        self.gpu.settled = False  # what ends may wait


def fitted(trainer: pl.Trainer, module: pl.LightningModule, datamodule: Any) -> None:
    """Trains a module made on the pretended GPU in Lightning's own loop, with a trainer of `pretended()`'s settings."""
    with patch.object(torch.cuda, "Event", Event):
        trainer.fit(module, datamodule)


def pretended() -> dict[str, Any]:
    """What a config of a trainer needs in place of its own to train on the pretended GPU."""
    # What has no numbers cannot be saved.
    return {"accelerator": "auto", "strategy": _OnThePretendedGPU(), "enable_checkpointing": False}
