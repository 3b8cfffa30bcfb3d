"""Networks of other projects as functions: each tensor is taken by the name that it has in their files.

The names and the order of the layers are facts of those projects; nothing here is built from ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

# Channels of the Inception blocks (Szegedy et al., CVPR 2015, table 1).
INCEPTION = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}


class Written(dict):
    """A state dict that is written while a network computes: a tensor is drawn when it is first asked for."""

    def __init__(self, seed=0):
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def take(self, name, *shape, low=-1.0, high=1.0):
        if name not in self:
            self[name] = torch.empty(shape).uniform_(low, high, generator=self.generator)
        assert self[name].shape == shape, name
        return self[name]


def conv(state, name, maps, channels, kernel, stride=(1, 1, 1), padding=None, bias=False):
    padding = tuple(size // 2 for size in kernel) if padding is None else padding
    bound = (6 / (maps.shape[1] * kernel[0] * kernel[1] * kernel[2])) ** 0.5
    weight = state.take(f"{name}.weight", channels, maps.shape[1], *kernel, low=-bound, high=bound)
    shift = state.take(f"{name}.bias", channels, low=-0.1, high=0.1) if bias else None
    return F.conv3d(maps, weight, shift, stride, padding)


def norm(state, name, maps, eps=1e-5):
    """With variances so small that another epsilon would be seen."""
    channels = maps.shape[1]
    mean = state.take(f"{name}.running_mean", channels, low=-0.2, high=0.2)
    variance = state.take(f"{name}.running_var", channels, low=0.001, high=0.05)
    scale = state.take(f"{name}.weight", channels, low=0.05, high=0.2)
    shift = state.take(f"{name}.bias", channels, low=-0.1, high=0.2)
    return F.batch_norm(maps, mean, variance, scale, shift, eps=eps)


def same_pool(maps, kernel, stride):
    """Max pooling of even sizes with the extra cell at the end; maps are not negative."""
    total = [size - step for size, step in zip(kernel, stride, strict=True)]
    pads = [pad for size in reversed(total) for pad in (size // 2, size - size // 2)]
    return F.max_pool3d(F.pad(maps, pads), kernel, stride)


def i3d(state, maps, units, mixed, branches, normed, eps):
    def unit(name, maps, channels, kernel=(1, 1, 1), **how):
        maps = conv(state, f"{name}.conv3d", maps, channels, kernel, **how)
        return norm(state, f"{name}.{normed}", maps, eps).relu()

    maps = unit(units[0], F.pad(maps, (2, 3, 2, 3, 2, 3)), 64, (7, 7, 7), stride=(2, 2, 2), padding=0)
    maps = same_pool(maps, (1, 3, 3), (1, 2, 2))
    maps = unit(units[2], unit(units[1], maps, 64), 192, (3, 3, 3))
    maps = same_pool(maps, (1, 3, 3), (1, 2, 2))
    for block, (one, reduce_a, a, reduce_b, b, pooled) in INCEPTION.items():
        if block == "4b":
            maps = same_pool(maps, (3, 3, 3), (2, 2, 2))
        elif block == "5b":
            maps = same_pool(maps, (2, 2, 2), (2, 2, 2))
        names = [f"{mixed}{block}.{branch}" for branch in branches]
        maps = torch.cat(
            [
                unit(names[0], maps, one),
                unit(names[2], unit(names[1], maps, reduce_a), a, (3, 3, 3)),
                unit(names[4], unit(names[3], maps, reduce_b), b, (3, 3, 3)),
                unit(names[5], same_pool(maps, (3, 3, 3), (1, 1, 1)), pooled),
            ],
            dim=1,
        )
    return maps


def s3d(state, maps, stems, blocks, branches, unit_names, separable_names, eps, bias=False):
    def unit(name, maps, channels):
        maps = conv(state, f"{name}.{unit_names[0]}", maps, channels, (1, 1, 1))
        return norm(state, f"{name}.{unit_names[1]}", maps, eps).relu()

    def separable(name, maps, channels, size=3, step=1):
        spatial, spatial_norm, temporal, temporal_norm = (f"{name}.{part}" for part in separable_names)
        maps = conv(state, spatial, maps, channels, (1, size, size), stride=(1, step, step), bias=bias)
        maps = norm(state, spatial_norm, maps, eps).relu()
        maps = conv(state, temporal, maps, channels, (size, 1, 1), stride=(step, 1, 1), bias=bias)
        return norm(state, temporal_norm, maps, eps).relu()

    maps = F.max_pool3d(separable(stems[0], maps, 64, 7, 2), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    maps = separable(stems[2], unit(stems[1], maps, 64), 192)
    maps = F.max_pool3d(maps, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for (block, (one, reduce_a, a, reduce_b, b, pooled)), name in zip(INCEPTION.items(), blocks, strict=True):
        if block == "4b":
            maps = F.max_pool3d(maps, 3, 2, 1)
        elif block == "5b":
            maps = F.max_pool3d(maps, 2, 2)
        names = [f"{name}.{branch}" for branch in branches]
        maps = torch.cat(
            [
                unit(names[0], maps, one),
                separable(names[2], unit(names[1], maps, reduce_a), a),
                separable(names[4], unit(names[3], maps, reduce_b), b),
                unit(names[5], F.max_pool3d(maps, 3, 1, 1), pooled),
            ],
            dim=1,
        )
    return maps


def hara(state, maps, layers, widths=(64, 128, 256, 512), bottleneck=False, shortcuts=True):
    """3D-ResNets-PyTorch, shortcut type B (or, without `shortcuts`, the names of type A)."""
    maps = norm(state, "bn1", conv(state, "conv1", maps, widths[0], (7, 7, 7), stride=(1, 2, 2))).relu()
    maps = F.max_pool3d(maps, 3, 2, 1)
    kernels = [(1, 1, 1), (3, 3, 3), (1, 1, 1)] if bottleneck else [(3, 3, 3), (3, 3, 3)]
    for stage, (count, width) in enumerate(zip(layers, widths, strict=True)):
        for block in range(count):
            name = f"layer{stage + 1}.{block}"
            stride = (2, 2, 2) if stage and not block else (1, 1, 1)
            channels = [width] * (len(kernels) - 1) + [width * (4 if bottleneck else 1)]
            inner = maps
            for number, (kernel, out) in enumerate(zip(kernels, channels, strict=True), start=1):
                step = stride if number == len(kernels) - 1 else (1, 1, 1)
                inner = conv(state, f"{name}.conv{number}", inner, out, kernel, stride=step)
                inner = norm(state, f"{name}.bn{number}", inner)
                inner = inner.relu() if number < len(kernels) else inner
            if stride != (1, 1, 1) or maps.shape[1] != channels[-1]:
                if shortcuts:
                    maps = conv(state, f"{name}.downsample.0", maps, channels[-1], (1, 1, 1), stride=stride)
                    maps = norm(state, f"{name}.downsample.1", maps)
                else:
                    maps = F.avg_pool3d(maps, 1, stride)
                    maps = F.pad(maps, (0, 0, 0, 0, 0, 0, 0, channels[-1] - maps.shape[1]))
            maps = (inner + maps).relu()
    return maps


def r2plus1d(state, maps, layers):
    """R(2+1)D of video-clip-order-prediction: everything is split, with as many weights as unsplit."""

    def split(name, maps, channels, kernel, stride=(1, 1, 1)):
        (time, height, width), inputs = kernel, maps.shape[1]
        middle = time * height * width * inputs * channels // (height * width * inputs + time * channels)
        maps = conv(state, f"{name}.spatial_conv", maps, middle, (1, height, width), stride=(1, *stride[1:]))
        maps = norm(state, f"{name}.bn", maps).relu()
        return conv(state, f"{name}.temporal_conv", maps, channels, (time, 1, 1), stride=(stride[0], 1, 1))

    maps = norm(state, "bn1", split("conv1", maps, 64, (3, 7, 7), (1, 2, 2))).relu()
    for stage, count in enumerate(layers):
        channels = 64 * 2**stage
        for block in range(count):
            name = f"conv{stage + 2}." + (f"blocks.{block - 1}" if block else "block1")
            stride = (2, 2, 2) if stage and not block else (1, 1, 1)
            inner = norm(state, f"{name}.bn1", split(f"{name}.conv1", maps, channels, (3, 3, 3), stride)).relu()
            inner = norm(state, f"{name}.bn2", split(f"{name}.conv2", inner, channels, (3, 3, 3)))
            if stage and not block:
                maps = split(f"{name}.downsampleconv", maps, channels, (1, 1, 1), stride)
                maps = norm(state, f"{name}.downsamplebn", maps)
            maps = (inner + maps).relu()
    return maps


def c3d(state, maps, normed=True, names="conv{}", numbers=("1", "2", "3a", "3b", "4a", "4b", "5a", "5b")):
    """The convolutions of C3D, up to conv5b."""
    pools = {numbers[1]: (1, 2, 2), numbers[2]: 2, numbers[4]: 2, numbers[6]: 2}
    for number, channels in zip(numbers, (64, 128, 256, 256, 512, 512, 512, 512), strict=True):
        maps = F.max_pool3d(maps, pools[number]) if number in pools else maps
        maps = conv(state, names.format(number), maps, channels, (3, 3, 3), bias=True)
        maps = norm(state, f"bn{number}", maps).relu() if normed else maps.relu()
    return maps
