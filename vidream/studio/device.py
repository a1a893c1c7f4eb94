"""The compute device of a studio: one thread, which does one thing at a time."""

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import Any, TypeVar

from vidream.core.reporting import CancelToken

Result = TypeVar("Result")


class Urgency(IntEnum):
    """What goes first."""

    LIVE = 0
    LOOK = 1  # somebody waits for it
    THUMBNAIL = 2
    RENDER = 3


@dataclass(order=True, slots=True)
class _Task:
    urgency: Urgency
    number: int
    work: Callable[[], Any] = field(compare=False)
    future: "Future[Any]" = field(compare=False)


class Device:
    """Runs work in its thread, the most urgent first.

    Two computations at once would take far more than twice as long. A render lets what is more
    urgent pass between its frames, by :meth:`give_way`.
    """

    def __init__(self) -> None:
        self._tasks: list[_Task] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._latest: dict[str, Future[Any]] = {}
        self._held = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="vidream-device", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[], Result], urgency: Urgency, *, instead_of: str | None = None
    ) -> "Future[Result]":
        """Have work done, and return its future.

        Args:
            work: called in the device's thread.
            urgency: of it.
            instead_of: name of a series of which only the latest matters: what waits is cancelled.
        """
        future: Future[Result] = Future()
        with self._changed:
            if instead_of is not None:
                before = self._latest.get(instead_of)
                if before is not None:
                    before.cancel()
                self._latest[instead_of] = future
                future.add_done_callback(partial(self._forget, instead_of))
            heapq.heappush(self._tasks, _Task(urgency, next(self._numbers), work, future))
            self._changed.notify_all()
        return future

    def _forget(self, series: str, future: "Future[Any]") -> None:
        """Keep no result of a series that is done."""
        with self._changed:
            if self._latest.get(series) is future:
                del self._latest[series]

    @property
    def held(self) -> bool:
        """Whether renders wait."""
        return self._held > 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Within the context, let renders wait between two frames."""
        with self._changed:
            self._held += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
                self._changed.notify_all()

    def give_way(self, cancel: CancelToken) -> None:
        """Do what is more urgent than a render, and wait while renders are held."""
        while True:
            with self._changed:
                task = self._pop(Urgency.THUMBNAIL)
                if task is None:
                    if not self._held or cancel.cancelled or self._closed:
                        return
                    self._changed.wait(0.2)
            if task is not None:
                _do(task)

    def close(self) -> None:
        """Do nothing more; what runs is waited for."""
        with self._changed:
            self._closed = True
            for task in self._tasks:
                task.future.cancel()
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while (task := self._wait()) is not None:
            _do(task)

    def _wait(self) -> _Task | None:
        """Wait for the next task; None once the device is closed."""
        with self._changed:
            while not self._closed:
                task = self._pop(Urgency.THUMBNAIL if self._held else Urgency.RENDER)
                if task is not None:
                    return task
                self._changed.wait()
        return None

    def _pop(self, least: Urgency) -> _Task | None:
        """Return the most urgent task, if it is urgent enough; the lock is held."""
        while self._tasks and self._tasks[0].urgency <= least:
            task = heapq.heappop(self._tasks)
            if task.future.set_running_or_notify_cancel():
                return task
        return None


def _do(task: _Task) -> None:
    try:
        result = task.work()
    except BaseException as error:
        task.future.set_exception(error)
    else:
        task.future.set_result(result)
