"""Schedulers: one that runs, or one of this machine's own."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask.config
from distributed import Client, Nanny, Scheduler, SpecCluster

from vidream.cluster.worker import DEVICE_VARIABLE
from vidream.core.cores import core_count
from vidream.core.errors import ClusterError, SettingsError, describe_error

LOCAL = "local"
"""Place of a cluster of this machine's own; ``local:4`` has four workers."""

_TIMEOUT = 20  # seconds to find a scheduler
_CORES = 2  # of a worker, at least, if there are as many
_CONFIG = {
    # What a worker dies of is counted by the engine.
    "distributed.scheduler.allowed-failures": 100,
    "distributed.scheduler.worker-ttl": "60s",
    "distributed.worker.daemon": False,
    "distributed.admin.tick.limit": "1h",
}


def local_workers(place: str, devices: Sequence[str] = ()) -> int | None:
    """Return the number of workers of a local cluster; None if it is none.

    Raises:
        SettingsError: the number is none.
    """
    name, _, number = place.partition(":")
    if name != LOCAL:
        return None
    if not number:
        return len(devices) or max(min(2, core_count()), core_count() // _CORES)
    if not number.isdecimal() or not 1 <= int(number) <= 1024:
        raise SettingsError(f"{place!r} is no cluster: write local, local:4 or an address")
    return int(number)


@contextmanager
def connect(place: str, devices: Sequence[str] = ()) -> Iterator[Client]:
    """Connect to a scheduler.

    Args:
        place: ``local``, ``local:4``, an address (``tcp://host:8786``), or a scheduler file.
        devices: of a local cluster, one a worker, in turn.

    Raises:
        ClusterError: there is no scheduler.
        SettingsError: the place is none.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters the engine says
    workers = local_workers(place, devices)
    with ExitStack() as stack:
        if workers is not None:
            stack.enter_context(dask.config.set(_CONFIG))
            address: Any = stack.enter_context(_local_cluster(workers, devices))
            where = {"address": address}
        else:
            is_file = place.endswith(".json") or Path(place).is_file()
            where = {"scheduler_file" if is_file else "address": place}
        try:
            client = Client(**where, timeout=_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(
                f"no scheduler answers at {place} ({describe_error(error)}): start one with "
                "`dask scheduler`, or use local"
            ) from error
        stack.callback(client.close, timeout=5)
        yield client


@contextmanager
def _local_cluster(workers: int, devices: Sequence[str]) -> Iterator[SpecCluster]:
    """Start a scheduler and workers, which are processes, on the loopback interface."""
    host = "127.0.0.1"
    threads = 1 if devices and devices[0] != "cpu" else max(1, core_count() // workers)
    spec = {
        number: {
            "cls": Nanny,
            "options": {
                "host": host,
                "nthreads": threads,
                "memory_limit": 0,  # a dream has a budget of its own
                "dashboard": False,
                "silence_logs": logging.CRITICAL,
                "env": {DEVICE_VARIABLE: devices[number % len(devices)]} if devices else {},
            },
        }
        for number in range(workers)
    }
    scheduler = {
        "cls": Scheduler,
        "options": {"host": host, "port": 0, "dashboard": False},
    }
    with SpecCluster(
        workers=spec, scheduler=scheduler, silence_logs=logging.CRITICAL, name="vidream"
    ) as cluster:  # type: ignore[no-untyped-call]
        yield cluster
