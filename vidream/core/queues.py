"""Pipeline stages in threads, with bounded queues between them."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

AHEAD = 4
"""Frames that may wait between two parts: enough to overlap, too few to fill memory."""

AHEAD_BYTES = 2**26
"""Bytes that they may take: two frames of 3840×2160, which is still enough to overlap."""


def queue_depth(width: int, height: int) -> int:
    """Return how many frames of that size, in pixels, may wait between two stages."""
    return max(1, min(AHEAD, AHEAD_BYTES // (3 * width * height)))


class _End:
    """Last item of a worker: the error that ended it, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@contextmanager
def prefetch(items: Iterable[Item], depth: int = AHEAD) -> Iterator[Iterator[Item]]:
    """Iterate in a thread, at most ``depth`` items ahead of the consumer.

    Errors are raised at the next item. Leaving the context stops the thread.
    """
    waiting: queue.Queue[Item | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def offer(item: Item | _End) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not offer(item):
                    return
            offer(_End())
        except BaseException as error:
            offer(_End(error))

    def take() -> Iterator[Item]:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    worker = threading.Thread(target=work, name="vidream-read", daemon=True)
    worker.start()
    try:
        yield take()
    finally:
        stopped.set()
        worker.join()


class Latest(Generic[Item]):
    """Holds the newest item of a stream: one that comes before the last is taken replaces it."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque(maxlen=1)
        self._changed = threading.Condition()
        self._ended = False
        self.dropped = 0

    def put(self, item: Item) -> None:
        """Offer an item."""
        with self._changed:
            self.dropped += len(self._items)
            self._items.append(item)
            self._changed.notify()

    @property
    def ended(self) -> bool:
        """Whether no item follows."""
        return self._ended

    def end(self) -> None:
        """Say that no item follows."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def take(self) -> Item | None:
        """Wait for an item; None after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended)
            return self._items.popleft() if self._items else None


class BackgroundConsumer(Generic[Item]):
    """Calls a consumer in a thread, at most ``depth`` items behind the producer.

    Errors are raised at the next :meth:`put` or :meth:`close`. Leaving the context closes it;
    an exception drops the items that wait.
    """

    def __init__(self, consume: Callable[[Item], None], depth: int = AHEAD) -> None:
        self._consume = consume
        self._waiting: queue.Queue[Item | _End] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._dropping = False
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="vidream-write", daemon=True)

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._dropping = True
            self._join()
        else:
            self.close()

    def put(self, item: Item) -> None:
        """Add an item; blocks while ``depth`` items wait."""
        self._raise()
        self._waiting.put(item)

    def close(self) -> None:
        """Wait until all items are consumed."""
        self._join()
        self._raise()

    def _join(self) -> None:
        if not self._closed:
            self._closed = True
            self._waiting.put(_End())
        self._worker.join()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            self._dropping = True
            raise error

    def _work(self) -> None:
        # Goes on after an error, so that a blocked producer is always released.
        while not isinstance(item := self._waiting.get(), _End):
            if self._dropping or self._error is not None:
                continue
            try:
                self._consume(item)
            except BaseException as error:
                self._error = error
