"""Turn a video into a DeepDream that stays coherent over time.

``vidream clip.mp4 -o dream.mp4`` on the command line; :func:`dream_video`, :func:`open_session`,
:func:`dream_frames` and :class:`Dreamer` from Python.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidream.core.effect import Context, Effect, InitImage, Resources, State
    from vidream.core.errors import VidreamError
    from vidream.core.frames import Frame
    from vidream.core.presets import preset_settings
    from vidream.core.reporting import CancelledError, CancelToken, FrameReport, Reporter
    from vidream.core.settings import (
        AnimationSettings,
        ClassTerm,
        DreamSettings,
        ExampleSettings,
        LayerTerm,
        PostprocessSettings,
        ReadSettings,
        Settings,
        StyleSettings,
        StyleTerm,
        WriteSettings,
    )
    from vidream.dream.dreamer import Dreamer, OctaveReport
    from vidream.render.job import Job
    from vidream.render.live import LiveFrame, LiveSession
    from vidream.render.loop import Session
    from vidream.render.run import dream_video, run
    from vidream.render.setup import dream_frames, open_session

_HOMES = {
    "core.effect": ("Context", "Effect", "InitImage", "Resources", "State"),
    "core.errors": ("VidreamError",),
    "core.frames": ("Frame",),
    "core.presets": ("preset_settings",),
    "core.reporting": ("CancelToken", "CancelledError", "FrameReport", "Reporter"),
    "core.settings": (
        *("AnimationSettings", "ClassTerm", "DreamSettings", "ExampleSettings", "LayerTerm"),
        *("PostprocessSettings", "ReadSettings", "Settings", "StyleSettings", "StyleTerm"),
        "WriteSettings",
    ),
    "dream.dreamer": ("Dreamer", "OctaveReport"),
    "render.job": ("Job",),
    "render.live": ("LiveFrame", "LiveSession"),
    "render.loop": ("Session",),
    "render.run": ("dream_video", "run"),
    "render.setup": ("dream_frames", "open_session"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Import a name on first use: PyTorch takes a second."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"vidream.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
