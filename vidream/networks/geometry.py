"""Strides and receptive fields of a network's layers, and the memory of a step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vidream.core.images import size_of
from vidream.networks.network import Network

MAX_RADIUS = 256
"""Largest radius of a receptive field, in pixels, that tiles allow for; Mixed_6b has 181."""

_NEGLIGIBLE = 1e-9  # share of a cell's gradient that may lie outside of its receptive field
_PERIOD = 480  # pixels; a multiple of every stride there is
_TRANSIENT = 1.6  # of what autograd saves: the most that the process was seen to grow by is 1.5


@dataclass(frozen=True, slots=True)
class LayerGeometry:
    """The grid of cells: cell ``i`` of a layer begins at pixel ``i · stride`` on both axes."""

    strides: Mapping[str, int]  # in pixels, by layer
    before: int  # radius of the receptive field before the cell's own pixels
    after: int  # radius after them

    @property
    def stride(self) -> int:
        """Period of all grids, in pixels."""
        return math.lcm(*self.strides.values())


def grids(network: Network, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Return rows and columns of cells by layer for an image size, without layers of no grid."""
    with torch.no_grad():
        given = network.meta_activations(size)
    return {name: size_of(a) for name, a in given.items() if a.ndim == 4}


def find_geometry(network: Network, layers: Sequence[str]) -> LayerGeometry | None:
    """Measure strides and receptive fields; return None if a layer has no regular grid."""
    once, twice = (grids(network, (k * _PERIOD, k * _PERIOD)) for k in (1, 2))
    strides = {}
    for layer in layers:
        more = twice[layer][0] - once[layer][0] if layer in once else 0
        if more == 0 or _PERIOD % more or twice[layer][1] - once[layer][1] != more:
            return None
        strides[layer] = _PERIOD // more
    radii = [_radii(network, layer, stride) for layer, stride in strides.items()]
    return LayerGeometry(strides, max(r[0] for r in radii), max(r[1] for r in radii))


def _radii(network: Network, layer: str, stride: int) -> tuple[int, int]:
    """Measure the radii of the receptive field by the gradient, the larger of both axes.

    On noise, which activates most channels, and for a whole row or column of cells at once, so
    that hardly any path is missed.
    """
    middle = MAX_RADIUS // stride + 1
    length = 2 * MAX_RADIUS + 3 * stride
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
    before, after = (min(MAX_RADIUS, max(radii)) for radii in zip(*found, strict=True))
    return max(0, before), max(0, after)


def _extent(profile: Tensor) -> tuple[int, int]:
    """Return the first and last place of a profile, up to a negligible share."""
    share = profile.double().cumsum(0) / profile.double().sum()
    inside = ((share > _NEGLIGIBLE) & (share.roll(1) < 1 - _NEGLIGIBLE)).nonzero()
    if not len(inside):
        return 0, len(profile)
    return int(inside[0]), int(inside[-1]) + 1


def bytes_per_pixel(network: Network) -> float:
    """Estimate the memory of a forward and backward pass, in bytes per pixel of the image.

    What autograd saves, times a measured factor for gradients, convolution buffers and the heap.
    """
    side = 2 * _PERIOD
    kept: dict[int, torch.UntypedStorage] = {}  # which also keeps their addresses from reuse

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        network.meta_activations((side, side))
    weights = sum(p.nbytes for p in network.parameters())
    total = sum(storage.nbytes() for storage in kept.values())
    return _TRANSIENT * max(total - weights, 0) / side**2
