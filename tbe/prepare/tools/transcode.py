"""Re-encodes videos: smaller, and with frequent key frames, which makes reading clips faster.

Takes the videos of lists, or all below --root. Writes <out>/<video>.mp4 in H.264 with a short side of at most
--short-side, in even numbers of pixels, the lists with these names and their numbers of frames, and a report,
<out>/transcode_report.csv. Keeps all frames, at the average frame rate, and drops sound. A stopped run resumes when it
is started again; videos that fail are printed and left out of the lists, and the command exits with 1 at the end.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from av.video.reformatter import VideoReformatter

from tbe.data.readers.decode_resize import reduced_size
from tbe.data.video_writer import video_file
from tbe.errors import UserError
from tbe.prepare.common.decoding import opened_video
from tbe.prepare.common.given_lists import add_lists, given_lists
from tbe.prepare.common.making import Made, make_of_each, mp4_name
from tbe.prepare.common.parts import add_part_options
from tbe.prepare.common.work import add_work_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this command."""
    add_lists(parser)
    parser.add_argument("--out", required=True, type=Path, help="the folder of the new videos, and of the lists")
    parser.add_argument("--short-side", type=int, default=256, help="pixels, never enlarged (%(default)s)")
    help = "largest number of frames from one key frame to the next (%(default)s)"
    parser.add_argument("--keyframes", type=int, default=12, help=help)
    parser.add_argument("--crf", type=int, default=23, help="quality of x264, 0 to 51, less is better (%(default)s)")
    help = "x264 preset, from ultrafast to veryslow: trades time for size (%(default)s)"
    parser.add_argument("--preset", default="medium", help=help)
    add_work_options(parser, timeout=600.0)
    add_part_options(parser)


def run(args: argparse.Namespace) -> None:
    """Makes the videos, writes the lists and exits 1 if any video failed."""
    if args.short_side < 2 or args.keyframes < 1 or not 0 <= args.crf <= 51:
        got = f"{args.short_side}, {args.keyframes} and {args.crf}"
        raise UserError(f"expected short-side >= 2, keyframes >= 1 and crf 0 to 51, got {got}")
    transcoding = Transcoding(args.root, args.out, args.short_side, args.keyframes, args.crf, args.preset)
    given = given_lists(args.root, args.list)
    make_of_each("transcode", given, transcoding, mp4_name, transcoding.settings, args)


@dataclass(frozen=True)
class Transcoding:
    """Encodes a video below root as one below out, atomically."""

    root: Path
    out: Path
    short_side: int
    keyframes: int
    crf: int
    preset: str

    @property
    def settings(self) -> str:
        return f"short_side={self.short_side} keyframes={self.keyframes} crf={self.crf} preset={self.preset}"

    def __call__(self, path: str) -> Made:
        reformatter, options = VideoReformatter(), {"crf": str(self.crf), "preset": self.preset}
        with opened_video(self.root / path) as source:
            first = next(source.frames, None)
            if first is None:
                raise UserError(f"{path}: expected frames, got none")
            size = reduced_size(first.height, first.width, self.short_side, multiple=2)
            target = self.out / mp4_name(path)
            with video_file(target, size, source.fps, options=options, gop=self.keyframes) as add:
                num_frames = 0
                for frame in chain([first], source.frames):
                    add(reformatter.reformat(frame, size[1], size[0], "yuv420p", interpolation="AREA"))
                    num_frames += 1
        return Made(num_frames, *size)
