"""ClipAugment against torchvision v2 transforms called clip by clip: `python -m benchmarks.speed.augment`.

Both do random resized crop, flip, color jitter, gray, blur and normalisation, of the strengths of
configs/augment/modern.yaml. A ratio is torchvision's time over ours, so above 1 ours is faster. On a GPU one kernel
changes the colors; what it gives is compared with what changes one after the other give.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.common import harness
from benchmarks.common.harness import Finding, compare, in_turn
from tbe.augment import ClipAugment, ColorJitter, RandomResizedCrop
from tbe.augment.clip_augment import KINETICS_MEAN, KINETICS_STD

SOURCES = {112: (128, 171), 224: (256, 340)}
BARS = {224: ">= 5"}  # against v2 on floats
BLUR = 0.5


def measure(
    device: str, quick: bool = False, batch: int = 8, num_frames: int = 16, rounds: int = 9, blur: float = BLUR
) -> list[Finding]:
    """Batches of raw clips of two sizes; quick: one of two clips of two frames, once."""
    if quick:
        return against_torchvision(112, 2, 2, 1, blur, device)
    return [found for size in SOURCES for found in against_torchvision(size, batch, num_frames, rounds, blur, device)]


def against_torchvision(size: int, batch: int, num_frames: int, rounds: int, blur: float, device: str) -> list[Finding]:
    height, width = SOURCES[size]
    frames = torch.randint(0, 256, (batch, num_frames, height, width, 3), dtype=torch.uint8, device=device)
    clips = frames.permute(0, 1, 4, 2, 3)  # the layout of decoders
    sizes = torch.tensor([[height, width]], device=device).repeat(batch, 1)
    augments = {"ours": ours(size, blur, fused=True), "v2 float": clip_by_clip(size, blur, as_float=True)}
    if device == "cpu":  # antialiased resizing of uint8 is supported on the CPU only
        augments["v2 uint8"] = clip_by_clip(size, blur, as_float=False)
    ways = {name: (lambda augment=augment: augment(clips, sizes)) for name, augment in augments.items()}
    times = in_turn(ways, rounds)
    setting = f"{batch} clips of {num_frames} frames, {height}x{width} to {size}, blur {blur}"
    bars = {"v2 float": BARS.get(size)}
    found = [compare(times, name, "ours", setting, bars.get(name)) for name in augments if name != "ours"]
    return found + ([levels_apart(size, blur, clips, sizes, setting)] if device == "cuda" else [])


def levels_apart(size: int, blur: float, clips: Tensor, sizes: Tensor, setting: str) -> Finding:
    """Returns the largest difference, in levels of 256, between the fused kernel and separate changes."""
    results = []
    for fused in (True, False):
        torch.manual_seed(0)
        results.append(ours(size, blur, fused)(clips, sizes))
    apart = 255 * max(KINETICS_STD) * (results[0] - results[1]).abs().max().item()
    return Finding("one kernel / one by one, levels apart", setting, apart, apart, apart, "<= 1")


def ours(size: int, blur: float, fused: bool = False) -> ClipAugment:
    color = ColorJitter(0.4, 0.4, 0.4, 0.1, prob=0.8)
    return ClipAugment(size, RandomResizedCrop((0.2, 1.0)), color=color, gray=0.2, blur=blur, fused=fused)


def clip_by_clip(size: int, blur: float, as_float: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """Applies torchvision to each clip; `as_float` converts to float first, otherwise last."""
    to_float = v2.ToDtype(torch.float32, scale=True)
    transforms = [
        v2.RandomResizedCrop(size, scale=(0.2, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        v2.RandomGrayscale(0.2),
        v2.RandomApply([v2.GaussianBlur(size // 10 | 1, (0.1, 2.0))], p=blur),  # a kernel of 10 %, as in SimCLR
    ]
    transforms = [to_float, *transforms] if as_float else [*transforms, to_float]
    transform = v2.Compose([*transforms, v2.Normalize(KINETICS_MEAN, KINETICS_STD)])

    def apply(clips: Tensor, sizes: Tensor) -> Tensor:
        pairs = zip(clips, sizes.tolist(), strict=True)
        return torch.stack([transform(clip[..., :height, :width]).transpose(0, 1) for clip, (height, width) in pairs])

    return apply


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--blur", type=float, default=BLUR, help="probability; the slowest part of v2")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    found = measure(options.device, False, options.batch, options.frames, options.repeats, options.blur)
    print(harness.machine(options.device))
    print(harness.page(found))


if __name__ == "__main__":
    main()
