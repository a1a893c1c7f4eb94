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
    used = [(term, activations[term.layer]) for term in terms]
    grids = [(a.shape[-2], a.shape[-1]) for _, a in used]
    grid = min(grids, key=lambda size: size[0] * size[1])
    total = torch.zeros(())
    for term, activation in used:
        chosen = activation if term.channel is None else activation[:, term.channel, None]
        cells = chosen.float().square().mean(1, keepdim=True)
        total = term.weight * F.adaptive_avg_pool2d(cells, grid) + total.to(cells.device)
    return total
