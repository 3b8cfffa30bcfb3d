"""The spec of a model's clips, from its processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tbe.encoders.base import InputSpec, Layout
from tbe.encoders.huggingface.library import told, transformers
from tbe.encoders.names import changed
from tbe.errors import UserError

# Frames between those of a clip, as the models were published with; processors do not say.
STRIDES = {"videomae": 4, "vivit": 2, "vjepa2": 8}
TIMESFORMER_STRIDES = {8: 32, 16: 16, 96: 4}  # by its frames: the base model, HR and L
USUAL_STRIDE = 4
LARGE_CONVNEXT = 384  # sides from which ConvNeXt's processor keeps all of a picture
LEVIT_RESIZE = 256 / 224  # by which Levit's processor resizes above its size
PROBE = (256, 384)  # height and width of a picture that shows what a processor keeps
OFF = 0.02  # of its sides, by which a processor may keep another part than its settings say
FRAMES_OF_IMAGES = 8  # of a model of images, whose features of a clip are the mean of its frames'
FILES = ("processor_config.json", "video_preprocessor_config.json", "preprocessor_config.json")


class Frame(NamedTuple):
    """The part of a frame that a processor keeps, as in InputSpec."""

    size: tuple[int, int]
    crop: float
    squash: bool


def read_spec(
    name: str, folder: str, config: Any, layout: Layout, options: Mapping[str, Any], trust_remote_code: bool
) -> tuple[InputSpec, dict[str, Any]]:
    """Returns the spec of a model, `options` over its processor, and the options that are not of the spec.

    A processor is not needed where size, mean and std are given. Raises UserError for one that has no sizes.
    """
    frame = Frame((1, 1), 1.0, False)  # this and the next where all are given
    mean: tuple[float, ...] = (0.0,) * 3
    std: tuple[float, ...] = (1.0,) * 3
    if not {"size", "mean", "std"} <= options.keys():
        processor, raw = _read(name, folder, layout, trust_remote_code)
        try:
            frame = _frame(name, processor, raw)
        except UserError:
            if "size" not in options:
                raise
        mean, std = _scales(name, processor)
        if getattr(processor, "do_resize", True) and not {"size", "crop", "squash"} & options.keys():
            _check_frame(name, processor, frame, mean, std)
    is_video = layout != "BCHW"
    spec = InputSpec(
        num_frames=_num_frames(config) if is_video else FRAMES_OF_IMAGES,
        frame_stride=_stride(config),
        size=frame.size,
        mean=mean,
        std=std,
        layout=layout,
        crop=frame.crop,
        squash=frame.squash,
    )
    return changed(spec, options)


def _read(name: str, folder: str, layout: Layout, trust_remote_code: bool) -> tuple[Any, dict[str, Any]]:
    """Returns the processor of images or videos, and the keys that its files have."""
    library = transformers(name)
    kinds = ["AutoImageProcessor"] if layout == "BCHW" else ["AutoVideoProcessor", "AutoImageProcessor"]
    raw: dict[str, Any] = {}
    for file in FILES:
        with told(name, folder):
            path = library.utils.cached_file(folder, file, _raise_exceptions_for_missing_entries=False)
            found = library.utils.generic.safe_load_json_file(path) if path else {}
        raw = {**found, **found.get("image_processor", {}), **found.get("video_processor", {})} or raw
        if raw:
            break
    if not raw:
        raise UserError(
            f"{name}: expected one of {', '.join(FILES)} beside the weights, got none. Copy it there, or say how clips "
            "are made: size=<pixels> mean=[...] std=[...] (in a command model_options.size=<pixels> and so on)"
        )
    for kind in kinds:
        try:
            with told(name, folder):
                return getattr(library, kind).from_pretrained(folder, trust_remote_code=trust_remote_code), raw
        except UserError:
            if kind == kinds[-1]:
                raise
    raise AssertionError("unreachable")


def _frame(name: str, processor: Any, raw: Mapping[str, Any]) -> Frame:
    """Returns what a processor keeps of a frame."""
    if not {"size", "crop_size"} & raw.keys():
        raise UserError(
            f"{name}: expected a processor with 'size' or 'crop_size', got one with neither (it has "
            f"{', '.join(sorted(raw))}): set size=<pixels> (in a command model_options.size)"
        )
    resized = _known(processor.size) if getattr(processor, "do_resize", True) else {}
    cropped = _known(processor.crop_size) if getattr(processor, "do_center_crop", False) else {}
    if "Levit" in type(processor).__name__:  # which resizes to more than it says
        resized = {side: round(pixels * LEVIT_RESIZE) for side, pixels in resized.items()}
    if share := getattr(processor, "crop_pct", None):  # ConvNeXt's and PoolFormer's way
        sides = _sides(cropped) or _sides(resized)
        is_whole = "ConvNext" in type(processor).__name__ and sides is not None and sides[0] >= LARGE_CONVNEXT
        if sides is not None:
            return Frame(sides, 1.0 if is_whole else float(share), squash=is_whole)
    sides = _sides(cropped) or _sides(resized)
    if sides is None:
        raise UserError(
            f"{name}: expected a processor that brings all frames to one size, got size {raw.get('size')} and "
            f"crop_size {raw.get('crop_size')}: set size=<pixels> (in a command model_options.size)"
        )
    before = _sides(resized)
    return Frame(
        size=sides,
        crop=1.0 if before is None else min(1.0, sides[0] / before[0]),
        squash="height" in resized,  # one number alone is the short side of a frame that keeps its proportions
    )


def _known(size: Any) -> dict[str, int]:
    """Returns the sides that a processor's size names."""
    if size is None or isinstance(size, int):
        return {"shortest_edge": size} if size else {}
    return {key: int(value) for key, value in dict(size).items() if value}


