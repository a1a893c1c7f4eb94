"""A network ready to dream with: cut behind its deepest wanted layer, folded, frozen."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, fx, nn

from vidream.errors import NetworkError, unknown
from vidream.networks import graph
from vidream.networks.head import CLASSES, add_classes
from vidream.networks.registry import find_network
from vidream.networks.rewrite import rewrite
from vidream.networks.spec import NetworkSpec
from vidream.networks.state import read_state
from vidream.settings import LayerTerm
from vidream.weights import Progress

_PROBE_SIDE = 224  # pixels; the size most networks were trained at


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """A layer for ``--list-layers``.

    Args:
        name: canonical name.
        aliases: what it also answers to.
        channels: number of channels; None if it is not a map of features.
        main: False for a part of a block.
    """

    name: str
    aliases: tuple[str, ...]
    channels: int | None
    main: bool


class Network(nn.Module):
    """The part of a network that leads to the wanted layers; made by :func:`load_network`.

    ``to(device, dtype)`` moves it as any module. Only the network itself changes type: images are
    normalised in their own.

    Args:
        spec: what the network is.
        body: gives the activations of the layers as a tuple.
        layers: canonical names of the layers, in the order in which they run.
        names: other names that they answer to.
        own: those of the layers that it dreams of unless told otherwise.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        body: fx.GraphModule,
        layers: Sequence[str],
        names: Mapping[str, str],
        own: Sequence[str],
    ) -> None:
        super().__init__()
        self.spec, self.layers, self._names = spec, tuple(layers), dict(names)
        self._own = tuple(own)
        self.body = body
        # Not buffers, so that a network in half precision still normalises in full.
        std = torch.tensor(spec.std).view(1, 3, 1, 1)
        self._scale = 1 / std
        self._shift = -torch.tensor(spec.mean).view(1, 3, 1, 1) / std
        self.eval().requires_grad_(False)

    @property
    def default_layers(self) -> tuple[LayerTerm, ...]:
        """What the network dreams of unless told otherwise, if it was loaded without layers."""
        return self.spec.layers or tuple(LayerTerm(layer) for layer in self._own)

    def canonical(self, layer: str) -> str:
        """Give the canonical name of a layer, which is the key of :meth:`activations`.

        Raises:
            NetworkError: the network was not loaded with this layer.
        """
        if layer in self.layers:
            return layer
        if layer not in self._names:
            hint = f"{self.spec.name} was loaded with {', '.join(self.layers)}."
            raise NetworkError(unknown("layer", layer, [*self.layers, *self._names], hint))
        return self._names[layer]

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Give :meth:`activations`."""
        return self.activations(image)

    def activations(self, image: Tensor) -> dict[str, Tensor]:
        """Run the network as far as the deepest wanted layer.

        Args:
            image: RGB, float ``[B, 3, H, W]`` in [0, 1], on the network's device.

        Returns:
            Activations ``[B, C, h, w]`` by the names in :attr:`layers`, in the network's type, or
            ``[B, C]`` from a classifier. Gradients lead to the image, never to weights.

        Raises:
            NetworkError: the image is smaller than the network can take.
        """
        side = min(image.shape[-2:])
        if side < self.spec.minimum_side and side < self._smallest_side:
            raise NetworkError(
                f"{self.spec.name} needs at least {self._smallest_side} pixels each way "
                f"to reach {self.layers[-1]}, not {image.shape[-1]}×{image.shape[-2]}; use a "
                "larger size, fewer octaves or an earlier layer"
            )
        return self._run(image)

    def _run(self, image: Tensor) -> dict[str, Tensor]:
        if self._scale.device != image.device:
            self._scale, self._shift = self._scale.to(image.device), self._shift.to(image.device)
        normalised = image * self._scale.to(image.dtype) + self._shift.to(image.dtype)
        x = normalised.to(dtype=self.dtype, memory_format=torch.channels_last)
        return self._named(self.body(x))

    def outline(self, size: tuple[int, int]) -> dict[str, Tensor]:
        """Run on an image that is nothing but a size, with weights that are likewise.

        Takes neither time nor memory, whatever the size: the activations, on the meta device,
        have shapes and types but no content. Autograd sees them as any others.

        Args:
            size: height and width in pixels.
        """
        tensors = (*self.body.named_parameters(), *self.body.named_buffers())
        weights = {name: tensor.to("meta") for name, tensor in tensors}
        image = torch.empty(1, 3, *size, device="meta", dtype=self.dtype)
        image = image.to(memory_format=torch.channels_last)
        image.requires_grad_(torch.is_grad_enabled())
        return self._named(torch.func.functional_call(self.body, weights, (image,)))

    def _named(self, activations: Sequence[Tensor]) -> dict[str, Tensor]:
        """Give the body's outputs by name, channels first."""
        given = dict(zip(self.layers, activations, strict=True))
        for name, activation in given.items():
            if activation.ndim == 4 and _has_channels_at_end(self.spec, name):
                given[name] = activation.permute(0, 3, 1, 2)
        return given

    @property
    def dtype(self) -> torch.dtype:
        """Type in which the network calculates."""
        return next((p.dtype for p in self.parameters()), torch.float32)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def _probe(self, side: int) -> dict[str, Tensor] | None:
        """Run on a black image, or give None if it is too small."""
        try:
            with torch.no_grad():
                return self._run(torch.zeros(1, 3, side, side, device=self.device))
        except (RuntimeError, ValueError):
            return None

    @cached_property
    def minimum_side(self) -> int:
        """Side in pixels of the smallest image to dream on: it gives two cells of each layer.

        What is one cell wide has no neighbours to grow from; and oneDNN's bfloat16 convolutions
        with a stride read past the end of a map whose output is one wide.
        """
        large = self._probe(_PROBE_SIDE) or {}
        maps = [name for name, a in large.items() if a.ndim == 4 and min(a.shape[-2:]) > 1]

        def is_enough(side: int) -> bool:
            given = self._probe(side)
            return given is not None and all(min(given[name].shape[-2:]) > 1 for name in maps)

        return _least(is_enough, self._smallest_side, _PROBE_SIDE)

    @cached_property
    def _smallest_side(self) -> int:
        """Side in pixels of the smallest image that the network can take."""
        high = max(self.spec.minimum_side, 1)
        return _least(lambda side: self._probe(side) is not None, 1, high)

    def channels(self, layer: str) -> int:
        """Give the number of channels of one of :attr:`layers`, by any of its names."""
        return self._channels[self.canonical(layer)]

    @cached_property
    def _channels(self) -> dict[str, int]:
        given = self._probe(max(self.spec.minimum_side, 1)) or {}
        return {layer: activation.shape[1] for layer, activation in given.items()}

    def check(self, term: LayerTerm) -> None:
        """Check that a term of the objective names a channel that its layer has.

        Raises:
            NetworkError: it does not.
        """
        channels = self.channels(term.layer)
        if term.channel is not None and term.channel >= channels:
            raise NetworkError(
                f"{term.layer} of {self.spec.name} has no channel {term.channel}: choose one "
                f"from 0 to {channels - 1}"
            )


