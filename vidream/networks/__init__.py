"""The networks that dream: which there are, their layers, and how one is loaded."""

from vidream.networks.groups import GROUPS, find_classes
from vidream.networks.head import CLASSES, class_names, class_terms, find_class
from vidream.networks.lattice import Lattice, bytes_per_pixel, find_lattice, grids
from vidream.networks.lite import at_side
from vidream.networks.network import (
    LayerInfo,
    Network,
    default_layers,
    layer_names,
    load_network,
)
from vidream.networks.registry import describe_networks, find_network, network_names
from vidream.networks.spec import NetworkSpec

__all__ = [
    "CLASSES",
    "GROUPS",
    "Lattice",
    "LayerInfo",
    "Network",
    "NetworkSpec",
    "at_side",
    "bytes_per_pixel",
    "class_names",
    "class_terms",
    "default_layers",
    "describe_networks",
    "find_class",
    "find_classes",
    "find_lattice",
    "find_network",
    "grids",
    "layer_names",
    "load_network",
    "network_names",
]
