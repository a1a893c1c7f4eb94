"""Objectives: pure functions from activations to the scalar that gradient ascent raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
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
