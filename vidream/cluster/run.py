"""Renders jobs on a cluster."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vidream.cluster.engine import Engine
from vidream.cluster.schedulers import connect
from vidream.core.errors import VidreamError
from vidream.core.reporting import CancelToken, PartsReport, Reporter
from vidream.render.job import Job


def run_on_cluster(
    jobs: Iterable[Job],
    place: str,
    ended: Callable[[Job, VidreamError | None], None],
    *,
    shared: Path | None = None,
    devices: Sequence[str] = (),
    reporter: Reporter | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Render jobs on the workers of a cluster, scene by scene.

    Args:
        jobs: whose sources and targets are files.
        place: of the scheduler; see :func:`~vidream.cluster.schedulers.connect`.
        ended: called as each ends, with what went wrong if it failed.
        shared: folder that workers and this machine see, through which segments go.
        devices: of a local cluster, one a worker, in turn.
        reporter: receives the progress of all jobs.
        cancel: stops them.

    Raises:
        CancelledError: they were cancelled; what is done can be resumed.
        ClusterError: there is no scheduler, or it is gone.
    """
    with (
        connect(place, devices) as scheduler,
        Engine(scheduler, shared, reporter=reporter, cancel=cancel) as engine,
    ):
        engine.run(jobs, ended)


def run_job_on_cluster(
    job: Job, place: str, *, shared: Path | None = None, devices: Sequence[str] = ()
) -> int:
    """Render one job on the workers of a cluster; see :func:`run_on_cluster`.

    Returns:
        The number of frames of the target.

    Raises:
        VidreamError: it failed.
    """
    errors: list[VidreamError] = []

    def ended(_: Job, error: VidreamError | None) -> None:
        if error is not None:
            errors.append(error)

    last = _Last(job.reporter)
    run_on_cluster(
        [job], place, ended, shared=shared, devices=devices, reporter=last, cancel=job.cancel
    )
    if errors:
        raise errors[0]
    return last.frames


class _Last(Reporter):
    """Keeps how many frames there are, and hands on what it hears."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.frames = 0

    def parts(self, report: PartsReport) -> None:
        self.frames = report.frames
        self._reporter.parts(report)

    def join(self, done: int, total: int) -> None:
        self._reporter.join(done, total)
