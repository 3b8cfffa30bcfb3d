"""Augments a batch of clips: crop, flip, blur, rotation, color, normalization."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tbe.augment.color_jitter import Change, ColorJitter, adjust_saturation_, change_
from tbe.augment.crops import Crop
from tbe.augment.fused_color import change_and_normalize
from tbe.augment.rand_augment import RandAugment
from tbe.augment.resample import matrices, resample, resample_in_bands, resample_in_levels, rotate
from tbe.augment.turned import FLOW
from tbe.errors import UserError

# Of Kinetics-400, as used by torchvision's video models.
KINETICS_MEAN = (0.43216, 0.394666, 0.37645)
KINETICS_STD = (0.22803, 0.22145, 0.216989)
LARGE = 1_000_000  # values of a raw clip from which a CPU is faster clip by clip, within its cache, than by batch
CACHED = 1_250_000  # values of a result that a CPU computes at a time, to stay within its cache and reuse memory


class ClipAugment(nn.Module):
    """Augments raw clips into a backbone's input: each clip by its own random draw, shared by all its frames.

    Clips uint8 (B, T, C, H, W), padded at the bottom and right to a common size, and their true sizes int64 (B, 2),
    height and width, become float32 (B, C, T, size, size). Padding is never visible. Uses torch's global RNG on the
    device of the clips.

    flip, gray and blur are probabilities, rotation the largest angle in degrees, blur_sigma a range in output pixels.
    Blur is applied before color, as part of the resizing: the two almost commute. Rotation mirrors the cropped square
    beyond its borders. A stage of strength 0 is skipped and draws nothing. On a CPU, large clips that are not blurred
    are resized as bytes, accurate to one level.

    C is the length of mean and std. 3 channels are colors; 2 are optical flow, motion to the right and then down, 0 to
    255 with zero at 127.5. A flip of flow also negates its first channel, v to 255 - v. Color, gray and rotation do not
    apply to flow.

    fused: whether a single kernel changes colors and normalizes, in two passes over the pixels instead of some thirty,
    on GPUs with a working Triton. Values are equal up to rounding. Raises UserError for invalid settings.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        size: int,
        crop: Crop,
        flip: float = 0.5,
        rotation: float = 0.0,
        color: ColorJitter | RandAugment | None = None,
        gray: float = 0.0,
        blur: float = 0.0,
        blur_sigma: Sequence[float] = (0.1, 2.0),
        mean: Sequence[float] = KINETICS_MEAN,
        std: Sequence[float] = KINETICS_STD,
        fused: bool = False,
    ):
        super().__init__()
        if not (isinstance(size, int) and size > 0):
            raise UserError(f"ClipAugment: expected size to be a whole number above 0, got {size!r}")
        if not callable(crop):
            raise UserError(f"ClipAugment: expected crop to map sizes to boxes, like RandomCrop(), got {crop!r}")
        _check_strengths(flip, rotation, gray, blur, blur_sigma)
        _check_channels(mean, std, colored=color is not None or gray > 0, rotated=rotation > 0)
        if fused and isinstance(color, RandAugment):
            raise UserError(
                "ClipAugment: expected fused=false with RandAugment, whose changes the kernel lacks, got true"
            )
        self.size, self.crop, self.flip, self.rotation = size, crop, flip, rotation
        self.color, self.gray, self.blur, self.blur_sigma = color, gray, blur, tuple(blur_sigma)
        self.fused = fused
        # Not in checkpoints: they are settings, which the resolved config records.
        self.register_buffer("mean", torch.tensor(list(mean), dtype=torch.float32).view(-1, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std), dtype=torch.float32).view(-1, 1, 1, 1), persistent=False)
        self._copies: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def forward(self, clips: Tensor, sizes: Tensor) -> Tensor:
        self._check(clips, sizes)
        # Autocast would choose 8 bits of mantissa, too few for pixels.
        with torch.autocast(clips.device.type, enabled=False):
            draws = self._draw(sizes.to(clips.device))
            if clips.device.type != "cpu" or clips[0].numel() < LARGE:
                return self._augment(clips, draws)
            result = torch.empty(len(clips), clips.shape[2], clips.shape[1], self.size, self.size)
            # By its own pixels: padding, which depends on the rest of the batch, must not have an effect.
            is_large = (sizes.prod(dim=1) * clips.shape[1] * clips.shape[2] >= LARGE).tolist()
            parts = zip(clips.split(1), draws.one_by_one(), is_large, result.split(1), strict=True)
            for clip, draw, in_levels, target in parts:
                self._augment_in_parts(clip, draw, in_levels, target)
            return result

    def _draw(self, sizes: Tensor) -> Draws:
        batch, device = len(sizes), sizes.device
        boxes = self.crop(sizes)
        flipped = self._chosen(batch, device, self.flip) if self.flip > 0 else None
        sigma = degrees = None
        if self.blur > 0:
            sigma = self._uniform(batch, device, *self.blur_sigma) * self._chosen(batch, device, self.blur)
        if self.rotation > 0:
            degrees = self._uniform(batch, device, -self.rotation, self.rotation)
        changes = self.color.draw(batch, device) if self.color is not None else []
        if self.gray > 0:
            kept = 1 - self._chosen(batch, device, self.gray).float()
            changes = [*changes, Change(adjust_saturation_, kept, neutral=1.0)]
        return Draws(boxes, flipped, sigma, degrees, changes)

    def _augment(self, clips: Tensor, draws: Draws) -> Tensor:
        """Augments clips (B, T, C, H, W) to (B, C, T, size, size)."""
        on_gpu = clips.device.type == "cuda"
        dtype = torch.float16 if on_gpu else torch.float32
        pictures = resample(clips, draws.boxes, self.size, draws.flipped, draws.sigma, dtype)
        mean, std = self._mean_and_std(pictures.device)
        if draws.degrees is not None:
            pictures = rotate(pictures.float(), draws.degrees)
        if self.fused and on_gpu and draws.changes:
            changed = change_and_normalize(pictures, draws.changes, mean, std)
            if changed is not None:
                return changed
        pictures = pictures.float()
        if draws.flipped is not None and pictures.shape[1] == FLOW:
            turn_motion_(pictures, draws.flipped)
        # New contiguous memory: until here the strides are those of the resampling.
        result = torch.empty(pictures.shape, device=pictures.device)
        torch.sub(change_(pictures, draws.changes), mean, out=result)
        return result.div_(std)

    def _augment_in_parts(self, clip: Tensor, draws: Draws, in_levels: bool, result: Tensor) -> None:
        """Augments one clip (1, T, C, H, W), on a CPU, into result (1, C, T, size, size), some frames at a time.

        in_levels: whether to resize as bytes, if there is no blur.
        """
        top, left, height, width = draws.boxes[0].tolist()
        clip = clip[..., top : top + height, left : left + width]
        num_frames = max(1, CACHED // result[:, :, 0].numel())
        resize = self._resize_function(height, width, draws, in_levels)
        mean, std = self._mean_and_std(clip.device)
        for part, target in zip(clip.split(num_frames, dim=1), result.split(num_frames, dim=2), strict=True):
            pictures = resize(part)
            if draws.degrees is None:
                target.copy_(pictures)
            else:
                target.copy_(rotate(pictures.float(), draws.degrees))
            if pictures.dtype == torch.uint8:
                target.mul_(1 / 255)
            if draws.flipped is not None and target.shape[1] == FLOW:
                turn_motion_(target, draws.flipped)
            change_(target, draws.changes).sub_(mean).div_(std)

    def _resize_function(self, height: int, width: int, draws: Draws, in_levels: bool) -> Callable[[Tensor], Tensor]:
        """Returns the function that resizes a cropped clip (1, T, C, height, width) to (1, C, T, size, size)."""
        if in_levels and (draws.sigma is None or not draws.sigma.item()):
            return partial(resample_in_levels, size=self.size, flipped=draws.flipped)
        box = torch.tensor([[0, 0, height, width]])
        rows, columns = matrices(box, self.size, height, width, draws.flipped, draws.sigma)
        return partial(resample_in_bands, rows=rows, columns=columns)

    def _mean_and_std(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Returns mean and std on this device, copied only once, since each copy makes the host wait."""
        if device not in self._copies:
            self._copies[device] = self.mean.to(device), self.std.to(device)
        return self._copies[device]

    def _check(self, clips: Tensor, sizes: Tensor) -> None:
        if clips.dtype != torch.uint8 or clips.dim() != 5 or clips.shape[2] != len(self.mean):
            is_flow = clips.dim() == 5 and clips.shape[2] == FLOW
            hint = ". For optical flow set augment=flow and augment@eval_augment=flow_center" if is_flow else ""
            raise ValueError(
                f"ClipAugment: expected uint8 clips (B, T, {len(self.mean)}, H, W), as many channels as mean has, "
                f"got {clips.dtype} {tuple(clips.shape)}{hint}"
            )
        if sizes.dtype != torch.int64 or tuple(sizes.shape) != (len(clips), 2):
            raise ValueError(
                f"ClipAugment: expected int64 sizes ({len(clips)}, 2), the height and width of each clip, "
                f"got {sizes.dtype} {tuple(sizes.shape)}"
            )

    @staticmethod
    def _chosen(batch: int, device: torch.device, prob: float) -> Tensor:
        return torch.rand(batch, device=device) < prob

    @staticmethod
    def _uniform(batch: int, device: torch.device, lowest: float, highest: float) -> Tensor:
        return torch.empty(batch, device=device).uniform_(lowest, highest)


class Draws(NamedTuple):
    """The random draws for a batch of clips, each tensor (B, ...); None for disabled stages."""

    boxes: Tensor
    flipped: Tensor | None
    sigma: Tensor | None
    degrees: Tensor | None
    changes: list[Change]

    def one_by_one(self) -> Iterator[Draws]:
        """Yields the draws of each clip as a batch of one, without changes that have no effect. For a CPU."""
        for number in range(len(self.boxes)):
            one = slice(number, number + 1)
            tensors = (part if part is None else part[one] for part in self[:-1])
            changes = [
                change._replace(amounts=change.amounts[one])
                for change in self.changes
                if change.amounts[number] != change.neutral
            ]
            yield Draws._make((*tensors, changes))


def turn_motion_(flow: Tensor, flipped: Tensor) -> None:
    """Negates the horizontal motion of flipped clips, in place: in a mirror, what moves right moves left.

    flow: (B, 2, T, H, W) in [0, 1], no motion at 0.5; flipped: bool (B,).
    """
    right = flow[:, 0]
    right.copy_(torch.where(flipped.view(-1, 1, 1, 1), 1 - right, right))


def _check_strengths(flip: float, rotation: float, gray: float, blur: float, blur_sigma: Sequence[float]) -> None:
    for name, value, highest in (("flip", flip, 1), ("gray", gray, 1), ("blur", blur, 1), ("rotation", rotation, 180)):
        if not 0 <= value <= highest:
            raise UserError(f"ClipAugment: expected {name} in [0, {highest}], got {value}")
    if len(blur_sigma) != 2 or not 0 < blur_sigma[0] <= blur_sigma[1] < math.inf:
        raise UserError(f"ClipAugment: expected blur_sigma to be 0 < low <= high, got {blur_sigma}")


def _check_channels(mean: Sequence[float], std: Sequence[float], colored: bool, rotated: bool) -> None:
    if len(mean) != len(std) or not len(mean) or min(std) <= 0:
        raise UserError(f"ClipAugment: expected a mean and a std above 0 for each channel, got {mean} and {std}")
    if colored and len(mean) != 3:
        raise UserError(
            f"ClipAugment: expected 3 channels for color and gray, got a mean of {len(mean)}. Set color=null gray=0."
        )
    if rotated and len(mean) == FLOW:
        raise UserError(
            "ClipAugment: expected rotation 0 for 2 channels, as the directions of optical flow would have to rotate, "
            "too, got one above 0"
        )
