"""The contract of an encoder: what it takes, and what can be read out of it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, final

import torch
from torch import Tensor, nn

from tbe.augment import ClipAugment
from tbe.augment.crops import middle
from tbe.backbones.preprocessing import Preprocessing
from tbe.encoders import readouts
from tbe.encoders.report import LoadReport
from tbe.errors import UserError

Layout = Literal["BCTHW", "BTCHW", "BCHW"]
AXES: dict[Layout, tuple[int, ...]] = {"BCTHW": (0, 1, 2, 3, 4), "BTCHW": (0, 2, 1, 3, 4), "BCHW": (0, 2, 1, 3, 4)}
ATTENTIVE = "attentive"
TOLERANCE = 0.02  # of values beyond [0, 1], which interpolation makes
REPEATS = 0.01  # of the largest feature: two runs on a clip differ by less, whatever the device

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputSpec:
    """The clips that an encoder takes.

    num_frames frames, `frame_stride` frames apart; `short`: whether a shorter video starts again ('loop') or repeats
    its last frame ('pad'). Of each frame the middle is taken, `crop` times the short side, as a square, or with
    `squash` as much of both sides, or so much of the height and of the width, which changes proportions, and resized to
    `size`, height and width. Values in
    [0, 1] become (value - mean) / std, per channel. layout: of the encoder's input; 'BCHW': each frame is an image of
    its own, and what the encoder says of the frames is averaged.
    """

    num_frames: int
    frame_stride: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: Layout = "BCTHW"
    crop: float | tuple[float, float] = 1.0
    squash: bool = False
    short: str = "loop"
    short_side: int | None = None

    def __post_init__(self) -> None:
        counts = (self.num_frames, self.frame_stride, *self.size)
        if len(self.size) != 2 or not all(isinstance(count, int) and count > 0 for count in counts):
            raise UserError(
                "InputSpec: expected num_frames, frame_stride and size (height, width) to be whole numbers above 0, "
                f"got {self.num_frames}, {self.frame_stride} and {self.size}"
            )
        lists = all(isinstance(values, Sequence) and len(values) > 0 for values in (self.mean, self.std))
        if not lists or len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise UserError(
                "InputSpec: expected mean and std to be a number for each channel, of one length with std above 0, got "
                f"{self.mean} and {self.std}"
            )

    def preprocessing(self) -> Preprocessing:
        """Returns how clips in [0, 1] are made for `Encoder.forward`, which normalizes them itself.

        Raises UserError for a size that is not square, which the readers and crops of this project do not make.
        """
        height, width = self.size
        if height != width:
            raise UserError(
                f"encoder: expected clips of a square size, got {height}x{width}: set size=<pixels> (in a command "
                "model_options.size)"
            )
        channels = len(self.mean)
        return Preprocessing(
            num_frames=self.num_frames,
            stride=self.frame_stride,
            size=height,
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
            short_side=self.short_side,
            short=self.short,
            crop=self.crop,
            squash=self.squash,
        )

    def augment(self) -> ClipAugment:
        """Returns the deterministic crop and resize from raw clips to clips in [0, 1], as in `preprocessing`."""
        made = self.preprocessing()
        return ClipAugment(made.size, middle(made.crop, made.squash), flip=0.0, mean=made.mean, std=made.std)


@dataclass
class Encoding:
    """What an encoder says of a batch of clips, before it is pooled.

    tokens: (B, N, D), without class tokens. grid: (t, h, w) of the tokens in this order, t * h * w = N; None if they
    have none. summaries: by readout, vectors (B, t, D) that the model itself makes, one a clip (t = 1) or one a frame.
    """

    tokens: Tensor
    grid: readouts.Times | None = None
    summaries: dict[str, Tensor] = field(default_factory=dict)


class Encoder(nn.Module, ABC):
    """A frozen network from clips (B, 3, T, H, W) with values in [0, 1] to features (B, D).

    name: as it was loaded. spec: of its clips. report: what was loaded. pool: the readout in use, one of `readouts`,
    whose first is that of the model's own library. library: the package that computes it, '' for torch's and ours.
    architecture: what its weights do not tell of the network, as text, such as the number of heads; '' if unknown.
    Clips are normalized and reordered here, never by the caller.
    """

    name: str
    spec: InputSpec
    report: LoadReport
    readouts: tuple[str, ...]
    library: str = ""
    architecture: str = ""

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: str, spec: InputSpec, report: LoadReport, readouts: tuple[str, ...], pool: str | None
    ) -> None:
        super().__init__()
        self.name, self.spec, self.report, self.readouts = name, spec, report, readouts
        self.pool = self._known(pool)
        self._num_features: int | None = None
        shape = (-1, 1, 1, 1)
        self.register_buffer("mean", torch.tensor(spec.mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(shape), persistent=False)

    @abstractmethod
    def encode(self, inputs: Tensor) -> Encoding:
        """Runs the network on normalized clips in the layout of the spec; for 'BCHW' on frames (B, T, C, H, W)."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Returns how `tbe.embed` makes clips for this encoder."""
        return self.spec.preprocessing()

    @final  # type: ignore[misc]  # torch declares forward as a variable
    def forward(self, clips: Tensor) -> Tensor:
        """Returns features (B, D) by the readout `pool`.

        Raises UserError if D differs between clips, or, at the first call, features between two runs on a clip.
        """
        features = self.read_out(self.encoding(clips), self.pool)
        if self._num_features is None:
            self._num_features = features.shape[1]
            self._warn_of_values(clips)
            self._check_that_it_repeats(clips[:1])
        if features.shape != (len(clips), self._num_features):
            raise UserError(
                f"{self.name}: expected features of one length for all clips, {(len(clips), self._num_features)}, got "
                f"{tuple(features.shape)} for clips {tuple(clips.shape)}. Choose another readout than pool={self.pool}"
            )
        return features

    @final
    def tokens(self, clips: Tensor) -> Tensor:
        """Returns the tokens (B, N, D) of clips, without class tokens; what an attentive probe looks at."""
        return self.encoding(clips).tokens

    @final
    def maps(self, clips: Tensor) -> Tensor | None:
        """Returns feature maps (B, F, t, h, w); None if the tokens have no places."""
        found = self.encoding(clips)
        return None if found.grid is None else found.tokens.transpose(1, 2).unflatten(2, found.grid)

    @final
    def encoding(self, clips: Tensor) -> Encoding:
        """Returns everything that can be read out of clips (B, 3, T, H, W) in [0, 1]."""
        self._check(clips)
        inputs = (clips - self.mean) / self.std
        found = self.encode(inputs.permute(AXES[self.spec.layout]))
        if found.tokens.ndim != 3 or len(found.tokens) != len(clips):
            raise UserError(
                f"{self.name}: expected tokens (B, N, D) of {len(clips)} clips, got {tuple(found.tokens.shape)}"
            )
        return found

    def read_out(self, found: Encoding, pool: str) -> Tensor:
        """Returns features (B, D) of an encoding by one of `readouts`."""
        if pool in found.summaries:
            return found.summaries[pool].mean(dim=1)
        if pool in readouts.OF_TOKENS:
            return readouts.OF_TOKENS[pool](found.tokens)
        if pool == readouts.MOMENTS and found.grid is not None:
            return readouts.moments(readouts.over_time(found.tokens, found.grid))
        raise UserError(
            f"{self.name}: expected a readout among {', '.join(self.readouts)}, got {pool!r}, which this model does "
            "not provide for such clips"
        )

    def _known(self, pool: str | None) -> str:
        """Returns the readout, the first for None; raises UserError for one that the encoder lacks."""
        if pool is None:
            return self.readouts[0]
        if pool not in self.readouts:
            learned = " An attentive readout is learned from labels: task=attentive." if pool == ATTENTIVE else ""
            raise UserError(f"{self.name}: expected pool among {', '.join(self.readouts)}, got {pool!r}.{learned}")
        return pool

    def _check_that_it_repeats(self, clip: Tensor) -> None:
        """Raises UserError for a network that drops or masks something at random also in eval mode."""
        if self.training:
            return
        one, other = (self.read_out(self.encoding(clip), self.pool) for _ in range(2))
        if not torch.allclose(one, other, rtol=0, atol=REPEATS * float(one.abs().max()), equal_nan=True):
            raise UserError(
                f"{self.name}: expected the same features of a clip each time, got others: it masks or drops "
                "something at random. Load a model that is made for features"
            )

    def _warn_of_values(self, clips: Tensor) -> None:
        low, high = clips.min().item(), clips.max().item()
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            log.warning(
                "%s: expected clips in [0, 1], got values from %.2f to %.2f. They are normalized here: pass clips / "
                "255, not normalized ones",
                self.name,
                low,
                high,
            )

    def _check(self, clips: Tensor) -> None:
        channels = len(self.spec.mean)
        if clips.ndim != 5 or clips.shape[1] != channels:
            hint = (
                " It looks like (B, T, C, H, W): pass clips.transpose(1, 2)"
                if clips.ndim == 5 and clips.shape[2] == channels
                else ""
            )
            raise UserError(f"{self.name}: expected clips (B, {channels}, T, H, W), got {tuple(clips.shape)}.{hint}")
        wanted = (self.spec.num_frames, *self.spec.size)
        is_image = self.spec.layout == "BCHW"  # of which there may be any number
        if clips.shape[2 + is_image :] != wanted[is_image:]:
            raise UserError(
                f"{self.name}: expected (T, H, W) of {wanted}, got {tuple(clips.shape[2:])}. Make clips as its "
                "spec says (encoder.spec), or load it with num_frames= and size="
            )
        if not clips.is_floating_point():
            raise UserError(f"{self.name}: expected floats in [0, 1], got {clips.dtype}: pass clips / 255")
