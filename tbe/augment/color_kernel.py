"""The Triton kernel of `fused_color`: each program reads one frame once or twice and writes it once."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def change_frames(
    pictures,
    plan,
    early,  # a plan
    mean,
    std,
    result,
    num_frames,
    of_clip,  # strides of pictures
    of_channel,
    of_frame,
    of_row,
    of_column,
    size: tl.constexpr,
    plan_length: tl.constexpr,
    has_contrast: tl.constexpr,
    block: tl.constexpr,
):
    """Writes frame `program_id` of pictures (B, 3, T, size, size), changed by its clip's row of the plan, to result."""
    pixels: tl.constexpr = size * size
    clip = (tl.program_id(0) // num_frames).to(tl.int64)
    frame = (tl.program_id(0) % num_frames).to(tl.int64)
    source = pictures + clip * of_clip + frame * of_frame
    target = result + (clip * 3 * num_frames + frame) * pixels
    mean_gray = 0.0
    if has_contrast:
        total = tl.full([block], 0.0, tl.float32)
        for start in range(0, pixels, block):
            index = start + tl.arange(0, block)
            place = source + (index // size) * of_row + (index % size) * of_column
            red, green, blue = load_(place, of_channel, index < pixels)
            red, green, blue = changed(red, green, blue, early + clip * plan_length, 0.0)
            total += tl.where(index < pixels, gray(red, green, blue), 0.0)
        mean_gray = tl.reduce(total, 0, added) / pixels
    for start in range(0, pixels, block):
        index = start + tl.arange(0, block)
        inside = index < pixels
        place = source + (index // size) * of_row + (index % size) * of_column
        red, green, blue = load_(place, of_channel, inside)
        red, green, blue = changed(red, green, blue, plan + clip * plan_length, mean_gray)
        step = num_frames * pixels
        tl.store(target + index, (red - tl.load(mean)) / tl.load(std), mask=inside)
        tl.store(target + step + index, (green - tl.load(mean + 1)) / tl.load(std + 1), mask=inside)
        tl.store(target + 2 * step + index, (blue - tl.load(mean + 2)) / tl.load(std + 2), mask=inside)


@triton.jit
def added(one, other):
    return one + other


@triton.jit
def load_(place, of_channel, inside):
    red = tl.load(place, mask=inside, other=0.0).to(tl.float32)
    green = tl.load(place + of_channel, mask=inside, other=0.0).to(tl.float32)
    blue = tl.load(place + 2 * of_channel, mask=inside, other=0.0).to(tl.float32)
    return red, green, blue


@triton.jit
def changed(red, green, blue, plan, mean_gray):
    """Applies a row of a plan: three slots, the hue shift, four slots."""
    for slot in tl.static_range(7):
        if slot == 3:
            red, green, blue = turned(red, green, blue, tl.load(plan))
        scale = tl.load(plan + 1 + 3 * slot)
        rest = tl.load(plan + 2 + 3 * slot) * gray(red, green, blue) + tl.load(plan + 3 + 3 * slot) * mean_gray
        red = tl.minimum(tl.maximum(scale * red + rest, 0.0), 1.0)
        green = tl.minimum(tl.maximum(scale * green + rest, 0.0), 1.0)
        blue = tl.minimum(tl.maximum(scale * blue + rest, 0.0), 1.0)
    return red, green, blue


@triton.jit
def turned(red, green, blue, shift):
    """Shifts the hue, as `color_jitter.adjust_hue_` does."""
    value = tl.maximum(tl.maximum(red, green), blue)
    chroma = value - tl.minimum(tl.minimum(red, green), blue)
    others = tl.where(green == value, blue - red + 2.0 * chroma, red - green + 4.0 * chroma)
    hue = tl.where(red == value, green - blue, others) / tl.maximum(chroma, 1e-8) + 6.0 * shift
    hue = hue - 6.0 * tl.floor(hue / 6.0)
    return channel(value, chroma, hue, 3.0), channel(value, chroma, hue, 5.0), channel(value, chroma, hue, 1.0)


@triton.jit
def channel(value, chroma, hue, opposite):
    lowness = tl.minimum(tl.maximum(tl.abs(tl.abs(hue - opposite) - 3.0), 1.0), 2.0)
    return value + chroma - chroma * lowness


@triton.jit
def gray(red, green, blue):
    return 0.2989 * red + 0.587 * green + 0.114 * blue
