"""Nearest neighbours of pixels, from coarse to fine, by products of matrices in bounded memory.

A picture is a *field*: a vector at each pixel. Alike is what has the largest scalar product. Blocks
of ``cell`` × ``cell`` pixels are compared with those of all examples first; their pixels are then
compared with those around the places that are most alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

_FLOAT = 4  # bytes


@dataclass(frozen=True, slots=True)
class Field:
    """A vector at each pixel, and one for each block.

    Args:
        pixels: float32 ``[H, W, D]``.
        blocks: float32 ``[h, w, D]``, ``h`` and ``w`` the blocks that cover the picture.
    """

    pixels: Tensor = field(repr=False)
    blocks: Tensor = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.pixels.nbytes + self.blocks.nbytes


@dataclass(frozen=True, slots=True)
class Match:
    """The nearest neighbour of each pixel.

    Args:
        example: number of the picture, int64 ``[H, W]``.
        row: line in that picture, likewise.
        column: column in it, likewise.
        score: scalar product, float32 ``[H, W]``.
    """

    example: Tensor = field(repr=False)
    row: Tensor = field(repr=False)
    column: Tensor = field(repr=False)
    score: Tensor = field(repr=False)


def block_means(pixels: Tensor, cell: int) -> Tensor:
    """Average ``[H, W, D]`` over blocks, ``[⌈H/cell⌉, ⌈W/cell⌉, D]``; the last ones are smaller."""
    means = F.avg_pool2d(
        pixels.permute(2, 0, 1).unsqueeze(0), cell, ceil_mode=True, count_include_pad=False
    )
    return means[0].permute(1, 2, 0).contiguous()


def match(
    wanted: Field, examples: Sequence[Field], *, cell: int, places: int, reach: int, room: int
) -> Match:
    """Find the nearest neighbour of each pixel.

    Exact where ``places`` is the number of examples and ``reach`` their longer side at least.

    Args:
        wanted: of the frame.
        examples: of the pictures; of as many dimensions.
        cell: side of a block, in pixels.
        places: examples that are looked at closely for each block, each around its best block.
        reach: pixels around that block that are looked at.
        room: bytes that may be taken beside the fields; about, and at least what a block takes.
    """
    height, width = wanted.pixels.shape[:2]
    best_block, chosen = _places(wanted, examples, places, room)
    queries = _apart(wanted.pixels, cell)
    score = queries.new_full(queries.shape[:2], -torch.inf)
    where = torch.zeros((3, *score.shape), dtype=torch.int64, device=score.device)
    for number, example in enumerate(examples):
        across = example.blocks.shape[1]
        asking = chosen[number].nonzero()[:, 0]
        window = _Window.around(example, cell, reach)
        for some in torch.split(asking, window.batch(queries, room)):
            corner = window.corners(best_block[number, some], across, cell, reach)
            found, row, column = window.search(queries[some], example.pixels, *corner)
            better = found > score[some]
            score[some] = torch.where(better, found, score[some])
            now = torch.stack((torch.full_like(row, number), row, column))
            where[:, some] = torch.where(better, now, where[:, some])
    return Match(*(_together(part, height, width, cell) for part in (*where, score)))


def _places(
    wanted: Field, examples: Sequence[Field], places: int, room: int
) -> tuple[Tensor, Tensor]:
    """Give the block of each example that is most like each block, int64 ``[E, n]``.

    And which of these are among the best ``places``, bool ``[E, n]``.
    """
    queries = wanted.blocks.flatten(0, 1)
    scores, blocks = [], []
    for example in examples:
        keys = example.blocks.flatten(0, 1).T
        batch = max(1, room // (_FLOAT * keys.shape[1]))
        found = [(some @ keys).max(1) for some in torch.split(queries, batch)]
        scores.append(torch.cat([f.values for f in found]))
        blocks.append(torch.cat([f.indices for f in found]))
    score = torch.stack(scores)
    best = score.topk(min(places, len(examples)), 0).indices
    chosen = torch.zeros_like(score, dtype=torch.bool).scatter_(0, best, value=True)
    return torch.stack(blocks), chosen


@dataclass(frozen=True, slots=True)
class _Window:
    """The rectangle of an example that is looked at: all of them are of one size."""

    rows: int
    columns: int
    height: int
    width: int

    @classmethod
    def around(cls, example: Field, cell: int, reach: int) -> _Window:
        height, width = example.pixels.shape[:2]
        side = cell + 2 * reach
        return cls(min(height, side), min(width, side), height, width)

    def batch(self, queries: Tensor, room: int) -> int:
        """Give the number of blocks whose windows fit into that many bytes."""
        pixels, depth = queries.shape[1:]
        return max(1, room // (_FLOAT * self.rows * self.columns * (pixels + depth)))

    def corners(self, block: Tensor, across: int, cell: int, reach: int) -> tuple[Tensor, Tensor]:
        """Give the first row and column of the window around each block, inside the picture."""
        row, column = block // across * cell - reach, block % across * cell - reach
        return row.clamp(0, self.height - self.rows), column.clamp(0, self.width - self.columns)

    def search(
        self, queries: Tensor, pixels: Tensor, top: Tensor, left: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give the best score, its row and its column for ``[n, P, D]``; ``[n, P]`` each."""
        rows = top.unsqueeze(1) + torch.arange(self.rows, device=top.device)
        columns = left.unsqueeze(1) + torch.arange(self.columns, device=top.device)
        keys = pixels[rows.unsqueeze(2), columns.unsqueeze(1)].flatten(1, 2)
        found, place = torch.bmm(queries, keys.mT).max(2)
        return (
            found,
            top.unsqueeze(1) + place // self.columns,
            left.unsqueeze(1) + place % self.columns,
        )


def _apart(pixels: Tensor, cell: int) -> Tensor:
    """Cut ``[H, W, D]`` into blocks, ``[n, cell², D]``; those at the end repeat its border."""
    height, width, depth = pixels.shape
    down, right = -height % cell, -width % cell
    rows = torch.arange(height + down, device=pixels.device).clamp_max(height - 1)
    columns = torch.arange(width + right, device=pixels.device).clamp_max(width - 1)
    whole = pixels[rows][:, columns]
    blocks = whole.view(len(rows) // cell, cell, len(columns) // cell, cell, depth)
    return blocks.transpose(1, 2).reshape(-1, cell * cell, depth)


def _together(values: Tensor, height: int, width: int, cell: int) -> Tensor:
    """Undo :func:`_apart` for ``[n, cell²]``."""
    down, across = -(-height // cell), -(-width // cell)
    blocks = values.view(down, across, cell, cell).transpose(1, 2)
    return blocks.reshape(down * cell, across * cell)[:height, :width].contiguous()
