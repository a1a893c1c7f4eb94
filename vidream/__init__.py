"""Turn a video into a DeepDream that holds still on what it grows on.

``vidream clip.mp4 -o dream.mp4`` on the command line; :func:`dream_video`, :func:`dream_frames`
and :class:`Dreamer` from Python.
"""

from vidream.dreamer import Dreamer, OctaveReport
from vidream.errors import VidreamError
from vidream.films import film_frames
from vidream.finish import Finish
from vidream.frames import Frame
from vidream.pipeline import FrameReport, dream_frames, dream_video
from vidream.presets import preset_settings
from vidream.settings import (
    DreamSettings,
    FilmSettings,
    FinishSettings,
    LayerTerm,
    ReadSettings,
    Settings,
    StyleSettings,
    StyleTerm,
    WriteSettings,
)

__all__ = [
    "DreamSettings",
    "Dreamer",
    "FilmSettings",
    "Finish",
    "FinishSettings",
    "Frame",
    "FrameReport",
    "LayerTerm",
    "OctaveReport",
    "ReadSettings",
    "Settings",
    "StyleSettings",
    "StyleTerm",
    "VidreamError",
    "WriteSettings",
    "dream_frames",
    "dream_video",
    "film_frames",
    "preset_settings",
]
