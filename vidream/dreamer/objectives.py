"""Objectives: pure functions from activations to the scalar that gradient ascent raises.

What grows is the mean of a map over a layer's grid of cells, so that it can be told place by place,
and added up from parts of an image. Beside it an objective may hold an image to something: to the
statistics of a picture (:mod:`vidream.dreamer.likeness`), or to the content of the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.dreamer.likeness import Likeness
from vidream.settings import LayerTerm

Measure = Callable[[Tensor], Tensor]
"""What is told of each cell: activations ``[B, C, h, w]`` to float32 ``[B, 1, h, w]``."""

_AT_ONCE = 4096  # cells that are matched with a guide at once
_GUIDE_CELLS = 2048  # of a guide that are matched at most
_TINY = 1e-12
_ALIKE = 1e-6  # a loss that is as good as none


def energy(activation: Tensor) -> Tensor:
    """Mean square over the channels: the L2 objective of Mordvintsev et al. 2015."""
    # Sums run in float32 whatever the network computes in.
    return activation.float().square().mean(1, keepdim=True)


def mean(activation: Tensor) -> Tensor:
    """Mean over the channels: many weak features count for more than under :func:`energy`."""
    return activation.float().mean(1, keepdim=True)


def logit(activation: Tensor) -> Tensor:
    """What is said of one class, as it is: of either sign, unlike all other measures."""
    return activation.float()


@dataclass(frozen=True, slots=True)
class Guide:
    """How much each cell is like the cell of another image that it is most like already.

    The objective of Google's guided dreams (Mordvintsev et al. 2015): the dot product with the
    features of the best match, here over the number of channels.

    Args:
        features: of the guide's cells, ``[C, N]``.
    """

    features: Tensor = field(repr=False)

    @classmethod
    def of(cls, activation: Tensor) -> Guide:
        """Take the guide's own activations, ``[1, C, h, w]``; a regular part of very many."""
        features = activation[0].detach().flatten(1)
        every = -(-features.shape[1] // _GUIDE_CELLS)
        features = features[:, ::every]
        # By their mean length: one guide shall pull no harder than another.
        return cls((features / features.norm(dim=0).mean().clamp_min(_TINY)).contiguous())

    def __call__(self, activation: Tensor) -> Tensor:
        """Give the products of ``[B, C, h, w]`` activations with their best matches."""
        batch, channels, height, width = activation.shape
        cells = activation.detach().permute(0, 2, 3, 1).reshape(-1, channels)
        best = [(part @ self.features).argmax(1) for part in torch.split(cells, _AT_ONCE)]
        matches = self.features.T[torch.cat(best)].view(batch, height, width, channels)
        # The choice of the match is a constant: its gradient is 0 but where it changes.
        return (activation.float() * matches.permute(0, 3, 1, 2).float()).mean(1, keepdim=True)


@dataclass(frozen=True, slots=True)
class Objective:
    """A weighted sum of what is told of layers.

    Args:
        terms: layers, or single channels of layers, by the network's own names, and their weights.
        measures: what is told of each term's cells; by default :func:`energy` of all.
        likenesses: statistics of layers that are to become those of pictures.
        content: layers whose activations are to stay those of the image beside, and their weights.
        variation: weight of the image's total variation, which is to be low.
    """

    terms: tuple[LayerTerm, ...]
    measures: tuple[Measure, ...] = ()
    likenesses: tuple[Likeness, ...] = ()
    content: tuple[LayerTerm, ...] = ()
    variation: float = 0.0

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that anything is told of."""
        terms = (*self.terms, *(like.term for like in self.likenesses), *self.content)
        return tuple(dict.fromkeys(term.layer for term in terms))

    def maps(
        self, activations: Mapping[str, Tensor], beside: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, ...]:
        """Give the map of each term and then, with an image beside, of each layer of content.

        Args:
            activations: ``[B, C, h, w]`` by layer; ``[B, C]`` from a classifier counts as one cell.
            beside: those of the images whose content is to stay.

        Returns:
            ``[B, 1, h, w]`` for each, unweighted.
        """
        measures = self.measures or (energy,) * len(self.terms)
        told = tuple(
            measure(features(activations[term.layer], term.channel))
            for term, measure in zip(self.terms, measures, strict=True)
        )
        return told if beside is None else told + self._changes(activations, beside)

    def _changes(
        self, activations: Mapping[str, Tensor], beside: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        """Tell how far the content is from that of the images beside: the content loss of Gatys."""
        both = (
            (features(given[term.layer], term.channel) for given in (activations, beside))
            for term in self.content
        )
        return tuple(energy(now.float() - then.float()) for now, then in both)

    def sums(self, activations: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Give what :meth:`likeness` needs to know of an image; sums of parts add up to its own."""
        return tuple(
            like.sums(features(activations[like.term.layer], like.term.channel))
            for like in self.likenesses
        )

    def value(self, maps: Sequence[Tensor], cells: Mapping[str, int] | None = None) -> Tensor:
        """Give what the maps come to, a scalar: the mean over the images.

        Args:
            maps: from :meth:`maps`.
            cells: how many cells each layer has in all, where the maps are only parts.
        """
        total = torch.zeros((), device=maps[0].device if maps else None)
        weights = [*(t.weight for t in self.terms), *(-t.weight for t in self.content)]
        # Without an image beside there are no maps of content.
        for term, weight, values in zip((*self.terms, *self.content), weights, maps, strict=False):
            count = values[0].numel() if cells is None else cells[term.layer]
            total = total + weight * values.sum() / (len(values) * count)
        return total

    def likeness(self, sums: Sequence[Tensor], cells: Mapping[str, int]) -> Tensor:
        """Give what the likenesses come to, ``[B]``: 0, or less by how far they are.

        Args:
            sums: from :meth:`sums`, of whole images.
            cells: how many cells each layer has.
        """
        total = torch.zeros(len(sums[0]) if sums else 1, device=sums[0].device if sums else None)
        for like, found in zip(self.likenesses, sums, strict=True):
            total = total - like.term.weight * like.losses(found, cells[like.term.layer])
        return total

    def local(self, maps: Sequence[Tensor], likeness: Tensor | None = None) -> Tensor:
        """Give the strength of each cell, unnormalised.

        Args:
            maps: from :meth:`maps`; what is told of content is no strength.
            likeness: from :meth:`likeness`, which is told of where there are no terms.

        Returns:
            ``[B, 1, h, w]`` over the coarsest layer's grid: what the terms come to there. Its mean
            is :meth:`value`, up to cells that the grids of several layers do not share evenly,
            and but for logits: their softplus counts, the same for what is seen and next to
            nothing for what is not, for strength is never negative. Where there are no terms, one
            cell: one over how far the likenesses are.
        """
        if not self.terms and likeness is not None:
            return 1 / (_ALIKE - likeness).view(-1, 1, 1, 1)
        told = maps[: len(self.terms)]
        grid = min((cells.shape[-2:] for cells in told), key=lambda size: size[0] * size[1])
        total = torch.zeros((), device=told[0].device)
        measures = self.measures or (energy,) * len(self.terms)
        for term, measure, cells in zip(self.terms, measures, told, strict=True):
            positive = F.softplus(cells) if measure is logit else cells
            total = total + term.weight * F.adaptive_avg_pool2d(positive, (grid[0], grid[1]))
        return total

    def strength(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Return how strong what grows is in an image, a scalar to be compared by its ratio.

        The :meth:`value` of the terms: content and total variation are what is kept, not what
        grows. Of logits, which have either sign, the mean softplus; without terms, one over the
        style loss, as :meth:`local` has them.

        Args:
            activations: ``[1, C, h, w]`` or ``[1, C]`` by layer, of the whole image.
        """
        maps = self.maps(activations)
        if self.terms and logit not in self.measures:
            return self.value(maps)
        cells = {layer: activations[layer][0, 0].numel() for layer in self.layers}
        return self.local(maps, self.likeness(self.sums(activations), cells)).mean()


def features(activation: Tensor, channel: int | None) -> Tensor:
    """Give what a term looks at, ``[B, C, h, w]``: all channels of a layer, or one."""
    if activation.ndim == 2:
        activation = activation[..., None, None]
    return activation if channel is None else activation[:, channel, None]
