"""Sources of frames: a reader, or a still and what is made of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from vidream.core.frames import Frame
from vidream.media.info import Colour, VideoInfo
from vidream.media.stills import Still
from vidream.media.tracks import TrackSource


class FrameSource(Protocol):
    """Frames in order, iterable once."""

    @property
    def info(self) -> VideoInfo:
        """Size, rate and colour of the frames."""

    @property
    def tracks(self) -> TrackSource:
        """Sound and subtitles on the clock of the frames."""

    def __iter__(self) -> Iterator[Frame]: ...

    def interrupt(self) -> None:
        """Wake a thread that waits for the next frame."""


@dataclass(frozen=True, slots=True)
class SilentSource:
    """Frames without sound, none of which can be late: a still, an animation."""

    info: VideoInfo
    frames: Iterable[Frame] = field(repr=False)
    tracks: TrackSource = field(default_factory=TrackSource)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def interrupt(self) -> None:
        """Do nothing."""


def still_source(still: Still) -> SilentSource:
    """Return the source of a single frame."""
    height, width = still.image.shape[:2]
    colour = Colour(range=2, primaries=1, transfer=13, matrix=Colour.RGB)
    info = VideoInfo(width=width, height=height, frames=1, colour=colour)
    return SilentSource(info, [Frame(still.image)])
