"""The workers of a scheduler: which there are, and what they may render."""

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from vidream.cluster.admission import Admission
from vidream.cluster.calls import Call, offer
from vidream.cluster.render import Render
from vidream.cluster.schedulers import Scheduler
from vidream.core.closeable import Closeable
from vidream.core.errors import ClusterError, VidreamError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EnginePolicy:
    """Limits of patience, in seconds where not said."""

    tick: float = 0.1  # between two looks at what has changed
    look: float = 1.0  # between two looks at which workers there are
    silence: float = 600.0  # without news, after which a part is given to another worker
    alone: float = 10.0  # without a worker, after which that is said
    lost: int = 10  # workers that may die of a part
    failed: int = 3  # workers on which a part may fail
    clips: int = 3  # that are searched for scenes and rendered at the same time


class Crew(Closeable):
    """The workers of a scheduler. A context manager.

    Attributes:
        present: addresses of the workers that there are.
        problem: why there can be none, if they are ours and do not start.
    """

    def __init__(self, scheduler: Scheduler, policy: EnginePolicy, call: Call) -> None:
        self._call = call
        self._client, self._revive, self._policy = scheduler.client, scheduler.revive, policy
        self.present: frozenset[str] = frozenset()
        self.problem: ClusterError | None = None
        self._asked: dict[tuple[str, str], Future[int]] = {}
        self._pool = ThreadPoolExecutor(16, "vidream-admit")
        self._closed = threading.Event()
        self._since = self._hoping = time.monotonic()  # when there was a worker; one of use
        threading.Thread(target=self._watch, name="vidream-workers", daemon=True).start()

    def close(self) -> None:
        """Take the resource away from the workers."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        with suppress(Exception):
            if self.present and self._client.status == "running":
                self._client.run(offer, 0, workers=list(self.present), on_error="ignore")

    def _watch(self) -> None:
        """Look which workers there are, in a thread: a scheduler may not answer."""
        while not self._closed.is_set():
            try:
                self._revive()
            except ClusterError as error:
                self.problem = error
            with suppress(Exception):
                self.present = frozenset(self._client.nthreads())
            self._closed.wait(self._policy.look)

    def meet(self, render: Render) -> None:
        """Look at workers that are new to a clip.

        Raises:
            ClusterError: there are workers, and none can render it.
        """
        present = self.present
        admission = Admission(
            self._client, render.order, lambda: self.present, render.differs, self._call
        )
        for address in present - render.admitted.keys() - render.refused.keys():
            key = (render.order.id, address)
            asked = self._asked.get(key)
            if asked is None:
                self._asked[key] = self._pool.submit(admission.admit, address)
            elif asked.done():
                del self._asked[key]
                try:
                    render.admitted[address] = asked.result()
                except Exception as error:  # whatever happens on another machine
                    ours = isinstance(error, VidreamError)
                    reason = str(error) if ours else f"{type(error).__name__}: {error}"
                    render.refused[address] = reason
                    _log.warning("worker %s gets no work: %s", address, reason)
        if not present or not present <= render.refused.keys():
            self._hoping = time.monotonic()
        elif time.monotonic() - self._hoping > self._policy.alone:
            reason = render.refused[min(present)]
            raise ClusterError(f"no worker can render {render.division.job.target.name}: {reason}")
        if present:
            self._since = time.monotonic()
        elif time.monotonic() - self._since > self._policy.alone:
            self._since = float("inf")  # once
            _log.info("there is no worker yet: waiting for one")

    def able(self, render: Render) -> frozenset[str]:
        """Return the workers that may render a clip."""
        return self.present & render.admitted.keys()

    def memory(self, render: Render) -> int:
        """Return the bytes that every worker has for a dream: those of a machine share it."""
        hosts = [_host(address) for address in self.present]
        able = self.able(render)
        return min(render.admitted[a] // hosts.count(_host(a)) for a in able)


def _host(address: str) -> str:
    return address.rpartition(":")[0]
