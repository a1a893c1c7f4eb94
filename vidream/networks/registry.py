"""Registry of networks: plugins, the built-in ones first, and torchvision's."""

import logging
from collections.abc import Iterator

from vidream.core.errors import NetworkError, VidreamError, unknown
from vidream.core.registry import NETWORKS
from vidream.networks import torchvision_networks
from vidream.networks.spec import NetworkSpec

_log = logging.getLogger(__name__)


def find_network(name: str) -> NetworkSpec:
    """Return the description of a network.

    Raises:
        SettingsError: the plugin cannot be loaded.
        NetworkError: there is no such network, or it cannot dream.
    """
    if name in NETWORKS.names():
        return _load(name)
    spec = torchvision_networks.find_spec(name)
    if spec is None:
        hint = "See the list of networks."
        raise NetworkError(unknown("network", name, network_names(), hint))
    return spec


def network_names() -> list[str]:
    """Return the names of all networks."""
    return list(dict.fromkeys([*NETWORKS.names(), *torchvision_networks.names()]))


def describe_networks() -> Iterator[NetworkSpec]:
    """Yield all networks; plugins that fail to load are skipped with a warning."""
    plugins = NETWORKS.names()
    for name in plugins:
        try:
            yield _load(name)
        except VidreamError as error:
            _log.warning("left out: %s", error)
    for name in torchvision_networks.names():
        if name not in plugins and (spec := torchvision_networks.find_spec(name)):
            yield spec


def _load(name: str) -> NetworkSpec:
    spec = NETWORKS.load(name)
    if not isinstance(spec, NetworkSpec):
        raise NetworkError(f"the network {name!r} cannot be loaded: it is no NetworkSpec")
    return spec
