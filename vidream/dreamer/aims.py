"""Aims: the objective that settings describe, with the pictures that they name looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vidream.dreamer import objectives
from vidream.dreamer.likeness import MOMENTS, STATISTICS, Likeness
from vidream.dreamer.objectives import Guide, Measure, Objective
from vidream.dreamer.styles import read_style
from vidream.errors import InputError, SettingsError, naming
from vidream.frames import Picture, to_tensor
from vidream.images import resize
from vidream.networks import Network, NetworkSpec, class_terms
from vidream.settings import DreamSettings, LayerTerm, ReadSettings, StyleSettings
from vidream.stills import is_still, read_still

_GUIDE_SIDE = 512
"""Pixels of a guide's longer side at most: its parts as large as what is to grow of them."""

_MEASURES: dict[str, Measure] = {"energy": objectives.energy, "mean": objectives.mean}


def layers_to_load(
    dream: DreamSettings, style: StyleSettings, spec: NetworkSpec
) -> tuple[list[str], list[str]]:
    """Give the layers that a network must be loaded with.

    Returns:
        Those that grow, none for the network's own; and those that are looked at beside them.

    Raises:
        SettingsError: the network has none that are usual for what is asked.
        NetworkError: it does not know a class.
    """
    grown = [term.layer for term in dream.layers]
    more = (
        class_terms(spec, dream.classes),
        _style_layers(style, spec),
        _content_layers(dream, spec),
    )
    beside = [term.layer for terms in more for term in terms]
    if _grows(dream):
        return grown, beside
    return beside, []


def _grows(dream: DreamSettings) -> bool:
    if dream.classes and not dream.layers:
        return False
    return dream.objective != "none" or dream.guide is not None


def make_aim(dream: DreamSettings, style: StyleSettings, network: Network) -> Objective:
    """Make the objective that settings describe.

    Args:
        dream: what grows, and what is kept.
        style: pictures whose style is taken on.
        network: loaded with all layers that they name.

    Raises:
        NetworkError: unknown layer, channel or class.
        InputError: a picture cannot be read.
        SettingsError: a guide is too small, or nothing is there to grow.
    """
    grown = _grown(dream, network)
    classes = class_terms(network.spec, dream.classes)
    likenesses = _style(style, network)
    content = _known(_content_layers(dream, network.spec), network)
    measures = (_MEASURES.get(dream.objective, objectives.energy),) * len(grown)
    measures += (objectives.logit,) * len(classes)
    if not grown and not classes and not likenesses:
        raise SettingsError("nothing is there to grow: give a --style, or another --objective")
    aim = Objective((*grown, *classes), measures, likenesses, content, dream.total_variation)
    if dream.guide is None:
        return aim
    return guided(aim, _read_guide(dream.guide), dream, network)


def _read_guide(guide: str) -> Picture:
    if not is_still(guide):
        raise InputError(
            f"guide: {guide} is no PNG, JPEG or WebP, and only the dream of a video has a guide "
            "that moves: give a picture"
        )
    with naming("guide"):
        return read_still(guide, ReadSettings(max_side=_GUIDE_SIDE)).image


def guided(aim: Objective, picture: Picture, dream: DreamSettings, network: Network) -> Objective:
    """Let a picture guide what grows.

    Args:
        aim: of :func:`make_aim`, without a guide.
        picture: uint8 ``[H, W, 3]`` RGB; a larger one is looked at smaller.
        dream: says how.
        network: sees it.

    Raises:
        SettingsError: the picture is too small.
    """
    count = len(aim.terms) - len(dream.classes)
    grown = aim.terms[:count]
    seen = _look(_fitted(picture, network), grown, network)
    if dream.guide_by == "match":
        measures = tuple(Guide.of(activation) for activation in seen)
        return replace(aim, measures=measures + aim.measures[count:])
    likenesses = (Likeness.to(t, MOMENTS, [a], [1.0]) for t, a in zip(grown, seen, strict=True))
    return replace(
        aim,
        terms=aim.terms[count:],
        measures=aim.measures[count:],
        likenesses=(*likenesses, *aim.likenesses),
    )


def _grown(dream: DreamSettings, network: Network) -> tuple[LayerTerm, ...]:
    """Give the layers that grow, by the network's own names."""
    if not _grows(dream):
        if dream.layers:
            raise SettingsError("layer says what grows, objective none that nothing does")
        return ()
    return _known(dream.layers or network.default_layers, network)


def _known(terms: Sequence[LayerTerm], network: Network) -> tuple[LayerTerm, ...]:
    """Give terms by the network's own names, and checked."""
    known = tuple(replace(term, layer=network.canonical(term.layer)) for term in terms)
    for term in known:
        network.check(term)
    return known


def _look(picture: Tensor, terms: Sequence[LayerTerm], network: Network) -> list[Tensor]:
    """Give what each term looks at in a picture, ``[1, C, h, w]``."""
    with torch.no_grad():
        seen = network.activations(picture.to(network.device))
    return [objectives.features(seen[term.layer], term.channel) for term in terms]


def _fitted(picture: Picture, network: Network) -> Tensor:
    """Give a guide at the size that it is looked at, ``[1, 3, H, W]``."""
    least, size = network.minimum_side, picture.shape[:2]
    if min(size) < least:
        raise SettingsError(
            f"the guide is {size[1]}×{size[0]}: it takes {least} pixels each way to see anything "
            "in it"
        )
    scale = min(1.0, _GUIDE_SIDE / max(size))
    height, width = (max(least, round(side * scale)) for side in size)
    return resize(to_tensor(picture), (height, width))


def _style(style: StyleSettings, network: Network) -> tuple[Likeness, ...]:
    """Aim at the style of pictures; the weights of the layers count by their share."""
    if not style.styles or not style.style_weight:
        return ()
    terms = _known(_style_layers(style, network.spec), network)
    pictures = [read_style(term.path, style.style_size) for term in style.styles]
    seen = [_look(picture, terms, network) for picture in pictures]
    share = style.style_weight / sum(term.weight for term in terms)
    return tuple(
        Likeness.to(
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
    return _usual(style.style_layers, spec.style_layers, spec, "style-layer")


def _content_layers(dream: DreamSettings, spec: NetworkSpec) -> tuple[LayerTerm, ...]:
    if not dream.content_weight:
        return ()
    terms = _usual(dream.content_layers, spec.content_layers, spec, "content-layer")
    share = dream.content_weight / sum(term.weight for term in terms)
    return tuple(replace(term, weight=share * term.weight) for term in terms)


def _usual(
    given: tuple[LayerTerm, ...], own: tuple[LayerTerm, ...], spec: NetworkSpec, option: str
) -> tuple[LayerTerm, ...]:
    if given or own:
        return given or own
    raise SettingsError(
        f"{spec.name} has no usual layers for it: name some with --{option}, "
        f"see --list-layers {spec.name}"
    )
