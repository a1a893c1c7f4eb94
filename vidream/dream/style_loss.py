"""Style losses: how far the statistics of a layer are from those of a picture.

A statistic is a function of the mean of something over all cells, so that it and its gradient can
be found from sums over parts of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vidream.core.settings import LayerTerm

_EPSILON = 1e-5  # added to variances, as in adaptive instance normalisation


@dataclass(frozen=True, slots=True)
class FeatureStatistic:
    """What is compared of two pictures of any sizes.

    Args:
        sums: from float activations ``[B, C, h, w]`` to sums over all cells, ``[B, …]``.
        describe: from the means over the cells to the statistic, of the same shape.
    """

    sums: Callable[[Tensor], Tensor]
    describe: Callable[[Tensor], Tensor]

    def of(self, activation: Tensor) -> Tensor:
        """Return the statistic of a whole picture, ``[B, …]``."""
        cells = activation.shape[2] * activation.shape[3]
        return self.describe(self.sums(activation.float()) / cells)


def _products(activation: Tensor) -> Tensor:
    columns = activation.flatten(2)
    return columns @ columns.mT


def _powers(activation: Tensor) -> Tensor:
    return torch.stack((activation.sum((2, 3)), activation.square().sum((2, 3))), 1)


def _mean_and_deviation(means: Tensor) -> Tensor:
    mean, square = means.unbind(1)
    variance = (square - mean.square()).clamp_min(0)
    return torch.stack((mean, (variance + _EPSILON).sqrt()), 1)


GRAM = FeatureStatistic(_products, lambda means: means)
"""The Gram matrix of Gatys et al. 2016, ``[B, C, C]``."""

MOMENTS = FeatureStatistic(_powers, _mean_and_deviation)
"""Mean and deviation of each channel, ``[B, 2, C]``: what AdaIN matches (Huang 2017)."""

STATISTICS = {"gram": GRAM, "adain": MOMENTS}
"""By the names that settings give them."""


@dataclass(frozen=True, slots=True)
class StyleLoss:
    """The distance of a layer's statistic from a target, ``[1, …]``."""

    term: LayerTerm
    statistic: FeatureStatistic
    target: Tensor = field(repr=False)

    @classmethod
    def to(
        cls,
        term: LayerTerm,
        statistic: FeatureStatistic,
        pictures: Sequence[Tensor],
        weights: Sequence[float],
    ) -> StyleLoss:
        """Take the weighted mean of pictures as the target, from activations ``[1, C, h, w]``."""
        found = torch.cat([statistic.of(picture) for picture in pictures])
        shares = found.new_tensor(weights) / sum(weights)
        return cls(term, statistic, torch.tensordot(shares, found, 1)[None])

    def sums(self, activation: Tensor) -> Tensor:
        """Return what :meth:`losses` needs of an image; the sums of its parts add up to it."""
        # In float32: sums over a frame have more digits than bfloat16 holds.
        return self.statistic.sums(activation.float())

    def losses(self, sums: Tensor, cells: int) -> Tensor:
        """Return the squared distance from the target over the target's own square, ``[B]``.

        Gatys divides by powers of the layer's size instead, under which some layers hardly count.
        """
        away = self.statistic.describe(sums / cells) - self.target
        return away.square().flatten(1).sum(1) / self.target.square().sum()


def total_variation(image: Tensor) -> Tensor:
    """Return the mean square of the differences between neighbours, ``[B]``.

    Squared, not absolute: its gradient is that of a blur, and has no corner at 0.
    """
    down, right = image.diff(dim=-2).square(), image.diff(dim=-1).square()
    return (down.flatten(1).sum(1) + right.flatten(1).sum(1)) / image[0].numel()
