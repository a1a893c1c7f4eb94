"""Lists of networks, layers and classes: rows of a name and a description.

Imports no PyTorch for networks of the package and the layers of built-in ones.
"""

from importlib import import_module
from typing import Any

from vidream.networks.classes import known_classes
from vidream.networks.data_files import read_json
from vidream.networks.registry import describe_networks, find_network
from vidream.networks.spec import LayerInfo

Table = list[tuple[str, str]]
"""Rows of a name and a description of one line, which may be empty."""


def network_table() -> Table:
    """Return all networks, as :func:`.describe_networks` yields them."""
    return [(spec.name, spec.description) for spec in describe_networks()]


def layer_table(network: str) -> Table:
    """Return the layers of a network: main ones first, then the parts of blocks."""
    return [(layer.name, _describe_layer(layer)) for layer in list_layers(network)]


def class_table(network: str) -> Table:
    """Return the class numbers and names of a network; a NetworkError if it has none."""
    return [(str(number), name) for number, name in enumerate(known_classes(find_network(network)))]


def list_layers(network: str) -> list[LayerInfo]:
    """Return the layers of a network as data, in the order of :func:`layer_table`."""
    find_network(network)
    rows = read_json("layers.json").get(network)
    if rows is None:
        module: Any = import_module("vidream.networks.network")  # only now: it imports PyTorch
        found: list[LayerInfo] = module.layer_names(network)
        return found
    return [LayerInfo(name, tuple(aliases), *rest) for name, aliases, *rest in rows]


def _describe_layer(layer: LayerInfo) -> str:
    channels = f"{layer.channels} channels" if layer.channels else ""
    return "; ".join(part for part in (channels, ", ".join(layer.aliases)) if part)
