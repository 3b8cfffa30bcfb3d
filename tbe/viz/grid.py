"""Draws tables of pictures with titles."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, PAPER = (0, 0, 0), (255, 255, 255)
FONT_SIZE = 12
GAP = 6  # pixels between pictures
TITLE_WIDTH = 190  # largest width in pixels of the column of row titles


class Sheet:
    """A table of square pictures of equal size, with a title beside each row and above each column.

    Titles are wrapped, and shortened with an ellipsis if they do not fit. `side`: the pictures' side in pixels, to
    which they are resized; `group`: number of rows that are closer to each other than to other rows. The sheet's
    height and width are even, as videos require.
    """

    def __init__(self, row_titles: Sequence[str], column_titles: Sequence[str], side: int = 112, group: int = 1):
        self.side = side
        self.group = group
        font = _font()
        line = sum(font.getmetrics())
        headers = [_wrapped(title, font, side, max_lines=4) for title in column_titles]
        self.top = line * max(title.count("\n") + 1 for title in headers) + 2 * GAP
        beside = [_wrapped(title, font, TITLE_WIDTH, max_lines=side // line) for title in row_titles]
        longest = max(font.getlength(text) for title in beside for text in title.split("\n"))
        self.left = math.ceil(longest) + 2 * GAP
        width = self.left + len(column_titles) * (side + GAP)
        height = self._y(len(row_titles) - 1) + side + GAP
        self.blank = Image.new("RGB", (width + width % 2, height + height % 2), PAPER)
        draw = ImageDraw.Draw(self.blank)
        for column, title in enumerate(headers):
            middle = (self._x(column) + side / 2, self.top - GAP)
            draw.multiline_text(middle, title, INK, font, anchor="md", align="center", spacing=0)
        for row, title in enumerate(beside):
            end = (self.left - GAP, self._y(row) + side / 2)
            draw.multiline_text(end, title, INK, font, anchor="rm", align="right", spacing=0)

    def draw(self, rows: Sequence[Sequence[np.ndarray]]) -> Image.Image:
        """Returns the sheet with these rows of pictures uint8 (S, S, 3)."""
        sheet = self.blank.copy()
        for row, pictures in enumerate(rows):
            for column, picture in enumerate(pictures):
                sheet.paste(resized(picture, self.side), (self._x(column), self._y(row)))
        return sheet

    def _x(self, column: int) -> int:
        return self.left + column * (self.side + GAP)

    def _y(self, row: int) -> int:
        group_gaps = row // self.group * 2 * GAP if self.group > 1 else 0
        return self.top + row * (self.side + GAP) + group_gaps


def resized(picture: np.ndarray, side: int) -> Image.Image:
    """Resizes a picture uint8 (S, S, 3) to this side: smoothly if downscaled, else with visible pixels."""
    method = Image.Resampling.LANCZOS if side < len(picture) else Image.Resampling.NEAREST
    return Image.fromarray(picture).resize((side, side), method)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int, max_lines: int) -> str:
    """Wraps text to lines of at most `width` pixels, at most max_lines: at spaces, or inside of longer words."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines.append("")
        for word in paragraph.split(" "):
            longer = f"{lines[-1]} {word}".strip()
            if font.getlength(longer) <= width:
                lines[-1] = longer
                continue
            lines += [word] if lines[-1] else []
            lines[-1] = word
            while font.getlength(lines[-1]) > width:
                long = lines[-1]
                fits = bisect_right(range(2, len(long)), float(width), key=lambda end: font.getlength(long[:end])) + 1
                lines[-1:] = [long[:fits], long[fits:]]
    if len(lines) > max_lines:
        kept = lines[:max_lines]
        while font.getlength(kept[-1] + "…") > width:
            kept[-1] = kept[-1][:-1]
        return "\n".join([*kept[:-1], kept[-1] + "…"])
    return "\n".join(lines)


def _font() -> ImageFont.FreeTypeFont:
    """Returns the font that Matplotlib ships."""
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    # Basic layout: Raqm is not available everywhere, and text must look the same on all machines.
    return ImageFont.truetype(str(file), FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)
