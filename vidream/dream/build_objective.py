"""Builds the objective that settings describe, with the pictures that they name."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vidream.core.errors import InputError, SettingsError, prefix_errors
from vidream.core.frames import Picture
from vidream.core.images import resize, to_tensor
from vidream.core.settings import DreamSettings, LayerTerm, ReadSettings, StyleSettings
from vidream.dream.objective import (
    GUIDE_POLICY,
    Guide,
    Measure,
    Objective,
    energy,
    features,
    logit,
    mean,
)
from vidream.dream.style_images import read_style
from vidream.dream.style_loss import MOMENTS, STATISTICS, StyleLoss
from vidream.media.places import has_picture
from vidream.media.stills import read_still
from vidream.networks.classes import class_terms
from vidream.networks.network import Network
from vidream.networks.spec import NetworkSpec

_MEASURES: dict[str, Measure] = {"energy": energy, "mean": mean}


def layers_to_load(
    dream: DreamSettings, style: StyleSettings, spec: NetworkSpec
) -> tuple[list[str], list[str]]:
    """Return the layers to load that grow, none for the network's own; and all others.

    Raises:
        SettingsError: the network has no usual layers for what is asked.
        NetworkError: it does not know a class.
    """
    grown = [term.layer for term in dream.layers]
    others = (
        *class_terms(spec, dream.classes),
        *_style_layers(style, spec),
        *_content_layers(dream, spec),
    )
    also = [term.layer for term in others]
    return (grown, also) if _grows(dream) else (also, [])


def _grows(dream: DreamSettings) -> bool:
    if dream.classes and not dream.layers:
        return False
    return dream.objective != "none" or dream.guide is not None


def build_objective(dream: DreamSettings, style: StyleSettings, network: Network) -> Objective:
    """Build the objective for a network that is loaded with all layers that it needs.

    Raises:
        NetworkError: unknown layer, channel or class.
        InputError: a picture cannot be read.
        SettingsError: a guide is too small, or nothing is there to grow.
    """
    grown = _grown(dream, network)
    classes = class_terms(network.spec, dream.classes)
    style_losses = _style_losses(style, network)
    content = _known(_content_layers(dream, network.spec), network)
    measures = (_MEASURES.get(dream.objective, energy),) * len(grown)
    measures += (logit,) * len(classes)
    if not grown and not classes and not style_losses:
        raise SettingsError("nothing is there to grow: give `styles`, or another `objective`")
    terms = (*grown, *classes)
    objective = Objective(terms, measures, style_losses, content, dream.total_variation)
    if dream.guide is None:
        return objective
    return guide_objective(objective, _read_guide(dream.guide), dream, network)


def _read_guide(guide: str) -> Picture:
    if not has_picture(guide):
        raise InputError(
            f"guide: {guide} is no picture, and only the dream of a video has a guide "
            "that moves: give a picture"
        )
    with prefix_errors("guide"):
        return read_still(guide, ReadSettings(max_side=GUIDE_POLICY.max_side)).image


def guide_objective(
    objective: Objective, guide: Picture, dream: DreamSettings, network: Network
) -> Objective:
    """Return an objective whose layers a picture guides, uint8 ``[H, W, 3]`` RGB.

    Raises:
        SettingsError: the picture is too small.
    """
    count = len(objective.terms) - len(dream.classes)
    grown, rest = objective.terms[:count], objective.terms[count:]
    seen = _features(_scaled(guide, network), grown, network)
    if dream.guide_by == "match":
        measures = tuple(Guide.of(activation) for activation in seen)
        return replace(objective, measures=measures + objective.measures[count:])
    losses = (StyleLoss.to(t, MOMENTS, [a], [1.0]) for t, a in zip(grown, seen, strict=True))
    return replace(
        objective,
        terms=rest,
        measures=objective.measures[count:],
        style_losses=(*losses, *objective.style_losses),
    )


def _grown(dream: DreamSettings, network: Network) -> tuple[LayerTerm, ...]:
    if not _grows(dream):
        if dream.layers:
            raise SettingsError(
                "`layers` say what grows, and `objective` none that nothing does: leave one out"
            )
        return ()
    return _known(dream.layers or network.default_layers, network)


def _known(terms: Sequence[LayerTerm], network: Network) -> tuple[LayerTerm, ...]:
    """Return terms by the network's own names, and checked."""
    known = tuple(replace(term, layer=network.canonical(term.layer)) for term in terms)
    for term in known:
        network.check(term)
    return known


def _features(picture: Tensor, terms: Sequence[LayerTerm], network: Network) -> list[Tensor]:
    """Return what each term sees in a picture, ``[1, C, h, w]``."""
    with torch.no_grad():
        seen = network.activations(picture.to(network.device))
    return [features(seen[term.layer], term.channel) for term in terms]


def _scaled(guide: Picture, network: Network) -> Tensor:
    """Return a guide at the size at which it is seen, ``[1, 3, H, W]``."""
    least, size = network.minimum_side, guide.shape[:2]
    if min(size) < least:
        raise SettingsError(
            f"the guide is {size[1]}×{size[0]}: give one of at least {least} pixels each way"
        )
    scale = min(1.0, GUIDE_POLICY.max_side / max(size))
    height, width = (max(least, round(side * scale)) for side in size)
    return resize(to_tensor(guide), (height, width))


def _style_losses(style: StyleSettings, network: Network) -> tuple[StyleLoss, ...]:
    """Return the loss of each style layer; the weights of the layers count by their share."""
    terms = _known(_style_layers(style, network.spec), network)
    if not terms:
        return ()
    pictures = [read_style(term.path, style.style_size) for term in style.styles]
    seen = [_features(picture, terms, network) for picture in pictures]
    share = style.style_weight / sum(term.weight for term in terms)
    return tuple(
        StyleLoss.to(
            replace(term, weight=share * term.weight),
            STATISTICS[style.style_match],
            activations,
            [picture.weight for picture in style.styles],
        )
        for term, *activations in zip(terms, *seen, strict=True)
    )


def _style_layers(style: StyleSettings, spec: NetworkSpec) -> tuple[LayerTerm, ...]:
    if not style.styles or not style.style_weight:
        return ()
    return _usual(style.style_layers, spec.style_layers, spec, "style_layers")


def _content_layers(dream: DreamSettings, spec: NetworkSpec) -> tuple[LayerTerm, ...]:
    if not dream.content_weight:
        return ()
    terms = _usual(dream.content_layers, spec.content_layers, spec, "content_layers")
    share = dream.content_weight / sum(term.weight for term in terms)
    return tuple(replace(term, weight=share * term.weight) for term in terms)


def _usual(
    given: tuple[LayerTerm, ...], own: tuple[LayerTerm, ...], spec: NetworkSpec, setting: str
) -> tuple[LayerTerm, ...]:
    if given or own:
        return given or own
    raise SettingsError(f"{spec.name} has no usual layers for it: set `{setting}`")
