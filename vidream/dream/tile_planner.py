"""How much of an image is seen at once: all of it, or tiles that fit into memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch

from vidream.core.errors import DeviceError
from vidream.core.images import Size
from vidream.core.memory import MemoryBudget
from vidream.dream.tiling import Halo, Tile, cut
from vidream.networks.geometry import LayerGeometry, bytes_per_pixel, find_geometry
from vidream.networks.network import Network

_log = logging.getLogger(__name__)


# For each pixel of a frame besides a step, nearly three dozen float images: source, init image,
# dream, residuals, keyframes, flow, and what decoder and encoder hold: five at 3840×2160.
FRAME_BYTES = 12 * 32
_MIN_STEP = 1 / 8  # of its frame's memory that a step may take at least: less saves nothing
_AMPLE_BYTES = 24 * 1024  # a pixel, more than any network takes: to ask one costs up to a second
_MAX_PLANS = 256  # that are kept: crops come in many sizes


class TilePlanner:
    """Cuts images into tiles for some layers of a network, within a budget of memory."""

    def __init__(self, network: Network, layers: Sequence[str], budget: MemoryBudget) -> None:
        self._network, self._layers, self._budget = network, layers, budget
        self._frame_pixels = 0  # of the largest frame
        self._plans: dict[tuple[int, Size], list[Tile] | None] = {}
        self._logged = False

    @cached_property
    def geometry(self) -> LayerGeometry | None:
        """Geometry of the layers; None where each cell sees the whole image."""
        return find_geometry(self._network, self._layers)

    @property
    def strides(self) -> Mapping[str, int]:
        """Pixels from one cell to the next, by layer."""
        assert self.geometry is not None, "a network without geometry has no tiles"
        return self.geometry.strides

    def expect(self, size: Size) -> None:
        """Leave memory for frames of that size."""
        if size[0] * size[1] > self._frame_pixels:
            self._frame_pixels = size[0] * size[1]
            self._plans.clear()

    def tiles(self, count: int, size: Size) -> list[Tile] | None:
        """Return the tiles for ``count`` images of that size; None for whole images."""
        if (count, size) not in self._plans:
            if len(self._plans) > _MAX_PLANS:
                self._plans.clear()
            self._plans[count, size] = self._plan(count, size)
        return self._plans[count, size]

    def shrink(self, count: int, size: Size, before: Sequence[Tile] | None) -> None:
        """Halve the pixels at once after running out of memory.

        Raises:
            DeviceError: there are no smaller tiles.
        """
        device = self._network.device.type
        if device == "cuda":
            torch.cuda.empty_cache()
        seen = _largest(before) if before else size[0] * size[1]
        self._budget.max_pixels = count * seen // 2
        self._plans.clear()
        smaller = self._cut(size, seen // 2)
        if not smaller or _largest(smaller) >= seen:
            raise DeviceError(
                f"the {device.upper()} has too little memory to dream at {size[1]}×{size[0]}, even "
                "in tiles: set a smaller `max_side`, `device` to cpu, or earlier `layers`"
            )
        _log.warning("out of memory: %s from now on", _described(size, smaller))

    @cached_property
    def _bytes_per_pixel(self) -> float:
        return bytes_per_pixel(self._network)

    def _plan(self, count: int, size: Size) -> list[Tile] | None:
        budget, pixels = self._budget, count * size[0] * size[1]
        frame = FRAME_BYTES * max(self._frame_pixels, pixels)
        left = max(budget.bytes - frame, _MIN_STEP * frame)
        if pixels <= min(budget.max_pixels, left / _AMPLE_BYTES):
            return None
        fitting = min(budget.max_pixels, left / self._bytes_per_pixel)
        tiles = [] if pixels <= fitting else self._cut(size, fitting / count)
        if len(tiles) < 2:
            return None
        if not self._logged:
            self._logged = True
            note = "as memory allows"
            fits = count * _largest(tiles) * self._bytes_per_pixel <= budget.bytes - frame
            if not fits:
                note = "and still takes more memory than there is: a smaller max_side helps"
            _log.log(
                logging.INFO if fits else logging.WARNING, "%s, %s", _described(size, tiles), note
            )
        return tiles

    def _cut(self, size: Size, max_area: float) -> list[Tile]:
        """Cut into tiles; none where cells see the whole image."""
        if self.geometry is None:
            return []
        stride, before, after = self.geometry.stride, self.geometry.before, self.geometry.after
        return cut(size, max_area, Halo(stride, before, after, self._network.minimum_side))


def _largest(tiles: Sequence[Tile]) -> int:
    return max(tile.area for tile in tiles)


def _described(size: Size, tiles: Sequence[Tile]) -> str:
    return (
        f"{size[1]}×{size[0]} is dreamed in {len(tiles)} tiles of up to "
        f"{max(t.columns.length for t in tiles)}×{max(t.rows.length for t in tiles)} pixels"
    )
