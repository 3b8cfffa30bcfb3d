"""Reads the mattes of filmed videos: the actor's coverage of each pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

import av

from tbe.data.sources.actor_masks import ActorMasks, mask_files
from tbe.errors import MissingFile, UserError
from tbe.prepare.common.decoding import opened_video


def with_mattes(paths: Sequence[str], folder: Path) -> list[str]:
    """Returns the videos with a matte; prints how many have none. Raises UserError for boxes, MissingFile for none."""
    masks = ActorMasks(str(folder))
    boxed = [path for path in paths if masks.boxes(path) and not masks.place(path).is_dir() and not masks.video(path)]
    if boxed:
        raise UserError(
            f"{folder}: expected mattes, pictures or videos of each actor's outline, got boxes of {boxed[0]!r} "
            f"({len(boxed)} such): the filmed place inside a box would reveal the original background"
        )
    found = [path for path in paths if masks.has(path)]
    if not found:
        place = masks.place(paths[0])
        raise MissingFile(f"{folder}: expected mattes such as {place}/000001.png or {place}.mp4, found none")
    if len(found) < len(paths):
        missing = sorted(set(paths) - set(found))
        print(f"{folder}: left out {len(missing)} of {len(paths)} videos without a matte, such as {missing[0]!r}")
    return found


@contextmanager
def opened_matte(path: str, folder: Path) -> Iterator[Iterator[av.VideoFrame]]:
    """Opens the mattes of a video's frames, in order, from a video of mattes or numbered pictures."""
    masks = ActorMasks(str(folder))
    pictures, video = masks.place(path), masks.video(path)
    if video is None or pictures.is_dir():
        yield map(_picture, mask_files(pictures))
        return
    with opened_video(video) as source:
        yield source.frames


def paired(
    source: str, frames: Iterator[av.VideoFrame], mattes: Iterator[av.VideoFrame]
) -> Iterator[tuple[av.VideoFrame, av.VideoFrame]]:
    """Yields each frame with its matte; raises UserError at the end if their numbers differ."""
    num_frames = num_mattes = 0
    for frame, matte in zip_longest(frames, mattes):
        num_frames, num_mattes = num_frames + (frame is not None), num_mattes + (matte is not None)
        if frame is not None and matte is not None:
            yield frame, matte
    if num_frames != num_mattes:
        raise UserError(f"{source}: expected a matte of each of its {num_frames} frames, got {num_mattes}")


def _picture(file: Path) -> av.VideoFrame:
    from torchvision.io import ImageReadMode  # slow to import, and only needed by the processes

    from tbe.data.readers.frame_folder import decoded_picture

    return av.VideoFrame.from_ndarray(decoded_picture(str(file), ImageReadMode.GRAY)[0].numpy(), format="gray")
