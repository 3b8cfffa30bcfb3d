"""Communication between training processes. With a single process each function returns its input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor


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


def shuffle(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Shuffles a batch (B, ...) over all processes; returns this process's share and the permutation to undo it.

    Shuffled batch norm of MoCo (He et al., CVPR 2020, section 3.3): batch statistics of the keys then carry no
    information about the queries. Undo with `unshuffle`.
    """
    order = torch.randperm(len(tensor) * world_size(), device=tensor.device)
    if world_size() > 1:
        dist.broadcast(order, src=0)
        return _exchange(tensor, order), order.argsort()
    return tensor[order], order.argsort()


def unshuffle(tensor: Tensor, restore: Tensor) -> Tensor:
    """Inverts `shuffle` on a tensor computed from the shuffled batch."""
    return gather(tensor)[_share(restore)]


def _exchange(tensor: Tensor, order: Tensor) -> Tensor:
    """Returns `gather(tensor)[_share(order)]`, but sends each process only its share: clips are large."""
    size, processes = len(tensor), torch.arange(world_size(), device=tensor.device).unsqueeze(1)
    senders = order // size
    sent = senders.argsort(stable=True).view(-1, size)[rank()]  # the positions that receive a clip of this process
    sources = _share(senders)
    # The host needs the counts: the only wait for the device in a step, and only with several processes.
    received = (sources == processes).sum(1)
    output_sizes, input_sizes = torch.stack([received, (sent // size == processes).sum(1)]).tolist()
    arrived = torch.empty_like(tensor, memory_format=torch.contiguous_format)
    leaving = tensor[order[sent] - rank() * size].contiguous()  # an index keeps the layout of the clips
    dist.all_to_all_single(arrived, leaving, output_sizes, input_sizes)
    return arrived[sources.argsort(stable=True).argsort()]  # they arrive ordered by sender


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
