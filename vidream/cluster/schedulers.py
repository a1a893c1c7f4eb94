"""Schedulers: one that runs, or one of this machine's own."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.config
import distributed
from distributed import Client, Nanny, SpecCluster, Status

from vidream.cluster.worker import DEVICE_VARIABLE
from vidream.core.closeable import Closeable
from vidream.core.cores import core_count
from vidream.core.errors import ClusterError, SettingsError, describe_error

LOCAL = "local"
"""Place of a cluster of this machine's own; ``local:4`` has four workers."""

_HOST = "127.0.0.1"
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


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A scheduler that is connected to."""

    client: Client
    revive: Callable[[], None] = lambda: (
        None
    )  # starts workers anew that have ended, if they are ours


@contextmanager
def connect(place: str, devices: Sequence[str] = ()) -> Iterator[Scheduler]:
    """Connect to a scheduler.

    Args:
        place: ``local``, ``local:4``, an address (``tcp://host:8786``), or a scheduler file.
        devices: of a local cluster, one a worker, in turn.

    Raises:
        ClusterError: there is no scheduler.
        SettingsError: the place is none.
    """
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is said by the engine
    workers = local_workers(place, devices)
    revive: Callable[[], None] = lambda: None  # noqa: E731
    with ExitStack() as stack:
        if workers is not None:
            stack.enter_context(dask.config.set(_CONFIG))
            cluster = stack.enter_context(_LocalCluster(workers, devices))
            where: dict[str, Any] = {"address": cluster.cluster}
            revive = cluster.revive
        else:
            is_file = place.endswith(".json") or Path(place).is_file()
            where = {"scheduler_file" if is_file else "address": place}
        try:
            client = Client(**where, timeout=_TIMEOUT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(
                f"no scheduler answers at {place} ({describe_error(error)}): start one with "
                "`dask scheduler`, or use local"
            ) from error
        stack.callback(client.close, timeout=5)
        yield Scheduler(client, revive)


class _LocalCluster(Closeable):
    """A scheduler and workers, which are processes, on the loopback interface. A context manager.

    Raises:
        ClusterError: they cannot be started.
    """

    def __init__(self, workers: int, devices: Sequence[str]) -> None:
        on_cpu = not devices or devices[0] == "cpu"
        options = {
            "host": _HOST,
            "nthreads": max(1, core_count() // workers) if on_cpu else 1,
            "memory_limit": 0,  # a dream has a budget of its own
            "dashboard": False,
            "silence_logs": logging.CRITICAL,
        }
        self._spec = {}
        for number in range(workers):
            env = {DEVICE_VARIABLE: devices[number % len(devices)]} if devices else {}
            self._spec[number] = {"cls": Nanny, "options": {**options, "env": env}}
        own = {"host": _HOST, "port": 0, "dashboard": False}
        try:
            self.cluster = SpecCluster(
                workers=dict(self._spec),
                scheduler={"cls": distributed.Scheduler, "options": own},
                silence_logs=logging.CRITICAL,
                name="vidream",
            )
        except (RuntimeError, OSError, TimeoutError) as error:
            reason = describe_error(error)
            raise ClusterError(f"no workers can be started here: {reason}") from error

    def close(self) -> None:
        """End the workers, and the scheduler."""
        self.cluster.close()

    def revive(self) -> None:
        """Start workers anew whose nanny has given up, as when one is killed as it starts."""
        ended = (Status.closed, Status.failed)
        dead = [name for name, nanny in self.cluster.workers.items() if nanny.status in ended]
        if dead:
            self.cluster.sync(self.cluster.scale_down, dead)
            self.cluster.worker_spec.update({name: self._spec[name] for name in dead})
            self.cluster.scale(len(self._spec))
