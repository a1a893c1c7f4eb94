"""Guide videos: their features are grown in the dream, frame by frame."""

from dataclasses import replace
from fractions import Fraction

from vidream.core.closeable import Closeable
from vidream.core.frames import Frame, Picture, to_eight_bits
from vidream.core.settings import DreamSettings
from vidream.media.places import is_picture
from vidream.media.timed_image import TimedImage


class GuideVideo(Closeable):
    """A video that guides the dream, in step with the clip. A context manager.

    Raises:
        InputError: it cannot be read; the message begins with "guide".
    """

    def __init__(self, path: str) -> None:
        self._video = TimedImage(path, "guide")
        self._shown: tuple[Frame, Picture] | None = None

    def close(self) -> None:
        """Close the video."""
        self._video.close()

    def at(self, time: Fraction) -> Picture:
        """Return the picture at a time in seconds since the clip began; times never decrease.

        The array is the same as long as the picture is.
        """
        frame = self._video.at(time)
        if self._shown is None or self._shown[0] is not frame:
            self._shown = frame, to_eight_bits(frame.image)
        return self._shown[1]


def open_guide(settings: DreamSettings) -> tuple[DreamSettings, GuideVideo | None]:
    """Open the guide if it is a video, and return the settings to be guided by it."""
    if settings.guide is None or is_picture(settings.guide):
        return settings, None
    objective = "energy" if settings.objective == "none" else settings.objective
    return replace(settings, guide=None, objective=objective), GuideVideo(settings.guide)
