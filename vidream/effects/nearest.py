"""Nearest neighbours of pixels, from coarse to fine, by products of matrices in bounded memory.

Nearest is what has the largest scalar product. Blocks of ``cell`` × ``cell`` pixels are compared
with those of all examples first; their pixels are then compared with those around the best places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

_FLOAT = 4  # bytes


@dataclass(frozen=True, slots=True)
class FeatureGrid:
    """A vector at each pixel, and one for each block of those that cover the picture."""

    pixels: Tensor = field(repr=False)  # float32 [H, W, D]
    blocks: Tensor = field(repr=False)  # float32 [h, w, D]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.pixels.nbytes + self.blocks.nbytes


@dataclass(frozen=True, slots=True)
class Match:
    """The nearest neighbour of each pixel, int64 ``[H, W]`` each, and its scalar product."""

    example: Tensor = field(repr=False)  # number of the picture
    row: Tensor = field(repr=False)
    column: Tensor = field(repr=False)
    score: Tensor = field(repr=False)  # float32


def block_means(pixels: Tensor, cell: int) -> Tensor:
    """Average ``[H, W, D]`` over blocks, ``[⌈H/cell⌉, ⌈W/cell⌉, D]``; the last ones are smaller."""
    means = F.avg_pool2d(
        pixels.permute(2, 0, 1).unsqueeze(0), cell, ceil_mode=True, count_include_pad=False
    )
    return means[0].permute(1, 2, 0).contiguous()


@dataclass(frozen=True, slots=True)
class Search:
    """How neighbours are searched."""

    cell: int  # side of a block, in pixels
    places: int  # examples that are searched closely for a block, each around its best block
    radius: int  # pixels around that block that are searched
    max_bytes: int  # besides the grids; about, and at least what a block takes


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
        across = example.blocks.shape[1]
        asking = chosen[number].nonzero()[:, 0]
        window = _SearchWindow.around(example, search)
        for some in torch.split(asking, window.batch(pixels, search.max_bytes)):
            corner = window.corners(best_block[number, some], across, search)
            found, row, column = window.search(pixels[some], example.pixels, *corner)
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


@dataclass(frozen=True, slots=True)
class _SearchWindow:
    """The rectangle of an example that is searched: all of them are of one size."""

    rows: int
    columns: int
    height: int
    width: int

    @classmethod
    def around(cls, example: FeatureGrid, search: Search) -> _SearchWindow:
        height, width = example.pixels.shape[:2]
        side = search.cell + 2 * search.radius
        return cls(min(height, side), min(width, side), height, width)

    def batch(self, queries: Tensor, max_bytes: int) -> int:
        """Return the number of blocks whose windows fit into that many bytes."""
        pixels, depth = queries.shape[1:]
        return max(1, max_bytes // (_FLOAT * self.rows * self.columns * (pixels + depth)))

    def corners(self, block: Tensor, across: int, search: Search) -> tuple[Tensor, Tensor]:
        """Return the first row and column of the window around each block, inside the picture."""
        cell, radius = search.cell, search.radius
        row, column = block // across * cell - radius, block % across * cell - radius
        return row.clamp(0, self.height - self.rows), column.clamp(0, self.width - self.columns)

    def search(
        self, queries: Tensor, pixels: Tensor, top: Tensor, left: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the best score, its row and its column for ``[n, P, D]``; ``[n, P]`` each."""
        rows = top.unsqueeze(1) + torch.arange(self.rows, device=top.device)
        columns = left.unsqueeze(1) + torch.arange(self.columns, device=top.device)
        keys = pixels[rows.unsqueeze(2), columns.unsqueeze(1)].flatten(1, 2)
        found, place = torch.bmm(queries, keys.mT).max(2)
        return (
            found,
            top.unsqueeze(1) + place // self.columns,
            left.unsqueeze(1) + place % self.columns,
        )


def _blocks_of(pixels: Tensor, cell: int) -> Tensor:
    """Cut ``[H, W, D]`` into blocks, ``[n, cell², D]``; those at the end repeat its border."""
    height, width, depth = pixels.shape
    down, right = -height % cell, -width % cell
    rows = torch.arange(height + down, device=pixels.device).clamp_max(height - 1)
    columns = torch.arange(width + right, device=pixels.device).clamp_max(width - 1)
    whole = pixels[rows][:, columns]
    blocks = whole.view(len(rows) // cell, cell, len(columns) // cell, cell, depth)
    return blocks.transpose(1, 2).reshape(-1, cell * cell, depth)


def _joined(values: Tensor, height: int, width: int, cell: int) -> Tensor:
    """Undo :func:`_blocks_of` for ``[n, cell²]``."""
    down, across = -(-height // cell), -(-width // cell)
    blocks = values.view(down, across, cell, cell).transpose(1, 2)
    return blocks.reshape(down * cell, across * cell)[:height, :width].contiguous()
