"""Hypercolumns: what several layers of a network see at a pixel, as one vector.

Hariharan et al. 2015; compared pixel by pixel as in Bansal, Sheikh, Ramanan 2017, "PixelNN". Each
layer's share has unit length, times its weight, so that a scalar product of two hypercolumns is the
weighted sum of the layers' cosine similarities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.errors import NetworkError
from vidream.networks import Network
from vidream.networks.lattice import Lattice, find_lattice
from vidream.settings import LayerTerm

_DIRECTIONS = 24  # of a layer that are compared; see :meth:`Hypercolumns.learn`
_MARGIN = 32  # pixels around the image, so that borders look like more of it and not like an edge
_TINY = 1e-6


class Hypercolumns:
    """Gives the hypercolumn of each pixel.

    Args:
        network: loaded with the layers, in the precision that it is in.
        terms: the layers and their weights, by any of their names.

    Raises:
        NetworkError: a layer has no grid over the image.
    """

    def __init__(self, network: Network, terms: Sequence[LayerTerm]) -> None:
        self._network = network
        self._weights = {network.canonical(term.layer): term.weight for term in terms}
        self._lattices = {layer: _lattice(network, layer) for layer in self._weights}
        self._bases: dict[str, Tensor] = {}

    def learn(self, images: Iterable[Tensor]) -> None:
        """Find the directions that tell the pixels of some images apart.

        Of each layer's channels only the principal components are compared, of which a few dozen
        hold nearly all that differs: that takes a fraction of the time and the memory.

        Args:
            images: float ``[1, 3, H, W]`` RGB in [0, 1], on the network's device.
        """
        moments: dict[str, Tensor] = {}
        for image in images:
            for layer, cells in self._activations(image).items():
                unit = F.normalize(cells[0].flatten(1), dim=0, eps=_TINY)
                moments[layer] = moments.get(layer, 0) + (unit @ unit.T).double().cpu()
        for layer, moment in moments.items():
            directions = torch.linalg.eigh(moment).eigenvectors[:, -_DIRECTIONS:]
            self._bases[layer] = directions.to(self._network.device, torch.float32)

    @torch.no_grad()
    def of(self, image: Tensor) -> Tensor:
        """Give the hypercolumns, float32 ``[H, W, D]``, of ``[1, 3, H, W]`` RGB in [0, 1]."""
        height, width = image.shape[-2:]
        parts = []
        for layer, cells in self._activations(image).items():
            seen = torch.einsum("cd,bchw->bdhw", self._bases[layer], cells)
            seen = _at_pixels(seen, self._lattices[layer], height, width)
            parts.append(math.sqrt(self._weights[layer]) * F.normalize(seen, dim=1, eps=_TINY))
        return torch.cat(parts, 1)[0].permute(1, 2, 0).contiguous()

    @torch.no_grad()
    def _activations(self, image: Tensor) -> dict[str, Tensor]:
        """Give the activations of the image with a margin around it, float32."""
        given = self._network.activations(_with_margin(image, self._network.minimum_side))
        return {layer: given[layer].float() for layer in self._weights}


def _lattice(network: Network, layer: str) -> Lattice:
    lattice = find_lattice(network, [layer])
    if lattice is None:
        raise NetworkError(f"{layer} of {network.spec.name} has no grid: choose another layer")
    return lattice


def _with_margin(image: Tensor, least: int) -> Tensor:
    """Continue an image on all sides, by reflection where there is enough to reflect."""
    height, width = image.shape[-2:]
    mode = "reflect" if min(height, width) > _MARGIN else "replicate"
    padded = F.pad(image, (_MARGIN,) * 4, mode)
    down, right = (max(0, least - n - 2 * _MARGIN) for n in (height, width))
    return F.pad(padded, (0, right, 0, down), "replicate")


def _at_pixels(cells: Tensor, lattice: Lattice, height: int, width: int) -> Tensor:
    """Interpolate cells at the centre of each pixel, ``[1, D, H, W]``."""
    axes = []
    for length, count in ((height, cells.shape[-2]), (width, cells.shape[-1])):
        pixels = torch.arange(length, device=cells.device) + 0.5 + _MARGIN
        # A cell's middle is the middle of what it looks at.
        middle = (lattice.stride + lattice.after - lattice.before) / 2
        axes.append(((pixels - middle) / lattice.stride + 0.5) * (2 / count) - 1)
    down, across = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack((across, down), -1).unsqueeze(0)
    return F.grid_sample(cells, grid, "bilinear", padding_mode="border", align_corners=False)
