"""Recognizability: what a classifier that took no part in a dream sees in it."""

from collections.abc import Callable, Iterator
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.networks.classes import CLASSES, find_classes
from vidream.networks.efficientnet_lite import at_side
from vidream.networks.network import load_network
from vidream.networks.registry import find_network

CLASSIFIER = "efficientnet_lite2"
"""The classifier: of another family than the default network."""

MAX_FRAMES = 12
"""Of a clip that are classified by default."""

_EVERY = 10  # frames, where their number is unknown
_CROPS = (128, 192)  # pixels; dreamed creatures are about as large
_SIDE = 260  # pixels that the classifier was trained at
_BATCH = 8  # crops


def sampling(frames: int | None) -> int:
    """Return N so that every Nth frame makes at most :data:`MAX_FRAMES`."""
    return _EVERY if frames is None else max(1, -(-frames // MAX_FRAMES))


class Recogniser:
    """Estimates the probability of a group of classes in an image, by :data:`CLASSIFIER`.

    Args:
        group: as of :func:`vidream.networks.classes.find_classes`.
        every: N, to classify every Nth frame of a clip.
        device: of the classifier.
        on_download: called with bytes so far and in total, while weights are downloaded.

    Raises:
        NetworkError: there is no such class.
        WeightsError: the classifier's weights are not installed.
    """

    def __init__(
        self,
        group: str,
        *,
        every: int = 1,
        device: torch.device | str = "cpu",
        on_download: Callable[[int, int | None], None] | None = None,
    ) -> None:
        self.every = every
        spec = at_side(find_network(CLASSIFIER), _SIDE)
        self._classes = list(find_classes(spec, group))
        self._network = load_network(spec, [CLASSES], device=device, progress=on_download)

    @torch.no_grad()
    def mass(self, image: Tensor) -> float:
        """Return the mean probability of the group over crops of ``[1, 3, H, W]``, 0 to 1."""
        squares, found = crops(image), []
        while batch := list(islice(squares, _BATCH)):  # a large frame has hundreds
            found.append(self._probability(torch.cat(batch)))
        return float(torch.cat(found).mean())

    def _probability(self, images: Tensor) -> Tensor:
        logits = self._network.activations(images.to(self._network.device))[CLASSES]
        return logits.mean((2, 3)).softmax(1)[:, self._classes].sum(1).cpu()


def crops(image: Tensor) -> Iterator[Tensor]:
    """Yield squares of 128 and 192 pixels, half overlapping, scaled to ``[1, 3, 260, 260]``.

    The whole image, ``[1, 3, H, W]``, if no square fits.
    """
    for crop in _squares(image):
        scaled = F.interpolate(crop, (_SIDE, _SIDE), mode="bicubic", align_corners=False)
        yield scaled.clamp(0, 1)


def _squares(image: Tensor) -> Iterator[Tensor]:
    height, width = image.shape[-2:]
    if min(height, width) < min(_CROPS):
        yield image
    for side in _CROPS:
        for top in range(0, height - side + 1, side // 2):
            for left in range(0, width - side + 1, side // 2):
                yield image[..., top : top + side, left : left + side]
