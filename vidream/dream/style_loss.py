"""Style losses: how far the statistics of a layer are from those of a picture.

A statistic is a function of means over all cells: it and its gradient follow from sums over parts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from vidream.core.settings import LayerTerm

_EPSILON = 1e-5  # added to variances, as in adaptive instance normalisation


@dataclass(frozen=True, slots=True)
class FeatureStatistic:
    """What is compared of two pictures of any sizes."""

    sums: Callable[[Tensor], Tensor]  # over all cells, [B, …], of float activations [B, C, h, w]
    describe: Callable[[Tensor], Tensor]  # the statistic from the means over the cells, [B, …]


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
    ) -> Self:
        """Take the weighted mean of pictures as the target, from activations ``[1, C, h, w]``."""
        sums = [(statistic.sums(p.float()), p.shape[2] * p.shape[3]) for p in pictures]
        found = torch.cat([statistic.describe(total / cells) for total, cells in sums])
        shares = found.new_tensor(weights) / sum(weights)
        return cls(term, statistic, torch.tensordot(shares, found, 1)[None])

    def sums(self, activation: Tensor) -> Tensor:
        """Return the sums that :meth:`losses` takes; those of parts add up."""
        # In float32: sums over a frame have more digits than bfloat16 holds.
        return self.statistic.sums(activation.float())

    def losses(self, sums: Tensor, cells: int) -> Tensor:
        """Return the squared distance from the target over the target's own square, ``[B]``.

        Under Gatys' divisor, powers of the layer's size, some layers hardly count.
        """
        away = self.statistic.describe(sums / cells) - self.target
        return away.square().flatten(1).sum(1) / self.target.square().sum()


def total_variation(image: Tensor) -> Tensor:
    """Return the mean square of the differences between neighbours, ``[B]``."""
    down, right = image.diff(dim=-2).square(), image.diff(dim=-1).square()
    return (down.flatten(1).sum(1) + right.flatten(1).sum(1)) / image[0].numel()
