"""Turn a video into a DeepDream that holds still on what it grows on.

``vidream clip.mp4 -o dream.mp4`` on the command line; :func:`dream_video`, :func:`dream_frames`
and :class:`Dreamer` from Python.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidream.dreamer import Dreamer, OctaveReport
    from vidream.errors import VidreamError
    from vidream.films import film_frames
    from vidream.finish import Finish
    from vidream.frames import Frame
    from vidream.loop import dream_frames
    from vidream.pipeline import dream_video
    from vidream.presets import preset_settings
    from vidream.settings import (
        ClassTerm,
        DreamSettings,
        ExampleSettings,
        FilmSettings,
        FinishSettings,
        LayerTerm,
        ReadSettings,
        Settings,
        StyleSettings,
        StyleTerm,
        WriteSettings,
    )
    from vidream.writer import FrameReport

__all__ = [
    "ClassTerm",
    "DreamSettings",
    "Dreamer",
    "ExampleSettings",
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

_HOMES = {
    "ClassTerm": "settings",
    "DreamSettings": "settings",
    "Dreamer": "dreamer",
    "ExampleSettings": "settings",
    "FilmSettings": "settings",
    "Finish": "finish",
    "FinishSettings": "settings",
    "Frame": "frames",
    "FrameReport": "writer",
    "LayerTerm": "settings",
    "OctaveReport": "dreamer",
    "ReadSettings": "settings",
    "Settings": "settings",
    "StyleSettings": "settings",
    "StyleTerm": "settings",
    "VidreamError": "errors",
    "WriteSettings": "settings",
    "dream_frames": "pipeline",
    "dream_video": "pipeline",
    "film_frames": "films",
    "preset_settings": "presets",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: PyTorch takes a second, which ``vidream --help`` need not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"vidream.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
