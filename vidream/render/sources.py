"""Where frames come from: a reader, a still, or an animation, behind one protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from vidream.animate.animation import Animation
from vidream.core.effect import Effect
from vidream.core.frames import Frame
from vidream.core.reporting import Reporter
from vidream.media.audio_source import AudioSource, Silence
from vidream.media.info import Colour, VideoInfo
from vidream.media.stills import Still


class FrameSource(Protocol):
    """Frames in their order, to be run through once."""

    @property
    def info(self) -> VideoInfo:
        """Size, rate and colour of the frames."""

    @property
    def audio(self) -> AudioSource:
        """What is heard, on the clock of the frames."""

    def __iter__(self) -> Iterator[Frame]: ...

    def interrupt(self) -> None:
        """Let a thread that waits for the next frame wait no longer."""


@dataclass(frozen=True, slots=True)
class StillSource:
    """A still: a clip of one frame."""

    still: Still

    @property
    def info(self) -> VideoInfo:
        """Its size."""
        height, width = self.still.image.shape[:2]
        colour = Colour(range=2, primaries=1, transfer=13, matrix=Colour.RGB)
        return VideoInfo(width=width, height=height, frames=1, colour=colour)

    @property
    def audio(self) -> AudioSource:
        """Nothing."""
        return Silence()

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(self.still.image)

    def interrupt(self) -> None:
        """Do nothing: there is nothing to wait for."""


@dataclass(frozen=True, slots=True)
class AnimationSource:
    """An animation, whose frames are dreamed already."""

    animation: Animation
    effect: Effect
    reporter: Reporter

    @property
    def info(self) -> VideoInfo:
        """Size, rate and length."""
        return self.animation.plan.info

    @property
    def audio(self) -> AudioSource:
        """Nothing of its own."""
        return Silence()

    def __iter__(self) -> Iterator[Frame]:
        return self.animation.frames(self.effect, self.reporter)

    def interrupt(self) -> None:
        """Do nothing: it is the effect that takes long."""
