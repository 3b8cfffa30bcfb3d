"""A GPU that computes nothing, to find where the host would wait for one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# CUDA compiles these for integers at their first use, which fails where its library NVRTC is missing.
COMPILED_AT_FIRST_USE = (aten.prod, aten.gcd, aten.lcm)


class _WithoutADevice(FakeTensorMode):
    """Touches no GPU, whether the machine has one or not: torch would initialise one that it sees."""

    avoid_device_init = True


class PretendedGPU(TorchDispatchMode):
    """Within it the device 'cuda' exists. What reads its numbers on the host, or copies to or from it, is an error,
    and what CUDA compiles at its first use.

    Tensors on the CPU are real, and may be read. `settled`: False as long as copies to the device are allowed, for
    what is set up once.
    """

    def __init__(self) -> None:
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
        if self.settled:
            self._check(function, args, to, tensors)
        return function(*args, **kwargs)

    def _check(self, function, args, to, tensors: list[Tensor]) -> None:
        on_host = [tensor for tensor in tensors if not isinstance(tensor, FakeTensor) and tensor.dim()]
        if function.overloadpacket in COMPILED_AT_FIRST_USE:
            raise RuntimeError(f"{function} needs NVRTC")
        leaves = to is not None and torch.device(to).type == "cpu"
        if on_host or leaves:
            raise RuntimeError(f"the host waits: {function} copies {'from' if leaves else 'to'} the device")
        if function is aten.index_put_.default:
            masks = [index for index in args[1] if index is not None and index.dtype == torch.bool]
            if masks and args[2].numel() > 1:
                raise RuntimeError(f"the host waits: {function} counts what a mask chooses")
