"""What the registry knows of a network before anything of it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from vidream.settings import LayerTerm
from vidream.weights import State, WeightsFile

Aliases = Mapping[str, str]
"""Further names of layers, each with the canonical name that it stands for."""


def _no_aliases(_: nn.Module) -> Aliases:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A network that can dream. Third parties name one under the entry points vidream.networks.

    Args:
        name: what ``--network`` calls it.
        description: one line for ``--list-networks``.
        weights: the file with its weights.
        build: makes the network with any weights. It takes normalised images ``[B, 3, H, W]`` of
            any size, and torch.fx must be able to trace it.
        layers: what it dreams of unless told otherwise; empty for one that is chosen by depth.
        style_layers: what it sees the style of pictures in; empty if that has to be said.
        content_layers: what it sees their content in, likewise.
        minimum_side: side in pixels of the smallest image that the whole network takes.
        mean: what is subtracted from R, G and B in [0, 1].
        std: what they are then divided by.
        aliases: further names of layers, given the built network.
        convert: turns the tensors of the weights file into those of the network, and leaves
            them as they are if it does not know them.
        keep_converted: keep the converted tensors in the cache. For files that are slow or
            deprecated to read.
        channels_at_end: regular expression of the layers that give ``[B, H, W, C]``.
        classes: gives the names of the classes that the network's output is about, in their
            order; empty where it is about none.
    """

    name: str
    description: str
    weights: WeightsFile
    build: Callable[[], nn.Module]
    layers: tuple[LayerTerm, ...] = ()
    style_layers: tuple[LayerTerm, ...] = ()
    content_layers: tuple[LayerTerm, ...] = ()
    minimum_side: int = 32
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    aliases: Callable[[nn.Module], Aliases] = _no_aliases
    convert: Callable[[State], State] | None = None
    keep_converted: bool = False
    channels_at_end: str = ""
    classes: Callable[[], Sequence[str]] = tuple
