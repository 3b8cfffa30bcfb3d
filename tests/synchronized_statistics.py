"""Batch norm over several processes on the CPU, where torch.nn.SyncBatchNorm refuses to run."""

import torch
import torch.distributed as dist
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel


def synchronized(norm, values):
    """What torch.nn.SyncBatchNorm.forward(norm, values) computes, from sums that all processes add up.

    values (B, C, ...), as many on each process or not. Gradients flow through the sums to the values of all processes.
    """
    if not norm.training:
        return torch.nn.functional.batch_norm(
            values, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )
    axes = [0, *range(2, values.dim())]
    count = values.new_tensor([values.numel() / values.shape[1]])
    count, total = all_reduce(torch.cat([count, values.sum(axes)])).split([1, values.shape[1]])
    mean = (total / count).view(1, -1, *[1] * (values.dim() - 2))
    # In a second pass: the difference of large sums of squares would cost half of float32's digits.
    variance = all_reduce((values - mean).square().sum(axes)) / count
    if norm.track_running_stats:
        with torch.no_grad():
            norm.num_batches_tracked += 1
            norm.running_mean.lerp_(mean.flatten(), norm.momentum)
            norm.running_var.lerp_(variance * count / (count - 1), norm.momentum)
    normal = (values - mean) / (variance + norm.eps).sqrt().view_as(mean)
    return normal * norm.weight.view_as(mean) + norm.bias.view_as(mean)


def synchronize_on_the_cpu():
    """Gives torch.nn.SyncBatchNorm, in this process, a forward pass that a CPU can take, and DDP that for granted."""
    if dist.get_backend() != "gloo":
        raise ValueError(f"expected processes over gloo, got {dist.get_backend()}")
    torch.nn.SyncBatchNorm.forward = synchronized
    DistributedDataParallel._passing_sync_batchnorm_handle = lambda self, module: None  # it asks for a GPU
