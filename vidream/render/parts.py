"""A clip divided into parts that are rendered independently: scenes, and where they begin."""

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np

from vidream.core.frames import Frame
from vidream.core.registry import EFFECTS
from vidream.core.settings import Settings, format_time
from vidream.effects.registry import load_effect
from vidream.render.segments import Segmentation, SegmentFormat, tick_of
from vidream.temporal.tracking import MotionTracker


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene, or what of it is in a part."""

    first: int  # number of its first frame
    time: Fraction  # of that frame, in seconds
    length: Fraction  # in seconds
    frames: int
    duplicates: int  # of the frame before each, which are not dreamed


@dataclass(frozen=True, slots=True)
class Joint:
    """Where a long scene is cut into pieces that are dreamed independently.

    Each piece is dreamed from a few frames before its first one, so that its dream has settled
    when it is shown, to a few after its last one, where it is blended into the next.
    """

    run_up: int = 16  # frames before a piece that are dreamed, and not shown
    fade: int = 12  # frames that are blended


JOINT = Joint()


@dataclass(frozen=True, slots=True)
class Part:
    """Whole segments that depend on nothing before them: a scene, several short ones, or a piece.

    The first segment of a piece that begins at a :class:`Joint` is that which is blended.
    """

    number: int  # from 0
    begin: Fraction  # time of the clip's first frame, in seconds
    scenes: tuple[Scene, ...]
    segment: int  # number of its first segment
    segments: tuple[int, ...]  # frames of each
    last: int | None  # PTS of the picture before, in units of the target's time base
    run_up: int  # frames before its first one that are dreamed
    fade_in: int  # frames at its beginning that are blended with the piece before
    fade_out: int  # frames after its last one that the next piece is blended with
    from_time: Fraction  # of the first frame that is dreamed, in seconds
    begins: int  # checksum of that frame
    checksum: int  # of all frames that are dreamed

    @property
    def first(self) -> int:
        """Number of its first frame."""
        return self.scenes[0].first

    @property
    def time(self) -> Fraction:
        """Time of its first frame, in seconds."""
        return self.scenes[0].time

    @property
    def frames(self) -> int:
        """Number of its frames."""
        return sum(self.segments)

    @property
    def dreamed(self) -> int:
        """Number of frames that are dreamed for it."""
        return self.run_up + self.frames + self.fade_out

    @property
    def cuts(self) -> tuple[int, ...]:
        """Numbers of the frames that are dreamed from scratch."""
        first, *others = (scene.first for scene in self.scenes)
        return (first - self.run_up, *others)

    @property
    def span(self) -> str:
        """Where it is, in words."""
        end = self.scenes[-1].time + self.scenes[-1].length
        return f"{format_time(self.time)} to {format_time(end)}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        scenes = [asdict(s) | {"time": str(s.time), "length": str(s.length)} for s in self.scenes]
        times = {"begin": str(self.begin), "from_time": str(self.from_time)}
        return asdict(self) | {"scenes": scenes} | times

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Self:
        """Return the part of :meth:`to_json`'s result."""
        scenes = tuple(
            Scene(**s | {"time": Fraction(s["time"]), "length": Fraction(s["length"])})
            for s in entry["scenes"]
        )
        times = {name: Fraction(entry[name]) for name in ("begin", "from_time")}
        return cls(**entry | times | {"scenes": scenes, "segments": tuple(entry["segments"])})


class Checksum:
    """The checksum of the frames of a part."""

    def __init__(self) -> None:
        self.value = 0

    def put(self, frame: int) -> None:
        """Add the checksum of a frame."""
        self.value = zlib.crc32(frame.to_bytes(4, "little"), self.value)


def checksum(frame: Frame) -> int:
    """Return the checksum of a frame."""
    found = zlib.crc32(np.ascontiguousarray(frame.image).data)
    return (
        found if frame.alpha is None else zlib.crc32(np.ascontiguousarray(frame.alpha).data, found)
    )


