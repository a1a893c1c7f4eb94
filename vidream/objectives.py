"""Objectives: pure functions from activations to the scalar that gradient ascent raises.

Each is the mean of a map over a layer's grid of cells, so that it can be told place by place, and
added up from parts of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.settings import LayerTerm

Measure = Callable[[Tensor], Tensor]
"""What is told of each cell: activations ``[B, C, h, w]`` to float32 ``[B, 1, h, w]``."""

_AT_ONCE = 4096  # cells that are matched with a guide at once
_GUIDE_CELLS = 2048  # of a guide that are matched at most


def energy(activation: Tensor) -> Tensor:
    """Mean square over the channels: the L2 objective of Mordvintsev et al. 2015."""
    # Sums run in float32 whatever the network computes in.
    return activation.float().square().mean(1, keepdim=True)


def mean(activation: Tensor) -> Tensor:
    """Mean over the channels: many weak features count for more than under :func:`energy`."""
    return activation.float().mean(1, keepdim=True)


@dataclass(frozen=True, slots=True)
class Guide:
    """How much each cell is like the cell of another image that it is most like already.

    The objective of Google's guided dreams (Mordvintsev et al. 2015): the dot product with the
    features of the best match, here over the number of channels.

    Args:
        features: of the guide's cells, ``[C, N]``.
    """

    features: Tensor = field(repr=False)

    @classmethod
    def of(cls, activation: Tensor) -> Guide:
        """Take the guide's own activations, ``[1, C, h, w]``; a regular part of very many."""
        features = activation[0].detach().flatten(1)
        every = -(-features.shape[1] // _GUIDE_CELLS)
        return cls(features[:, ::every].contiguous())

    def __call__(self, activation: Tensor) -> Tensor:
        """Give the products of ``[B, C, h, w]`` activations with their best matches."""
        batch, channels, height, width = activation.shape
        cells = activation.detach().permute(0, 2, 3, 1).reshape(-1, channels)
        best = [(part @ self.features).argmax(1) for part in torch.split(cells, _AT_ONCE)]
        matches = self.features.T[torch.cat(best)].view(batch, height, width, channels)
        # The choice of the match is a constant: its gradient is 0 but where it changes.
        return (activation.float() * matches.permute(0, 3, 1, 2).float()).mean(1, keepdim=True)


@dataclass(frozen=True, slots=True)
class Objective:
    """A weighted sum of what is told of layers.

    Args:
        terms: layers, or single channels of layers, by the network's own names, and their weights.
        measures: what is told of each term's cells; by default :func:`energy` of all.
    """

    terms: tuple[LayerTerm, ...]
    measures: tuple[Measure, ...] = ()

    def maps(self, activations: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Give each term's map, unweighted.

        Args:
            activations: ``[B, C, h, w]`` by layer; ``[B, C]`` from a classifier counts as one cell.

        Returns:
            ``[B, 1, h, w]`` for each term.
        """
        measures = self.measures or (energy,) * len(self.terms)
        return tuple(
            measure(features(activations[term.layer], term.channel))
            for term, measure in zip(self.terms, measures, strict=True)
        )

    def value(self, maps: Sequence[Tensor], cells: Sequence[int] | None = None) -> Tensor:
        """Give the objective, a scalar: the mean over the images.

        Args:
            maps: from :meth:`maps`.
            cells: how many cells each term's layer has in all, where the maps are only parts.
        """
        total = torch.zeros((), device=maps[0].device)
        for index, (term, values) in enumerate(zip(self.terms, maps, strict=True)):
            count = values[0].numel() if cells is None else cells[index]
            total = total + term.weight * values.sum() / (len(values) * count)
        return total

    def local(self, maps: Sequence[Tensor]) -> Tensor:
        """Give the objective of each cell of the coarsest layer's grid: unnormalised strength.

        Args:
            maps: from :meth:`maps`.

        Returns:
            ``[B, 1, h, w]``. Its mean is :meth:`value`, up to cells that the grids of several
            layers do not share evenly.
        """
        grid = min((cells.shape[-2:] for cells in maps), key=lambda size: size[0] * size[1])
        total = torch.zeros((), device=maps[0].device)
        for term, cells in zip(self.terms, maps, strict=True):
            total = total + term.weight * F.adaptive_avg_pool2d(cells, (grid[0], grid[1]))
        return total


def features(activation: Tensor, channel: int | None) -> Tensor:
    """Give what a term looks at, ``[B, C, h, w]``: all channels of a layer, or one."""
    if activation.ndim == 2:
        activation = activation[..., None, None]
    return activation if channel is None else activation[:, channel, None]
