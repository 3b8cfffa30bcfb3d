"""The order of the axes of clips: whether channels or frames come first."""

from __future__ import annotations

from torch import Tensor

from tbe.errors import UserError

CHANNELS = {"BCTHW": 1, "BTCHW": 2}  # the channel axis of each layout
AXES = {layout: f"({', '.join(layout)})" for layout in CHANNELS}


def check_layout(layout: str | None, where: str) -> None:
    """Raises UserError for an unknown layout; None stands for an unspecified one."""
    if layout is not None and layout not in CHANNELS:
        raise UserError(f"{where}: expected layout to be one of {', '.join(CHANNELS)}, got {layout!r}")


def find_layout(clips: Tensor, layout: str | None, where: str) -> str:
    """Returns the layout of clips, from the given `layout` and their type and shape, without reading pixels.

    Defaults to BCTHW, and to BTCHW for a `torchvision.tv_tensors.Video`. Raises UserError for clips without five axes,
    for a shape that shows the other layout, and, if `layout` is None, for an ambiguous shape.
    """
    shape = tuple(clips.shape)
    if is_video(clips):
        if layout == "BCTHW":
            raise UserError(
                f"{where}: expected clips {AXES[layout]}, as layout={layout!r} says, got a torchvision Video, which is "
                f"{AXES['BTCHW']}, of shape {shape}. Leave layout out"
            )
        layout = "BTCHW"
    assumed = layout or "BCTHW"
    if len(shape) != 5:
        raise UserError(f"{where}: expected clips {AXES[assumed]}, got shape {shape}")
    other = "BTCHW" if assumed == "BCTHW" else "BCTHW"
    likely, other_likely = _likely_channels(shape[CHANNELS[assumed]]), _likely_channels(shape[CHANNELS[other]])
    if other_likely == 2 and not likely:
        raise UserError(
            f"{where}: expected clips {AXES[assumed]}, got shape {shape}, which is {_describe(shape, assumed)} but "
            f"{_describe(shape, other)}. Set layout={other!r}"
        )
    if layout is None and other_likely >= max(likely, 1) and shape[1:3] != (1, 1):
        raise UserError(
            f"{where}: expected clips with an unambiguous channel axis, got shape {shape}, which is "
            f"{_describe(shape, assumed)} or {_describe(shape, other)}. Set layout to {assumed!r} or {other!r}"
        )
    return assumed


def is_video(clips: Tensor) -> bool:
    """Checks whether clips are a torchvision Video, (..., T, C, H, W)."""
    if type(clips) is Tensor:
        return False
    from torchvision.tv_tensors import Video  # takes a second to import, but a caller with a Video has imported it

    return isinstance(clips, Video)


def _likely_channels(number: int) -> int:
    """Returns how likely a size is that of channels: 2 for RGB, 1 for gray, flow and RGBA, 0 for others."""
    return 2 if number == 3 else int(number in (1, 2, 4))


def _describe(shape: tuple[int, ...], layout: str) -> str:
    """Describes a shape in words, read in a layout."""
    channels = CHANNELS[layout]
    return f"{shape[3 - channels]} frames of {shape[channels]} channels as {AXES[layout]}"
