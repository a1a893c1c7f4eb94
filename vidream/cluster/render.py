"""One clip of those that an engine renders: which parts are known, given and done."""

import queue
import secrets
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidream.cluster.orders import Order
from vidream.core.closeable import Closeable
from vidream.core.errors import OutputError, VidreamError
from vidream.core.reporting import CancelToken, Reporter
from vidream.render.division import Division
from vidream.render.fingerprint import Fingerprint
from vidream.render.job import Job
from vidream.render.parts import Part
from vidream.render.segments import Segment


@dataclass(slots=True)
class Trouble:
    """What went wrong with a part so far."""

    lost: int = 0  # workers that died of it
    failed: dict[str, str] = field(default_factory=dict)  # reasons, by workers


class Render(Closeable):
    """A job whose parts are given to workers, as they become known. A context manager.

    Args:
        job: to be divided.
        shared: folder that workers and this machine see, through which segments go.

    Attributes:
        waiting: parts that are known, and neither given nor done.
        done: numbers of the parts that are done.
        admitted: memory of the workers that may render parts, in bytes, by their addresses.
        refused: why others may not.
        troubles: what went wrong, by numbers of parts.

    Raises:
        VidreamError: the job is impossible, or cannot be divided.
    """

    def __init__(self, job: Job, shared: Path | None) -> None:
        self.job, self._join = job, _Join()
        own = replace(job, cancel=self._join.cancel, reporter=self._join)
        self.division = Division(own)
        try:
            self.order = Order.of(secrets.token_hex(4), self.division, shared)
        except BaseException:
            self.division.close()
            raise
        self.parts: list[Part] = []
        self.waiting: list[Part] = []
        self.done = self.division.done()
        self.admitted: dict[str, int] = {}
        self.refused: dict[str, str] = {}
        self.troubles: dict[int, Trouble] = {}
        self._machine = threading.Lock()
        self._plan = _Plan(self.division)

    def close(self) -> None:
        """Leave the work folder; what is done is kept."""
        self._join.cancel.cancel()
        self._plan.close()
        self._join.close()
        self.division.close()

    def take(self) -> None:
        """Take note of parts that have become known; raises a VidreamError if that fails."""
        for part in self._plan.news():
            self.parts.append(part)
            if part.number not in self.done:
                self.waiting.append(part)
        if self._plan.is_over and not self.parts:
            raise OutputError("the source gives no frame to dream: is it whole?")

    def next(self) -> Part:
        """Return the part to be given next: the longest, which would otherwise end last."""
        part = max(self.waiting, key=lambda part: part.frames)
        self.waiting.remove(part)
        return part

    @property
    def is_done(self) -> bool:
        """Whether all parts are done."""
        return self._plan.is_over and len(self.done) == len(self.parts)

    @property
    def frames_done(self) -> int:
        """Frames in the parts that are done."""
        return sum(part.frames for part in self.parts if part.number in self.done)

    @property
    def expected(self) -> int | None:
        """Number of frames in all, if known."""
        if self._plan.is_over:
            return sum(part.frames for part in self.parts)
        return self.division.info.frames

    def trouble(self, part: Part) -> Trouble:
        """Return what went wrong with a part so far."""
        return self.troubles.setdefault(part.number, Trouble())

    def is_joined(self, pool: Executor, reporter: Reporter) -> bool:
        """Join the parts, once all are done; return whether that is over. Raises VidreamError."""
        return self.is_done and self._join.go_on(self.division, self.parts, pool, reporter)

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
        self.troubles.pop(part.number, None)


class _Plan(Closeable):
    """Looks for the parts of a division, in a thread."""

    def __init__(self, division: Division) -> None:
        self._division = division
        self._found: queue.SimpleQueue[Part | VidreamError | None] = queue.SimpleQueue()
        self.is_over = False
        self._thread = threading.Thread(target=self._run, name="vidream-plan", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for part in self._division.plan():
                self._found.put(part)
            self._found.put(None)
        except VidreamError as error:
            self._found.put(error)

    def news(self) -> Iterator[Part]:
        """Yield the parts that have become known since; raises a VidreamError if that failed."""
        with suppress(queue.Empty):
            while not self.is_over:
                found = self._found.get_nowait()
                if isinstance(found, VidreamError):
                    raise found
                if found is None:
                    self.is_over = True
                else:
                    yield found

    def close(self) -> None:
        """Wait for the thread, whose job is cancelled."""
        self._thread.join()


class _Join(Reporter, Closeable):
    """Joins the parts of a division, in another thread, and keeps how far that is."""

    def __init__(self) -> None:
        self.cancel = CancelToken()
        self._last: tuple[int, int] | None = None
        self._future: Future[int] | None = None

    def join(self, done: int, total: int) -> None:
        self._last = done, total

    def go_on(
        self, division: Division, parts: list[Part], pool: Executor, reporter: Reporter
    ) -> bool:
        """Begin, or report; return whether it is over, and raise what went wrong."""
        if self._future is None:
            self._future = pool.submit(division.join, parts)
        if self._last is not None:
            reporter.join(*self._last)
        if not self._future.done():
            return False
        self._future.result()
        return True

    def close(self) -> None:
        """Wait for the thread, whose job is cancelled."""
        if self._future is not None:
            wait([self._future])


def _move(folder: Path, target: Path) -> None:
    """Move the files of a folder, which may be on another file system."""
    for path in folder.iterdir():
        shutil.move(path, target / path.name)
    with suppress(OSError):
        folder.rmdir()