def _sides(known: Mapping[str, int]) -> tuple[int, int] | None:
    """Returns height and width; for a short side the square of it, None for other sizes."""
    if "height" in known and "width" in known:
        return known["height"], known["width"]
    return (known["shortest_edge"],) * 2 if "shortest_edge" in known else None


def _scales(name: str, processor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and std of values in [0, 1], found by what the processor makes of black and of white.

    Its own mean and std are not enough: some rescale to [-1, 1] first.
    """
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[16:] = 255
    picture[8:16, :, 0] = 255  # red
    out = _made(name, processor, picture, do_resize=False, do_center_crop=False)
    values = _first(out)
    black, white = values[:, 0, 0], values[:, -1, -1]
    std = 1 / (white - black)
    if not torch.isfinite(std).all() or (std <= 0).any():
        raise UserError(f"{name}: expected a processor that makes white brighter than black, got {white} and {black}")
    red = (values[:, 12, 16] - black) * std
    if not (red[0] > 0.9 and (red[1:] < 0.1).all()):
        raise UserError(
            f"{name}: expected a processor that keeps colors in the order red, green, blue, got one that makes red "
            f"{[round(value, 2) for value in red.tolist()]}, which is not built in: tbe.encoders.Encoder shows how to"
        )
    return tuple((-black * std).tolist()), tuple(std.tolist())


def _check_frame(name: str, processor: Any, frame: Frame, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raises UserError for a processor that keeps another part of a picture than `frame`, as it shows itself."""
    height, width = PROBE
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 255, height).round()[:, None]  # red grows downwards, green to the right
    picture[..., 1] = np.linspace(0, 255, width).round()
    made = _first(_made(name, processor, picture)) * torch.tensor(std)[:, None, None]
    values = _middle(made, frame.size)  # a processor without a crop leaves more of a long side, which is cut here
    kept = [_extent(values[0].mean(dim=1)), _extent(values[1].mean(dim=0))]
    other = frame.crop if frame.squash else frame.crop * height * frame.size[1] / frame.size[0] / width
    said = [frame.crop, other]
    if tuple(values.shape[1:]) != frame.size or max(abs(a - b) for a, b in zip(kept, said, strict=True)) > OFF:
        raise UserError(
            f"{name}: expected a processor that does as its settings say, {frame.size} pixels of {said[0]:.2f} of the "
            f"height and {said[1]:.2f} of the width of a {height}x{width} picture, got {tuple(made.shape[1:])} of "
            f"{kept[0]:.2f} and {kept[1]:.2f}: set size=<pixels>, crop=<share> and squash=true or false (in a command "
            "model_options.size and so on)"
        )


def _middle(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Cuts the middle (3, H, W) of this size out of a picture, which may be smaller."""
    tops = [max(0, (there - wanted) // 2) for there, wanted in zip(picture.shape[1:], size, strict=True)]
    return picture[:, tops[0] : tops[0] + size[0], tops[1] : tops[1] + size[1]]


def _extent(ramp: Tensor) -> float:
    """Returns the share of a side that is seen in values which grow along it by 1, from their slope off the ends."""
    inner = ramp[len(ramp) // 8 : len(ramp) - len(ramp) // 8]
    return float((inner[-1] - inner[0]) / (len(inner) - 1) * len(ramp)) if len(inner) > 1 else float("nan")


def _made(name: str, processor: Any, picture: np.ndarray, **options: Any) -> Any:
    """Returns what a processor makes of a picture, or of a video that repeats it."""
    is_video = isinstance(processor, transformers(name).video_processing_utils.BaseVideoProcessor)
    frames: dict[str, Any] = {"videos": [np.stack([picture] * 2)]} if is_video else {"images": [picture]}
    with told(name, name):
        return processor(**frames, **options, return_tensors="pt")


def _first(made: Mapping[str, Any]) -> Tensor:
    """Returns the first picture (3, H, W) of what a processor made."""
    values: Tensor = next(value for key, value in made.items() if key.startswith("pixel_values"))
    return values.reshape(-1, 3, *values.shape[-2:])[0].double()


def _stride(config: Any) -> int:
    if config.model_type == "timesformer":
        return TIMESFORMER_STRIDES.get(config.num_frames, USUAL_STRIDE)
    return STRIDES.get(config.model_type, USUAL_STRIDE)


def _num_frames(config: Any) -> int:
    """Returns the frames of a clip; those of V-JEPA 2 are of its pretraining, and any even number does."""
    for key in ("num_frames", "frames_per_clip"):
        if isinstance(getattr(config, key, None), int):
            return getattr(config, key)
    return 16
