"""Progress, messages, errors, and the signals that stop a run."""

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from vidream.cli.options import in_words
from vidream.core.closeable import Closeable
from vidream.core.errors import VidreamError
from vidream.core.reporting import CancelToken, FrameReport, PartsReport, Reporter
from vidream.render.job import describe_stop

_PIPE_CLOSED = 128 + 13  # the status of programs that SIGPIPE ends
_ENDINGS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one is unknown to Windows


class Stopped(KeyboardInterrupt):
    """A signal ended the program."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """Handler of the signals that ask a program to end.

    While frames are made the first one cancels the run after the current frame; a second one, or
    one at any other time, ends the program at once.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._cancel = CancelToken()
        self._waits = self._patient = False

    def new_run(self, *, waits: bool) -> CancelToken:
        """Return what cancels a new run.

        Args:
            waits: False if the next frame may never come.

        Raises:
            Stopped: a signal came after the last frame of the run before.
        """
        if self.number is not None:
            raise Stopped(self.number)
        self._cancel, self._waits, self._patient = CancelToken(), waits, False
        return self._cancel

    def frames_began(self) -> None:
        """From now on, cancel the run at the first signal."""
        self._patient = self._waits

    def handle(self, number: int, _: object) -> None:
        """Handle a signal; raises Stopped if no frame is made, or if it is the second one."""
        again, self.number = self.number is not None, number
        if again or not self._patient:
            raise Stopped(number)
        self._cancel.cancel()
        if sys.stderr.isatty():
            # The signal may have come in the middle of another line.
            os.write(2, b"\nvidream: stopping after this frame; once more: at once\n")


@contextmanager
def handled_signals() -> Iterator[Signals]:
    """Within the context, handle the signals that ask a program to end."""
    signals = Signals()
    before: dict[int, Any] = {}
    for name in _ENDINGS:
        number = getattr(signal, name, None)
        # Under nohup SIGHUP is ignored.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, signals.handle)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ProgressBar(Reporter, Closeable):
    """Frames, frames per second and the time left, on a terminal; nothing elsewhere."""

    def __init__(
        self, *, hidden: bool, signals: Signals | None = None, unit: str = "frame"
    ) -> None:
        self._unit = unit
        self.done = 0
        self.expected: int | None = None
        self._signals = signals
        self._disable = True if hidden else None  # None: silent when not a terminal
        self._bar: Any = None
        self._shows = ""

    def frame(self, report: FrameReport) -> None:
        """Count a frame."""
        if self._signals is not None:
            self._signals.frames_began()
        self.count(report.index + 1, report.expected)

    def count(self, done: int, expected: int | None) -> None:
        """Show how many frames of all are done."""
        self.done, self.expected = done, expected
        if self._shows == "steps":
            self._call("set_description_str", f"frame {done} of {expected} ", refresh=False)
            return
        self._show("frames", done, expected, initial=done - 1, unit=self._unit)

    def parts(self, report: PartsReport) -> None:
        """Show how many frames of all are done, and how many scenes, by how many workers."""
        if self._signals is not None:
            self._signals.frames_began()
        self.done, self.expected = report.frames, report.expected
        self._show("frames", report.frames, report.expected, unit=self._unit)
        workers = f", {report.workers} workers" if report.workers != 1 else ""
        scenes = f"{report.parts} of {report.of} scenes{workers}"
        self._call("set_postfix_str", scenes, refresh=False)

    def scan(self, done: int, expected: int | None) -> None:
        """Show how many frames have been searched for scenes."""
        self._show("scan", done, expected, unit="frame", desc="finding scenes", leave=False)

    def step(self, done: int, total: int) -> None:
        """Show how much of the work is done where a single frame takes long."""
        form = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
        self._show("steps", done, total, bar_format=form)

    def download(self, done: int, total: int | None) -> None:
        """Show how much of a file has arrived."""
        binary = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
        self._show("download", done, total, desc="weights", **binary)
        if done == total:
            self.close()

    def join(self, done: int, total: int) -> None:
        """Show how many frames have been joined into the target."""
        self._show("join", done, total, unit="frame", desc="joining", leave=False)

    def close(self) -> None:
        """Close the bar, and end its line."""
        self._call("close")
        self._bar, self._shows = None, ""

    def _show(self, what: str, done: int, total: int | None, **how: Any) -> None:
        """Move a bar, and open it before unless it is open."""
        if self._shows != what:
            from tqdm import tqdm  # noqa: PLC0415  (it takes its time)

            self.close()
            self._shows = what
            with suppress(OSError, ValueError):  # as below
                self._bar = tqdm(total=total, disable=self._disable, dynamic_ncols=True, **how)
        self._call("update", done - getattr(self._bar, "n", 0))

    def _call(self, name: str, *arguments: Any, **how: Any) -> None:
        """Call a method of the bar; a render goes on without its terminal."""
        if self._bar is not None:
            with suppress(OSError, ValueError):
                getattr(self._bar, name)(*arguments, **how)

    def describe_stop(self, notes: Sequence[str] = ()) -> str:
        """Return in one line how far a run came that was stopped, and its own notes."""
        return describe_stop(self.done, self.expected, notes)


@contextmanager
def messages(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """Within the context, print the log of the package above the progress bar."""
    from tqdm.contrib.logging import logging_redirect_tqdm  # noqa: PLC0415  (as above)

    logger = logging.getLogger("vidream")
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("vidream: %(message)s"))
    level = logging.DEBUG if verbose else logging.INFO
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR if quiet else level)
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


def end_stopped(text: str, stop: KeyboardInterrupt) -> NoReturn:
    """Print how a run was stopped, and exit with the status of the signal."""
    say(text)
    sys.exit(128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT))


def fail(error: VidreamError, status: int = 1) -> NoReturn:
    """Print an error in one line, and exit; quietly if nobody reads the output any more."""
    if _is_broken_pipe(error):
        # Python would complain when it flushes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_PIPE_CLOSED)
    say(in_words(error))
    sys.exit(status)


def _is_broken_pipe(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, BrokenPipeError):
        error = error.__cause__
    return error is not None
