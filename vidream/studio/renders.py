"""The renders of a studio: a queue that outlives the page, and the studio."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from vidream.core.errors import VidreamError
from vidream.core.frames import Frame, Picture, to_eight_bits
from vidream.core.images import size_within
from vidream.core.reporting import CancelledError, CancelToken, FrameReport, PartsReport, Reporter
from vidream.core.settings import Settings
from vidream.media.atomic import atomic_write
from vidream.media.jpeg import to_jpeg
from vidream.media.sheet import scaled
from vidream.render.job import Job, find_places
from vidream.render.run import run
from vidream.studio.device import Device, Urgency
from vidream.studio.folder import OWN, Folder

WAITING, RUNNING, STOPPED, DONE, FAILED = "waiting", "running", "stopped", "done", "failed"

_FILE = "renders.json"
_PACE = 0.5  # seconds between two changes that are told, while workers render
_SHOWN_SIDE = 640  # of the newest frame, in pixels
_POINTS = 240  # of the plot of the strength
_MOST = 200  # renders that are remembered


@dataclass(slots=True)
class Render:
    """One render: what is asked for, and how far it is."""

    id: str
    clip: str
    target: str
    preset: str
    settings: dict[str, Any]
    status: str = WAITING
    message: str = ""
    done: int = 0
    expected: int | None = None
    rate: float = 0.0  # frames per second
    strengths: list[tuple[float, float]] = field(default_factory=list)  # seconds, strength

    @property
    def left(self) -> float | None:
        """Seconds that it will take."""
        if self.status != RUNNING or not self.expected or not self.rate:
            return None
        return (self.expected - self.done) / self.rate

    @property
    def shown(self) -> dict[str, Any]:
        """What a page shows of it."""
        step = -(-len(self.strengths) // _POINTS) or 1
        points = [(round(t, 3), round(s, 3)) for t, s in self.strengths[::step]]
        kept = ("id", "clip", "target", "preset", "status", "message", "done", "expected")
        shown = {name: getattr(self, name) for name in kept}
        return {**shown, "rate": round(self.rate, 2), "left": self.left, "strengths": points}


class _Progress(Reporter):
    """Writes down how far a render is, and lets what is more urgent pass."""

    def __init__(self, render: Render, cancel: CancelToken, queue: "RenderQueue") -> None:
        self._render, self._cancel, self._queue = render, cancel, queue
        self._recent: list[float] = []
        self._told = 0.0
        self._began: tuple[float, int] | None = None  # when workers did, and with how many frames
        self.picture: Picture | None = None

    def output(self, frame: Frame) -> None:
        self.picture = to_eight_bits(frame.image)

    def frame(self, report: FrameReport) -> None:
        render = self._render
        self._recent = [*self._recent[-19:], time.monotonic()]
        span = self._recent[-1] - self._recent[0]
        render.done, render.expected = report.index + 1, report.expected
        render.rate = (len(self._recent) - 1) / span if span else 0.0
        if report.strength is not None:
            render.strengths.append((report.time, report.strength))
        self._queue.changed()
        before = time.monotonic()
        self._queue.device.give_way(self._cancel)
        waited = time.monotonic() - before
        self._recent = [moment + waited for moment in self._recent]

    def parts(self, report: PartsReport) -> None:
        render, now = self._render, time.monotonic()
        began, frames = self._began = self._began or (now, report.frames)
        render.rate = (report.frames - frames) / (now - began) if now > began else 0.0
        render.done, render.expected = report.frames, report.expected
        render.message = f"{report.parts} of {report.of} scenes, {report.workers} workers"
        if now - self._told >= _PACE:
            self._told = now
            self._queue.changed()

    def download(self, done: int, total: int | None) -> None:
        of = f" of {total / 2**20:.0f}" if total else ""
        self._render.message = "" if done == total else f"weights: {done / 2**20:.0f}{of} MB"
        self._queue.changed()


class RenderQueue:
    """Renders one after another; what it knows is in a file of the folder.

    Args:
        folder: holds clips and targets.
        device: where renders run.
        changed: called after each change, in any thread.
        cluster: place of a cluster whose workers render clips instead.
    """

    def __init__(
        self,
        folder: Folder,
        device: Device,
        changed: Callable[[], None],
        cluster: str | None = None,
    ) -> None:
        self.folder, self.device, self.changed = folder, device, changed
        self._lock = threading.RLock()
        self._cancels: dict[str, CancelToken] = {}
        self._progress: dict[str, _Progress] = {}
        self._stopping = False
        self._cluster = cluster
        self._pool = ThreadPoolExecutor(1, "vidream-cluster")
        self.renders: list[Render] = self._load()

    def go_on(self) -> None:
        """Go on with what waited or ran when the studio ended."""
        with self._lock:
            for render in self.renders:
                if render.status == RUNNING and self.folder.inside(render.target).exists():
                    render.status = DONE  # it ended before that was written down
                elif render.status in (RUNNING, WAITING):
                    self._start(render, resume=render.status == RUNNING or render.done > 0)

    def find(self, id: str) -> Render:
        """Return a render.

        Raises:
            VidreamError: there is none of that name.
        """
        for render in self.renders:
            if render.id == id:
                return render
        raise VidreamError("there is no such render any more")

    def add(self, clip: str, target: str, preset: str, settings: Settings) -> Render:
        """Queue a render of a clip into a file of the folder that is not there yet.

        Raises:
            VidreamError: it is impossible.
        """
        with self._lock:
            taken = frozenset(r.target for r in self.renders if r.status != DONE)
            name = self.folder.free_name(target, taken)
            render = Render(secrets.token_hex(6), clip, name, preset, settings.to_dict())
            self._job(render, resume=False, progress=None, cancel=None).check()
            self.renders.append(render)
            del self.renders[:-_MOST]
            self._start(render, resume=False)
        return render

    def stop(self, id: str) -> None:
        """Stop a render after the current frame, or take it out of the queue."""
        with self._lock:
            render = self.find(id)
            if render.status == WAITING:
                render.status = STOPPED
            if cancel := self._cancels.get(id):
                cancel.cancel()
        self._save()

    def resume(self, id: str) -> None:
        """Go on with a render that was stopped, or failed."""
        with self._lock:
            render = self.find(id)
            if render.status in (STOPPED, FAILED):
                self._start(render, resume=True)

    def forget(self, id: str) -> None:
        """Leave out a render that does not run; files stay."""
        with self._lock:
            render = self.find(id)
            if render.status in (RUNNING, WAITING):
                raise VidreamError("stop it first")
            self.renders.remove(render)
            self._progress.pop(id, None)
        self._save()

    def newest(self, id: str) -> bytes | None:
        """Return the newest dreamed frame, as JPEG."""
        progress = self._progress.get(id)
        if progress is None or progress.picture is None:
            return None
        picture = progress.picture
        height, width = size_within(picture.shape[:2], _SHOWN_SIDE)
        return to_jpeg(scaled(picture, (width, height)))

    def close(self) -> None:
        """Stop what runs; it goes on with the next studio."""
        self._stopping = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for cancel in list(self._cancels.values()):
            cancel.cancel()

    def _start(self, render: Render, *, resume: bool) -> None:
        render.status, render.message = WAITING, ""
        cancel = self._cancels[render.id] = CancelToken()
        if self._cluster is None:
            self.device.submit(lambda: self._run(render, cancel, resume=resume), Urgency.RENDER)
        else:
            self._pool.submit(self._run, render, cancel, resume=resume)
        self._save()

    def _run(self, render: Render, cancel: CancelToken, *, resume: bool) -> None:
        """Render, in the device's thread, or wait for workers in another."""
        if render.status != WAITING or cancel.cancelled or self._stopping:
            return
        render.status = RUNNING
        progress = self._progress[render.id] = _Progress(render, cancel, self)
        self._save()
        try:
            job = self._job(render, resume=resume, progress=progress, cancel=cancel)
            render.done = self._render(job)
            render.status, render.message = DONE, ""
            render.expected = render.done
        except CancelledError as error:
            # Ended with the studio, it goes on with the next one.
            render.status = RUNNING if self._stopping else STOPPED
            render.message = plain(error)
        except VidreamError as error:
            render.status, render.message = FAILED, plain(error)
        except Exception as error:
            render.status, render.message = FAILED, f"{type(error).__name__}: {error}"
        finally:
            self._cancels.pop(render.id, None)
            self._save()

    def _render(self, job: Job) -> int:
        if self._cluster is None:
            return run(job)
        if job.source.is_picture:  # it has no scenes, and the device does one thing at a time
            return self.device.submit(lambda: run(job), Urgency.RENDER).result()
        from vidream.cluster.run import run_job_on_cluster  # noqa: PLC0415  (an extra)

        return run_job_on_cluster(job, self._cluster)

    def _job(
        self,
        render: Render,
        *,
        resume: bool,
        progress: Reporter | None,
        cancel: CancelToken | None,
    ) -> Job:
        settings = Settings.from_dict(render.settings)
        clip, target = self.folder.inside(render.clip), self.folder.inside(render.target)
        animated = settings.animation.asked
        source, made = find_places(str(clip), str(target), settings, animated=animated)
        if resume and not source.is_picture:
            settings = settings.updated(resume=True)
        return Job(source, made, settings, progress or Reporter(), cancel or CancelToken())

    def _load(self) -> list[Render]:
        try:
            text = (self.folder.root / OWN / _FILE).read_text(encoding="utf-8")
            return [_checked(values) for values in json.loads(text)]
        except FileNotFoundError:
            return []
        except (VidreamError, OSError, ValueError, TypeError, KeyError):
            return []  # of another version, or damaged: files are what counts

    def _save(self) -> None:
        with self._lock:
            text = json.dumps([asdict(render) for render in self.renders])
            try:
                path = self.folder.own() / _FILE
                atomic_write(path, lambda draft: draft.write_text(text, encoding="utf-8"))
            except (VidreamError, OSError):  # a full disk must not end a render
                pass
        self.changed()


def plain(error: VidreamError) -> str:
    """Return the message of an error, with settings by their names on the page."""
    return error.rendered(lambda name: name.replace("_", "-"))


def _checked(values: Mapping[str, Any]) -> Render:
    render = Render(**values)
    Settings.from_dict(render.settings)
    return render
