"""The order of the axes of clips: whether channels or frames come first."""

from __future__ import annotations

from torch import Tensor

from tbe.errors import UserError

CHANNELS = {"BCTHW": 1, "BTCHW": 2}  # where each layout has its channels
AXES = {layout: f"({', '.join(layout)})" for layout in CHANNELS}


def check_layout(layout: str | None, where: str) -> None:
    """A ValueError for a layout that is not known; None is one that is not said."""
    if layout is not None and layout not in CHANNELS:
        raise UserError(f"{where}: expected layout to be one of {', '.join(CHANNELS)}, got {layout!r}")


def find_layout(clips: Tensor, layout: str | None, where: str) -> str:
    """The layout of clips, by what was said and by their type and shape: no pixel is looked at.

    Where nothing was said it is BCTHW, and BTCHW of a `torchvision.tv_tensors.Video`. A ValueError for clips without
    five axes, for those whose shape shows the other layout, and, where nothing was said, for those that could be both.
    """
    shape = tuple(clips.shape)
    if is_video(clips):
        if layout == "BCTHW":
            raise UserError(
                f"{where}: expected clips {AXES[layout]}, as layout={layout!r} says, got a torchvision Video, which is "
                f"{AXES['BTCHW']}, of shape {shape}. Leave layout out"
            )
        layout = "BTCHW"
    found = layout or "BCTHW"
    if len(shape) != 5:
        raise UserError(f"{where}: expected clips {AXES[found]}, got shape {shape}")
    other = "BTCHW" if found == "BCTHW" else "BCTHW"
    likely, other_likely = _likely_channels(shape[CHANNELS[found]]), _likely_channels(shape[CHANNELS[other]])
    if other_likely == 2 and not likely:
        raise UserError(
            f"{where}: expected clips {AXES[found]}, got shape {shape}, which is {_told(shape, found)} but "
            f"{_told(shape, other)}. Set layout={other!r}"
        )
    if layout is None and other_likely >= max(likely, 1) and shape[1:3] != (1, 1):
        raise UserError(
            f"{where}: expected clips whose shape says where their channels are, got {shape}, which is "
            f"{_told(shape, found)} or {_told(shape, other)}. Set layout to {found!r} or {other!r}"
        )
    return found


def is_video(clips: Tensor) -> bool:
    """Whether clips are a torchvision Video, (..., T, C, H, W)."""
    if type(clips) is Tensor:
        return False
    from torchvision.tv_tensors import Video  # which takes a second to load, and whoever has one has it loaded

    return isinstance(clips, Video)


def _likely_channels(number: int) -> int:
    """How likely a size is one of channels: 2 for colors, 1 for gray, flow and colors with alpha, 0 for others."""
    return 2 if number == 3 else int(number in (1, 2, 4))


def _told(shape: tuple[int, ...], layout: str) -> str:
    """In words what a shape is in a layout."""
    channels = CHANNELS[layout]
    return f"{shape[3 - channels]} frames of {shape[channels]} channels as {AXES[layout]}"
