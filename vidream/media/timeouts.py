"""Limits of time and memory for reading a file.

FFmpeg runs in a thread of its own, so that a decoder that hangs does not hang the process.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar, cast

import av

from vidream.core.errors import InputError, describe_error
from vidream.media.places import FileSource, Source

Result = TypeVar("Result")
Item = TypeVar("Item")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits, in seconds and bytes."""

    open: float = 15.0  # without progress, until the first frame
    read: float = 120.0  # without progress, later: discs spin up, networks fail a moment
    poll: float = 0.5  # interval of checks; a suspended process has waited for one
    batch: float = 0.01  # of items that are read in one call
    camera: float = 10.0
    camera_poll: float = 0.005
    audio_before_video: int = 2**26
    audio_between_frames: int = 2**29  # that is queued for a frame
    decoder: int = 2**29  # of the frames that are decoded in parallel


class DecodeTimeoutError(InputError):
    """A file yields no more data, though it has not ended."""


class TimedWorker:
    """Runs calls in a thread, with a timeout for each, except for pipes and cameras."""

    limits: ClassVar[ReadLimits] = ReadLimits()

    def __init__(self, source: Source) -> None:
        self._name = source.name
        is_regular = isinstance(source, FileSource) and source.path.is_file()
        self._timeout = self.limits.open if is_regular else None
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._busy = False
        self.extended = self.interrupted = False
        threading.Thread(target=self._work, name="vidream-decode", daemon=True).start()

    def extend_timeout(self) -> None:
        """Wait longer from now on: this is a recording."""
        self.extended = True
        self._timeout = self._timeout and self.limits.read

    def open(self, call: Callable[[], Result]) -> Result:
        """Run the first call; close if it fails."""
        try:
            return self.run(call)
        except BaseException:
            self.close(lambda: None)
            raise

    def run(self, call: Callable[[], Result]) -> Result:
        """Return what a call returns, or raise what it raises.

        Raises:
            DecodeTimeoutError: it, or one before it, does not return.
        """
        if self._busy:
            raise self._timed_out()
        self._busy = True
        self._calls.put(call)
        waited = 0.0
        while True:
            try:
                result, error = self._results.get(timeout=self.limits.poll)
            except queue.Empty:
                waited += self.limits.poll
                if self.interrupted:
                    raise DecodeTimeoutError(f"{self._name}: interrupted") from None
                if self._timeout is not None and waited >= self._timeout:
                    raise self._timed_out() from None
                continue
            self._busy = False
            if error is not None:
                raise error
            return cast(Result, result)

    def iterate(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield an iterator's items, which are read in the thread in batches.

        Each is progress, so unused ones are better yielded than skipped. A damaged file ends early.
        """
        # A pipe may not have the next item yet.
        batch = 0.0 if self._timeout is None else self.limits.batch
        ended = False
        while not ended:
            taken: list[Item] = []
            broken = None
            try:
                ended = self.run(partial(_take, items, taken, batch))
            except (av.FFmpegError, OSError) as error:
                why = describe_error(error)
                _log.info("%s breaks off (%s): what is before that is taken", self._name, why)
                ended = True
            except IndexError:  # PyAV at the end of a file in which further streams have appeared
                ended = True
            except Exception as error:
                broken = error
            if taken:
                self.extend_timeout()
            yield from tuple(taken)  # a thread that timed out may still add to them
            if broken is not None:
                raise broken

    def interrupt(self) -> None:
        """End all waiting, in whatever thread."""
        self.interrupted = True

    def close(self, call: Callable[[], None]) -> None:
        """Run a last call, unless one before it has not returned."""
        if not self._busy:
            with suppress(DecodeTimeoutError):
                self.run(call)
            self._calls.put(None)

    def _timed_out(self) -> DecodeTimeoutError:
        return DecodeTimeoutError(
            f"timed out: no data from {self._name} for {self._timeout or 0:g} s; copy it again, "
            "or convert it first"
        )

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._results.put((call(), None))
            except BaseException as error:
                self._results.put((None, error))


def _take(items: Iterator[Item], taken: list[Item], batch: float) -> bool:
    """Read items for a time in seconds; return whether these were all."""
    end = time.monotonic() + batch
    for item in items:
        taken.append(item)
        if time.monotonic() >= end:
            return False
    return True


def decoding_threads(width: int, height: int) -> int:
    """Return how many threads may decode frames of a size; 0 for the decoder's default."""
    most = TimedWorker.limits.decoder // max(1, 6 * width * height)
    return 0 if most >= 16 else max(1, most)
