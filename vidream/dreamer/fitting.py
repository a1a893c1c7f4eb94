"""How much of an image is seen at once: all of it, or tiles that fit into memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from vidream.dreamer import memory, tiles
from vidream.dreamer.tiles import Tile
from vidream.errors import DeviceError
from vidream.images import Size
from vidream.networks import Lattice, Network, bytes_per_pixel, find_lattice

FRAME_BYTES = 12 * 32
"""Bytes for each pixel of a frame beside a step: nearly three dozen float images in all.

Source, start, dream and residuals, older ones for recall, flow, what is on its way from one to the
other, and what decoder and encoder hold. Its encoder takes five of them at 3840×2160.
"""

_STEP = 1 / 8
"""What a step may take, of what its frame does, even if that is too much: less saves nothing."""

_AMPLE = 24 * 1024
"""Bytes a pixel: more than any network of torchvision takes. To ask one costs up to a second."""

_MOST_CUTS = 256  # that are kept: crops come in many sizes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Room:
    """What decides how images are cut into tiles, beside their size.

    Args:
        budget: bytes that may be taken, as was found out when the run began.
        most: pixels that fit, as far as running out of memory has taught.
    """

    budget: int
    most: float = math.inf


class Fitting:
    """Cuts images into tiles, as memory allows.

    Args:
        network: what is to see the images.
        layers: those of its layers that are asked for.
        cap: most bytes that the process may hold, on a GPU those on it; None for what there is.
        device: where the network is.
        room: what an earlier run found, so that this one cuts as it did.
    """

    def __init__(
        self,
        network: Network,
        layers: Sequence[str],
        cap: int | None,
        device: torch.device,
        room: Room | None = None,
    ) -> None:
        self._network, self._layers, self._device = network, layers, device
        # Found out once: a dream should not depend on what other programs do meanwhile.
        room = room or Room(memory.budget(cap, device))
        self._budget, self._most = room.budget, room.most
        self._frame = 0  # pixels of the largest frame
        self._cuts: dict[tuple[int, Size], list[Tile] | None] = {}
        self._told = False

    @property
    def room(self) -> Room:
        """What another must be given to cut as this one would now."""
        return Room(self._budget, self._most)

    @cached_property
    def lattice(self) -> Lattice | None:
        """Where the layers' cells lie; None for a network that sees the whole image from each."""
        return find_lattice(self._network, self._layers)

    def expect(self, size: Size) -> None:
        """Leave memory for frames of that size, whose octaves will be seen."""
        if size[0] * size[1] > self._frame:
            self._frame = size[0] * size[1]
            self._cuts.clear()

    def tiles(self, count: int, size: Size) -> list[Tile] | None:
        """Give the tiles to see ``count`` images of that size in; None to see them whole."""
        key = count, size
        if key not in self._cuts:
            if len(self._cuts) > _MOST_CUTS:
                self._cuts.clear()
            self._cuts[key] = self._fitted(count, size)
        return self._cuts[key]

    def shrink(self, count: int, size: Size, before: Sequence[Tile] | None) -> None:
        """Halve what is seen at once, for memory has run out.

        Args:
            count: of the images that did not fit.
            size: of these images.
            before: the tiles that they were seen in; None if they were seen whole.

        Raises:
            DeviceError: there are no smaller tiles.
        """
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        seen = _largest(before) if before else size[0] * size[1]
        self._most = count * seen // 2
        self._cuts.clear()
        smaller = self._cut(self.lattice, size, seen // 2) if self.lattice is not None else []
        if not smaller or _largest(smaller) >= seen:
            raise DeviceError(
                f"the {self._device.type.upper()} has too little memory to dream at "
                f"{size[1]}×{size[0]}, even in tiles: scale down with --max-side, use --device "
                "cpu, or choose an earlier layer"
            )
        _log.warning("out of memory: %s from now on", _described(size, smaller))

    @cached_property
    def _appetite(self) -> float:
        return bytes_per_pixel(self._network)

    def _fitted(self, count: int, size: Size) -> list[Tile] | None:
        pixels = count * size[0] * size[1]
        frame = FRAME_BYTES * max(self._frame, pixels)
        left = max(self._budget - frame, _STEP * frame)
        if pixels <= min(self._most, left / _AMPLE):
            return None
        room = min(self._most, left / self._appetite)
        if pixels <= room or self.lattice is None:
            return None
        cut = self._cut(self.lattice, size, room / count)
        if len(cut) == 1:
            return None
        self._tell(size, cut, count * _largest(cut) * self._appetite > self._budget - frame)
        return cut

    def _cut(self, lattice: Lattice, size: Size, room: float) -> list[Tile]:
        least = self._network.minimum_side
        halo = tiles.Halo(lattice.stride, lattice.before, lattice.after, least)
        return tiles.cut(size, room, halo)

    def _tell(self, size: Size, cut: Sequence[Tile], too_much: bool) -> None:
        """Say once that frames are cut."""
        if not self._told:
            self._told = True
            _log.log(
                logging.WARNING if too_much else logging.INFO,
                "%s, %s",
                _described(size, cut),
                "and still takes more memory than there is to spare: --max-side scales down"
                if too_much
                else "as memory allows",
            )


def _largest(cut: Sequence[Tile]) -> int:
    return max(tile.area for tile in cut)


def _described(size: Size, cut: Sequence[Tile]) -> str:
    return (
        f"{size[1]}×{size[0]} is dreamed in {len(cut)} tiles of up to "
        f"{max(t.columns.length for t in cut)}×{max(t.rows.length for t in cut)} pixels"
    )
