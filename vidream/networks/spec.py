"""Descriptions of networks. Imports no PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vidream.core.settings import LayerTerm
from vidream.networks.weights import State, WeightsFile

if TYPE_CHECKING:
    from torch import nn

Aliases = Mapping[str, str]
"""Further names of layers, each with the canonical name that it stands for."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A function whose module, which imports PyTorch, is imported when it is called."""

    module: str
    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Import and call the function."""
        return getattr(import_module(self.module), self.name)(*args, **kwargs)


def no_aliases(_: nn.Module) -> Aliases:
    """Return no aliases."""
    return {}


@dataclass(frozen=True, slots=True)
class PartialWeights:
    """A smaller weights file that lacks the children ``missing`` of a network."""

    file: WeightsFile
    missing: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A network that can dream, registered under the entry points ``vidream.networks``.

    Args:
        name: as in the registry.
        description: one line.
        weights: the weights file.
        build: builds a network traceable by torch.fx, of normalized ``[B, 3, H, W]`` of any size.
        layers: default layers to dream on.
        style_layers: default layers of the style loss.
        content_layers: default layers of the content loss.
        minimum_side: side in pixels of the smallest image that the whole network takes.
        mean: of R, G and B in [0, 1].
        std: likewise.
        aliases: returns further names of layers of the built network.
        convert: maps the tensors of the weights file to those of the network.
        channels_at_end: regular expression of the layers of shape ``[B, H, W, C]``.
        classes: returns the names of the classes; empty if it is no classifier.
        bundled: smaller file, preferred where it suffices.
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
    aliases: Callable[[nn.Module], Aliases] = no_aliases
    convert: Callable[[State], State] | None = None
    channels_at_end: str = ""
    classes: Callable[[], Sequence[str]] = tuple
    bundled: PartialWeights | None = None

    def weights_for(self, names: Iterable[str]) -> WeightsFile:
        """Return the weights file of some layers or tensors, by canonical names."""
        children = {name.partition(".")[0] for name in names}
        if self.bundled is not None and children.isdisjoint(self.bundled.missing):
            return self.bundled.file
        return self.weights


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """A layer; ``channels`` is None if it is no feature map, ``main`` False inside a block."""

    name: str
    aliases: tuple[str, ...]
    channels: int | None
    main: bool
