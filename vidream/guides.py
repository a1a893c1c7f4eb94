"""Guides that move: a video whose features grow in the dream, frame by frame."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from vidream.companion import Companion
from vidream.errors import SettingsError
from vidream.frames import Picture, to_eight_bits
from vidream.settings import DreamSettings
from vidream.stills import is_still

Led = TypeVar("Led")


@runtime_checkable
class Guidable(Protocol):
    """What a processor may have besides: another guide from one frame to the next."""

    def guided(self, picture: Picture) -> Self:
        """Give the same processor, guided by a uint8 ``[H, W, 3]`` RGB picture."""
        ...


class GuideVideo:
    """A video that guides the dream of a clip, in step with it. A context manager.

    Args:
        place: path of the video.

    Raises:
        InputError: it cannot be read; the message begins with "guide".
    """

    def __init__(self, place: str) -> None:
        self._companion = Companion(place, "guide", _no_still)
        self._made: tuple[int, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *stopped: object) -> None:
        self._companion.__exit__(*stopped)

    def leads(self, processor: Led, time: Fraction) -> Led:
        """Give a processor, or a dreamer, as it is guided at a time, never before the last one.

        Args:
            processor: always the same.
            time: seconds since the clip began.

        Raises:
            SettingsError: the processor takes no guide, or the video is too small for one.
        """
        shown = self._companion.at(time)
        if self._made is None or self._made[0] != shown.index:
            if not isinstance(processor, Guidable):
                raise SettingsError("guide is for the effect dream: leave it out")
            self._made = shown.index, processor.guided(to_eight_bits(shown.image))
        led: Led = self._made[1]
        return led


def open_guide(
    settings: DreamSettings, stack: ExitStack
) -> tuple[GuideVideo | None, DreamSettings]:
    """Open the guide if it is a video, and leave it out of the settings: it is followed instead."""
    if settings.guide is None or not is_moving(settings.guide):
        return None, settings
    guide = stack.enter_context(GuideVideo(settings.guide))
    grows = "energy" if settings.objective == "none" else settings.objective
    return guide, replace(settings, guide=None, objective=grows)


def is_moving(guide: str | None) -> bool:
    """Whether a guide is a video."""
    return guide is not None and not is_still(guide)


def _no_still(place: str) -> Picture:
    raise AssertionError(place)  # is_moving has told it from a still
