"""What a recording may do while it is read: how long it may take, and how much it may ask for.

Files come damaged, and made to do harm. FFmpeg is told which kinds of files it may open; what it
does with them runs in a thread of its own, so that a decoder that never comes back keeps nobody
from ending, and a pipe on which nothing comes can be interrupted.
"""

from __future__ import annotations

import logging
import queue
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import av.container

from vidream.errors import InputError, reason
from vidream.media import AudioPacket, Place, is_pipe

Result = TypeVar("Result")
Item = TypeVar("Item")

_TO_OPEN = 15.0  # seconds without progress until the first frame
_LATER = 120.0  # the same from then on: discs fall asleep, and networks fail for a moment
_LOOK = 0.5  # seconds; a process that was stopped for an hour has waited for one of them only
_SPELL = 0.01  # seconds of work that one call is worth, where that comes in small pieces
_SOUND = 2**26  # bytes of sound that may lie before the first picture
_MOST_TICKS = 2**62
_FRAMES = 2**29  # bytes of the frames that a decoder works on at once


_log = logging.getLogger(__name__)


class StalledError(InputError):
    """A file is read no further, though it has not ended."""


class Guard:
    """Runs calls of a reader one after another in a thread, and waits for each so long and no more.

    Not for pipes and cameras: they may wait for what is not there yet, for as long as they are let.

    Args:
        source: what is read.
        name: its name, for messages.
    """

    def __init__(self, source: Place, name: str) -> None:
        self._name = name
        self._patience = _TO_OPEN if _is_regular(source) else None
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._busy = False
        self.relaxed = self.interrupted = False
        threading.Thread(target=self._work, name="vidream-decode", daemon=True).start()

    def relax(self) -> None:
        """Wait longer from now on: this is a recording."""
        self.relaxed = True
        self._patience = self._patience and _LATER

    def open(self, call: Callable[[], Result]) -> Result:
        """Run a first call, without which there will be no others."""
        try:
            return self.run(call)
        except BaseException:
            self.close(lambda: None)
            raise

    def run(self, call: Callable[[], Result]) -> Result:
        """Give what a call gives, or raise what it raises.

        Raises:
            StalledError: it does not come back, or one before it has not.
        """
        if self._busy:
            raise self._stalled()
        self._busy = True
        self._calls.put(call)
        waited = 0.0
        while True:
            try:
                result, error = self._results.get(timeout=_LOOK)
            except queue.Empty:
                waited += _LOOK
                if self.interrupted:
                    raise StalledError(f"{self._name} is read no further") from None
                if self._patience is not None and waited >= self._patience:
                    raise self._stalled() from None
                continue
            self._busy = False
            if error is not None:
                raise error
            given: Result = result
            return given

    def pulled(self, items: Iterator[Item]) -> Iterator[Item]:
        """Give what an iterator gives, which is run in the thread, a little ahead of its use.

        Each item is progress, and with the first of them this is a recording. So one that nobody
        wants is better given than passed over: gigabytes of pictures may lie between two packets
        of sound. A file that is damaged so that it cannot be read on ends there, with a line.

        Raises:
            StalledError: the next one does not come.
        """
        # A pipe may be long in bringing the next one: what is there is given at once.
        spell = 0.0 if self._patience is None else _SPELL
        ended = False
        while not ended:
            taken: list[Item] = []
            broken = None
            try:
                ended = self.run(partial(_take, items, taken, spell))
            except (av.FFmpegError, OSError) as error:
                why = reason(error)
                _log.info("%s breaks off (%s): what is before that is taken", self._name, why)
                ended = True
            except IndexError:  # PyAV at the end of a file in which further streams have appeared
                ended = True
            except Exception as error:
                broken = error
            if taken:
                self.relax()
            yield from tuple(taken)  # a thread that was given up may still add to them
            if broken is not None:
                raise broken

    def interrupt(self) -> None:
        """Let nobody wait any longer, in whatever thread that is."""
        self.interrupted = True

    def close(self, call: Callable[[], None]) -> None:
        """Run a last call, unless one is under way that has been given up."""
        if not self._busy:
            with suppress(StalledError):
                self.run(call)
            self._calls.put(None)

    @contextmanager
    def closing(self, container: av.container.InputContainer) -> Iterator[None]:
        """Close a container in the end."""
        try:
            yield
        finally:
            self.close(container.close)

    def _stalled(self) -> StalledError:
        return StalledError(
            f"{self._name} is read no further: nothing came of it for {self._patience or 0:g} s; "
            "copy it again, or convert it first"
        )

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._results.put((call(), None))
            except BaseException as error:
                self._results.put((None, error))


def _take(items: Iterator[Item], taken: list[Item], spell: float) -> bool:
    """Take items for so many seconds, and tell whether these were all."""
    end = time.monotonic() + spell
    for item in items:
        taken.append(item)
        if time.monotonic() >= end:
            return False
    return True


def _is_regular(source: Place) -> bool:
    if is_pipe(source):
        return False
    try:
        return stat.S_ISREG(Path(source).stat().st_mode)  # type: ignore[arg-type]
    except OSError:
        return False


def within(ticks: int) -> int:
    """Keep a time within what FFmpeg can count with, and add a little to."""
    return max(-_MOST_TICKS, min(ticks, _MOST_TICKS))


def decoding_threads(width: int, height: int) -> int:
    """Tell how many threads may decode frames of that size: each holds a frame or two.

    Returns:
        0 for as many as the decoder likes.
    """
    most = _FRAMES // max(1, 6 * width * height)
    return 0 if most >= 16 else max(1, most)


def limited_sound(items: Iterable[Item], name: str) -> Iterator[Item]:
    """Pass items on, but no endless sound that no picture comes with.

    Raises:
        InputError: there is more of it than lies before the first picture of any recording.
    """
    bytes_of_sound: int | None = 0
    for item in items:
        if bytes_of_sound is not None:
            if isinstance(item, AudioPacket):
                bytes_of_sound += int(item.packet.size)
                if bytes_of_sound > _SOUND:
                    raise InputError(
                        f"{name} holds no picture in its first {_SOUND >> 20} MiB of sound: give "
                        "a video"
                    )
            else:
                bytes_of_sound = None
        yield item
