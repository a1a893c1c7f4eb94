"""Which networks there are: the two built in, third parties' and torchvision's."""

from __future__ import annotations

import importlib.metadata
import logging

from vidream.errors import NetworkError, unknown
from vidream.networks import classifiers, inception, lite, vgg
from vidream.networks.spec import NetworkSpec

_log = logging.getLogger(__name__)

ENTRY_POINTS = "vidream.networks"
"""Entry-point group under which a third party names a :class:`NetworkSpec`."""

_BUILT_IN = {spec.name: spec for spec in (inception.SPEC, vgg.SPEC, *lite.SPECS)}


def find_network(name: str) -> NetworkSpec:
    """Give the description of a network. A built-in one shadows others of its name.

    Raises:
        NetworkError: there is none of this name, or it cannot dream.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    spec = _third_party().get(name) or classifiers.spec(name)
    if spec is None:
        hint = "See --list-networks."
        raise NetworkError(unknown("network", name, network_names(), hint))
    return spec


def network_names() -> list[str]:
    """List all networks: the built-in ones, third parties', torchvision's."""
    return list(dict.fromkeys([*_BUILT_IN, *_third_party(), *classifiers.names()]))


def describe_networks() -> list[NetworkSpec]:
    """Describe all networks, for ``--list-networks``: name, description, weights and licence."""
    return [find_network(name) for name in network_names()]


def _third_party() -> dict[str, NetworkSpec]:
    """Load third parties' networks; one that cannot be loaded is left out with a warning."""
    found = {}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            spec = entry.load()
            if not isinstance(spec, NetworkSpec):
                raise TypeError(f"{entry.value} is not a NetworkSpec")
        except Exception as error:  # whatever foreign code raises when it is imported
            _log.warning("the network %s is left out: %s: %s", entry.name, entry.value, error)
        else:
            found[spec.name] = spec
    return found
