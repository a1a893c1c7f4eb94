"""One clip of those that an engine renders: which parts are known, given and done."""

import queue
import secrets
import shutil
import threading
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidream.cluster.admission import Admitted
from vidream.cluster.orders import Order
from vidream.core.closeable import Closeable
from vidream.core.errors import OutputError, VidreamError
from vidream.core.reporting import CancelToken, Reporter
from vidream.render.division import Division
from vidream.render.fingerprint import Fingerprint
from vidream.render.job import Job
from vidream.render.parts import Part
from vidream.render.segments import Segment


class _Joining(Reporter):
    """Keeps how far joining is, which happens in another thread."""

    def __init__(self) -> None:
        self.last: tuple[int, int] | None = None

    def join(self, done: int, total: int) -> None:
        self.last = done, total


class Render(Closeable):
    """A division whose parts are given to workers, as they become known. A context manager.

    Args:
        job: to be divided.
        shared: folder that workers and this machine see, through which segments go.

    Attributes:
        waiting: parts that are known, and neither given nor done.
        admitted: workers that may render parts, by their addresses.
        refused: why others may not.

    Raises:
        VidreamError: the job is impossible, or cannot be divided.
    """

    def __init__(self, job: Job, shared: Path | None) -> None:
        self.job, self._cancel = job, CancelToken()
        self._events = _Joining()
        own = replace(job, cancel=self._cancel, reporter=self._events)
        self.division = Division(own)
        try:
            self.order = Order.of(secrets.token_hex(4), self.division, shared)
        except BaseException:
            self.division.close()
            raise
        self.parts: list[Part] = []
        self.waiting: list[Part] = []
        self.done = self.division.done()
        self.admitted: dict[str, Admitted] = {}
        self.refused: dict[str, str] = {}
        self.planned = False
        self._machine = threading.Lock()
        self._join: Future[int] | None = None
        self._found: queue.SimpleQueue[Part | VidreamError | None] = queue.SimpleQueue()
        self._planner = threading.Thread(target=self._plan, name="vidream-plan", daemon=True)
        self._planner.start()

    def close(self) -> None:
        """Leave the work folder; what is done is kept."""
        self._cancel.cancel()
        self._planner.join()
        if self._join is not None:
            wait([self._join])
        self.division.close()

    def _plan(self) -> None:
        try:
            for part in self.division.plan():
                self._found.put(part)
            self._found.put(None)
        except VidreamError as error:
            self._found.put(error)

    def take(self) -> None:
        """Take note of parts that have become known; raises a VidreamError if that fails."""
        with suppress(queue.Empty):
            while not self.planned:
                found = self._found.get_nowait()
                if isinstance(found, VidreamError):
                    raise found
                if found is None:
                    self.planned = True
                    if not self.parts:
                        raise OutputError("the source gives no frame to dream: is it whole?")
                    return
                self.parts.append(found)
                if found.number not in self.done:
                    self.waiting.append(found)

    def next(self) -> Part:
        """Return the part to be given next: the longest, which would otherwise end last."""
        part = max(self.waiting, key=lambda part: part.frames)
        self.waiting.remove(part)
        return part

    @property
    def is_done(self) -> bool:
        """Whether all parts are done."""
        return self.planned and len(self.done) == len(self.parts)

    @property
    def frames_done(self) -> int:
        """Frames in the parts that are done."""
        return sum(part.frames for part in self.parts if part.number in self.done)

    @property
    def expected(self) -> int | None:
        """Number of frames in all, if known."""
        if self.planned:
            return sum(part.frames for part in self.parts)
        return self.division.info.frames

    def is_joined(self, pool: Executor, reporter: Reporter) -> bool:
        """Join the parts, once all are done; return whether that is over. Raises VidreamError."""
        if not self.is_done:
            return False
        if self._join is None:
            self._join = pool.submit(self.division.join, self.parts)
        if self._events.last is not None:
            reporter.join(*self._events.last)
        if not self._join.done():
            return False
        self._join.result()
        return True

    def differs(self, machine: Fingerprint) -> str:
        """Return how a machine differs from those before; empty if in nothing."""
        with self._machine:
            return self.division.check_machine(machine)

    def fix_memory(self, size: int) -> None:
        """Let the dream of every part take so many bytes, unless that is known already."""
        if self.order.memory is None:
            self.order = replace(self.order, memory=self.division.fix_memory(size))

    def accept(self, part: Part, result: dict[str, Any]) -> None:
        """Keep what a worker returned of a part; raises OutputError if it is not whole."""
        try:
            segments = [Segment.from_json(entry) for entry in result["segments"]]
            weights = {str(name): str(digest) for name, digest in result["weights"].items()}
            with self.division.draft(part) as draft:
                if self.order.shared is not None:
                    _move(Path(self.order.shared) / Path(result["folder"]).name, draft)
                else:
                    for name, content in result["files"].items():
                        (draft / Path(name).name).write_bytes(content)
                self.division.accept(part, draft, segments, weights)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OutputError(f"what was rendered of {part.span} is not whole ({error})") from error
        except OSError as error:
            raise OutputError(
                f"what was rendered of {part.span} cannot be kept: {error.strerror}"
            ) from error
        self.done.add(part.number)


def _move(folder: Path, target: Path) -> None:
    """Move the files of a folder, which may be on another file system."""
    for path in folder.iterdir():
        shutil.move(path, target / path.name)
    with suppress(OSError):
        folder.rmdir()
