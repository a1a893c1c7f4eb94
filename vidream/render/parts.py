"""A clip divided into parts that are rendered independently: scenes, and where they begin."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
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
class Part:
    """Whole segments that depend on nothing before them: a scene, or several short ones."""

    number: int  # from 0
    begin: Fraction  # time of the clip's first frame, in seconds
    scenes: tuple[Scene, ...]
    segment: int  # number of its first segment
    segments: tuple[int, ...]  # frames of each
    last: int | None  # PTS of the picture before, in units of the target's time base
    begins: int  # checksum of the first frame
    checksum: int  # of all frames

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
    def length(self) -> Fraction:
        """Length, in seconds."""
        return sum((scene.length for scene in self.scenes), Fraction(0))

    @property
    def span(self) -> str:
        """Where it is, in words."""
        return f"{format_time(self.time)} to {format_time(self.time + self.length)}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        scenes = [asdict(s) | {"time": str(s.time), "length": str(s.length)} for s in self.scenes]
        return asdict(self) | {"begin": str(self.begin), "scenes": scenes}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Self:
        """Return the part of :meth:`to_json`'s result."""
        scenes = tuple(
            Scene(**s | {"time": Fraction(s["time"]), "length": Fraction(s["length"])})
            for s in entry["scenes"]
        )
        begin, segments = Fraction(entry["begin"]), tuple(entry["segments"])
        return cls(**entry | {"begin": begin, "scenes": scenes, "segments": segments})


def checksum(frame: Frame, before: int = 0) -> int:
    """Return the checksum of a frame, and of those before it."""
    found = zlib.crc32(np.ascontiguousarray(frame.image).data, before)
    return (
        found if frame.alpha is None else zlib.crc32(np.ascontiguousarray(frame.alpha).data, found)
    )


def follows_motion(settings: Settings) -> bool:
    """Whether a frame of these settings depends on the one before it."""
    if settings.dream.coherence == 0:
        return False
    known: bool | None = getattr(EFFECTS.load(settings.effect), "recurrent", None)
    return load_effect(settings).recurrent if known is None else known


@dataclass(slots=True)
class _Draft:
    """A part that is being read."""

    segment: int
    last: int | None
    segments: list[int] = field(default_factory=list)
    scenes: list[list[Any]] = field(default_factory=list)  # first, time, frames, duplicates
    begins: int = 0
    checksum: int = 0

    def put(self, frame: Frame, *, scene: bool, duplicate: bool, segment: bool) -> None:
        if segment:
            self.segments.append(0)
        if scene:
            self.scenes.append([frame.index, frame.time, 0, 0])
        self.segments[-1] += 1
        self.scenes[-1][2] += 1
        self.scenes[-1][3] += duplicate
        self.checksum = checksum(frame, self.checksum)
        if self.scenes[-1][2] == 1 and len(self.scenes) == 1:
            self.begins = self.checksum

    def part(self, number: int, begin: Fraction, end: Fraction) -> Part:
        times = [scene[1] for scene in self.scenes] + [end]
        scenes = tuple(
            Scene(first, time, times[k + 1] - time, frames, duplicates)
            for k, (first, time, frames, duplicates) in enumerate(self.scenes)
        )
        kept = self.segment, tuple(self.segments), self.last, self.begins, self.checksum
        return Part(number, begin, scenes, *kept)


def find_parts(
    frames: Iterable[Frame], tracker: MotionTracker | None, format: SegmentFormat
) -> Iterator[Part]:
    """Yield the parts of a clip, each once it has been read.

    Cuts are those of the render, for they are found in the same way. Without a ``tracker`` every
    frame is dreamed by itself, and every segment is a part.
    """
    segmentation, draft, last = Segmentation(format.length), None, None
    number = segment = 0
    clip_begin, end = None, Fraction(0)
    for frame in frames:
        motion = None if tracker is None else tracker.scan(frame.image, frame.index)
        scene = motion is not None and motion.cut
        begins = segmentation.put(begins_scene=scene)
        clip_begin = frame.time if clip_begin is None else clip_begin
        if begins and (draft is None or scene or motion is None):
            if draft is not None:
                yield draft.part(number, clip_begin, frame.time)
                number, segment = number + 1, segment + len(draft.segments)
            draft, scene = _Draft(segment, last), True
        assert draft is not None
        duplicate = motion is not None and motion.duplicate
        draft.put(frame, scene=scene, duplicate=duplicate, segment=begins)
        tick = tick_of(frame, format.info.time_base, last)
        last = last if tick is None else tick
        end = frame.time + frame.duration * frame.time_base
    if draft is not None and clip_begin is not None:
        yield draft.part(number, clip_begin, end)
