"""Hypercolumns (Hariharan et al. 2015): the activations of several layers at a pixel, as a vector.

The scalar product of two is the weighted sum of the layers' cosine similarities.
"""

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.errors import NetworkError
from vidream.core.settings import LayerTerm
from vidream.networks.geometry import LayerGeometry, find_geometry
from vidream.networks.network import Network

_MARGIN = 32  # pixels around the image, so that borders look like more of it and not like an edge
_TINY = 1e-6


class Hypercolumns:
    """Computes the hypercolumn of each pixel.

    Args:
        network: loaded with the layers.
        terms: the layers and their weights.
        components: principal components of each layer.

    Raises:
        NetworkError: a layer has no grid over the image.
    """

    def __init__(self, network: Network, terms: Sequence[LayerTerm], components: int = 24) -> None:
        self._network, self._components = network, components
        self._weights = {network.canonical(term.layer): term.weight for term in terms}
        self._geometries: dict[str, LayerGeometry] = {}
        for layer in self._weights:
            geometry = find_geometry(network, [layer])
            if geometry is None:
                name = network.spec.name
                raise NetworkError(f"{layer} of {name} has no grid: choose another layer")
            self._geometries[layer] = geometry
        self._bases: dict[str, Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self._network.device

    def learn(self, images: Iterable[Tensor]) -> None:
        """Compute the principal components of each layer on images ``[1, 3, H, W]``.

        A few dozen hold nearly all of the variance.
        """
        moments: dict[str, Tensor] = {}
        for image in images:
            for layer, cells in self._activations(image).items():
                unit = F.normalize(cells[0].flatten(1), dim=0, eps=_TINY)
                moments[layer] = moments.get(layer, 0) + (unit @ unit.T).double().cpu()
        for layer, moment in moments.items():
            components = torch.linalg.eigh(moment).eigenvectors[:, -self._components :]
            self._bases[layer] = components.to(self.device, torch.float32)

    @torch.no_grad()
    def of(self, image: Tensor) -> Tensor:
        """Return the hypercolumns, float32 ``[H, W, D]``, of ``[1, 3, H, W]`` RGB in [0, 1]."""
        height, width = image.shape[-2:]
        parts = []
        for layer, cells in self._activations(image).items():
            seen = torch.einsum("cd,bchw->bdhw", self._bases[layer], cells)
            seen = _at_pixels(seen, self._geometries[layer], height, width)
            parts.append(math.sqrt(self._weights[layer]) * F.normalize(seen, dim=1, eps=_TINY))
        return torch.cat(parts, 1)[0].permute(1, 2, 0).contiguous()

    @torch.no_grad()
    def _activations(self, image: Tensor) -> dict[str, Tensor]:
        """Return the activations of the image with a margin, float32."""
        size, least = image.shape[-2:], self._network.minimum_side
        mode = "reflect" if min(size) > _MARGIN else "replicate"
        padded = F.pad(image, (_MARGIN,) * 4, mode)
        down, right = (max(0, least - n - 2 * _MARGIN) for n in size)
        given = self._network.activations(F.pad(padded, (0, right, 0, down), "replicate"))
        return {layer: given[layer].float() for layer in self._weights}


def _at_pixels(cells: Tensor, geometry: LayerGeometry, height: int, width: int) -> Tensor:
    """Interpolate cells at the centre of each pixel, ``[1, D, H, W]``."""
    axes = []
    for length, count in ((height, cells.shape[-2]), (width, cells.shape[-1])):
        pixels = torch.arange(length, device=cells.device) + 0.5 + _MARGIN
        # A cell's middle is the middle of its receptive field.
        middle = (geometry.stride + geometry.after - geometry.before) / 2
        axes.append(((pixels - middle) / geometry.stride + 0.5) * (2 / count) - 1)
    down, across = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack((across, down), -1).unsqueeze(0)
    return F.grid_sample(cells, grid, "bilinear", padding_mode="border", align_corners=False)
