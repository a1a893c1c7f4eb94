"""How the cells of a network's layers lie over an image, and what a step on it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vidream.networks.network import Network

REACH = 256
"""Pixels beyond its own that a cell may look, at most, as far as tiles are concerned.

The networks for dreaming look less far (Mixed_6b of the default one 160 and 181 pixels); some
others look at the whole image.
"""

_NEGLIGIBLE = 1e-9  # share of a cell's gradient that may lie farther off than its reach
_PERIOD = 480  # pixels; a multiple of every stride there is
_TRANSIENT = 1.6  # of what autograd keeps: the most that the process was seen to grow by is 1.5


@dataclass(frozen=True, slots=True)
class Lattice:
    """Cell ``i`` of a layer belongs to the pixels from ``i · stride`` on, along both axes.

    Args:
        strides: pixels from one cell to the next, by layer.
        before: pixels before its own that a cell looks at.
        after: pixels after its own that it looks at.
    """

    strides: Mapping[str, int]
    before: int
    after: int

    @property
    def stride(self) -> int:
        """Pixels after which the cells of all layers repeat."""
        return math.lcm(*self.strides.values())


def grids(network: Network, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Give the rows and columns of cells of each layer for an image of that size in pixels.

    What has no grid, as a classifier's output, is left out.
    """
    with torch.no_grad():
        given = network.outline(size)
    return {name: (a.shape[-2], a.shape[-1]) for name, a in given.items() if a.ndim == 4}


def find_lattice(network: Network, layers: Sequence[str]) -> Lattice | None:
    """Find out how cells lie, by trying; None if a layer has no regular grid."""
    once, twice = (grids(network, (k * _PERIOD, k * _PERIOD)) for k in (1, 2))
    strides = {}
    for layer in layers:
        more = twice[layer][0] - once[layer][0] if layer in once else 0
        if more == 0 or _PERIOD % more or twice[layer][1] - once[layer][1] != more:
            return None
        strides[layer] = _PERIOD // more
    reaches = [_reach(network, layer, stride) for layer, stride in strides.items()]
    return Lattice(strides, max(r[0] for r in reaches), max(r[1] for r in reaches))


def _reach(network: Network, layer: str, stride: int) -> tuple[int, int]:
    """Measure how far cells look before and after their own pixels: where gradients end.

    On noise, which wakes most channels, and for a whole row or column of cells at once, so that
    hardly a path is missed. Where rows look farther than columns the farther one counts.
    """
    middle = REACH // stride + 1
    length = 2 * REACH + 3 * stride
    found = []
    for axis in (-2, -1):
        size = [max(network.minimum_side, 3 * stride)] * 2
        size[axis] = max(length, network.minimum_side)
        image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
        image = image.to(network.device).requires_grad_(True)
        with torch.enable_grad():
            cells = network.activations(image)[layer].select(axis, middle)
            (gradient,) = torch.autograd.grad(cells.float().square().sum(), image)
        first, last = _extent(gradient.abs().sum((0, 1, -1 if axis == -2 else -2)))
        found.append((middle * stride - first, last - (middle + 1) * stride))
    before, after = (min(REACH, max(reach)) for reach in zip(*found, strict=True))
    return max(0, before), max(0, after)


def _extent(profile: Tensor) -> tuple[int, int]:
    """Give where a profile begins and ends, but for a negligible share of it."""
    share = profile.double().cumsum(0) / profile.double().sum()
    inside = ((share > _NEGLIGIBLE) & (share.roll(1) < 1 - _NEGLIGIBLE)).nonzero()
    if not len(inside):
        return 0, len(profile)
    return int(inside[0]), int(inside[-1]) + 1


def bytes_per_pixel(network: Network) -> float:
    """Give the memory that a forward and backward pass takes, for each pixel of the image.

    What autograd keeps of an image is counted, and multiplied by how much more the passes were
    seen to take: gradients on their way, the convolutions' own buffers, what the heap keeps.
    """
    side = 2 * _PERIOD
    kept: dict[int, torch.UntypedStorage] = {}  # which also keeps their addresses from reuse

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        network.outline((side, side))
    weights = sum(p.nbytes for p in network.parameters())
    total = sum(storage.nbytes() for storage in kept.values())
    return _TRANSIENT * max(total - weights, 0) / side**2
