"""Where the objective rises on an image: seen as a whole, or in tiles where that takes too much.

The only place where the network sees what is dreamed. In tiles the gradient is that of the whole
image, up to rounding: each tile answers for its own cells, and looks as far beyond them as these
cells see; what it says of pixels that other tiles answer for is added to what they say. Only a
network that looks at the whole image from every cell (squeeze and excitation, attention) takes
each tile for an image of its own.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import EllipsisType
from typing import TypeVar

import torch
from torch import Tensor

from vidream.dreamer import memory, tiles
from vidream.dreamer.allocator import give_back_freed_memory
from vidream.dreamer.likeness import total_variation
from vidream.dreamer.objectives import Objective
from vidream.dreamer.tiles import Tile
from vidream.errors import DeviceError
from vidream.images import Size
from vidream.networks import Lattice, Network, bytes_per_pixel, find_lattice, grids

Result = TypeVar("Result")

FRAME_BYTES = 12 * 32
"""Bytes for each pixel of a frame beside a step: nearly three dozen float images in all.

Source, start, dream and residuals, older ones for recall, flow, what is on its way from one to the
other, and what decoder and encoder hold. Its encoder takes five of them at 3840×2160.
"""

_STEP = 1 / 8
"""What a step may take, of what its frame does, even if that is too much: less saves nothing."""

_AMPLE = 24 * 1024
"""Bytes a pixel: more than any network of torchvision takes. To ask one costs up to a second."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Slope:
    """What a backward pass tells of images.

    Args:
        gradient: of the objective, ``[B, 3, H, W]``.
        objective: its value, a scalar: the mean over the images.
        cells: energy of each cell of the coarsest layer's grid, ``[B, 1, h, w]``.
    """

    gradient: Tensor = field(repr=False)
    objective: Tensor
    cells: Tensor = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Part:
    """A tile, and the cells that it answers for.

    Args:
        outer: what selects all that it looks at from ``[B, C, H, W]``.
        owned: by layer, what selects its cells among those that it sees, and in all.
    """

    outer: tuple[EllipsisType, slice, slice]
    owned: dict[str, tuple[tuple[slice, ...], tuple[slice, ...]]]

    def of(self, activations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give those of its activations that it answers for."""
        return {name: activations[name][mine] for name, (mine, _) in self.owned.items()}


@dataclass(frozen=True, slots=True)
class Room:
    """What decides how images are cut into tiles, beside their size.

    Args:
        budget: bytes that may be taken, as was found out when the run began.
        most: pixels that fit, as far as running out of memory has taught.
    """

    budget: int
    most: float = math.inf


class Surveyor:
    """Tells slopes, whole or in tiles, as memory allows.

    Args:
        network: what sees the images.
        aim: what rises; its terms by the network's own names of layers.
        cap: most bytes that the process may hold, on a GPU those on it; None for what there is.
        device: where the network is.
        room: what an earlier run found, so that this one cuts as it did.
    """

    def __init__(
        self,
        network: Network,
        aim: Objective,
        cap: int | None,
        device: torch.device,
        room: Room | None = None,
    ) -> None:
        self._network, self._aim, self._device = network, aim, device
        # Found out once: a dream should not depend on what other programs do meanwhile.
        room = room or Room(memory.budget(cap, device))
        self._budget, self._most = room.budget, room.most
        self._frame = 0  # pixels of the largest frame
        self._plans: dict[tuple[int, Size], list[Tile] | None] = {}
        self._told = False

    @property
    def room(self) -> Room:
        """What another surveyor must be given to cut as this one would now."""
        return Room(self._budget, self._most)

    def aimed(self, aim: Objective) -> Surveyor:
        """Give one with another aim at the same layers."""
        other = copy(self)
        other._aim = aim
        return other

    def expect(self, size: Size) -> None:
        """Leave memory for frames of that size, whose octaves will be surveyed."""
        if size[0] * size[1] > self._frame:
            self._frame = size[0] * size[1]
            self._plans.clear()

    def slope(self, image: Tensor, beside: Tensor | None = None) -> Slope:
        """Give the slope at float ``[B, 3, H, W]`` images in [0, 1].

        Args:
            image: the images.
            beside: those whose content they are to keep, of the same shape.

        Raises:
            DeviceError: there is not even memory for tiles.
        """
        image = image.detach()
        beside = beside if self._aim.content else None
        slope = self._try(
            image,
            lambda image: self._whole(image, beside),
            lambda image, cut: self._in_tiles(image, cut, beside),
        )
        return self._smoother(slope, image) if self._aim.variation else slope

    def objective(self, image: Tensor) -> Tensor:
        """Give the objective alone, a scalar, but for the content; see :meth:`slope`."""
        objective = self._glance(image).objective
        return objective - self._aim.variation * total_variation(image).mean()

    def cells(self, image: Tensor) -> Tensor:
        """Give the cells alone, ``[B, 1, h, w]``; see :meth:`slope`."""
        return self._glance(image).cells

    def _glance(self, image: Tensor) -> Slope:
        """Give a slope whose gradient is not known."""
        return self._try(
            image,
            lambda image: self._whole(image, None, gradient=False),
            lambda image, cut: self._in_tiles(image, cut, None, gradient=False),
        )

    def _smoother(self, slope: Slope, image: Tensor) -> Slope:
        """Let the image's total variation have its say; that takes no network, and no tiles."""
        image = image.requires_grad_(True)
        with torch.enable_grad():
            rough = self._aim.variation * total_variation(image).mean()
            (gradient,) = torch.autograd.grad(rough, image)
        return replace(
            slope,
            gradient=slope.gradient - gradient,
            objective=slope.objective - rough.detach(),
        )

    def _whole(self, image: Tensor, beside: Tensor | None, *, gradient: bool = True) -> Slope:
        image = image.detach().requires_grad_(gradient)
        kept = None if beside is None else self._activations(beside)
        with torch.set_grad_enabled(gradient):
            activations = self._network.activations(image)
            cells = {layer: activations[layer][0, 0].numel() for layer in self._aim.layers}
            maps = self._aim.maps(activations, kept)
            likeness = self._aim.likeness(self._aim.sums(activations), cells)
            objective = self._aim.value(maps) + likeness.mean()
            slope = torch.autograd.grad(objective, image)[0] if gradient else torch.zeros(())
        local = self._aim.local([found.detach() for found in maps], likeness.detach())
        return Slope(slope, objective.detach(), local)

    def _activations(self, image: Tensor) -> dict[str, Tensor]:
        """Give what is seen in images that do not change."""
        with torch.no_grad():
            return self._network.activations(image)

    def _in_tiles(
        self,
        image: Tensor,
        cut: Sequence[Tile],
        beside: Tensor | None,
        *,
        gradient: bool = True,
    ) -> Slope:
        """Add up what the tiles tell; without ``gradient`` that is 0."""
        aim, size = self._aim, (image.shape[-2], image.shape[-1])
        whole = grids(self._network, size)
        counts = {name: math.prod(grid) for name, grid in whole.items()}
        parts = self._parts(cut, whole, size)
        likeness, pulls = self._likeness(image, parts, counts)
        total = torch.zeros_like(image) if gradient else torch.zeros(())
        objective = likeness.mean()
        found = [image.new_zeros(len(image), 1, *whole[term.layer]) for term in aim.terms]
        for part in parts:
            kept = None
            if beside is not None:
                kept = part.of(self._activations(beside[part.outer]))
            with torch.set_grad_enabled(gradient):
                seen = image[part.outer].detach().requires_grad_(gradient)
                activations = part.of(self._network.activations(seen))
                maps = aim.maps(activations, kept)
                value = aim.value(maps, counts)
                for pull, sums in zip(pulls, aim.sums(activations), strict=True):
                    value = value + (pull * sums).sum()
                if gradient:
                    total[part.outer] += torch.autograd.grad(value, seen)[0]
            objective = objective + aim.value([m.detach() for m in maps], counts)
            for term, into, cells in zip(aim.terms, found, maps, strict=False):
                into[part.owned[term.layer][1]] = cells.detach()
            # A tile's graph would otherwise live on beside the next one's.
            del activations, kept, maps, value, seen
        if self._device.type == "cpu":
            give_back_freed_memory()
        return Slope(total, objective, aim.local(found, likeness))

    def _likeness(
        self, image: Tensor, parts: Sequence[_Part], counts: dict[str, int]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Find out what the likenesses come to, ``[B]``, and how each of their sums should change.

        A picture's statistics are told by all of it at once. But once they are known, so is what
        each cell does to them: a second look at the tiles can add up gradients.
        """
        if not self._aim.likenesses:
            return torch.zeros(len(image), device=image.device), ()
        told = [self._aim.sums(part.of(self._activations(image[part.outer]))) for part in parts]
        sums = [
            torch.stack(all_parts).sum(0).requires_grad_(True)
            for all_parts in zip(*told, strict=True)
        ]
        with torch.enable_grad():
            likeness = self._aim.likeness(sums, counts)
            pulls = torch.autograd.grad(likeness.mean(), sums)
        return likeness.detach(), pulls

    def _parts(self, cut: Sequence[Tile], whole: Mapping[str, Size], size: Size) -> list[_Part]:
        """Give the tiles that answer for anything."""
        parts = (
            _Part(
                tile.outer,
                {name: self._owned(tile, name, whole[name], size) for name in self._aim.layers},
            )
            for tile in cut
        )
        return [p for p in parts if not all(_is_empty(all_) for _, all_ in p.owned.values())]

    def _owned(
        self, tile: Tile, layer: str, grid: Size, size: Size
    ) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Tell which cells the tile answers for: among its own ``[B, C, h, w]``, and in all."""
        assert self._lattice is not None
        stride = self._lattice.strides[layer]
        rows = tiles.own_cells(tile.rows, stride, grid[0], size[0])
        columns = tiles.own_cells(tile.columns, stride, grid[1], size[1])
        every = slice(None)
        return (every, every, rows[0], columns[0]), (every, every, rows[1], columns[1])

    # --- how much at once

    @cached_property
    def _lattice(self) -> Lattice | None:
        return find_lattice(self._network, self._aim.layers)

    @cached_property
    def _appetite(self) -> float:
        return bytes_per_pixel(self._network)

    def _plan(self, image: Tensor) -> list[Tile] | None:
        """Give the tiles to see images in; None to see them whole."""
        count, height, width = len(image), image.shape[-2], image.shape[-1]
        key = count, (height, width)
        if key not in self._plans:
            if len(self._plans) > 256:  # many sizes of crops
                self._plans.clear()
            self._plans[key] = self._planned(count, (height, width))
        return self._plans[key]

    def _planned(self, count: int, size: Size) -> list[Tile] | None:
        pixels = count * size[0] * size[1]
        frame = FRAME_BYTES * max(self._frame, pixels)
        left = max(self._budget - frame, _STEP * frame)
        if pixels <= min(self._most, left / _AMPLE):
            return None
        room = min(self._most, left / self._appetite)
        if pixels <= room or self._lattice is None:
            return None
        cut = self._cut(size, room / count)
        if len(cut) == 1:
            return None
        if not self._told:
            self._told = True
            too_much = count * _largest(cut) * self._appetite > self._budget - frame
            _log.log(
                logging.WARNING if too_much else logging.INFO,
                "%s, %s",
                _described(size, cut),
                "and still takes more memory than there is to spare: --max-side scales down"
                if too_much
                else "as memory allows",
            )
        return cut

    def _cut(self, size: Size, room: float) -> list[Tile]:
        lattice = self._lattice
        assert lattice is not None
        least = self._network.minimum_side
        halo = tiles.Halo(lattice.stride, lattice.before, lattice.after, least)
        return tiles.cut(size, room, halo)

    def _try(
        self,
        image: Tensor,
        whole: Callable[[Tensor], Result],
        in_tiles: Callable[[Tensor, Sequence[Tile]], Result],
    ) -> Result:
        """See an image; should memory run out, in ever smaller tiles."""
        while True:
            cut = self._plan(image)
            try:
                return whole(image) if cut is None else in_tiles(image, cut)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
            # Not inside the handler: the error holds on to all that the step has made.
            self._shrink(image, cut)

    def _shrink(self, image: Tensor, cut: Sequence[Tile] | None) -> None:
        """Halve what is seen at once.

        Raises:
            DeviceError: there are no smaller tiles.
        """
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        size = (image.shape[-2], image.shape[-1])
        before = _largest(cut) if cut else size[0] * size[1]
        self._most = len(image) * before // 2
        self._plans.clear()
        smaller = self._cut(size, before // 2) if self._lattice is not None else []
        if not smaller or _largest(smaller) >= before:
            raise DeviceError(
                f"the {self._device.type.upper()} has too little memory to dream at "
                f"{size[1]}×{size[0]}, even in tiles: scale down with --max-side, use --device "
                "cpu, or choose an earlier layer"
            )
        _log.warning("out of memory: %s from now on", _described(size, smaller))


def _largest(cut: Sequence[Tile]) -> int:
    return max(tile.area for tile in cut)


def _is_empty(cells: tuple[slice, ...]) -> bool:
    return any(axis.start is not None and axis.start >= axis.stop for axis in cells)


def _described(size: Size, cut: Sequence[Tile]) -> str:
    return (
        f"{size[1]}×{size[0]} is dreamed in {len(cut)} tiles of up to "
        f"{max(t.columns.length for t in cut)}×{max(t.rows.length for t in cut)} pixels"
    )


def _is_out_of_memory(error: RuntimeError) -> bool:
    # Only CUDA has a type for it; the CPU says "can't allocate memory", MPS "out of memory".
    said = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "out of memory" in said
        or "can't allocate memory" in said
    )
