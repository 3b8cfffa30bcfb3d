"""What crosses processes. With one process each function returns its input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def gather(tensor: Tensor) -> Tensor:
    """Tensors (B, ...) of equal shape on all processes, joined in the order of ranks, without gradient."""
    if world_size() == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def gather_uneven(tensor: Tensor) -> Tensor:
    """Like `gather`, for tensors whose first axis may differ from process to process."""
    if world_size() == 1:
        return tensor
    count = torch.tensor([len(tensor)], device=tensor.device)
    counts = gather(count).tolist()
    padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = gather(padded).split(max(counts))
    return torch.cat([part[:size] for part, size in zip(parts, counts, strict=True)])


def first_of_each(index: Tensor) -> Tensor:
    """Where each number in `index` (n,) stands first, in the order of the numbers: (m,).

    Rows that were gathered come into order, those of a video that several processes saw once: where there are fewer
    videos than processes.
    """
    order = index.argsort(stable=True)
    ordered = index[order]
    return order[torch.cat([torch.ones_like(ordered[:1], dtype=torch.bool), ordered[1:] != ordered[:-1]])]


def gather_with_gradient(tensor: Tensor) -> Tensor:
    """Like `gather`, but gradients of what other processes make of this tensor come back to it, summed."""
    return tensor if world_size() == 1 else _GatherWithGradient.apply(tensor)


def previous_in_global_batch(tensor: Tensor) -> Tensor:
    """For each row (B, ...) the one before it in the batch of all processes, for the first the last; with gradient."""
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


def shuffle(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Mixes a batch (B, ...) over all processes; returns this process's share and how to restore it.

    Shuffled batch norm of MoCo (He et al., CVPR 2020, section 3.3): statistics of the keys' batch then
    say nothing about the queries'. Undo with `unshuffle`.
    """
    order = torch.randperm(len(tensor) * world_size(), device=tensor.device)
    if world_size() > 1:
        dist.broadcast(order, src=0)
        return _exchange(tensor, order), order.argsort()
    return tensor[order], order.argsort()


def unshuffle(tensor: Tensor, restore: Tensor) -> Tensor:
    """The inverse of `shuffle` for what was computed from the mixed batch."""
    return gather(tensor)[_share(restore)]


def _exchange(tensor: Tensor, order: Tensor) -> Tensor:
    """`gather(tensor)[_share(order)]`, but each process gets no more than its share: clips are large."""
    size, processes = len(tensor), torch.arange(world_size(), device=tensor.device).unsqueeze(1)
    senders = order // size
    sent = senders.argsort(stable=True).view(-1, size)[rank()]  # the places to which a clip of this process goes
    taken = _share(senders)
    # The host must know how many go where: the one wait for the device in a step, and only of several processes.
    output_sizes, input_sizes = torch.stack([(taken == processes).sum(1), (sent // size == processes).sum(1)]).tolist()
    arrived = torch.empty_like(tensor, memory_format=torch.contiguous_format)
    dist.all_to_all_single(arrived, tensor[order[sent] - rank() * size], output_sizes, input_sizes)
    return arrived[taken.argsort(stable=True).argsort()]  # they arrive by sender


def all_reduce_mean_(tensors: Sequence[Tensor]) -> None:
    """Gives float tensors, in place, the mean of their values on all processes."""
    if world_size() > 1 and tensors:
        joined = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(joined)
        means = (joined / world_size()).split([tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view_as(tensor))


def broadcast_from_rank0(tensors: Iterable[Tensor]) -> None:
    """Gives tensors, in place, the values that they have on the first process."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def _share(order: Tensor) -> Tensor:
    size = len(order) // world_size()
    return order[rank() * size : (rank() + 1) * size]
