"""Communication between training processes. With a single process each function returns its input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

_common: torch.Generator | None = None  # in the same state on all processes


def world_size() -> int:
    """Returns the number of training processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Returns the index of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def gather(tensor: Tensor) -> Tensor:
    """Concatenates tensors (B, ...) of equal shape from all processes in rank order, without gradient."""
    if world_size() == 1:
        return tensor
    tensor = tensor.contiguous()  # in another layout, so would be what receives, and NCCL refuses it
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor)
    return torch.cat(parts)


def gather_uneven(tensor: Tensor) -> Tensor:
    """Concatenates like `gather`, for tensors whose first axis may differ between processes."""
    if world_size() == 1:
        return tensor
    count = torch.tensor([len(tensor)], device=tensor.device)
    counts = gather(count).tolist()
    if not any(counts):
        return tensor
    padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = gather(padded).split(max(counts))
    return torch.cat([part[:size] for part, size in zip(parts, counts, strict=True)])


def first_of_each(index: Tensor) -> Tensor:
    """Returns the first position of each distinct number in `index` (n,), in ascending order of the numbers: (m,).

    Sorts gathered rows by video and drops repeats of videos that several processes saw, as happens with fewer videos
    than processes.
    """
    order = index.argsort(stable=True)
    ordered = index[order]
    return order[torch.cat([torch.ones_like(ordered[:1], dtype=torch.bool), ordered[1:] != ordered[:-1]])]


def gather_with_gradient(tensor: Tensor) -> Tensor:
    """Concatenates like `gather`; the gradients from all processes are summed into this tensor."""
    return tensor if world_size() == 1 else _GatherWithGradient.apply(tensor)


def previous_in_global_batch(tensor: Tensor) -> Tensor:
    """Returns for each row (B, ...) the previous one in the global batch, for the first the last; with gradient."""
    return gather_with_gradient(tensor).roll(1, dims=0)[rank() * len(tensor) :][: len(tensor)]


class _GatherWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(context, tensor: Tensor) -> Tensor:
        return gather(tensor)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


def seed_common(seed: int) -> None:
    """Seeds what all processes draw alike, the order of `shuffle`: to be called with one number on all of them."""
    global _common
    _common = torch.Generator().manual_seed(seed)


def shuffle(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Shuffles a batch (B, ...) over all processes; returns this process's share and the permutation to undo it.

    Shuffled batch norm of MoCo (He et al., CVPR 2020, section 3.3): batch statistics of the keys then carry no
    information about the queries. Undo with `unshuffle`. Several processes draw the order from the seed that they
    share (`seed_common`), on the CPU, where the host needs it; without one the first process draws and sends it, for
    which the host waits.
    """
    if world_size() == 1:
        order = torch.randperm(len(tensor), device=tensor.device)
        return tensor[order], order.argsort()
    order = _common_order(len(tensor) * world_size(), tensor.device)
    return _exchange(tensor, order), _moved(order.argsort(), tensor.device)


def unshuffle(tensor: Tensor, restore: Tensor) -> Tensor:
    """Inverts `shuffle` on a tensor computed from the shuffled batch."""
    return gather(tensor)[_share(restore)]


def _common_order(number: int, device: torch.device) -> Tensor:
    """Returns a permutation (number,) on the CPU, the same on all processes."""
    if _common is not None:
        return torch.randperm(number, generator=_common)
    order = torch.randperm(number, device=device)
    dist.broadcast(order, src=0)
    return order.cpu()


def _exchange(tensor: Tensor, order: Tensor) -> Tensor:
    """Returns `gather(tensor)[_share(order)]`, but sends each process only its share: clips are large."""
    size = len(tensor)
    senders = order // size
    sent = senders.argsort(stable=True).view(-1, size)[rank()]  # the positions that receive a clip of this process
    sources = _share(senders)
    received, given = (of.bincount(minlength=world_size()).tolist() for of in (sources, sent // size))
    leaving = tensor[_moved(order[sent] - rank() * size, tensor.device)].contiguous()  # an index keeps clips' layout
    arrived = torch.empty_like(tensor, memory_format=torch.contiguous_format)
    dist.all_to_all_single(arrived, leaving, received, given)
    # They arrive ordered by sender.
    return arrived[_moved(sources.argsort(stable=True).argsort(), tensor.device)]


def _moved(index: Tensor, device: torch.device) -> Tensor:
    """Moves numbers from the CPU to a device, without making the host wait for it."""
    return (index.pin_memory() if device.type == "cuda" else index).to(device, non_blocking=True)


def all_reduce_mean_(tensors: Sequence[Tensor]) -> None:
    """Replaces float tensors, in place, by their mean over all processes."""
    if world_size() > 1 and tensors:
        joined = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(joined)
        means = (joined / world_size()).split([tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view_as(tensor))


def broadcast_from_rank0(tensors: Iterable[Tensor]) -> None:
    """Replaces tensors, in place, by their values on the first process."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def _share(order: Tensor) -> Tensor:
    size = len(order) // world_size()
    return order[rank() * size : (rank() + 1) * size]
