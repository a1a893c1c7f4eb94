"""What a user sees besides the result: progress, messages, errors; and the signals that stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, Self

import click

from vidream.cli.options import in_words
from vidream.core.errors import VidreamError
from vidream.core.reporting import CancelToken, FrameReport, Reporter

_ENDINGS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one is unknown to Windows


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end at once."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """What the signals do that ask a program to end.

    While frames are made the first one cancels the run, which finishes the frame that it is
    making; a second one, or one at any other time, ends it at once.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._cancel = CancelToken()
        self._waits = self._patient = False

    def new_run(self, *, waits: bool) -> CancelToken:
        """Begin a run, and return what cancels it.

        Args:
            waits: False where the next frame may never come.

        Raises:
            Stopped: a signal came after the last frame of the run before.
        """
        if self.number is not None:
            raise Stopped(self.number)
        self._cancel, self._waits, self._patient = CancelToken(), waits, False
        return self._cancel

    def frames_began(self) -> None:
        """Wait for frames from now on."""
        self._patient = self._waits

    def handle(self, number: int, _: object) -> None:
        """Take a signal.

        Raises:
            Stopped: there is nothing to wait for, or it is the second one.
        """
        again, self.number = self.number is not None, number
        if again or not self._patient:
            raise Stopped(number)
        self._cancel.cancel()
        if sys.stderr.isatty():
            # The signal may have come in the middle of another line.
            os.write(2, b"\nvidream: stopping after this frame; once more: at once\n")


@contextmanager
def handled_signals() -> Iterator[Signals]:
    """Let the signals that ask a program to end leave things in order; see :class:`Signals`."""
    signals = Signals()
    before: dict[int, Any] = {}
    for name in _ENDINGS:
        number = getattr(signal, name, None)
        # Under nohup a closed terminal is to be ignored.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, signals.handle)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ProgressBar(Reporter):
    """Frames, frames per second and the time left, on a terminal; nothing elsewhere.

    Args:
        hidden: show nothing at all.
        signals: told when frames begin.
    """

    def __init__(self, *, hidden: bool, signals: Signals | None = None) -> None:
        self.done = 0
        self.expected: int | None = None
        self._signals = signals
        self._disable = True if hidden else None  # None: silent when not a terminal
        self._bar: Any = None
        self._shows = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def frame(self, report: FrameReport) -> None:
        """Count a frame; an earlier run may have made some."""
        if self._signals is not None:
            self._signals.frames_began()
        self.count(report.index + 1, report.expected)

    def count(self, done: int, expected: int | None) -> None:
        """Show how many frames of all are done."""
        self.done, self.expected = done, expected
        if self._shows == "steps":
            self._call("set_description_str", f"frame {done} of {expected} ", refresh=False)
            return
        self._show("frames", done - 1, expected, unit="frame")
        self._move(done)

    def step(self, done: int, total: int) -> None:
        """Show how much of the work is done where a single frame takes long."""
        form = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
        self._show("steps", 0, total, bar_format=form)
        self._move(done)

    def download(self, done: int, total: int | None) -> None:
        """Show how much of a file has arrived."""
        self._show("download", 0, total, unit="B", unit_scale=True, unit_divisor=1024,
                   desc="weights")  # fmt: skip
        self._move(done)
        if done == total:
            self.close()

    def join(self, done: int, total: int) -> None:
        """Show how many frames have been joined into the target."""
        self._show("join", 0, total, unit="frame", desc="joining", leave=False)
        self._move(done)

    def close(self) -> None:
        """Leave the terminal on a line of its own."""
        self._call("close")
        self._bar, self._shows = None, ""

    def _show(self, what: str, done: int, total: int | None, **how: Any) -> None:
        """Open a bar, unless it is this one that is open."""
        if self._shows == what:
            return
        from tqdm import tqdm  # noqa: PLC0415  (the help need not wait for it)

        self.close()
        self._shows = what
        with suppress(OSError, ValueError):  # as below
            self._bar = tqdm(
                total=total, initial=done, disable=self._disable, dynamic_ncols=True, **how
            )

    def _move(self, done: int) -> None:
        self._call("update", done - getattr(self._bar, "n", 0))

    def _call(self, name: str, *arguments: Any, **how: Any) -> None:
        """Call a method of the bar; a terminal that is gone is no reason to end a render."""
        if self._bar is not None:
            with suppress(OSError, ValueError):
                getattr(self._bar, name)(*arguments, **how)

    def describe_stop(self, notes: Sequence[str] = ()) -> str:
        """Return in one line how far a run came that was stopped at once, and its own notes."""
        if not self.done and not notes:
            return "stopped before the first frame; nothing was written"
        of = f" of {self.expected}" if self.expected else ""
        after = f" after {self.done}{of} frames" if self.done else ""
        return "; ".join((f"stopped{after}", *notes))


@contextmanager
def messages(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """Print what the package logs, above the progress bar."""
    from tqdm.contrib.logging import logging_redirect_tqdm  # noqa: PLC0415  (as above)

    logger = logging.getLogger("vidream")
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("vidream: %(message)s"))
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


class _Formatter(logging.Formatter):
    """Names settings as the command line does."""

    def format(self, record: logging.LogRecord) -> str:
        return in_words(VidreamError(super().format(record)))


def say(text: str) -> None:
    """Print a line to standard error."""
    click.echo(f"vidream: {text}", err=True)


def fail(error: VidreamError, status: int = 1) -> NoReturn:
    """Print what is wrong in one line, and end.

    Raises:
        SystemExit: always.
    """
    say(in_words(error))
    sys.exit(status)
