"""A render that is divided into parts: its plan, the parts that are done, and joining them."""

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from vidream.core.closeable import Closeable
from vidream.core.devices import choose_device
from vidream.core.errors import DeviceError, OutputError
from vidream.core.frames import Frame
from vidream.core.settings import WriteSettings
from vidream.media.atomic import PART, atomic_write, sync
from vidream.media.encoder import log_odd_size
from vidream.media.places import SequenceTarget, VideoTarget
from vidream.media.reader import Reader, open_reader
from vidream.render.blending import blend_pieces, faded_in, faded_out
from vidream.render.checkpoint import Checkpoint
from vidream.render.film import Film
from vidream.render.fingerprint import Fingerprint, difference, subject
from vidream.render.job import Job
from vidream.render.joining import Pieces, frames_of
from vidream.render.lock import Lock, wait_for
from vidream.render.parts import Part, find_parts, follows_motion
from vidream.render.picture_sink import PictureSink
from vidream.render.record import Record
from vidream.render.segments import Segment, SegmentFormat, segment_path
from vidream.render.setup import log_lost, open_tracks, with_record
from vidream.render.sinks import as_output_error
from vidream.render.work_folder import DIVIDED, WorkFolder
from vidream.temporal.flow import load_flow
from vidream.temporal.tracking import MotionTracker

_PLAN, _MACHINE, _MEMORY = "plan.jsonl", "machine.json", "memory.json"
_PART, _ALL = "part.json", "parts"


