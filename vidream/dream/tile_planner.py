"""How much of an image is seen at once: all of it, or tiles that fit into memory."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from vidream.core.errors import DeviceError
from vidream.core.images import Size
from vidream.core.memory import MemoryBudget
from vidream.dream.tiling import Halo, Tile, cut
from vidream.networks.geometry import LayerGeometry, bytes_per_pixel, find_geometry
from vidream.networks.network import Network

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TilingPolicy:
    """Constants of tiling, as measured."""

    # For each pixel of a frame besides a step, nearly three dozen float images: source, init image,
    # dream, residuals, keyframes, flow, and what decoder and encoder hold: five at 3840×2160.
    frame_bytes: int = 12 * 32
    # What a step may take, of what its frame does, even if that is too much: less saves nothing.
    min_step: float = 1 / 8
    # For each pixel, more than any network of torchvision takes. To ask one costs up to a second.
    ample_bytes: int = 24 * 1024
    max_plans: int = 256  # that are kept: crops come in many sizes


TILING_POLICY = TilingPolicy()


class TilePlanner:
    """Cuts images into tiles, as memory allows.

    Args:
        network: sees the images.
        layers: those of its layers that are needed.
        budget: memory that may be taken; running out of it is noted there.
    """

    def __init__(self, network: Network, layers: Sequence[str], budget: MemoryBudget) -> None:
        self._network, self._layers, self.budget = network, layers, budget
        self._frame_pixels = 0  # of the largest frame
        self._plans: dict[tuple[int, Size], list[Tile] | None] = {}
        self._logged = False

    @cached_property
    def geometry(self) -> LayerGeometry | None:
        """Where the layers' cells lie; None for a network that sees the whole image from each."""
        return find_geometry(self._network, self._layers)

    @property
    def strides(self) -> Mapping[str, int]:
        """Pixels from one cell to the next, by layer."""
        assert self.geometry is not None, "a network without geometry has no tiles"
        return self.geometry.strides

    def expect(self, size: Size) -> None:
        """Leave memory for frames of that size, whose octaves will be seen."""
        if size[0] * size[1] > self._frame_pixels:
            self._frame_pixels = size[0] * size[1]
            self._plans.clear()

    def tiles(self, count: int, size: Size) -> list[Tile] | None:
        """Return the tiles to see ``count`` images of that size in; None to see them whole."""
        key = count, size
        if key in self._plans:
            return self._plans[key]
        if len(self._plans) > TILING_POLICY.max_plans:
            self._plans.clear()
        return self._plans.setdefault(key, self._plan(count, size))

    def shrink(self, count: int, size: Size, before: Sequence[Tile] | None) -> None:
        """Halve what is seen at once, for memory has run out.

        Raises:
            DeviceError: there are no smaller tiles.
        """
        device = self._network.device.type
        if device == "cuda":
            torch.cuda.empty_cache()
        seen = _largest(before) if before else size[0] * size[1]
        self.budget.max_pixels = count * seen // 2
        self._plans.clear()
        smaller = self._cut(self.geometry, size, seen // 2) if self.geometry is not None else []
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
        policy, pixels = TILING_POLICY, count * size[0] * size[1]
        frame = policy.frame_bytes * max(self._frame_pixels, pixels)
        left = max(self.budget.bytes - frame, policy.min_step * frame)
        if pixels <= min(self.budget.max_pixels, left / policy.ample_bytes):
            return None
        fitting = min(self.budget.max_pixels, left / self._bytes_per_pixel)
        if pixels <= fitting or self.geometry is None:
            return None
        tiles = self._cut(self.geometry, size, fitting / count)
        if len(tiles) == 1:
            return None
        if not self._logged:
            self._logged = True
            taken = count * _largest(tiles) * self._bytes_per_pixel
            if taken <= self.budget.bytes - frame:
                _log.info("%s, as memory allows", _described(size, tiles))
            else:
                _log.warning(
                    "%s, and still takes more memory than there is: a smaller max_side helps",
                    _described(size, tiles),
                )
        return tiles

    def _cut(self, geometry: LayerGeometry, size: Size, max_area: float) -> list[Tile]:
        least = self._network.minimum_side
        return cut(size, max_area, Halo(geometry.stride, geometry.before, geometry.after, least))


def _largest(tiles: Sequence[Tile]) -> int:
    return max(tile.area for tile in tiles)


def _described(size: Size, tiles: Sequence[Tile]) -> str:
    return (
        f"{size[1]}×{size[0]} is dreamed in {len(tiles)} tiles of up to "
        f"{max(t.columns.length for t in tiles)}×{max(t.rows.length for t in tiles)} pixels"
    )
