"""Schedulers: one that runs, or one of this machine's own."""

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.config
from distributed import Client, LocalCluster

from vidream.cluster.worker import DEVICE_VARIABLE
from vidream.core.closeable import Closeable
from vidream.core.cores import core_count
from vidream.core.errors import ClusterError, SettingsError, describe_error

LOCAL = "local"
"""Place of a cluster of this machine's own; ``local:4`` has four workers."""

_HOST = "127.0.0.1"
_TIMEOUT = 20  # seconds to find a scheduler
_PATIENCE = 3  # seconds for a worker to end
_FAILURES = 3  # of a worker to start, in turn
_CORES = 2  # of a worker, at least, if there are as many
_CONFIG = {
    # What a worker dies of is counted by the engine.
    "distributed.scheduler.allowed-failures": 100,
    "distributed.scheduler.worker-ttl": "60s",
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
    revive: Callable[[], None]  # starts workers anew that have ended, if they are ours


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
    with ExitStack() as stack:
        if workers is not None:
            stack.enter_context(dask.config.set(_CONFIG))
            cluster = stack.enter_context(_LocalCluster(workers, devices))
            where: dict[str, Any] = {"address": cluster.cluster}
            revive = cluster.revive
        else:
            is_file = place.endswith(".json") or Path(place).is_file()
            where, revive = {"scheduler_file" if is_file else "address": place}, _nothing
        try:
            client = Client(**where, timeout=_TIMEOUT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(
                f"no scheduler answers at {place} ({describe_error(error)}): start one with "
                "`dask scheduler`, or use local"
            ) from error
        stack.callback(client.close, timeout=5)
        yield Scheduler(client, revive)


def _nothing() -> None:
    """Do nothing: workers elsewhere are not ours to start."""


class _LocalCluster(Closeable):
    """A scheduler and workers, which are processes, on the loopback interface. A context manager.

    Dask's nannies give up on a worker that is killed as it starts; here it is started again.

    Raises:
        ClusterError: there can be no scheduler.
    """

    def __init__(self, workers: int, devices: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vidream-")
        try:
            self.cluster = LocalCluster(  # without workers: a scheduler in this process
                n_workers=0,
                host=_HOST,
                dashboard_address=f"{_HOST}:0",
                silence_logs=logging.CRITICAL,
            )
        except (RuntimeError, OSError, TimeoutError) as error:
            self._folder.cleanup()
            raise ClusterError(f"no scheduler starts here: {describe_error(error)}") from error
        threads = max(1, core_count() // workers) if set(devices) <= {"cpu"} else 1
        own = devices or [""]
        self._workers = [
            _Worker(
                self.cluster.scheduler_address,
                Path(self._folder.name) / f"{number}.log",
                own[number % len(own)],
                threads,
            )
            for number in range(workers)
        ]

    def close(self) -> None:
        """End the workers, and the scheduler."""
        for worker in self._workers:
            worker.close()
        self.cluster.close()
        self._folder.cleanup()

    def revive(self) -> None:
        """Start workers again that have ended; raises ClusterError if they do so by themselves."""
        for worker in self._workers:
            worker.revive()


class _Worker(Closeable):
    """The process of a worker."""

    def __init__(self, scheduler: str, log: Path, device: str, threads: int) -> None:
        self._log, self._failed = log, 0
        self._command = [
            *(sys.executable, "-m", "distributed.cli.dask_worker", scheduler),
            *("--host", _HOST, "--nthreads", str(threads), "--no-nanny", "--no-dashboard"),
            *("--memory-limit", "0", "--death-timeout", str(_TIMEOUT)),
            *("--local-directory", str(log.parent)),
        ]
        self._environment = {**os.environ, **({DEVICE_VARIABLE: device} if device else {})}
        self._start()

    def _start(self) -> None:
        with self._log.open("w") as log:
            # Ctrl-C is for us: in a session of its own it does not reach the worker.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def revive(self) -> None:
        """Start it again if it has ended."""
        status = self._process.poll()
        if status is None:
            return
        self._failed = self._failed + 1 if status >= 0 else 0  # below 0: it was killed
        if self._failed >= _FAILURES:
            said = self._log.read_text().strip().splitlines() or ["no reason is given"]
            raise ClusterError(f"workers do not start here: {said[-1]}")
        self._start()

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