def load_network(
    name: str | NetworkSpec,
    layers: Sequence[str] | None = None,
    weights: str | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    also: Sequence[str] = (),
) -> Network:
    """Load a network as far as the deepest of its layers that are named.

    Args:
        name: as in :func:`network_names`; or a network itself.
        layers: canonical names or aliases; the network's own if none. A classifier also has
            :data:`~vidream.networks.head.CLASSES`.
        weights: weights file to use instead of the network's own.
        device: where to put it.
        progress: told of a download of the weights: bytes so far, and in all if known.
        also: layers that are wanted beside those, likewise.

    Raises:
        NetworkError: there is no such network or layer.
        WeightsError: the weights are not to be had, or are not of this network.
    """
    spec = find_network(name) if isinstance(name, str) else name
    traced = _trace(spec)
    names = _names(spec, traced)
    if CLASSES in (*(layers or ()), *also) and spec.classes():
        add_classes(traced)
    own = list(layers or ()) or _own_layers(spec, traced)
    own, beside = ([_canonical(spec, traced, names, layer) for layer in few] for few in (own, also))
    wanted = _in_order(traced, [*own, *beside])
    body = graph.cut(traced, wanted)
    state = read_state(spec, body.state_dict(), weights, progress)
    body.load_state_dict(state, strict=False, assign=True)
    graph.fold_batchnorm(body)
    rewrite(body)
    graph.guard_in_place(body)
    known = {name: layer for name, layer in names.items() if layer in wanted}
    network = Network(spec, body, wanted, known, _in_order(traced, own))
    network.to(memory_format=torch.channels_last)
    return network.to(device)


