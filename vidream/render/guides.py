"""Guides that move: a video whose features grow in the dream, frame by frame."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Self

from vidream.core.frames import Frame, Picture, to_eight_bits
from vidream.core.settings import DreamSettings
from vidream.media.places import is_picture
from vidream.media.timed_image import TimedImage


class GuideVideo:
    """A video that guides the dream of a clip, in step with it. A context manager.

    Args:
        path: of the video.

    Raises:
        InputError: it cannot be read; the message begins with "guide".
    """

    def __init__(self, path: str) -> None:
        self._video = TimedImage(path, "guide")
        self._shown: tuple[Frame, Picture] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *stopped: object) -> None:
        self._video.__exit__(*stopped)

    def at(self, time: Fraction) -> Picture:
        """Return the picture at a time, never before the last one: the same array while it shows.

        Args:
            time: seconds since the clip began.
        """
        frame = self._video.at(time)
        if self._shown is None or self._shown[0] is not frame:
            self._shown = frame, to_eight_bits(frame.image)
        return self._shown[1]


def guided_by_video(settings: DreamSettings) -> bool:
    """Whether the guide is a video, which comes frame by frame."""
    return settings.guide is not None and not is_picture(settings.guide)


def without_guide(settings: DreamSettings) -> DreamSettings:
    """Return settings for a dream that is guided frame by frame."""
    grows = "energy" if settings.objective == "none" else settings.objective
    return replace(settings, guide=None, objective=grows)
