"""Gives the parts of clips to the workers of a Dask scheduler, and keeps what comes back."""

import concurrent.futures
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import KilledWorker

from vidream.cluster.calls import RESOURCE, Call, call
from vidream.cluster.crew import Crew, EnginePolicy
from vidream.cluster.render import Render
from vidream.cluster.schedulers import Scheduler
from vidream.core.closeable import Closeable
from vidream.core.errors import ClusterError, InputError, VidreamError
from vidream.core.reporting import CancelledError, CancelToken, PartsReport, Reporter
from vidream.render.job import Job
from vidream.render.parts import Part

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Task:
    """A part that is given to the workers."""

    render: Render
    part: Part
    future: Any
    workers: frozenset[str]  # that may have it
    heard: float  # when there was news of it
    frames: int = 0
    worker: str | None = None  # that has it, if known


class Engine(Closeable):
    """Renders jobs on the workers of a scheduler. A context manager.

    Args:
        scheduler: that is connected to; its client stays open.
        shared: folder that workers and this machine see, through which segments go.
        reporter: receives the progress of all jobs.
        cancel: stops them.
        policy: limits of patience.
        call: what is called on workers.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        shared: Path | None = None,
        *,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
        policy: EnginePolicy | None = None,
        call: Call = call,
    ) -> None:
        self._client, self._shared, self._call = scheduler.client, shared, call
        self._reporter, self._cancel = reporter or Reporter(), cancel or CancelToken()
        self._policy = policy or EnginePolicy()
        self._renders: list[Render] = []
        self._past = PartsReport(0, 0, 0, 0)  # of clips that have ended
        self._tasks: list[_Task] = []
        self._crew = Crew(scheduler, self._policy, call)
        self._topic = f"vidream-{secrets.token_hex(4)}"
        self._pool = ThreadPoolExecutor(1, "vidream-join")
        self._client.subscribe_topic(self._topic, self._hear)

    def close(self) -> None:
        """Let go of the workers, and of what they render."""
        for task in self._tasks:
            with suppress(Exception):
                task.future.cancel()
        for render in self._renders:
            render.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._crew.close()

    def run(self, jobs: Iterable[Job], ended: Callable[[Job, VidreamError | None], None]) -> None:
        """Render jobs; each is reported as it ends, with what went wrong if it failed.

        Raises:
            CancelledError: they were cancelled; what is done can be resumed.
            ClusterError: the scheduler is gone.
        """
        left, more = iter(jobs), True
        while True:
            if self._cancel.cancelled:
                raise CancelledError("; ".join(("stopped", *self._kept())))
            self._check()
            while more and len(self._renders) < self._policy.clips:
                job = next(left, None)
                more = job is not None
                if job is not None:
                    self._begin(job, ended)
            if not self._renders:
                return
            for render in tuple(self._renders):
                try:
                    self._go_on(render)
                    error, is_over = None, render.is_joined(self._pool, self._reporter)
                except VidreamError as problem:
                    error, is_over = problem, True
                if is_over:
                    self._end(render)
                    ended(render.job, error)
            self._report()
            time.sleep(self._policy.tick)

    def _begin(self, job: Job, ended: Callable[[Job, VidreamError | None], None]) -> None:
        try:
            self._renders.append(Render(job, self._shared))
        except VidreamError as error:
            ended(job, error)

    def _end(self, render: Render) -> None:
        """Let go of a clip that is done, or failed."""
        self._past = self._totals([render])
        for task in self._tasks_of(render):
            task.future.cancel()
            self._tasks.remove(task)
        self._renders.remove(render)
        render.close()

    def _tasks_of(self, render: Render) -> list[_Task]:
        return [task for task in self._tasks if task.render is render]

    def _check(self) -> None:
        if self._crew.problem is not None:
            raise self._crew.problem
        if self._client.status not in ("running", "connecting"):
            raise ClusterError("; ".join(("the scheduler is gone", *self._kept())))

    def _kept(self) -> list[str]:
        """Return, in phrases, what can be resumed."""
        done = sum(len(render.done) for render in self._renders)
        of = sum(len(render.parts) for render in self._renders)
        return [f"{done} of {of} scenes are kept: go on with `resume`"] if done else []

    def _go_on(self, render: Render) -> None:
        """Do what there is to do for a clip."""
        render.take()
        self._collect(render)
        if render.is_done:
            return
        self._crew.meet(render)
        self._give(render)

    def _give(self, render: Render) -> None:
        """Give parts to workers that have none."""
        able = self._crew.able(render)
        while render.waiting and len(self._tasks) < len(able):
            render.fix_memory(self._crew.memory(render))
            part = render.next()
            workers = frozenset(able - render.trouble(part).failed.keys()) or able
            future = self._client.submit(
                *(self._call, "render", render.order.to_json(), part.to_json(), self._topic),
                key=f"{self._topic}-{render.order.id}-{part.number}-{secrets.token_hex(2)}",
                workers=list(workers),
                resources={RESOURCE: 1},
                pure=False,
                retries=0,
            )
            self._tasks.append(_Task(render, part, future, workers, time.monotonic()))

    def _collect(self, render: Render) -> None:
        """Keep what has come back of a clip, and give again what was lost."""
        present = self._crew.present
        for task in self._tasks_of(render):
            # One that was never heard of may wait its turn.
            since = time.monotonic() - task.heard
            silent = task.worker is not None and since > self._policy.silence
            if task.future.done():
                self._tasks.remove(task)
                self._take(task)
            elif silent or not task.workers & present:
                self._tasks.remove(task)
                task.future.cancel()
                if silent:
                    where = task.worker or "a worker"
                    self._fail(task, f"{where} has not moved for {self._policy.silence:.0f} s")
                render.waiting.append(task.part)

    def _take(self, task: _Task) -> None:
        """Keep the result of a task, or its part for another worker."""
        render, part = task.render, task.part
        trouble = render.trouble(part)
        try:
            result = task.future.result(timeout=60)
        except KilledWorker:
            trouble.lost += 1
            if trouble.lost >= self._policy.lost:
                raise ClusterError(
                    f"the scene from {part.span} ended {trouble.lost} workers: is there enough "
                    "memory?"
                ) from None
        except InputError:
            raise  # wherever it is rendered
        except (CancelledError, concurrent.futures.CancelledError):
            pass  # by us, or since the scheduler does not answer
        except VidreamError as error:
            self._fail(task, str(error))
        except Exception as error:  # whatever happens on another machine
            self._fail(task, f"{type(error).__name__}: {error}")
        else:
            render.accept(part, result)
            _log.debug("the scene from %s is back from %s", part.span, task.worker)
            task.future.release()
            return
        self._check()
        render.waiting.append(part)

    def _fail(self, task: _Task, reason: str) -> None:
        """Note that a part failed on a worker; raises ClusterError after too many."""
        trouble = task.render.trouble(task.part)
        trouble.failed[task.worker or f"a worker ({len(trouble.failed)})"] = reason
        if len(trouble.failed) >= self._policy.failed:
            raise ClusterError(f"the scene from {task.part.span} fails everywhere: {reason}")
        _log.info("the scene from %s is given to another worker: %s", task.part.span, reason)

    def _hear(self, event: tuple[float, Any]) -> None:
        """Take note of what a worker says, in the client's thread."""
        _, news = event
        with suppress(KeyError, TypeError, ValueError):
            for task in tuple(self._tasks):
                if task.part.number == news["part"] and task.render.order.id == news["order"]:
                    task.heard, task.worker = time.monotonic(), str(news["worker"])
                    task.frames = max(task.frames, int(news["frames"]))

    def _report(self) -> None:
        self._reporter.parts(self._totals(self._renders))

    def _totals(self, renders: list[Render]) -> PartsReport:
        """Return how far some clips are, with those that have ended."""
        past, expected = self._past, [render.expected for render in renders]
        known = [number for number in expected if number is not None]
        given = sum(task.frames for task in tuple(self._tasks) if task.render in renders)
        frames = past.frames + given + sum(render.frames_done for render in renders)
        whole = past.expected is not None and len(known) == len(expected)
        return PartsReport(
            frames=frames,
            expected=(past.expected or 0) + sum(known) if whole else None,
            parts=past.parts + sum(len(render.done) for render in renders),
            of=past.of + sum(len(render.parts) for render in renders),
            workers=len(self._crew.present),
        )
