"""Contact sheets: labelled pictures in rows and columns."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidream.core.frames import Picture


@dataclass(frozen=True, slots=True)
class SheetStyle:
    """Colours, and lengths in pixels."""

    ground: tuple[int, int, int] = (22, 22, 24)
    text: tuple[int, int, int] = (214, 214, 218)
    font: int = 15
    gap: int = 6
    label: int = 24  # height of a line of labels


STYLE = SheetStyle()


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the cells of a sheet lie.

    Args:
        cell: width and height of each.
        columns: their labels; several lines of cells if ``wrap`` is less.
        rows: their labels; one that is empty takes no room.
        wrap: cells in a line, where there is one row.
    """

    cell: tuple[int, int]
    columns: Sequence[str]
    rows: Sequence[str] = ("",)
    wrap: int | None = None

    @property
    def across(self) -> int:
        """Cells in a line."""
        return min(self.wrap or len(self.columns), len(self.columns))

    @property
    def lines(self) -> int:
        """Lines of cells."""
        return len(self.rows) * math.ceil(len(self.columns) / self.across)

    @property
    def margin(self) -> int:
        """Width of the row labels."""
        font = _font()
        return max(
            (math.ceil(font.getlength(row)) + 2 * STYLE.gap for row in self.rows if row),
            default=STYLE.gap,
        )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet: even, as video codecs need."""
        width = self.margin + self.across * (self.cell[0] + STYLE.gap)
        height = STYLE.gap + sum(self._height(line) for line in range(self.lines))
        return width + width % 2, height + height % 2

    def _height(self, line: int) -> int:
        return self.cell[1] + STYLE.gap + (STYLE.label if self._is_labelled(line) else 0)

    def _is_labelled(self, line: int) -> bool:
        return line == 0 or self.across < len(self.columns)

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Return the left upper corner of a cell."""
        line = row * math.ceil(len(self.columns) / self.across) + column // self.across
        top = STYLE.gap + sum(self._height(k) for k in range(line))
        top += STYLE.label if self._is_labelled(line) else 0
        return self.margin + column % self.across * (self.cell[0] + STYLE.gap), top


def square_wrap(count: int, cell: tuple[int, int]) -> int:
    """Return how many cells of a size in a line make a sheet of about 3:2."""
    return max(1, min(count, round(math.sqrt(1.5 * count * cell[1] / cell[0]))))


def draw_labels(layout: Layout) -> Picture:
    """Return a sheet without pictures, uint8 ``[H, W, 3]``."""
    image = Image.new("RGB", layout.size, STYLE.ground)
    draw, font = ImageDraw.Draw(image), _font()
    for column, label in enumerate(layout.columns):
        for row in range(len(layout.rows)):
            left, top = layout.place(row, column)
            if row == 0 or layout.across < len(layout.columns):
                text = _shortened(label, font, layout.cell[0])
                draw.text((left, top - STYLE.label + 2), text, STYLE.text, font)
    for row, label in enumerate(layout.rows):
        _, top = layout.place(row, 0)
        middle = top + layout.cell[1] // 2
        draw.text((STYLE.gap, middle), label, STYLE.text, font, anchor="lm")
    return np.array(image)


def put(sheet: Picture, layout: Layout, cells: Mapping[tuple[int, int], Picture]) -> Picture:
    """Return a sheet with pictures, by row and column, scaled to their cells."""
    made = sheet.copy()
    width, height = layout.cell
    for (row, column), picture in cells.items():
        left, top = layout.place(row, column)
        made[top : top + height, left : left + width] = scaled(picture, layout.cell)
    return made


def scaled(picture: Picture, size: tuple[int, int]) -> Picture:
    """Return a picture of another width and height."""
    if picture.shape[:2] == size[::-1]:
        return picture
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(STYLE.font)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, most: int) -> str:
    """Return as much of a text as fits into a width."""
    if font.getlength(text) <= most:
        return text
    while text and font.getlength(f"{text}…") > most:
        text = text[:-1]
    return f"{text}…"
