"""Extracts the frames of videos as folders of JPEG pictures, for reader=frames.

Takes the videos of lists, or all below --root. Writes <out>/<video without suffix>/img_00001.jpg, ..., with a short
side of at most --short-side, the lists with these folders and their numbers of frames, and a report,
<out>/frames_report.csv. A folder appears when it is complete. A stopped run resumes when it is started again; videos
that fail are printed and left out of the lists, and the command exits with 1 at the end.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from av.video.reformatter import VideoReformatter

from tbe.data.readers.decode_resize import reduced_size
from tbe.errors import UserError
from tbe.launch.quoting import override
from tbe.prepare.common.decoding import opened_video
from tbe.prepare.common.given_lists import add_lists, given_lists
from tbe.prepare.common.making import Made, make_of_each, with_suffix
from tbe.prepare.common.parts import add_part_options
from tbe.prepare.common.work import add_work_options

MARKER = ".whole"  # marks a complete folder: its settings, number of frames, height and width


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this command."""
    add_lists(parser)
    parser.add_argument("--out", required=True, type=Path, help="the folder of the frames, and of the lists")
    parser.add_argument("--short-side", type=int, default=256, help="pixels, never enlarged (%(default)s)")
    parser.add_argument("--quality", type=int, default=90, help="JPEG quality, 1 to 100 (%(default)s)")
    help = "names of the pictures, counted from 1, as reader.template reads them (%(default)s)"
    parser.add_argument("--template", default="img_%05d.jpg", help=help)
    add_work_options(parser, timeout=600.0)
    add_part_options(parser)


def run(args: argparse.Namespace) -> None:
    """Makes the folders, writes the lists and exits 1 if any video failed."""
    if args.short_side < 1 or not 1 <= args.quality <= 100:
        raise UserError(f"expected short-side >= 1 and quality 1 to 100, got {args.short_side} and {args.quality}")
    if not args.template.lower().endswith((".jpg", ".jpeg")) or "/" in args.template:
        raise UserError(f"--template: expected a name that ends with .jpg or .jpeg, got {args.template!r}")
    from tbe.data.readers import FrameFolderReader  # slow to import

    FrameFolderReader(args.template)  # raises for a template without exactly one number
    extraction = FrameExtraction(args.root, args.out, args.short_side, args.quality, args.template)
    given = given_lists(args.root, args.list)
    use = f"reader=frames {override('reader.template', args.template)}"
    make_of_each("frames", given, extraction, folder_name, extraction.settings, args, use)


def folder_name(path: str) -> str:
    """Returns the folder of a video's frames."""
    return with_suffix(path, "")


@dataclass(frozen=True)
class FrameExtraction:
    """Writes the frames of a video below root into a folder below out, atomically."""

    root: Path
    out: Path
    short_side: int
    quality: int
    template: str

    @property
    def settings(self) -> str:
        return f"short_side={self.short_side} quality={self.quality} template={self.template}"

    def __call__(self, path: str) -> Made:
        folder = self.out / folder_name(path)
        if folder.exists():
            return self.existing(folder)
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        part.mkdir(parents=True)
        try:
            made = self.write(self.root / path, part)
            (part / MARKER).write_text(f"{self.settings}\n{made.num_frames} {made.height} {made.width}\n")
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return made

    def existing(self, folder: Path) -> Made:
        """Reads what an earlier run made; raises UserError if another command or other settings made the folder."""
        if not (folder / MARKER).is_file():
            raise UserError(f"{folder}: expected no such folder, got one that this command did not make: remove it")
        settings, sizes = (folder / MARKER).read_text().splitlines()
        if settings != self.settings:
            raise UserError(f"{folder}: expected {self.settings}, got {settings}: remove it or change --out")
        return Made(*map(int, sizes.split()))

    def write(self, video: Path, folder: Path) -> Made:
        from torchvision.io import encode_jpeg  # slow to import, and only needed by the processes

        reformatter, number, size = VideoReformatter(), 0, (0, 0)
        with opened_video(video) as source:
            for number, frame in enumerate(source.frames, start=1):
                size = reduced_size(frame.height, frame.width, self.short_side) if number == 1 else size
                picture = reformatter.reformat(frame, size[1], size[0], "rgb24", interpolation="AREA").to_ndarray()
                pixels = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
                (folder / (self.template % number)).write_bytes(encode_jpeg(pixels, self.quality).numpy())
        if not number:
            raise UserError(f"{video}: expected frames, got none")
        return Made(number, *size)
