"""Progress events of a run, and its cancellation."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidream.core.errors import VidreamError

if TYPE_CHECKING:  # NumPy takes its time, and the command imports this
    from vidream.core.frames import Frame


@dataclass(frozen=True, slots=True)
class FrameReport:
    """One frame that was written.

    Args:
        index: number of the frame, from 0.
        expected: number of frames in all, if known.
        time: presentation time, in seconds.
        seconds: compute time.
        propagated: whether it started from the previous output.
        cut: whether it begins a scene.
        duplicate: whether it repeats the previous frame, and so its output.
        strength: energy of its dream over that of one from scratch; None if unknown.
    """

    index: int
    expected: int | None
    time: float
    seconds: float
    propagated: bool
    cut: bool = False
    duplicate: bool = False
    strength: float | None = None


@dataclass(frozen=True, slots=True)
class PartsReport:
    """How far a render is whose scenes are rendered one by one, by one machine or several.

    Args:
        frames: that are done.
        expected: number of frames in all, if known.
        parts: scenes, or groups of short ones, that are done.
        of: number of them as far as they are known.
        workers: that render.
    """

    frames: int
    expected: int | None
    parts: int
    of: int
    workers: int = 1


class Reporter:
    """Receives the events of a run, and ignores them; subclasses override it.

    Called in the thread of :func:`vidream.render.run.run`. Must not raise: to stop a run there is
    :class:`CancelToken`.
    """

    def output(self, frame: "Frame") -> None:
        """A frame is about to be written."""

    def frame(self, report: FrameReport) -> None:
        """A frame was written."""

    def parts(self, report: PartsReport) -> None:
        """A frame, or a scene, was rendered somewhere."""

    def scan(self, done: int, expected: int | None) -> None:
        """``done`` frames have been searched for scenes, of those ``expected`` if known."""

    def step(self, done: int, total: int) -> None:
        """``done`` of ``total`` pixels have taken a step, where one frame takes long."""

    def download(self, done: int, total: int | None) -> None:
        """``done`` bytes of a weights file, of ``total`` if known, have arrived."""

    def join(self, done: int, total: int) -> None:
        """``done`` of ``total`` frames have been joined into the target."""


class CancelledError(VidreamError):
    """The run was cancelled; the message says what is kept."""


class CancelToken:
    """Asks one run to stop after the current frame. Thread-safe."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether the run is to stop."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Ask the run to stop. Safe in any thread, and in a signal handler."""
        self._event.set()
        for callback in tuple(self._callbacks):
            callback()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Within the context, call ``callback`` on :meth:`cancel`, to unblock a wait."""
        self._callbacks.append(callback)
        try:
            if self.cancelled:
                callback()
            yield
        finally:
            self._callbacks.remove(callback)

    def check(self) -> None:
        """Raise a CancelledError if the run is to stop."""
        if self.cancelled:
            raise CancelledError("cancelled")
