"""Rendering the parts of a job in turn, beside other processes that do so in the same folder."""

import logging
from collections.abc import Sequence

from vidream.core.errors import OutputError, VidreamError
from vidream.core.reporting import CancelledError, FrameReport, PartsReport, Reporter
from vidream.render.division import Division
from vidream.render.fingerprint import machine, with_weights
from vidream.render.job import Job, describe_stop
from vidream.render.lock import Lock, wait_for
from vidream.render.part_renderer import PartRenderer
from vidream.render.parts import Part
from vidream.render.record import is_made

_log = logging.getLogger(__name__)


def run_parts(job: Job, share: tuple[int, int] | None = None) -> int:
    """Render the parts of a job in turn, and join them once all are done.

    With a ``share``, the third of eight, other processes do the same in the same folder: each
    takes parts that nobody has taken, beginning at its share, and whoever comes last joins.

    Returns:
        The number of frames of the target; 0 if others still render parts.

    Raises:
        CancelledError: the job was cancelled; the message says what is kept.
        VidreamError: any other failure.
    """
    if share is not None and is_made(job.target, job.source, job.settings):
        _log.info("%s is made already", job.target.name)
        return 0
    with Division(job, shared=share is not None) as division:
        try:
            return _run(division, share)
        except VidreamError as error:
            done = len(division.done())
            kept = [f"{done} scenes are kept: go on with the same command"] if done else []
            if job.cancel.cancelled:
                raise CancelledError(describe_stop(0, None, kept)) from error
            raise type(error)("; ".join((str(error), *kept))) from error


def _run(division: Division, share: tuple[int, int] | None) -> int:
    job = division.job
    if share is not None and is_made(job.target, job.source, job.settings):
        _log.info("%s is made already", job.target.name)  # meanwhile
        return 0
    parts = _plan(division)
    if not parts:
        raise OutputError("the source gives no frame to dream: is it whole?")
    renderer: PartRenderer | None = None
    number, of = share or (1, 1)
    first = (number - 1) * len(parts) // of
    for part in (*parts[first:], *parts[:first]):
        lock = _claim(division, part)
        if lock is None:
            continue
        try:
            renderer = renderer or _renderer(division)
            renderer.memory = division.fix_memory(renderer.memory)
            _render(division, renderer, part, parts)
        finally:
            lock.release()
    return _join(division, parts)


def _renderer(division: Division) -> PartRenderer:
    job = division.job
    renderer = PartRenderer(job)
    place = with_weights(machine(job.settings), renderer.weights)
    if changed := division.check_machine(place):
        raise OutputError(
            f"other scenes of {job.target.name} were rendered otherwise: {changed}; give all of "
            "them to machines of one kind"
        )
    return renderer


def _plan(division: Division) -> Sequence[Part]:
    """Return all parts; one process looks for them, and others wait."""
    lock = wait_for(division.lock_plan, division.job.cancel.check)
    try:
        return list(division.plan())
    finally:
        lock.release()


def _claim(division: Division, part: Part) -> Lock | None:
    """Return the lock of a part that is to be rendered; None if it is done, or another has it."""
    try:
        lock = division.lock(part)
    except BlockingIOError:
        return None
    if part.number not in division.done():
        return lock
    lock.release()
    return None


def _render(division: Division, renderer: PartRenderer, part: Part, parts: Sequence[Part]) -> None:
    job = division.job
    with division.draft(part) as draft:
        segments = renderer.render(part, draft, _Progress(division, parts), job.cancel)
        division.accept(part, draft, segments, renderer.weights)


def _join(division: Division, parts: Sequence[Part]) -> int:
    left = len(parts) - len(division.done())
    if not left:
        try:
            division.hold(division.lock_join())
            return division.join(parts)
        except (BlockingIOError, FileNotFoundError):
            _log.info("another process joins the scenes")
            return 0
    many = "a scene is" if left == 1 else f"{left} scenes are"
    _log.info("%s rendered by others: whoever comes last joins them", many)
    return 0


class _Progress(Reporter):
    """Adds the parts that are done to the frames of one that is rendered."""

    def __init__(self, division: Division, parts: Sequence[Part]) -> None:
        self._reporter, self._of = division.job.reporter, len(parts)
        done = division.done()
        self._done = len(done)
        self._frames = sum(part.frames for part in parts if part.number in done)
        self._expected = sum(part.frames for part in parts)
        self.output = self._reporter.output  # type: ignore[method-assign]
        self.step = self._reporter.step  # type: ignore[method-assign]

    def frame(self, report: FrameReport) -> None:
        frames = self._frames + report.index + 1
        self._reporter.parts(PartsReport(frames, self._expected, self._done, self._of))
