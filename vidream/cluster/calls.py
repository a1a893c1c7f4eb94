"""What is called on workers. The scheduler imports this as well: nothing heavy is imported here."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

RESOURCE = "vidream"
"""Dask resource of workers, one of which each part needs: so a worker has one at a time."""


Call = Callable[..., Any]
"""The kind of :func:`call`."""


def call(name: str, *given: Any) -> Any:
    """Call a function of :mod:`vidream.cluster.worker`, on a worker."""
    return getattr(import_module("vidream.cluster.worker"), name)(*given)


async def offer(amount: float, dask_worker: Any) -> None:
    """Give a worker the resource, or take it away."""
    await dask_worker.set_resources(**{RESOURCE: amount})
