"""The objective that gradient ascent raises: pure functions of a network's activations.

Its terms are means of a map over a layer's grid of cells, which add up from parts of an image. It
may also hold an image to the statistics of pictures (:mod:`vidream.dream.style_loss`), or to the
content of a reference image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.settings import LayerTerm
from vidream.dream.style_loss import StyleLoss

Measure = Callable[[Tensor], Tensor]
"""From activations ``[B, C, h, w]`` to a value for each cell, float32 ``[B, 1, h, w]``."""

_TINY = 1e-12
_NO_LOSS = 1e-6  # a style loss that is as good as none


def energy(activation: Tensor) -> Tensor:
    """Mean square over the channels: the L2 objective of Mordvintsev et al. 2015."""
    # Sums run in float32 whatever the network computes in.
    return activation.float().square().mean(1, keepdim=True)


def mean(activation: Tensor) -> Tensor:
    """Mean over the channels: many weak features count for more than under :func:`energy`."""
    return activation.float().mean(1, keepdim=True)


def logit(activation: Tensor) -> Tensor:
    """The logit of one class, as it is: of either sign, unlike all other measures."""
    return activation.float()


@dataclass(frozen=True, slots=True)
class GuidePolicy:
    """Limits of what a guide costs."""

    max_side: int = 512  # pixels of its longer side: its parts as large as what grows
    max_cells: int = 2048  # cells that are matched with; more are thinned out regularly
    batch: int = 4096  # cells of the dream that are matched at once


GUIDE_POLICY = GuidePolicy()


@dataclass(frozen=True, slots=True)
class Guide:
    """The dot product of each cell with that cell of a guide that it matches best.

    The objective of Google's guided dreams (Mordvintsev et al. 2015), over the number of channels.
    """

    features: Tensor = field(repr=False)  # of the guide's cells, [C, N]
    policy: GuidePolicy = GUIDE_POLICY

    @classmethod
    def of(cls, activation: Tensor, policy: GuidePolicy = GUIDE_POLICY) -> Self:
        """Take the guide's own activations, ``[1, C, h, w]``."""
        features = activation[0].detach().flatten(1)
        features = features[:, :: -(-features.shape[1] // policy.max_cells)]
        # Over their mean length: no guide pulls harder than another.
        features = features / features.norm(dim=0).mean().clamp_min(_TINY)
        return cls(features.contiguous(), policy)

    def __call__(self, activation: Tensor) -> Tensor:
        """Return the products of ``[B, C, h, w]`` activations with their best matches."""
        batch, channels, height, width = activation.shape
        cells = activation.detach().permute(0, 2, 3, 1).reshape(-1, channels)
        parts = torch.split(cells, self.policy.batch)
        best = torch.cat([(part @ self.features).argmax(1) for part in parts])
        matches = self.features.T[best].view(batch, height, width, channels)
        # The choice of the match is a constant: its gradient is 0 but where it changes.
        return (activation.float() * matches.permute(0, 3, 1, 2).float()).mean(1, keepdim=True)


@dataclass(frozen=True, slots=True)
class Objective:
    """A weighted sum over layers, to be raised."""

    terms: tuple[LayerTerm, ...]  # layers or single channels, by the network's own names
    measures: tuple[Measure, ...] = ()  # of each term; energy by default
    style_losses: tuple[StyleLoss, ...] = ()  # layers to get the statistics of pictures
    content: tuple[LayerTerm, ...] = ()  # layers to stay as in the reference
    total_variation: float = 0.0  # weight of the image's total variation, which is to be low

    def __post_init__(self) -> None:
        """Fill in the measures."""
        object.__setattr__(self, "measures", self.measures or (energy,) * len(self.terms))

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that are needed."""
        terms = (*self.terms, *(loss.term for loss in self.style_losses), *self.content)
        return tuple(dict.fromkeys(term.layer for term in terms))

    def maps(
        self,
        activations: Mapping[str, Tensor],
        content_reference: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, ...]:
        """Return the map of each term and then, with a reference, the content loss of each layer.

        Unweighted ``[B, 1, h, w]`` from activations ``[B, C, h, w]``, or ``[B, C]`` for one cell.
        """
        grown = tuple(
            measure(features(activations[term.layer], term.channel))
            for term, measure in zip(self.terms, self.measures, strict=True)
        )
        if content_reference is None:
            return grown
        changes = (
            features(activations[term.layer], term.channel).float()
            - features(content_reference[term.layer], term.channel).float()
            for term in self.content
        )
        # The content loss of Gatys et al. 2016.
        return grown + tuple(energy(change) for change in changes)

    def value(self, maps: Sequence[Tensor], cells: Mapping[str, int] | None = None) -> Tensor:
        """Return the weighted sum of the means of :meth:`maps`, a scalar over all images.

        Where the maps are only parts, ``cells`` counts all of each layer.
        """
        total = torch.zeros((), device=maps[0].device if maps else None)
        weights = [*(t.weight for t in self.terms), *(-t.weight for t in self.content)]
        # Without a content reference there are no maps of content.
        for term, weight, values in zip((*self.terms, *self.content), weights, maps, strict=False):
            count = values[0].numel() if cells is None else cells[term.layer]
            total = total + weight * values.sum() / (len(values) * count)
        return total

    def style_sums(self, activations: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return what :meth:`style_value` needs of an image; sums of parts add up to its own."""
        return tuple(
            loss.sums(features(activations[loss.term.layer], loss.term.channel))
            for loss in self.style_losses
        )

    def style_value(self, sums: Sequence[Tensor], cells: Mapping[str, int]) -> Tensor:
        """Return minus the weighted style losses, ``[B]``, from whole images' :meth:`style_sums`.

        ``cells`` counts those of each layer.
        """
        total = torch.zeros(len(sums[0]) if sums else 1, device=sums[0].device if sums else None)
        for loss, found in zip(self.style_losses, sums, strict=True):
            total = total - loss.term.weight * loss.losses(found, cells[loss.term.layer])
        return total

    def local_strength(self, maps: Sequence[Tensor], style: Tensor | None = None) -> Tensor:
        """Return the strength of each cell of the coarsest layer's grid, ``[B, 1, h, w]``.

        Its mean is the :meth:`value` of the terms, up to cells that grids do not share evenly; of
        logits the softplus counts, for strength is never negative. Without terms it is one over
        the style loss, ``[B, 1, 1, 1]``.
        """
        if not self.terms and style is not None:
            return 1 / (_NO_LOSS - style).view(-1, 1, 1, 1)
        grown = maps[: len(self.terms)]
        grid = min((cells.shape[-2:] for cells in grown), key=lambda size: size[0] * size[1])
        total = torch.zeros((), device=grown[0].device)
        for term, measure, cells in zip(self.terms, self.measures, grown, strict=True):
            positive = F.softplus(cells) if measure is logit else cells
            total = total + term.weight * F.adaptive_avg_pool2d(positive, (grid[0], grid[1]))
        return total

    def strength(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Return the strength of a whole image, a scalar to be compared by its ratio.

        The :meth:`value` of the terms alone; of logits, or without terms, the mean of
        :meth:`local_strength`.
        """
        maps = self.maps(activations)
        if self.terms and logit not in self.measures:
            return self.value(maps)
        cells = {layer: activations[layer][0, 0].numel() for layer in self.layers}
        style = self.style_value(self.style_sums(activations), cells)
        return self.local_strength(maps, style).mean()


def features(activation: Tensor, channel: int | None) -> Tensor:
    """Return what a term sees of a layer, ``[B, C, h, w]``: all channels, or one."""
    if activation.ndim == 2:
        activation = activation[..., None, None]
    return activation if channel is None else activation[:, channel, None]
