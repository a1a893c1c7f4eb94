"""Builds the objective that settings describe, with the pictures that they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vidream.core.errors import InputError, SettingsError, prefix_errors
from vidream.core.frames import Picture
from vidream.core.images import resize, to_tensor
from vidream.core.settings import DreamSettings, LayerTerm, ReadSettings, StyleSettings
from vidream.dream.objective import Guide, Objective, energy, features, logit, mean
from vidream.dream.style_images import read_style
from vidream.dream.style_loss import MOMENTS, STATISTICS, StyleLoss
from vidream.media.places import is_picture
from vidream.media.stills import read_still
from vidream.networks.classes import class_terms
from vidream.networks.network import Network
from vidream.networks.spec import NetworkSpec

_GUIDE_SIDE = 512  # pixels of the longer side, so that its parts are as large as what is to grow


def layers_to_load(
    dream: DreamSettings, style: StyleSettings, spec: NetworkSpec
) -> tuple[list[str], list[str]]:
    """Return the layers to load that are maximized, none for the network's own; and all others.

    Raises:
        SettingsError: the network has no layers of its own for a style or content.
        NetworkError: it does not know a class.
    """
    others = class_terms(spec, dream.classes)
    others += _style_layers(style, spec) + _content_layers(dream, spec)
    also = [term.layer for term in others]
    return ([term.layer for term in dream.layers], also) if _maximizes(dream) else (also, [])


def _maximizes(dream: DreamSettings) -> bool:
    """Whether layers are maximized, and not only classes, a style or content."""
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
    layers: tuple[LayerTerm, ...] = ()
    if _maximizes(dream):
        layers = _known(dream.layers or network.default_layers, network)
    elif dream.layers:
        raise SettingsError(
            "`layers` say what grows, and `objective` none that nothing does: leave one out"
        )
    classes = class_terms(network.spec, dream.classes)
    style_losses = _style_losses(style, network)
    content = _known(_content_layers(dream, network.spec), network)
    if not layers and not classes and not style_losses:
        raise SettingsError("nothing is there to grow: give `styles`, or another `objective`")
    measures = (mean if dream.objective == "mean" else energy,) * len(layers)
    measures += (logit,) * len(classes)
    terms = layers + classes
    objective = Objective(terms, measures, style_losses, content, dream.total_variation)
    if dream.guide is None:
        return objective
    if not is_picture(dream.guide):
        raise InputError(
            f"guide: {dream.guide} is no PNG, JPEG or WebP, and only the dream of a video has a "
            "guide that moves: give a picture"
        )
    with prefix_errors("guide"):
        guide = read_still(dream.guide, ReadSettings(max_side=_GUIDE_SIDE)).image
    return guide_objective(objective, guide, dream, network)


def guide_objective(
    objective: Objective, guide: Picture, dream: DreamSettings, network: Network
) -> Objective:
    """Return an objective whose layers a picture guides, uint8 ``[H, W, 3]`` RGB.

    Raises:
        SettingsError: the picture is too small.
    """
    count = len(objective.terms) - len(dream.classes)
    layers, classes = objective.terms[:count], objective.terms[count:]
    measures = objective.measures[count:]
    seen = _features(_scaled(guide, network), layers, network)
    if dream.guide_by == "match":
        return replace(objective, measures=tuple(map(Guide.of, seen)) + measures)
    losses = (StyleLoss.to(t, MOMENTS, [a], [1.0]) for t, a in zip(layers, seen, strict=True))
    style_losses = (*losses, *objective.style_losses)
    return replace(objective, terms=classes, measures=measures, style_losses=style_losses)


def _known(terms: Sequence[LayerTerm], network: Network) -> tuple[LayerTerm, ...]:
    """Return terms by the network's own names, checked."""
    known = tuple(replace(term, layer=network.canonical(term.layer)) for term in terms)
    for term in known:
        network.check(term)
    return known


def _features(picture: Tensor, terms: Sequence[LayerTerm], network: Network) -> list[Tensor]:
    """Return the activations of each term, ``[1, C, h, w]``."""
    with torch.no_grad():
        seen = network.activations(picture.to(network.device))
    return [features(seen, term) for term in terms]


def _scaled(guide: Picture, network: Network) -> Tensor:
    """Return a guide at the size that the network sees, ``[1, 3, H, W]``."""
    least, size = network.minimum_side, guide.shape[:2]
    if min(size) < least:
        raise SettingsError(
            f"the guide is {size[1]}×{size[0]}: give one of at least {least} pixels each way"
        )
    scale = min(1.0, _GUIDE_SIDE / max(size))
    height, width = (max(least, round(side * scale)) for side in size)
    return resize(to_tensor(guide), (height, width))


def _style_losses(style: StyleSettings, network: Network) -> tuple[StyleLoss, ...]:
    """Return the loss of each style layer; weights are relative to their sum."""
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
