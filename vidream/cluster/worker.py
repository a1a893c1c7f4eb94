"""What runs on a worker: it says what it is, takes files, and renders parts."""

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from distributed import get_worker

from vidream.cluster.files import FileStore
from vidream.cluster.orders import Order
from vidream.core.errors import VidreamError
from vidream.core.reporting import CancelToken, FrameReport, Reporter
from vidream.core.settings import Settings
from vidream.render.fingerprint import machine
from vidream.render.job import Job, find_places
from vidream.render.part_renderer import PartRenderer
from vidream.render.parts import Part
from vidream.temporal.flow_opencv import limit_threads

DEVICE_VARIABLE = "VIDREAM_DEVICE"
"""Environment variable of a worker: the device that it renders on, of those of the job."""

_PACE = 0.5  # seconds from one event of progress to the next

_lock = threading.Lock()  # one dream at a time: two would take far more than twice as long
_loaded: "tuple[str, PartRenderer] | None" = None


def describe(order: dict[str, Any]) -> dict[str, Any]:
    """Return what a worker is: its machine, its weights, and which files it lacks.

    With an ``error`` in it if it cannot render the order at all.
    """
    try:
        with _lock, _threads():
            asked = Order.from_json(order)
            paths, missing = _store().locate(asked.files)
            settings = _settings(asked, paths)
            found: dict[str, Any] = {"missing": missing, "machine": machine(settings)}
            if not missing:
                renderer = _renderer(asked, settings, paths)
                found |= {"weights": renderer.weights, "memory": renderer.memory}
            return found
    except VidreamError as error:
        return {"error": str(error)}


def receive(path: str, content: str, offset: int, piece: bytes, sender: str) -> str:
    """Take a piece of a file; return "done", "more", or what went wrong."""
    try:
        return "done" if _store().receive(path, content, offset, piece, sender) else "more"
    except OSError as error:
        return error.strerror or str(error)


def sees(path: str) -> bool:
    """Whether this machine has a path."""
    return Path(path).exists()


def render(order: dict[str, Any], part: dict[str, Any], topic: str) -> dict[str, Any]:
    """Render a part; return its segments, and their files or the folder that holds them.

    Raises:
        VidreamError: it cannot be rendered.
    """
    asked, planned = Order.from_json(order), Part.from_json(part)
    progress = _Progress(topic, asked.id, planned.number)
    with _lock, _threads(), _folder(asked, planned) as folder:
        paths, missing = _store().locate(asked.files)
        if missing:
            raise VidreamError(f"{missing[0]} is gone from this machine")
        renderer = _renderer(asked, _settings(asked, paths), paths)
        segments = renderer.render(planned, folder, progress, progress.cancel)
        found = {"segments": [segment.to_json() for segment in segments]}
        found["weights"] = renderer.weights  # type: ignore[assignment]
        if asked.shared is not None:
            return found | {"folder": folder.name}
        return found | {"files": {path.name: path.read_bytes() for path in folder.iterdir()}}


def _settings(order: Order, paths: dict[str, str]) -> Settings:
    settings = order.settings_with(paths)
    return settings.updated(device=os.environ.get(DEVICE_VARIABLE, settings.dream.device))


def _renderer(order: Order, settings: Settings, paths: dict[str, str]) -> PartRenderer:
    """Return the renderer of an order, which keeps its network from part to part."""
    global _loaded  # noqa: PLW0603  (it lives as long as the process)
    if _loaded is None or _loaded[0] != order.id:
        places = find_places(paths[order.source], order.target, settings, animated=False)
        _loaded = None  # first: two networks may not fit
        _loaded = order.id, PartRenderer(Job(*places, settings))
    if order.memory is not None:
        _loaded[1].memory = order.memory
    return _loaded[1]


@contextlib.contextmanager
def _threads() -> Iterator[None]:
    """Compute with as many threads as the worker was started with, though it gets one task."""
    number = max(1, get_worker().state.nthreads)
    torch.set_num_threads(number)
    limit_threads(number)
    yield


def _store() -> FileStore:
    return FileStore(Path(get_worker().local_directory).parent / "vidream-files")


@contextlib.contextmanager
def _folder(order: Order, part: Part) -> Iterator[Path]:
    """Give a folder for segments: in the shared one, or for the time being."""
    place = get_worker().local_directory if order.shared is None else order.shared
    path = Path(tempfile.mkdtemp(prefix=f"{order.id}-{part.number:05d}-", dir=place))
    path.chmod(0o755)  # the caller may be another user
    done = False
    try:
        yield path
        done = order.shared is not None
    finally:
        if not done:
            shutil.rmtree(path, ignore_errors=True)


class _Progress(Reporter):
    """Tells the caller how far a part is, and stops when nobody wants it any more."""

    def __init__(self, topic: str, order: str, part: int) -> None:
        self.cancel = CancelToken()
        self._topic, self._news = topic, {"order": order, "part": part}
        self._worker, self._key = get_worker(), get_worker().get_current_task()
        self._told = 0.0
        self._frames = 0
        self._tell()

    def frame(self, report: FrameReport) -> None:
        self._frames = report.index + 1
        self._tell()

    def step(self, done: int, total: int) -> None:  # noqa: ARG002
        self._tell()

    def _tell(self) -> None:
        if time.monotonic() - self._told < _PACE:
            return
        self._told = time.monotonic()
        task = self._worker.state.tasks.get(self._key)
        if task is None or task.state not in ("executing", "long-running"):
            self.cancel.cancel()
        news = {**self._news, "frames": self._frames, "worker": self._worker.address}
        self._worker.log_event(self._topic, news)
