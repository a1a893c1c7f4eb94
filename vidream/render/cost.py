"""What a render costs: measured on a few of its frames, and for many workers predicted."""

import heapq
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from vidream.core.effect import Resources
from vidream.core.frames import Frame
from vidream.media.reader import open_reader
from vidream.render.job import Job
from vidream.render.parts import Part, Scene
from vidream.render.setup import make_session
from vidream.timeline.timeline import open_timeline

_FRAMES = 6
"""Frames after the first that are dreamed to measure what one costs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that a frame takes on this machine."""

    scratch: float  # the first of a scene
    carried: float  # one that goes on from the frame before

    def of_scene(self, scene: Scene) -> float:
        """Return the seconds that a scene takes."""
        carried = scene.frames - 1 - scene.duplicates
        return self.scratch + max(0, carried) * self.carried

    def of(self, part: Part) -> float:
        """Return the seconds that a part takes."""
        return sum(self.of_scene(scene) for scene in part.scenes)


def measure_cost(job: Job) -> Cost:
    """Dream the first frames of a job, and return what they take.

    Raises:
        CancelledError: the job was cancelled.
        VidreamError: it cannot be rendered.
    """
    with open_reader(job.source, job.settings.read) as reader:
        frames = list(islice(reader, 1 + _FRAMES))
    timeline = open_timeline(job.settings, job.source)
    with make_session(timeline, Resources(job.reporter)) as session:

        def taken(frame: Frame) -> tuple[float, bool]:
            job.cancel.check()
            began = time.perf_counter()
            report = session.render(frame).report
            return time.perf_counter() - began, report.propagated and not report.duplicate

        taken(frames[0])  # what is done once is not counted
        session.flush()
        scratch, _ = taken(frames[0])
        rest = [taken(frame) for frame in frames[1:]]
    carried = [seconds for seconds, is_carried in rest if is_carried]
    return Cost(scratch, statistics.median(carried) if carried else scratch)


@dataclass(frozen=True, slots=True)
class TimeModel:
    """How long a render takes on many workers.

    The caller finds the parts, one after the other; whoever is free takes the longest that is
    known. Each part costs a worker some time beside its frames, and the caller some to keep what
    comes back; at the end the caller joins.

    Args:
        scan: frames per second that are searched for scenes.
        begin: seconds until a worker can begin, as its network is loaded.
        overhead: seconds of each part on its worker: opening the clip, seeking, encoding.
        keep: seconds in which the caller takes one part, and keeps what came back of it.
        join: frames per second that are joined.
    """

    scan: float = 200.0
    begin: float = 5.0
    overhead: float = 0.3
    keep: float = 0.02
    join: float = 2000.0

    def predict(self, parts: Sequence[Part], seconds: Sequence[float], workers: int) -> float:
        """Return the seconds until the target is there; ``seconds`` are those of each part."""
        if not parts:
            return 0.0
        known, frames = [], 0
        for part in parts:
            frames += part.frames
            known.append(frames / self.scan)
        free = [self.begin] * workers
        heapq.heapify(free)
        waiting: list[tuple[float, int]] = []
        arrived, caller, end = 0, 0.0, 0.0
        for _ in parts:
            now = max(heapq.heappop(free), caller)
            if not waiting and arrived < len(parts):
                now = max(now, known[arrived])
            while arrived < len(parts) and known[arrived] <= now:
                heapq.heappush(waiting, (-parts[arrived].frames, arrived))
                arrived += 1
            _, number = heapq.heappop(waiting)
            caller = now + self.keep
            done = caller + self.overhead + seconds[number]
            heapq.heappush(free, done)
            end = max(end, done)
        return end + self.keep + frames / self.join


def useful_workers(
    model: TimeModel, parts: Sequence[Part], seconds: Sequence[float], gain: float = 0.05
) -> int:
    """Return the number of workers from which twice as many gain less than a share of the time."""
    workers = 1
    while workers < len(parts):
        now = model.predict(parts, seconds, workers)
        if model.predict(parts, seconds, 2 * workers) > (1 - gain) * now:
            break
        workers *= 2
    return min(workers, len(parts))
