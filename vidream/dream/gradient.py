"""The gradient of an objective with respect to images: of a whole image, or in tiles.

Up to rounding both are the same: each tile counts its own cells and covers their receptive fields;
gradients of overlapping tiles add up. Only squeeze and excitation, whose cells see the whole image,
take each tile for an image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from vidream.core.allocator import give_back_freed_memory
from vidream.core.images import size_of
from vidream.dream.objective import Objective
from vidream.dream.style_loss import total_variation
from vidream.dream.tile_planner import TilePlanner
from vidream.dream.tiling import CellTile, Tile, assign_cells
from vidream.networks.geometry import grids
from vidream.networks.network import Network


@dataclass(frozen=True, slots=True)
class Gradient:
    """The result of one pass through the network."""

    gradient: Tensor = field(repr=False)  # [B, 3, H, W]; a scalar 0 if it was not asked for
    objective: Tensor  # scalar: the mean over the images
    cells: Tensor = field(repr=False)  # [B, 1, h, w]: strength on the coarsest layer's grid


@dataclass(frozen=True, slots=True)
class GradientComputer:
    """Computes gradients, whole or in tiles, as memory allows."""

    network: Network
    objective: Objective
    planner: TilePlanner

    def compute(
        self, image: Tensor, reference: Tensor | None = None, *, backward: bool = True
    ) -> Gradient:
        """Compute the gradient at float ``[B, 3, H, W]`` images in [0, 1], or all but it.

        Raises:
            DeviceError: there is not even memory for tiles.
        """
        # Autograd refuses tensors that were made under inference mode.
        image = image.clone() if image.is_inference() else image.detach()
        found = self._run(image, reference, backward=backward)
        weight = self.objective.total_variation
        if not weight:
            return found
        loss = weight * total_variation(image.requires_grad_(backward)).mean()
        gradient = found.gradient
        if backward:
            gradient = gradient - torch.autograd.grad(loss, image)[0]
        return replace(found, gradient=gradient, objective=found.objective - loss.detach())

    def _run(self, image: Tensor, reference: Tensor | None, *, backward: bool) -> Gradient:
        """Run on whole images or in tiles; should memory run out, in ever smaller ones."""
        count, size = len(image), size_of(image)
        while True:
            tiles = self.planner.tiles(count, size)
            try:
                if tiles is None:
                    return self._whole(image, reference, backward=backward)
                return self._tiled(image, reference, tiles, backward=backward)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
            # Not inside the handler: the error holds on to all that the step has made.
            self.planner.shrink(count, size, tiles)

    def _whole(self, image: Tensor, reference: Tensor | None, *, backward: bool) -> Gradient:
        objective = self.objective
        image = image.detach().requires_grad_(backward)
        kept = None if reference is None else self._activations(reference)
        with torch.set_grad_enabled(backward):
            activations = self.network.activations(image)
            cells = {layer: activations[layer][0, 0].numel() for layer in objective.layers}
            maps = objective.maps(activations, kept)
            style = objective.style_value(objective.style_sums(activations), cells)
            value = objective.value(maps) + style.mean()
            gradient = torch.autograd.grad(value, image)[0] if backward else torch.zeros(())
        local = objective.local_strength([found.detach() for found in maps], style.detach())
        return Gradient(gradient, value.detach(), local)

    def _tiled(
        self, image: Tensor, reference: Tensor | None, tiles: Sequence[Tile], *, backward: bool
    ) -> Gradient:
        objective, size = self.objective, size_of(image)
        layers = grids(self.network, size)
        cells = {name: math.prod(grid) for name, grid in layers.items()}
        parts = assign_cells(tiles, self.planner.strides, layers, size)
        style, style_gradients = self._style(image, parts, cells)
        gradient = torch.zeros_like(image) if backward else torch.zeros(())
        total = style.mean()
        found = [image.new_zeros(len(image), 1, *layers[term.layer]) for term in objective.terms]
        for tile in parts:
            kept = None
            if reference is not None:
                kept = tile.own(self._activations(reference[tile.outer]))
            with torch.set_grad_enabled(backward):
                seen = image[tile.outer].detach().requires_grad_(backward)
                activations = tile.own(self.network.activations(seen))
                maps = objective.maps(activations, kept)
                value = objective.value(maps, cells)
                for g, sums in zip(style_gradients, objective.style_sums(activations), strict=True):
                    value = value + (g * sums).sum()
                if backward:
                    gradient[tile.outer] += torch.autograd.grad(value, seen)[0]
            total = total + objective.value([m.detach() for m in maps], cells)
            for term, into, map_ in zip(objective.terms, found, maps, strict=False):
                into[tile.owned[term.layer][1]] = map_.detach()
            # A tile's graph would otherwise live on beside the next one's.
            del activations, kept, maps, value, seen
        if image.device.type == "cpu":
            give_back_freed_memory()
        return Gradient(gradient, total, objective.local_strength(found, style))

    def _style(
        self, image: Tensor, parts: Sequence[CellTile], cells: dict[str, int]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the style value, ``[B]``, and its gradient with respect to each loss's sums.

        Statistics need the whole image: a first pass over the tiles, before that for gradients.
        """
        if not self.objective.style_losses:
            return torch.zeros(len(image), device=image.device), ()
        found = (tile.own(self._activations(image[tile.outer])) for tile in parts)
        by_tile = [self.objective.style_sums(activations) for activations in found]
        sums = [torch.stack(s).sum(0).requires_grad_(True) for s in zip(*by_tile, strict=True)]
        with torch.enable_grad():
            style = self.objective.style_value(sums, cells)
            gradients = torch.autograd.grad(style.mean(), sums)
        return style.detach(), gradients

    def _activations(self, image: Tensor) -> dict[str, Tensor]:
        """Run the network on images that do not change."""
        with torch.no_grad():
            return self.network.activations(image)


def _is_out_of_memory(error: RuntimeError) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # Only CUDA has a type for it; MPS and the CPU have these words.
    return any(words in str(error).lower() for words in ("out of memory", "can't allocate memory"))
