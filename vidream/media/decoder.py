"""What a reader reads from: frames as stored, and packets of other tracks, on one clock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from vidream.core.closeable import Closeable
from vidream.media.info import Chapter, Cover
from vidream.media.places import Source
from vidream.media.tracks import TrackPacket


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded frame, as stored; times in units of the stream's time base."""

    pts: int
    frame: av.VideoFrame = field(repr=False)  # whose own timestamps are not valid
    duration: int = 0  # 0 if unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What a file says of itself; None or 0 if it does not."""

    aspect: Fraction | None = None  # of a stored pixel
    rate: Fraction | None = None  # mean, in frames per second
    tick: Fraction | None = None  # rate at which every frame has a time of its own
    frames: int | None = None
    length: Fraction = Fraction(0)  # seconds
    tags: dict[str, str] = field(default_factory=dict)  # by names in lower case
    chapters: tuple[Chapter, ...] = ()
    cover: Cover | None = None


class Decoder(Closeable):
    """Decodes a clip. Times are its own; those of broadcasts and cameras begin at 0.

    Attributes:
        source: what is decoded.
        facts: what it says of itself.
        tracks: sound and subtitles: templates for an encoder.
        base: seconds per unit of the frames' times.
        start: time in the file at which it begins, in seconds.
        offset: time in the file of time 0.
    """

    source: Source
    facts: ClipFacts
    tracks: Sequence[Any] = ()
    start = Fraction(0)
    offset = Fraction(0)

    @property
    def base(self) -> Fraction:
        """Seconds per unit of the frames' times."""
        raise NotImplementedError

    @property
    def is_unseekable(self) -> bool:
        """Whether it is an MP4 or MOV on a pipe, which may have its index at its end."""
        return False

    @property
    def length(self) -> Fraction:
        """Length in seconds: what the file says, or what was read if that is more."""
        return self.facts.length

    def begin_at(self, begin: Fraction) -> None:
        """Count times from this one; what is before it may be yielded, at times below 0."""
        self.offset = begin

    def seek(self, time: Fraction) -> None:
        """Leave out frames long before a time, where that is possible."""

    def items(self) -> Iterator[Decoded | TrackPacket]:
        """Yield frames, deinterlaced, and packets of the tracks, to the end."""
        raise NotImplementedError

    def packets(self) -> Iterator[TrackPacket]:
        """Yield the packets of the tracks that are left, decoding no frame."""
        return iter(())

    def extend_timeout(self) -> None:
        """Wait longer for data from now on: this is a recording."""

    def interrupt(self) -> None:
        """Stop another thread from waiting for data."""

    def close(self) -> None:
        """Close the file."""
