"""Nearest neighbours of pixels by the scalar product, from coarse to fine, in bounded memory.

Blocks of ``cell`` × ``cell`` pixels are compared with those of all examples; then their pixels with
those around the best blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

_FLOAT = 4  # bytes


@dataclass(frozen=True, slots=True)
class FeatureGrid:
    """A vector at each pixel, and one for each block."""

    pixels: Tensor = field(repr=False)  # float32 [H, W, D]
    blocks: Tensor = field(repr=False)  # float32 [h, w, D]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.pixels.nbytes + self.blocks.nbytes


@dataclass(frozen=True, slots=True)
class Match:
    """The nearest neighbour of each pixel, int64 ``[H, W]`` each, and its scalar product."""

    example: Tensor = field(repr=False)
    row: Tensor = field(repr=False)
    column: Tensor = field(repr=False)
    score: Tensor = field(repr=False)  # float32


def block_means(pixels: Tensor, cell: int) -> Tensor:
    """Average ``[H, W, D]`` over blocks, ``[⌈H/cell⌉, ⌈W/cell⌉, D]``; the last ones are smaller."""
    planes = pixels.permute(2, 0, 1).unsqueeze(0)
    means = F.avg_pool2d(planes, cell, ceil_mode=True, count_include_pad=False)
    return means[0].permute(1, 2, 0).contiguous()


@dataclass(frozen=True, slots=True)
class Search:
    """Parameters of the search."""

    cell: int  # side of a block, in pixels
    places: int  # examples that are searched closely for a block, each around its best block
    radius: int  # pixels around that block that are searched
    max_bytes: int  # besides the grids; about, and at least what a block takes

    @property
    def side(self) -> int:
        """Side of the window that is searched, in pixels."""
        return self.cell + 2 * self.radius


def match(query: FeatureGrid, examples: Sequence[FeatureGrid], search: Search) -> Match:
    """Find the nearest neighbour of each pixel.

    Exact where ``places`` is the number of examples and ``radius`` their longer side at least.
    """
    height, width = query.pixels.shape[:2]
    best_block, chosen = _places(query, examples, search)
    pixels = _blocks_of(query.pixels, search.cell)
    score = pixels.new_full(pixels.shape[:2], -torch.inf)
    where = torch.zeros((3, *score.shape), dtype=torch.int64, device=score.device)
    for number, example in enumerate(examples):
        window = math.prod(min(search.side, length) for length in example.pixels.shape[:2])
        batch = max(1, search.max_bytes // (_FLOAT * window * sum(pixels.shape[1:])))
        for some in torch.split(chosen[number].nonzero()[:, 0], batch):
            block = best_block[number, some]
            found, row, column = _search_around(block, pixels[some], example, search)
            better = found > score[some]
            score[some] = torch.where(better, found, score[some])
            now = torch.stack((torch.full_like(row, number), row, column))
            where[:, some] = torch.where(better, now, where[:, some])
    return Match(*(_joined(part, height, width, search.cell) for part in (*where, score)))


def _places(
    query: FeatureGrid, examples: Sequence[FeatureGrid], search: Search
) -> tuple[Tensor, Tensor]:
    """Return the nearest block of each example for each block, and if it is among the best.

    int64 and bool ``[E, n]``.
    """
    queries = query.blocks.flatten(0, 1)
    scores, blocks = [], []
    for example in examples:
        keys = example.blocks.flatten(0, 1).T
        batch = max(1, search.max_bytes // (_FLOAT * keys.shape[1]))
        found = [(some @ keys).max(1) for some in torch.split(queries, batch)]
        scores.append(torch.cat([f.values for f in found]))
        blocks.append(torch.cat([f.indices for f in found]))
    score = torch.stack(scores)
    best = score.topk(min(search.places, len(examples)), 0).indices
    chosen = torch.zeros_like(score, dtype=torch.bool).scatter_(0, best, value=True)
    return torch.stack(blocks), chosen


def _search_around(
    block: Tensor, queries: Tensor, example: FeatureGrid, search: Search
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the best score near a block for ``[n, P, D]``, its row and column, ``[n, P]`` each."""
    across, corners, places = example.blocks.shape[1], [], []
    for index, length in zip((block // across, block % across), example.pixels.shape, strict=False):
        count = min(length, search.side)
        corners.append((index * search.cell - search.radius).clamp(0, length - count).unsqueeze(1))
        places.append(corners[-1] + torch.arange(count, device=block.device))
    rows, columns = places
    keys = example.pixels[rows.unsqueeze(2), columns.unsqueeze(1)].flatten(1, 2)
    found, place = torch.bmm(queries, keys.mT).max(2)
    wide = columns.shape[1]
    return found, corners[0] + place // wide, corners[1] + place % wide


def _blocks_of(pixels: Tensor, cell: int) -> Tensor:
    """Cut ``[H, W, D]`` into blocks, ``[n, cell², D]``; those at the end repeat its border."""
    height, width, depth = pixels.shape
    rows, columns = (
        torch.arange(-(-length // cell) * cell, device=pixels.device).clamp_max(length - 1)
        for length in (height, width)
    )
    whole = pixels[rows][:, columns]
    blocks = whole.view(len(rows) // cell, cell, len(columns) // cell, cell, depth)
    return blocks.transpose(1, 2).reshape(-1, cell * cell, depth)


def _joined(values: Tensor, height: int, width: int, cell: int) -> Tensor:
    """Undo :func:`_blocks_of` for ``[n, cell²]``."""
    down, across = -(-height // cell), -(-width // cell)
    blocks = values.view(down, across, cell, cell).transpose(1, 2)
    return blocks.reshape(down * cell, across * cell)[:height, :width].contiguous()
