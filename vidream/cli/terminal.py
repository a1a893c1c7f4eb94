"""What a user sees besides the result: progress, messages, and the line that says what is wrong."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from vidream.errors import VidreamError

_ENDINGS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one is unknown to Windows


class Stopped(KeyboardInterrupt):
    """The program was asked to end by a signal, that of Ctrl-C or another."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Stopping:
    """What becomes of a wish to end: while frames are made it waits for the one that is being made.

    A second one does not wait.

    Args:
        waits: False where the next frame may never come.
    """

    def __init__(self, *, waits: bool = True) -> None:
        self.patient, self._waits = False, waits
        self._asked: int | None = None

    def ask(self, number: int, _: object) -> None:
        """Take a signal.

        Raises:
            Stopped: there is nothing to wait for, or it is the second one.
        """
        if not self.patient or self._asked is not None:
            raise Stopped(number)
        self._asked = number
        if sys.stderr.isatty():
            # The signal may have come in the middle of another line.
            os.write(2, b"\nvidream: stopping after this frame; once more: at once\n")

    def heed(self) -> None:
        """Do what was asked for, for this is a good moment; wait for the next such moment later on.

        Raises:
            Stopped: it was.
        """
        self.patient = self._waits
        if self._asked is not None:
            number, self._asked = self._asked, None
            raise Stopped(number)


@contextmanager
def stoppable(*, waits: bool = True) -> Iterator[Stopping]:
    """Let the signals that ask a program to end leave things in order; see :class:`Stopping`."""
    stopping = Stopping(waits=waits)
    before: dict[int, Any] = {}
    for name in _ENDINGS:
        number = getattr(signal, name, None)
        # Under nohup a closed terminal is to be ignored.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, stopping.ask)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status(stop: KeyboardInterrupt) -> int:
    """Give the exit status by which a shell tells what ended a program."""
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


def notes(stop: KeyboardInterrupt) -> list[str]:
    """Give what a run that was stopped says itself."""
    return getattr(stop, "__notes__", [])


class Progress:
    """The progress bar: frames, frames a second and time left; silent off a terminal."""

    def __init__(self, *, hidden: bool, stopping: Stopping | None = None) -> None:
        self._stopping = stopping
        self._disable = True if hidden else None  # None: silent when not a terminal
        self._bar: Any = None
        self._stepping = False
        self.done = 0
        self.expected: int | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, report: Any) -> None:
        """Count a frame that has been dreamed."""
        if self._bar is None:
            self.done = report.index  # an earlier run may have dreamed some
        self.count(report.expected)
        self._heed()

    def join(self, so_far: int, total: int) -> None:
        """Show how much of the output is put together."""
        if so_far == 1:
            self._open(total, "frame", desc="joining", leave=False)
        self._bar.update(1)
        self._heed()

    def _heed(self) -> None:
        if self._stopping is not None:
            self._stopping.heed()

    def count(self, expected: int | None) -> None:
        """Count a frame, of so many if that is known."""
        before = self.done
        self.done += 1
        self.expected = expected
        if self._stepping:
            self._bar.set_description_str(f"frame {self.done} of {expected} ", refresh=False)
            return
        if self._bar is None:
            self._open(expected, "frame", initial=before)
        self._bar.update(1)

    def step(self, so_far: int, total: int) -> None:
        """Show how much of the work is done where a single frame takes long."""
        if not self._stepping:
            self._stepping = True
            self._open(
                total, "", bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
            )
        self._bar.update(so_far - self._bar.n)

    def download(self, so_far: int, total: int | None) -> None:
        """Show how much of the weights is there."""
        if self._bar is None:
            self._open(total, "B", unit_scale=True, unit_divisor=1024, desc="weights")
        self._bar.update(so_far - self._bar.n)
        if so_far == total:
            self.close()

    def _open(self, total: int | None, unit: str, **how: Any) -> None:
        self.close()
        self._bar = tqdm(total=total, unit=unit, disable=self._disable, dynamic_ncols=True, **how)

    def close(self) -> None:
        """Leave the terminal on a line of its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def how_far(self, target: str, notes: Sequence[str] = ()) -> str:
        """Say what an interrupted run has left.

        Args:
            target: what it was making.
            notes: what it says itself, where the target is not there yet.
        """
        if not self.done and not notes:
            return "stopped before the first frame; nothing was written"
        of = f" of {self.expected}" if self.expected else ""
        left = notes or [f"{target} holds what was dreamed so far"]
        after = f" after {self.done}{of} frames" if self.done else ""
        return "; ".join((f"stopped{after}", *left))


@contextmanager
def messages(quiet: bool, verbose: bool) -> Iterator[None]:
    """Show what the package logs, above the progress bar."""
    logger = logging.getLogger("vidream")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("vidream: %(message)s"))
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        with logging_redirect_tqdm([logger]):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def fail(error: VidreamError) -> None:
    """Say what is wrong in one line, and end with status 1.

    Raises:
        SystemExit: always.
    """
    click.echo(f"vidream: {' '.join(str(error).split())}", err=True)
    sys.exit(1)
