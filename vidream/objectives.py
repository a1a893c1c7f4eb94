"""Objectives: pure functions from activations to the scalar that gradient ascent raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.settings import LayerTerm


def energy(activation: Tensor) -> Tensor:
    """Mean square of ``[B, C, H, W]`` activations: the L2 objective of Mordvintsev et al. 2015."""
    # The sum runs in float32 whatever the network computes in.
    return activation.float().square().mean()


def weighted_energy(activations: Mapping[str, Tensor], terms: Sequence[LayerTerm]) -> Tensor:
    """Sum of each term's :func:`energy` times its weight.

    Args:
        activations: ``[B, C, H, W]`` by layer name.
        terms: layers, or single channels of layers, and their weights.
    """
    total = torch.zeros((), device=next(iter(activations.values())).device)
    for term in terms:
        activation = activations[term.layer]
        if term.channel is not None:
            activation = activation[:, term.channel]
        total = total + term.weight * energy(activation)
    return total


def local_energy(activations: Mapping[str, Tensor], terms: Sequence[LayerTerm]) -> Tensor:
    """Give the energy of each cell of the coarsest layer's grid: local strength, unnormalised.

    Args:
        activations: ``[B, C, H, W]`` by layer name.
        terms: as in :func:`weighted_energy`.

    Returns:
        ``[B, 1, h, w]``. Its mean is :func:`weighted_energy`, up to cells that the grids of
        several layers do not share evenly.
    """
    return gather_cells(cell_energies(activations, terms), terms)


def cell_energies(
    activations: Mapping[str, Tensor], terms: Sequence[LayerTerm]
) -> tuple[Tensor, ...]:
    """Give the energy of each cell of each term's own grid, ``[B, 1, h, w]``, unweighted.

    What has no grid, ``[B, C]`` from a classifier, counts as one cell.
    """
    found = []
    for term in terms:
        activation = activations[term.layer]
        if activation.ndim == 2:
            activation = activation[..., None, None]
        if term.channel is not None:
            activation = activation[:, term.channel, None]
        found.append(activation.float().square().mean(1, keepdim=True))
    return tuple(found)


def gather_cells(energies: Sequence[Tensor], terms: Sequence[LayerTerm]) -> Tensor:
    """Add up what :func:`cell_energies` gives, by weight, on the coarsest grid."""
    grids = [(cells.shape[-2], cells.shape[-1]) for cells in energies]
    grid = min(grids, key=lambda size: size[0] * size[1])
    total = torch.zeros(())
    for term, cells in zip(terms, energies, strict=True):
        total = term.weight * F.adaptive_avg_pool2d(cells, grid) + total.to(cells.device)
    return total
