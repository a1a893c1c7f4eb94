"""Likeness: how far what a layer sees in an image is from what it sees in a picture, as a whole.

A *statistic* is a function of the mean over all cells of something that is told of each. So it can
be taken of an image in parts, and its gradient as well: by its sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vidream.settings import LayerTerm

_EPSILON = 1e-5  # added to variances, as in adaptive instance normalisation


@dataclass(frozen=True, slots=True)
class Statistic:
    """What is compared of two pictures of any sizes.

    Args:
        sums: float activations ``[B, C, h, w]`` to what is told of cells, summed over all of them:
            ``[B, …]``.
        describe: the mean of that over the cells, to what is compared, of the same shape.
    """

    sums: Callable[[Tensor], Tensor]
    describe: Callable[[Tensor], Tensor]


def _products(activation: Tensor) -> Tensor:
    columns = activation.flatten(2)
    return columns @ columns.mT


def _powers(activation: Tensor) -> Tensor:
    return torch.stack((activation.sum((2, 3)), activation.square().sum((2, 3))), 1)


def _mean_and_deviation(means: Tensor) -> Tensor:
    mean, square = means.unbind(1)
    variance = (square - mean.square()).clamp_min(0)
    return torch.stack((mean, (variance + _EPSILON).sqrt()), 1)


GRAM = Statistic(_products, lambda means: means)
"""Which channels are active together, ``[B, C, C]``: the Gram matrix of Gatys et al. 2016."""

MOMENTS = Statistic(_powers, _mean_and_deviation)
"""Mean and deviation of each channel, ``[B, 2, C]``: what AdaIN matches, as a loss (Huang 2017)."""

STATISTICS = {"gram": GRAM, "adain": MOMENTS}
"""By the names that settings give them."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """A term of an objective: the statistic of a layer is to become that of a picture.

    Args:
        term: the layer, by the network's own name, and its weight.
        statistic: what is compared.
        target: what it is in the picture, ``[1, …]``.
    """

    term: LayerTerm
    statistic: Statistic
    target: Tensor = field(repr=False)

    @classmethod
    def to(
        cls,
        term: LayerTerm,
        statistic: Statistic,
        pictures: Sequence[Tensor],
        weights: Sequence[float],
    ) -> Likeness:
        """Aim at pictures, mixed by weights.

        Args:
            term: the layer.
            statistic: what is compared.
            pictures: the layer's activations on each, ``[1, C, h, w]``.
            weights: of each; they count by their share.
        """
        found = torch.cat([statistic.describe(_means(statistic, picture)) for picture in pictures])
        shares = found.new_tensor(weights) / sum(weights)
        return cls(term, statistic, torch.tensordot(shares, found, 1)[None])

    def sums(self, activation: Tensor) -> Tensor:
        """Give what its :meth:`losses` need to know of all parts of an image, added up.

        In float32: sums over a frame have more digits than bfloat16 holds.
        """
        return self.statistic.sums(activation.float())

    def losses(self, sums: Tensor, cells: int) -> Tensor:
        """Give the squared distance from the target over the target's own square.

        Args:
            sums: from :meth:`sums`, of all parts of ``B`` images.
            cells: how many cells the layer has in all.

        Returns:
            ``[B]``: 0 where they are alike, 1 where nothing is active. Gatys divides by powers of
            the layer's size instead, which leaves some layers without a say.
        """
        away = self.statistic.describe(sums / cells) - self.target
        return away.square().flatten(1).sum(1) / self.target.square().sum()


def _means(statistic: Statistic, activation: Tensor) -> Tensor:
    cells = activation.shape[2] * activation.shape[3]
    return statistic.sums(activation.float()) / cells


def total_variation(image: Tensor) -> Tensor:
    """Give the mean square of the differences between neighbours, down and right together.

    Args:
        image: ``[B, C, H, W]``.

    Returns:
        ``[B]``. Squared, not plain: its gradient is that of a blur, and knows no corner at 0.
    """
    down, right = image.diff(dim=-2).square(), image.diff(dim=-1).square()
    return (down.flatten(1).sum(1) + right.flatten(1).sum(1)) / image[0].numel()
