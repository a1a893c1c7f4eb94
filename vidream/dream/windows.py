"""Windows over weak regions, of one size in a frame so that they are dreamed in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import EllipsisType

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.images import Size


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    size: Size

    @property
    def of(self) -> tuple[EllipsisType, slice, slice]:
        """What selects it from an image: ``image[window.of]``."""
        height, width = self.size
        return ..., slice(self.top, self.top + height), slice(self.left, self.left + width)


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """Limits of windows."""

    side: int  # pixels, where the image is that large
    margin: int  # pixels at a window's border, but not the image's, that do not count as covered
    count: int  # number of windows at most
    min_deficit: float  # of a window, in pixels


def windows(deficit: Tensor, size: Size, limits: WindowLimits) -> list[Window]:
    """Place windows greedily where the deficit, ``[1, 1, h, w]``, is largest.

    They may overlap by their margins.
    """
    margin = limits.margin
    height, width = min(limits.side, size[0]), min(limits.side, size[1])
    unit = max(8, margin // 4)
    grid = (max(1, round(size[0] / unit)), max(1, round(size[1] / unit)))
    left_over = F.adaptive_avg_pool2d(deficit, grid).cpu()
    cell = (size[0] / grid[0], size[1] / grid[1])
    tops = _places(size[0], height, unit)
    lefts = _places(size[1], width, unit)
    rows = _covers(tops, height, size[0], grid[0], margin)
    columns = _covers(lefts, width, size[1], grid[1], margin)
    found: list[Window] = []
    while len(found) < limits.count:
        sums = rows @ left_over[0, 0] @ columns.T * (cell[0] * cell[1])
        best = int(sums.argmax())
        if float(sums.flatten()[best]) <= limits.min_deficit:
            break
        row, column = divmod(best, len(lefts))
        found.append(Window(tops[row], lefts[column], (height, width)))
        left_over *= 1 - rows[row].outer(columns[column])
    return found


def strips(size: Size, count: int, overlap: int) -> list[Window]:
    """Cut an image across its longer axis; each strip sees ``overlap`` pixels of its neighbours."""
    height, width = size
    length = max(size)
    edges = [round(k * length / count) for k in range(count + 1)]
    spans = [(max(0, a - overlap), min(length, b + overlap)) for a, b in pairwise(edges)]
    if width >= height:
        return [Window(0, a, (height, b - a)) for a, b in spans]
    return [Window(a, 0, (b - a, width)) for a, b in spans]


def _places(limit: int, length: int, unit: int) -> list[int]:
    last = limit - length
    return [*range(0, last, unit), last]


def _covers(places: Sequence[int], length: int, limit: int, count: int, margin: int) -> Tensor:
    """Return which cells windows cover along one dimension, ``[places, count]`` of 0 and 1."""
    begin = torch.tensor(places).unsqueeze(1)
    centres = (torch.arange(count) + 0.5) * (limit / count)
    low = begin + margin * (begin > 0)
    high = begin + length - margin * (begin + length < limit)
    return ((centres >= low) & (centres < high)).float()


def feather(window: Window, size: Size, margin: int, device: torch.device | str) -> Tensor:
    """Return ``[1, 1, height, width]``: 1, falling to 0 at borders that are not the image's."""

    def ramp(begin: int, length: int, limit: int) -> Tensor:
        x = torch.arange(length, device=device) + 0.5
        up = (x / margin).clamp(max=1) if begin > 0 else torch.ones_like(x)
        down = ((length - x) / margin).clamp(max=1) if begin + length < limit else up.new_ones(())
        return up * down

    rows = ramp(window.top, window.size[0], size[0])
    columns = ramp(window.left, window.size[1], size[1])
    return rows.outer(columns)[None, None]