def follows_motion(settings: Settings) -> bool:
    """Whether a frame of these settings depends on the one before it."""
    if settings.dream.coherence == 0:
        return False
    known: bool | None = getattr(EFFECTS.load(settings.effect), "recurrent", None)
    return load_effect(settings).recurrent if known is None else known


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a frame."""

    time: Fraction
    end: Fraction
    tick: int | None  # of its picture in the target
    cut: bool
    duplicate: bool
    checksum: int


def find_parts(
    frames: Iterable[Frame],
    tracker: MotionTracker | None,
    format: SegmentFormat,
    split: float | None = None,
) -> Iterator[Part]:
    """Yield the parts of a clip, each once it has been read.

    Cuts are those of the render, for they are found in the same way. Without a ``tracker`` every
    frame is dreamed by itself, and every segment is a part. Parts that are longer than ``split``
    seconds are cut into pieces.
    """
    parts = _PartMaker(format.length, split)
    segmentation, last = Segmentation(format.length), None
    seen: list[_Seen] = []
    for frame in frames:
        motion = None if tracker is None else tracker.scan(frame.image, frame.index)
        cut = motion is not None and motion.cut
        begins = segmentation.put(begins_scene=cut)
        if seen and begins and (cut or motion is None):
            yield from parts.of(seen)
            seen = []
        tick = tick_of(frame, format.info.time_base, last)
        last = last if tick is None else tick
        duplicate = motion is not None and motion.duplicate
        end = frame.time + frame.duration * frame.time_base
        seen.append(_Seen(frame.time, end, tick, cut or not seen, duplicate, checksum(frame)))
    if seen:
        yield from parts.of(seen)


class _PartMaker:
    """Makes parts of frames, in order."""

    def __init__(self, length: int, split: float | None) -> None:
        self._length, self._split = length, split
        self._number = self._segment = self._first = 0
        self._begin: Fraction | None = None
        self._last: int | None = None

    def of(self, seen: Sequence[_Seen]) -> Iterator[Part]:
        """Yield the parts of frames that depend on nothing before them."""
        if self._begin is None:
            self._begin = seen[0].time
        joints = self._joints(seen)
        for start, stop in zip([0, *joints], [*joints, len(seen)], strict=True):
            yield self._part(seen, start, stop)
        self._first += len(seen)

    def _joints(self, seen: Sequence[_Seen]) -> list[int]:
        """Return where a long scene is cut: into pieces of the same length, long enough to fade."""
        span = seen[-1].end - seen[0].time
        if self._split is None or sum(frame.cut for frame in seen) > 1:
            return []
        shortest = JOINT.run_up + JOINT.fade
        pieces = min(math.ceil(span / Fraction(self._split)), len(seen) // shortest)
        return [len(seen) * k // pieces for k in range(1, pieces)]

    def _part(self, seen: Sequence[_Seen], start: int, stop: int) -> Part:
        fade_in = JOINT.fade if start else 0
        run_up = JOINT.run_up if start else 0
        fade_out = JOINT.fade if stop < len(seen) else 0
        lengths = self._segments(seen[start + fade_in : stop])
        segments = (fade_in, *lengths) if fade_in else lengths
        total = Checksum()
        for frame in seen[start - run_up : stop + fade_out]:
            total.put(frame.checksum)
        first = Checksum()
        first.put(seen[start - run_up].checksum)
        assert self._begin is not None
        part = Part(
            number=self._number,
            begin=self._begin,
            scenes=tuple(self._scenes(seen, start, stop)),
            segment=self._segment,
            segments=segments,
            last=self._last,
            run_up=run_up,
            fade_in=fade_in,
            fade_out=fade_out,
            from_time=seen[start - run_up].time,
            begins=first.value,
            checksum=total.value,
        )
        ticks = [frame.tick for frame in seen[start:stop] if frame.tick is not None]
        self._last = ticks[-1] if ticks else self._last
        self._number, self._segment = self._number + 1, self._segment + len(segments)
        return part

    def _segments(self, seen: Sequence[_Seen]) -> tuple[int, ...]:
        segmentation, lengths = Segmentation(self._length), list[int]()
        for frame in seen:
            if segmentation.put(begins_scene=frame.cut):
                lengths.append(0)
            lengths[-1] += 1
        return tuple(lengths)

    def _scenes(self, seen: Sequence[_Seen], start: int, stop: int) -> Iterator[Scene]:
        begins = [k for k in range(start, stop) if seen[k].cut or k == start]
        for k, end in zip(begins, [*begins[1:], stop], strict=True):
            upto = seen[end].time if end < len(seen) else seen[-1].end
            duplicates = sum(frame.duplicate for frame in seen[k:end])
            yield Scene(self._first + k, seen[k].time, upto - seen[k].time, end - k, duplicates)
