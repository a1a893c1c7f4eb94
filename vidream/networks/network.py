"""Networks to dream with: cut behind the deepest wanted layer, folded, frozen."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor, fx, nn

from vidream.core.errors import NetworkError, unknown
from vidream.core.settings import LayerTerm
from vidream.networks import graph
from vidream.networks.class_logits import add_classes
from vidream.networks.classes import CLASSES
from vidream.networks.download import OnDownload
from vidream.networks.graph_optimization import optimize_graph
from vidream.networks.registry import find_network
from vidream.networks.spec import LayerInfo, NetworkSpec
from vidream.networks.state import read_state
from vidream.networks.weights import WeightsFile

_PROBE_SIDE = 224  # pixels; most networks were trained at this size


class Network(nn.Module):
    """The part of a network that computes the wanted layers; see :func:`load_network`.

    Args:
        spec: description of the network.
        body: returns the activations of the layers as a tuple.
        layers: in execution order.
        names: of the layers, by alias.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        body: fx.GraphModule,
        layers: Sequence[str],
        names: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.spec, self.layers, self._names = spec, tuple(layers), dict(names)
        self.body = body
        # Not buffers, so that a network in half precision still normalises in full.
        std = torch.tensor(spec.std).view(1, 3, 1, 1)
        self._scale = 1 / std
        self._shift = -torch.tensor(spec.mean).view(1, 3, 1, 1) / std
        self.eval().requires_grad_(False)

    @property
    def default_layers(self) -> tuple[LayerTerm, ...]:
        """Default layers to dream on."""
        return self.spec.layers

    @property
    def weights_file(self) -> WeightsFile:
        """The weights file of these layers."""
        return self.spec.weights_for(self.layers)

    def canonical(self, layer: str) -> str:
        """Return the canonical name of a layer; a NetworkError if it was not loaded."""
        if layer in self.layers:
            return layer
        if layer not in self._names:
            hint = f"{self.spec.name} was loaded with {', '.join(self.layers)}."
            raise NetworkError(unknown("layer", layer, [*self.layers, *self._names], hint))
        return self._names[layer]

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return :meth:`activations`."""
        return self.activations(image)

    def activations(self, image: Tensor) -> dict[str, Tensor]:
        """Run the network up to the deepest wanted layer.

        Args:
            image: RGB, float ``[B, 3, H, W]`` in [0, 1], on the network's device.

        Returns:
            By canonical name, ``[B, C, h, w]``, or ``[B, C]`` behind a classifier's pooling, in the
            network's dtype. Differentiable by the image, not by the weights.

        Raises:
            NetworkError: the image is too small.
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

    def meta_activations(self, size: tuple[int, int]) -> dict[str, Tensor]:
        """Return activations on the meta device for a height and width."""
        tensors = (*self.body.named_parameters(), *self.body.named_buffers())
        weights = {name: tensor.to("meta") for name, tensor in tensors}
        image = torch.empty(1, 3, *size, device="meta", dtype=self.dtype)
        image = image.to(memory_format=torch.channels_last)
        image.requires_grad_(torch.is_grad_enabled())
        return self._named(torch.func.functional_call(self.body, weights, (image,)))

    def _named(self, activations: Sequence[Tensor]) -> dict[str, Tensor]:
        return {
            name: a.permute(0, 3, 1, 2) if a.ndim == 4 and _is_channels_last(self.spec, name) else a
            for name, a in zip(self.layers, activations, strict=True)
        }

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights and activations."""
        return next((p.dtype for p in self.parameters()), torch.float32)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def _probe(self, side: int) -> dict[str, Tensor] | None:
        """Run on a black image; return None if it is too small."""
        try:
            with torch.no_grad():
                return self._run(torch.zeros(1, 3, side, side, device=self.device))
        except (RuntimeError, ValueError):
            return None

    @cached_property
    def minimum_side(self) -> int:
        """Side in pixels of the smallest image to dream on: two cells of each layer."""
        # OneDNN's bfloat16 convolutions with a stride read past maps whose output is one cell wide.
        large = self._probe(_PROBE_SIDE) or {}
        maps = [name for name, a in large.items() if a.ndim == 4 and min(a.shape[-2:]) > 1]

        def is_enough(side: int) -> bool:
            given = self._probe(side)
            return given is not None and all(min(given[name].shape[-2:]) > 1 for name in maps)

        return _least(is_enough, self._smallest_side, _PROBE_SIDE)

    @cached_property
    def _smallest_side(self) -> int:
        """Side in pixels of the smallest image that the network takes."""
        high = max(self.spec.minimum_side, 1)
        return _least(lambda side: self._probe(side) is not None, 1, high)

    def channels(self, layer: str) -> int:
        """Return the number of channels of a layer, by any of its names."""
        return self._channels[self.canonical(layer)]

    @cached_property
    def _channels(self) -> dict[str, int]:
        given = self._probe(max(self.spec.minimum_side, 1)) or {}
        return {layer: activation.shape[1] for layer, activation in given.items()}

    def check(self, term: LayerTerm) -> None:
        """Raise a NetworkError if the layer of a term lacks its channel."""
        channels = self.channels(term.layer)
        if term.channel is not None and term.channel >= channels:
            raise NetworkError(
                f"{term.layer} of {self.spec.name} has no channel {term.channel}: choose one "
                f"from 0 to {channels - 1}"
            )


@torch.inference_mode(False)
def load_network(
    name: str | NetworkSpec,
    layers: Sequence[str] | None = None,
    weights: str | None = None,
    device: torch.device | str = "cpu",
    progress: OnDownload | None = None,
    also: Sequence[str] = (),
) -> Network:
    """Load a network up to the deepest of the wanted layers.

    Args:
        name: name or description of the network.
        layers: names or aliases; default: the network's. A classifier also has
            :data:`~vidream.networks.classes.CLASSES`.
        weights: weights file to use instead of the network's own.
        device: of the weights.
        progress: called while downloading.
        also: further layers.

    Raises:
        NetworkError: there is no such network or layer.
        WeightsError: the weights are missing, or are not of this network.
    """
    spec = find_network(name) if isinstance(name, str) else name
    traced = _trace(spec)
    names = _names(spec, traced)
    if CLASSES in (*(layers or ()), *also) and spec.classes():
        add_classes(traced)
    asked = [*(layers or (term.layer for term in spec.layers)), *also]
    if not asked:
        raise NetworkError(f"{spec.name} has no default layers: set `layers`")
    for layer in asked:
        if layer not in traced.outputs and layer not in names:
            hint = f"See the list of layers of {spec.name}."
            raise NetworkError(unknown("layer", layer, [*traced.outputs, *names], hint))
    canonical = {layer if layer in traced.outputs else names[layer] for layer in asked}
    wanted = [layer for layer in traced.outputs if layer in canonical]
    body = graph.cut(traced, wanted)
    state = read_state(spec, body.state_dict(), weights, progress)
    body.load_state_dict(state, strict=False, assign=True)
    graph.fold_batchnorm(body)
    optimize_graph(body)
    graph.guard_in_place(body)
    known = {name: layer for name, layer in names.items() if layer in wanted}
    network = Network(spec, body, wanted, known)
    return network.to(memory_format=torch.channels_last).to(device)


def _trace(spec: NetworkSpec) -> graph.Traced:
    traced = graph.trace(graph.build_on_meta(spec.build))
    # The whole network and its containers' outputs are layers too, but not under an empty name.
    traced.outputs.pop("", None)
    return traced


def _names(spec: NetworkSpec, traced: graph.Traced) -> dict[str, str]:
    aliases = spec.aliases(traced.model)
    return {alias: layer for alias, layer in aliases.items() if layer in traced.outputs}


def _least(is_enough: Callable[[int], bool], low: int, high: int) -> int:
    """Return the least side that suffices, by bisection: it depends on each layer's rounding."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle + 1, high)
    return high


def layer_names(name: str) -> list[LayerInfo]:
    """Return the layers of a network, main ones first, in execution order; needs no weights."""
    spec = find_network(name)
    traced = _trace(spec)
    sizes = graph.shapes(traced, max(spec.minimum_side, _PROBE_SIDE))
    aliases: dict[str, list[str]] = {}
    for alias, canonical in _names(spec, traced).items():
        aliases.setdefault(canonical, []).append(alias)
    main = set(graph.main_layers(traced))
    listed = []
    for layer in traced.outputs:
        shape = sizes.get(layer, ())
        axis = 3 if len(shape) == 4 and _is_channels_last(spec, layer) else 1
        channels = shape[axis] if len(shape) in (2, 4) else None
        listed.append(LayerInfo(layer, tuple(aliases.get(layer, ())), channels, layer in main))
    return sorted(listed, key=lambda layer: not layer.main)


def _is_channels_last(spec: NetworkSpec, layer: str) -> bool:
    return bool(spec.channels_at_end) and bool(re.fullmatch(spec.channels_at_end, layer))