class Division(Closeable):
    """A job whose parts are rendered one by one, in any order. A context manager.

    What is done of it lies in the work folder of the target, and can be resumed.

    Args:
        job: to be divided.
        shared: whether other processes render parts of it as well.

    Raises:
        VidreamError: the job is impossible, or cannot be divided.
    """

    def __init__(self, job: Job, *, shared: bool = False) -> None:
        job.check_divided()
        self.job, self._held = job, ExitStack()
        with open_reader(job.source, job.settings.read) as reader:
            self.info = reader.info
        assert isinstance(job.target, (VideoTarget, SequenceTarget))
        self.format = SegmentFormat.of(job.target, self.info, job.settings.write)
        write = job.settings.write
        self._work = _DividedFolder(job.target.path, keep=write.keep_work, shared=shared)
        try:
            self._work.open(subject(job.source, job.settings), write)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Unlock the work folder, and remove it unless it is still of use."""
        self._work.close()
        self._held.close()

    def hold(self, lock: Lock) -> None:
        """Hold a lock until the work folder is removed."""
        self._held.callback(lock.release)

    @property
    def path(self) -> Path:
        """The work folder."""
        return self._work.path

    def _known_parts(self) -> list[Part] | None:
        """Return all parts; None if they are not known yet."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            *lines, last = (self.path / _PLAN).read_text().splitlines()
            if json.loads(last)[_ALL] == len(lines):
                return [Part.from_json(json.loads(line)) for line in lines]
        return None

    def plan(self) -> Iterator[Part]:
        """Yield the parts as they become known.

        Raises:
            CancelledError: the job was cancelled.
            VidreamError: the source cannot be read, or the plan not be written.
        """
        known = self._known_parts()
        if known is not None:
            yield from known
            return
        path, count = self.path / _PLAN, 0
        draft = path.with_name(f".{_PLAN}{PART}")
        with as_output_error(path), draft.open("w") as file:
            for part in parts_of(self.job, self.format):
                file.write(json.dumps(part.to_json()) + "\n")
                count += 1
                yield part
            file.write(json.dumps({_ALL: count}) + "\n")
        with as_output_error(path):
            sync(draft)
            draft.replace(path)

    def check_machine(self, machine: Fingerprint) -> str:
        """Return how a machine differs from those that rendered parts before; empty if in nothing.

        The first one is taken for the rule.
        """
        return difference(self._first(_MACHINE, machine), machine)

    def fix_memory(self, size: int) -> int:
        """Return the bytes that the dream of every part may take: the first size that is given."""
        return int(self._first(_MEMORY, size))

    def _first(self, name: str, value: Any) -> Any:
        """Return the first value that was given under a name, which may be this one."""
        path = self.path / name
        with as_output_error(path):
            if not path.exists():
                atomic_write(path, lambda draft: draft.write_text(json.dumps(value)))
        with contextlib.suppress(OSError, ValueError):
            return json.loads(path.read_text())
        return value

    def done(self) -> set[int]:
        """Return the numbers of the parts that are done."""
        return self._work.done_parts()

    def lock(self, part: Part) -> Lock:
        """Return the lock of a part; raises BlockingIOError if another process renders it."""
        return Lock(self._work.part(part.number).with_suffix(".lock"))

    def lock_plan(self) -> Lock:
        """Return the lock of the plan; raises BlockingIOError if another process makes it."""
        return Lock(self.path / "plan.lock")

    def lock_join(self) -> Lock:
        """Return the lock of the target; raises BlockingIOError if another process joins it."""
        return Lock(self.path / "join.lock")

    @contextlib.contextmanager
    def draft(self, part: Part) -> Iterator[Path]:
        """Give a folder for the segments of a part, which is removed unless they are accepted."""
        path = self.path / f".{self._work.part(part.number).name}.{secrets.token_hex(4)}{PART}"
        try:
            with as_output_error(path):
                path.mkdir()
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def accept(
        self, part: Part, draft: Path, segments: Sequence[Segment], weights: dict[str, str]
    ) -> None:
        """Keep the segments of a part, which lie in its draft.

        Raises:
            OutputError: they are not those of the part, or cannot be kept.
        """
        numbers = [segment.number for segment in segments]
        blended = int(part.fade_in > 0)  # one that is made when all parts are there
        expected = list(range(part.segment + blended, part.segment + len(part.segments)))
        frames = tuple(segment.frames for segment in segments)
        files = [self._file(draft, segment) for segment in segments if segment.times]
        files += [faded_in(draft, part)] if part.fade_in else []
        files += [faded_out(draft, part)] if part.fade_out else []
        there = all(path.is_file() for path in files)
        if numbers != expected or frames != part.segments[blended:] or not there:
            raise OutputError(f"what was rendered of {part.span} is not whole")
        entry = {"segments": [s.to_json() for s in segments], "weights": weights}
        with as_output_error(draft):
            for path in draft.iterdir():
                sync(path)
            atomic_write(draft / _PART, lambda path: path.write_text(json.dumps(entry)))
            with contextlib.suppress(FileExistsError):
                draft.replace(self._work.part(part.number))
            sync(self.path)

    def _file(self, folder: Path, segment: Segment) -> Path:
        return segment_path(folder, segment.number, self.format.suffix)

    def join(self, parts: Sequence[Part]) -> int:
        """Join the parts, all of which are done, to the target; return the number of frames.

        Raises:
            CancelledError: the job was cancelled.
            VidreamError: it cannot be written, or a part is damaged.
        """
        pieces: Pieces = []
        weights: dict[str, str] = {}
        for part in parts:
            folder = self._work.part(part.number)
            try:
                entry = json.loads((folder / _PART).read_text())
                segments = [Segment.from_json(found) for found in entry["segments"]]
                if part.fade_in:
                    before = self._work.part(part.number - 1)
                    segments.insert(0, blend_pieces(before, folder, part, self.format))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise OutputError(f"{folder} is damaged: remove it, and render it again") from error
            pieces += [(segment, self._file(folder, segment)) for segment in segments]
            weights |= entry["weights"]
        with ExitStack() as stack:
            reader = stack.enter_context(open_reader(self.job.source, self.job.settings.read))
            self._join(reader, pieces, weights, stack)
        self._work.done = True
        return sum(part.frames for part in parts)

    def _join(
        self, reader: Reader, pieces: Pieces, weights: dict[str, str], stack: ExitStack
    ) -> None:
        job = self.job
        info = with_record(reader.info, Record.of(job.source, job.settings, weights))
        tracks = open_tracks(job, reader, stack)
        if isinstance(job.target, SequenceTarget):
            log_lost(info, tracks)
            sink = PictureSink(self._work, info, job.settings.write, is_resumable=False)
            done = Checkpoint()
            for frame in frames_of(pieces):
                sink.write(frame, None)
                job.cancel.check()
                done = Checkpoint(frame.index + 1)
            sink.finish(done)
            return

        def on_join(done: int, total: int) -> None:
            job.reporter.join(done, total)
            job.cancel.check()

        assert isinstance(job.target, VideoTarget)
        log_odd_size(job.target, info, job.settings.write)
        film = Film(job.target, info, job.settings.write, tracks)
        film.join(pieces, self.path, on_join)


