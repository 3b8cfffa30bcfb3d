"""Background Erasing (removing the background by adding the background) and other distractors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.augment.layout import check_layout, find_layout, is_video
from tbe.data.medians import temporal_median
from tbe.errors import UserError


class Distractor(nn.Module, ABC):
    """Changes each clip of a batch and returns clips of the same shape, type and layout.

    layout: 'BCTHW' or 'BTCHW'. If None, clips are (B, C, T, H, W) and a `torchvision.tv_tensors.Video` is
    (B, T, C, H, W); raises UserError for a shape that could be either. `has_owners`: whether it takes pictures of other
    clips of the batch; `owners` (B, k) then says of which, for the last batch that it changed.
    """

    has_owners = False
    owners: Tensor | None = None

    def __init__(self, layout: str | None = None):
        super().__init__()
        check_layout(layout, type(self).__name__)
        self.layout = layout

    @abstractmethod
    def distract(self, clips: Tensor) -> Tensor:
        """Returns the changed clips (B, C, T, H, W)."""

    def forward(self, clips: Tensor) -> Tensor:
        is_btchw = find_layout(clips, self.layout, type(self).__name__) == "BTCHW"
        plain = clips.as_subclass(Tensor) if is_video(clips) else clips
        given = plain.transpose(1, 2) if is_btchw else plain
        result = self.distract(given)
        if result is given:  # nothing to change, or changed in place
            return clips
        result = result.transpose(1, 2) if is_btchw else result
        return result if plain is clips else result.as_subclass(type(clips))


class StaticDistractor(Distractor):
    """Adds a static frame to all frames of each clip, as a background that carries no information about the clip.

        x~_j = (1 - weight) * x_j + weight * frame,    one weight ~ U[min_ratio, ratio] for each clip.

    Clips (B, C, T, H, W), or as given by `layout` (see `Distractor`), are floats of any range or uint8 and keep their
    shape and type. A clip stays unchanged with probability 1 - prob. per: 'clip', or 'batch' for one weight per batch.
    beta: None, or (a, b) for weights from Beta(a, b) between min_ratio and ratio, at a / (a + b) of the way on average.
    The weights sum to 1, so it commutes with normalization and can follow it. Returns the clips themselves if ratio or
    prob is 0, otherwise a new tensor, or the overwritten clips if `inplace`.
    """

    def __init__(
        self,
        ratio: float = 0.3,
        prob: float = 1.0,
        per: str = "clip",
        inplace: bool = False,
        layout: str | None = None,
        min_ratio: float = 0.0,
        beta: Sequence[float] | None = None,
    ):
        super().__init__(layout)
        if per not in ("clip", "batch"):
            raise UserError(f"{type(self).__name__}: expected per to be clip or batch, got {per!r}")
        for name, value in {"ratio": ratio, "prob": prob}.items():
            if not 0 <= value <= 1:
                raise UserError(f"{type(self).__name__}: expected {name} from 0 to 1, got {value}")
        if not 0 <= min_ratio <= ratio:
            raise UserError(f"{type(self).__name__}: expected min_ratio from 0 to ratio, {ratio}, got {min_ratio}")
        if beta is not None and (len(beta) != 2 or not min(beta) > 0):
            raise UserError(f"{type(self).__name__}: expected beta to be null or two numbers above 0, got {list(beta)}")
        self.min_ratio = min_ratio
        self.ratio = ratio
        self.beta = None if beta is None else (float(beta[0]), float(beta[1]))
        self.prob = prob
        self.per = per
        self.inplace = inplace

    @abstractmethod
    def sample_frame(self, clips: Tensor) -> Tensor:
        """Returns the frame to add to each clip: (B, C, 1, H, W)."""

    def distract(self, clips: Tensor) -> Tensor:
        if self.ratio == 0 or self.prob == 0:
            return clips
        count = len(clips) if self.per == "clip" else 1
        weights = draw_weights(count, self.ratio, self.prob, clips.device, self.min_ratio, self.beta)
        return self.blend(clips, weights, clips if self.inplace else None)

    def blend(self, clips: Tensor, weights: Tensor, out: Tensor | None) -> Tensor:
        """Returns clips (B, C, T, H, W) with the frame at these weights, (B,) or (1,), in `out` if there is one."""
        return add_static_frame(clips, self.sample_frame(clips), weights, out)

    def extra_repr(self) -> str:
        settings = ("min_ratio", "ratio", "beta", "prob", "per", "inplace")
        return ", ".join(f"{name}={getattr(self, name)}" for name in settings)


class BackgroundErasing(StaticDistractor):
    """Adds one random frame of each clip, as a static background, to all frames of that clip.

    Motion keeps its direction: frame differences only get smaller. See `StaticDistractor` for shapes and ranges.
    Wang et al., "Removing the Background by Adding the Background", CVPR 2021 (arXiv:2009.05769);
    the paper's gamma is `ratio`, its lambda the weight.
    """

    def sample_frame(self, clips: Tensor) -> Tensor:
        return random_frames(clips)


class InterVideoErasing(StaticDistractor):
    """Adds one random frame of another clip of the batch, a background that is not the clip's own.

    num_videos: of how many other clips; their frames are averaged. `owners` (B, num_videos): which clips of the last
    batch these were. A distractor in the ablation of the BE paper, and the operator of StillMix (Li et al., ICCV 2023,
    arXiv:2211.12883), which trains classifiers with frames that reveal the class by themselves. Raises UserError for a
    batch of fewer clips than it needs. Further settings: `StaticDistractor`.
    """

    has_owners = True

    def __init__(
        self,
        ratio: float = 0.3,
        prob: float = 1.0,
        per: str = "clip",
        inplace: bool = False,
        layout: str | None = None,
        min_ratio: float = 0.0,
        beta: Sequence[float] | None = None,
        num_videos: int = 1,
    ):
        super().__init__(ratio, prob, per, inplace, layout, min_ratio, beta)
        if num_videos < 1:
            raise UserError(f"InterVideoErasing: expected num_videos of at least 1, got {num_videos}")
        self.num_videos = num_videos

    def sample_frame(self, clips: Tensor) -> Tensor:
        frames = random_frames(clips)
        self.owners = owners = draw_owners(clips, self.num_videos)
        if self.num_videos == 1:
            return frames[owners[:, 0]]
        mixed = (frames if frames.is_floating_point() else frames.float())[owners].mean(dim=1)
        return mixed if frames.is_floating_point() else mixed.round_().to(frames.dtype)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, num_videos={self.num_videos}"


class NoiseErasing(StaticDistractor):
    """Adds one frame of Gaussian noise to all frames of each clip, with the clip's own mean and deviation.

    A distractor in the ablation of the BE paper: it hides the background without being one.
    """

    def sample_frame(self, clips: Tensor) -> Tensor:
        values = clips if clips.is_floating_point() else clips.float()
        deviation, mean = torch.std_mean(values, dim=(2, 3, 4), keepdim=True)
        noise = mean + deviation * torch.randn_like(values[:, :, :1])
        return noise if clips.is_floating_point() else noise.round_().clamp_(0, 255).to(clips.dtype)


class BackgroundSwap(StaticDistractor):
    """Exchanges the background of each clip for that of another clip of the batch, with no mask.

        x~_j = x_j + weight * (median of the other clip's frames - median of the clip's own frames)

    The median over time is what stands still where the camera does. At weight 1 nothing of the own background is left
    but within the moving parts; at 0.5 both are seen. Where the camera moves, the own one leaves its shadow. Values may
    leave their range by rounding bright on bright; uint8 is clamped. `owners` (B, 1): whose background was taken for
    each clip of the last batch. Raises UserError for a batch of one clip. Settings: `StaticDistractor`.
    """

    has_owners = True

    def sample_frame(self, clips: Tensor) -> Tensor:
        return temporal_median(clips)

    def blend(self, clips: Tensor, weights: Tensor, out: Tensor | None) -> Tensor:
        self.owners = owners = draw_owners(clips)
        own = self.sample_frame(clips)
        return add_difference(clips, own[owners[:, 0]], own, weights, out)


class ForegroundMerge(Distractor):
    """Pastes the moving part of each clip onto another clip of the batch, `owners` (B, 1) of the last one.

    The moving part is the share `foreground` of the pixels with the largest smoothed frame difference, one mask for all
    frames of a clip; where nothing moves, any of them. A clip stays unchanged with probability 1 - prob. Modeled on
    FAME (Ding et al., CVPR 2022, arXiv:2109.15130), without its refinement by color. Raises UserError for one frame.
    """

    has_owners = True

    def __init__(self, foreground: float = 0.5, prob: float = 1.0, layout: str | None = None):
        super().__init__(layout)
        if not 0 < foreground <= 1 or not 0 <= prob <= 1:
            raise UserError(
                f"ForegroundMerge: expected foreground in (0, 1] and prob in [0, 1], got {foreground} and {prob}"
            )
        self.foreground = foreground
        self.prob = prob

    def distract(self, clips: Tensor) -> Tensor:
        if clips.shape[2] < 2:
            raise UserError(
                f"ForegroundMerge: expected clips of at least 2 frames, of which some parts move, got {clips.shape[2]}"
            )
        self.owners = owners = draw_owners(clips)
        others = clips[owners[:, 0]]
        mask = moving_mask(clips, self.foreground).view(len(clips), 1, 1, *clips.shape[-2:])
        if self.prob < 1:
            mask = mask | (torch.rand(len(clips), 1, 1, 1, 1, device=clips.device) >= self.prob)
        return torch.where(mask, clips, others)

    def extra_repr(self) -> str:
        return f"foreground={self.foreground}, prob={self.prob}"


def moving_mask(clips: Tensor, share: float) -> Tensor:
    """Returns a mask bool (B, H, W), true for this share of the pixels: those where clips (B, C, T, H, W) move most."""
    motion = clips.float().diff(dim=2).abs().mean(dim=(1, 2)).unsqueeze(1)
    size = max(1, min(clips.shape[-2:]) // 8) | 1  # odd, so that the smoothed map stays in place
    motion = F.avg_pool2d(motion, size, stride=1, padding=size // 2, count_include_pad=False).flatten(1)
    count = max(1, round(share * motion.shape[1]))
    mask = torch.zeros_like(motion, dtype=torch.bool).scatter_(1, motion.topk(count, dim=1).indices, True)
    return mask.view(len(clips), *clips.shape[-2:])


def draw_weights(
    num_clips: int,
    ratio: float,
    prob: float,
    device: torch.device,
    min_ratio: float = 0.0,
    beta: tuple[float, float] | None = None,
) -> Tensor:
    """Draws one weight for each clip, 0 with probability 1 - prob: float32 (num_clips,).

    Weights are from U[min_ratio, ratio], or from Beta(*beta) stretched to [min_ratio, ratio].
    """
    if beta is None:
        shares = torch.rand(num_clips, device=device)
    else:
        # Of two gamma variables the share of the first: a Beta distribution in torch checks its values, and so waits.
        near, far = (_draw_gamma(side, num_clips, device) for side in beta)
        shares = near / (near + far)
    weights = shares * (ratio - min_ratio) + min_ratio
    if prob < 1:
        weights = weights * (torch.rand(num_clips, device=device) < prob)
    return weights


def _draw_gamma(shape: float, count: int, device: torch.device) -> Tensor:
    shapes = torch.full((count,), shape, device=device)
    return torch.distributions.Gamma(shapes, torch.ones_like(shapes), validate_args=False).sample()


def random_frames(clips: Tensor) -> Tensor:
    """Draws one frame of each clip uniformly: (B, C, 1, H, W)."""
    chosen = torch.randint(clips.shape[2], (len(clips),), device=clips.device)
    rows = torch.arange(len(clips), device=clips.device)
    return clips.transpose(1, 2)[rows, chosen].unsqueeze(2)  # whole rows: a gather would index each pixel


def add_static_frame(clips: Tensor, frames: Tensor, weights: Tensor, out: Tensor | None = None) -> Tensor:
    """Returns (1 - weight) * clip + weight * frame: clips (B, C, T, H, W), frames (B, C, 1, H, W), weights (B,).

    weights: in [0, 1]. out: the tensor to write to, which may be the clips; None allocates a new one.
    """
    weights = weights.view(-1, 1, 1, 1, 1)
    if clips.is_floating_point():
        return torch.lerp(clips, frames, weights.to(clips.dtype), out=out)
    mixed = torch.lerp(clips.float(), frames.float(), weights).round_()
    return mixed.to(clips.dtype) if out is None else out.copy_(mixed)


def add_difference(clips: Tensor, gained: Tensor, lost: Tensor, weights: Tensor, out: Tensor | None = None) -> Tensor:
    """Returns clip + weight * (gained - lost): clips (B, C, T, H, W), both frames (B, C, 1, H, W), weights (B,)."""
    weights = weights.view(-1, 1, 1, 1, 1)
    if clips.is_floating_point():
        return torch.add(clips, (gained - lost) * weights.to(clips.dtype), out=out)
    changed = (clips + (gained.float() - lost.float()) * weights).round_().clamp_(0, 255)
    return changed.to(clips.dtype) if out is None else out.copy_(changed)


def draw_owners(clips: Tensor, count: int = 1) -> Tensor:
    """Draws `count` different other clips of the batch for each clip: (B, count); UserError for too small a batch.

    A single one is drawn for all by one shift of the batch, so that each clip is drawn once.
    """
    batch = len(clips)
    if batch < 1 + count:
        others = "another one" if count == 1 else f"{count} others"
        raise UserError(f"expected a batch of at least {1 + count} clips to take a frame of {others}, got {batch}")
    if count == 1:
        shift = int(torch.randint(1, batch, (1,)))  # drawn on the CPU: no wait for the device
        return ((torch.arange(batch, device=clips.device) - shift) % batch).unsqueeze(1)
    return torch.rand(batch, batch, device=clips.device).fill_diagonal_(2).argsort(dim=1)[:, :count]
