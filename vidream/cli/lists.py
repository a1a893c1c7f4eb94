"""``vidream list``."""

from collections.abc import Iterable
from itertools import chain

import click

from vidream.cli.options import Command
from vidream.cli.terminal import fail
from vidream.core.errors import VidreamError
from vidream.core.presets import DEFAULT, PRESETS, preset_names
from vidream.core.registry import EFFECTS, FLOWS

_OF_A_NETWORK = ("layers", "classes")


@click.command(
    "list",
    cls=Command,
    usage="list presets|networks|layers NETWORK|classes NETWORK|flows|effects",
)
@click.argument(
    "kind", type=click.Choice(("presets", "networks", *_OF_A_NETWORK, "flows", "effects"))
)
@click.argument("network", required=False)
def list_names(kind: str, network: str | None) -> None:
    """List presets, networks, the layers or classes of a network, flows, or effects."""
    if (kind in _OF_A_NETWORK) is (network is None):
        names = "a network" if network is None else "no network"
        raise click.UsageError(f"{kind} want {names}: see vidream list --help")
    try:
        rows = list(_rows(kind, network or ""))
    except VidreamError as error:
        fail(error)
    width = max((len(name) for name, _ in rows), default=0)
    for name, description in rows:
        click.echo(f"{name:<{width}}  {description}".rstrip())


def _rows(kind: str, network: str) -> Iterable[tuple[str, str]]:
    if kind == "presets":
        default = {DEFAULT: " (default)"}
        own = ((name, "of your own") for name in preset_names() if name not in PRESETS)
        return chain(((name, p.shows + default.get(name, "")) for name, p in PRESETS.items()), own)
    if kind in ("flows", "effects"):
        return ((name, "") for name in (FLOWS if kind == "flows" else EFFECTS).names())
    from vidream.networks import tables  # noqa: PLC0415  (it takes its time)

    if kind == "networks":
        return tables.network_table()
    return tables.layer_table(network) if kind == "layers" else tables.class_table(network)