def _trace(spec: NetworkSpec) -> graph.Traced:
    traced = graph.trace(graph.build_hollow(spec.build))
    # The whole network and its containers' outputs are layers too, but not under an empty name.
    traced.outputs.pop("", None)
    return traced


def _names(spec: NetworkSpec, traced: graph.Traced) -> dict[str, str]:
    """Give the aliases of a network that lead to a layer of it."""
    aliases = spec.aliases(traced.model)
    return {alias: layer for alias, layer in aliases.items() if layer in traced.outputs}


def _canonical(
    spec: NetworkSpec, traced: graph.Traced, names: Mapping[str, str], layer: str
) -> str:
    if layer not in traced.outputs and layer not in names:
        hint = f"See --list-layers --network {spec.name}."
        raise NetworkError(unknown("layer", layer, [*traced.outputs, *names], hint))
    return layer if layer in traced.outputs else names[layer]


def _least(is_enough: Callable[[int], bool], low: int, high: int) -> int:
    """Find the least side by trying, as it depends on how every layer rounds."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle + 1, high)
    return high


def _in_order(traced: graph.Traced, layers: Collection[str]) -> list[str]:
    return [layer for layer in traced.outputs if layer in layers]


def _own_layers(spec: NetworkSpec, traced: graph.Traced) -> list[str]:
    if spec.layers:
        return [term.layer for term in spec.layers]
    # On a second copy: finding the shapes takes the weights' memory format and place away.
    copy = _trace(spec)
    sizes = graph.shapes(copy, max(spec.minimum_side, _PROBE_SIDE))
    spatial = [name for name, shape in sizes.items() if len(shape) == 4 and shape[2] > 1]
    return [graph.three_quarters_deep(traced, spatial)]


def default_layers(name: str) -> tuple[LayerTerm, ...]:
    """Give the layers that a network dreams of unless told otherwise. Needs no weights.

    Raises:
        NetworkError: there is no such network.
    """
    spec = find_network(name)
    return spec.layers or tuple(LayerTerm(layer) for layer in _own_layers(spec, _trace(spec)))


def layer_names(name: str) -> list[LayerInfo]:
    """List the layers of a network: first the main ones, then the parts of blocks.

    Needs no weights. Each list is in the order in which the layers run.

    Raises:
        NetworkError: there is no such network.
    """
    spec = find_network(name)
    traced = _trace(spec)
    sizes = graph.shapes(traced, max(spec.minimum_side, _PROBE_SIDE))
    aliases: dict[str, list[str]] = {}
    for alias, canonical in _names(spec, traced).items():
        aliases.setdefault(canonical, []).append(alias)
    main = set(graph.main_layers(traced))
    listed = [
        LayerInfo(
            layer, tuple(aliases.get(layer, ())), _channels(spec, sizes, layer), layer in main
        )
        for layer in traced.outputs
    ]
    return sorted(listed, key=lambda layer: not layer.main)


def _channels(spec: NetworkSpec, sizes: dict[str, tuple[int, ...]], layer: str) -> int | None:
    shape = sizes.get(layer, ())
    if len(shape) == 4:
        return shape[3 if _has_channels_at_end(spec, layer) else 1]
    return shape[1] if len(shape) == 2 else None


def _has_channels_at_end(spec: NetworkSpec, layer: str) -> bool:
    return bool(spec.channels_at_end) and bool(re.fullmatch(spec.channels_at_end, layer))