class _DividedFolder(WorkFolder):
    """The work folder of a divided render."""

    def __init__(self, target: Path, *, keep: bool, shared: bool) -> None:
        self._shared = shared
        super().__init__(target, keep=keep, shared=shared)

    def open(self, run: Fingerprint, settings: WriteSettings) -> None:
        """Keep what is there of the same render, or empty the folder.

        Raises:
            OutputError: there is another one, or one that was not asked for.
        """
        if (self.path / "state.pt").exists() and not settings.overwrite:
            self.checkpoint = Checkpoint(1)
            raise OutputError(
                f"{self.path} holds frames of a run that was not divided: go on as it was begun, "
                "or set `overwrite` to begin anew"
            )
        with self._beginning():
            before = self.read_run(DIVIDED, DIVIDED)
            if before is None or (settings.overwrite and not settings.resume and not self._shared):
                self.begin(run, DIVIDED)
                return
        if changed := difference(before, run):
            raise OutputError(
                f"{self.target} was begun otherwise: {changed}; go on as it was begun, or "
                f"remove {self.path} to begin anew"
            )
        if not settings.resume and not self._shared and (done := len(self.done_parts())):
            raise OutputError(
                f"{self.path} holds {done} scenes of an interrupted run: set `resume` to go on, "
                "or `overwrite` to begin anew"
            )

    @contextlib.contextmanager
    def _beginning(self) -> Iterator[None]:
        """Within the context no other process begins the folder."""
        if not self._shared:
            yield
            return
        lock = wait_for(lambda: Lock(self.path / "begin.lock"))
        try:
            yield
        finally:
            lock.release()

    @property
    def is_of_use(self) -> bool:
        if self.done_parts() or super().is_of_use:
            return True
        return self._shared and not self.is_alone()

    def part(self, number: int) -> Path:
        """Return the folder of a part."""
        return self.path / f"part-{number + 1:05d}"

    def done_parts(self) -> set[int]:
        """Return the numbers of the parts that are done."""
        with contextlib.suppress(OSError):
            found = (path for path in self.path.iterdir() if path.name.startswith("part-"))
            return {int(p.name[5:]) - 1 for p in found if (p / _PART).is_file()}
        return set()


def parts_of(job: Job, format: SegmentFormat) -> Iterator[Part]:
    """Yield the parts of a job, read once; raises as :meth:`Division.plan`."""
    settings = job.settings
    with open_reader(job.source, settings.read) as reader, job.cancel.calling(reader.interrupt):
        tracker, split = None, None
        if follows_motion(settings):
            split = settings.dream.split
            device = _planning_device(settings.dream.device)
            flow = load_flow(settings.dream.flow, device)
            tracker = MotionTracker(flow, settings.dream.recall, device)
        yield from find_parts(_watched(reader, job), tracker, format, split)


def _watched(reader: Reader, job: Job) -> Iterator[Frame]:
    for frame in reader:
        job.cancel.check()
        yield frame
        job.reporter.scan(frame.index + 1, reader.info.frames)
    job.cancel.check()


def _planning_device(name: str) -> Any:
    """Return where scenes are searched for: workers may have devices that this machine lacks."""
    try:
        return choose_device(name.partition(",")[0])
    except DeviceError:
        return choose_device("cpu")
