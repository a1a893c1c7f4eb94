"""Where the objective rises on an image: seen as a whole, or in tiles where that takes too much.

The only place where the network sees what is dreamed. In tiles the gradient is that of the whole
image, up to rounding: each tile answers for its own cells, and looks as far beyond them as these
cells see; what it says of pixels that other tiles answer for is added to what they say. Only a
network that looks at the whole image from every cell (squeeze and excitation, attention) takes
each tile for an image of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import EllipsisType
from typing import TypeVar

import torch
from torch import Tensor

from vidream.dreamer import tiles
from vidream.dreamer.allocator import give_back_freed_memory
from vidream.dreamer.fitting import Fitting
from vidream.dreamer.likeness import total_variation
from vidream.dreamer.objectives import Objective
from vidream.dreamer.tiles import Tile
from vidream.images import Size
from vidream.networks import Network, grids

Result = TypeVar("Result")


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


class Surveyor:
    """Tells slopes, whole or in tiles, as memory allows.

    Args:
        network: what sees the images.
        aim: what rises; its terms by the network's own names of layers.
        fitting: says what is seen at once.
        device: where the network is.
    """

    def __init__(
        self, network: Network, aim: Objective, fitting: Fitting, device: torch.device
    ) -> None:
        self.fitting = fitting
        self._network, self._aim, self._device = network, aim, device

    def aimed(self, aim: Objective) -> Surveyor:
        """Give one with another aim at the same layers."""
        return Surveyor(self._network, aim, self.fitting, self._device)

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
        assert self.fitting.lattice is not None
        stride = self.fitting.lattice.strides[layer]
        rows = tiles.own_cells(tile.rows, stride, grid[0], size[0])
        columns = tiles.own_cells(tile.columns, stride, grid[1], size[1])
        every = slice(None)
        return (every, every, rows[0], columns[0]), (every, every, rows[1], columns[1])

    def _try(
        self,
        image: Tensor,
        whole: Callable[[Tensor], Result],
        in_tiles: Callable[[Tensor, Sequence[Tile]], Result],
    ) -> Result:
        """See an image; should memory run out, in ever smaller tiles."""
        count, size = len(image), (image.shape[-2], image.shape[-1])
        while True:
            cut = self.fitting.tiles(count, size)
            try:
                return whole(image) if cut is None else in_tiles(image, cut)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
            # Not inside the handler: the error holds on to all that the step has made.
            self.fitting.shrink(count, size, cut)


def _is_empty(cells: tuple[slice, ...]) -> bool:
    return any(axis.start is not None and axis.start >= axis.stop for axis in cells)


def _is_out_of_memory(error: RuntimeError) -> bool:
    # Only CUDA has a type for it; the CPU says "can't allocate memory", MPS "out of memory".
    said = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "out of memory" in said
        or "can't allocate memory" in said
    )
