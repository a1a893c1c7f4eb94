"""A job: what is rendered into what, with which settings, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vidream.core.errors import SettingsError
from vidream.core.presets import usual_preset
from vidream.core.reporting import CancelToken, Reporter
from vidream.core.settings import Settings, TimeSettings, schema
from vidream.media.places import (
    Source,
    StillTarget,
    Target,
    check_source,
    check_target,
)


@dataclass(frozen=True, slots=True)
class Job:
    """One render.

    Args:
        source: what is dreamed.
        target: what it becomes.
        settings: everything else.
        reporter: receives what happens.
        cancel: asks the render to stop.
    """

    source: Source
    target: Target
    settings: Settings
    reporter: Reporter = field(default_factory=Reporter, compare=False)
    cancel: CancelToken = field(default_factory=CancelToken, compare=False)

    @property
    def is_animation(self) -> bool:
        """Whether a still is animated."""
        return self.source.is_picture and not self.is_still

    @property
    def is_still(self) -> bool:
        """Whether a single picture is written."""
        return isinstance(self.target, StillTarget)

    def check(self) -> None:
        """Refuse what names, files' headers and settings show to be impossible. Takes no time.

        Raises:
            VidreamError: it is.
        """
        self._check_resume()
        self._check_animation()
        if self.is_still:
            self._check_still()
        check_source(self.source)
        check_target(self.target, self.source, self.settings.write)

    def _check_resume(self) -> None:
        if not self.settings.write.resume:
            return
        if self.source.is_live or self.target.is_pipe:
            raise SettingsError("a pipe or a camera cannot be resumed: leave out `resume`")
        if self.is_animation:
            raise SettingsError("an animation is made in one go: leave out `resume`")

    def _check_animation(self) -> None:
        animation = self.settings.animation
        names = [setting.name for setting in fields(animation)]
        changing = self.settings.time.names
        asked = [
            name
            for name in names
            if name in changing or getattr(animation, name) != schema()[name].default
        ]
        if self.source.is_picture or not asked:
            return
        given = ", ".join(f"`{name}`" for name in asked)
        raise SettingsError(
            f"{given} (or the preset) animates a still, and {self.source.name} is no picture: use "
            "a JPEG, PNG, WebP or noise:640x360, or leave it out"
        )

    def _check_still(self) -> None:
        if self.settings.time.names:
            raise SettingsError(
                "a picture has no time for settings to change in: leave out `key` and "
                "`audio_reactive`, or animate it"
            )
        if self.settings.read.audio is not None:
            raise SettingsError("a picture has no sound: leave out `audio`, or animate it")


def default_preset(source: Source, target: Target, values: Mapping[str, Any]) -> str:
    """Return the preset of a job that names none: animations and classes have their own.

    Args:
        source: what is dreamed.
        target: what it becomes.
        values: settings that are given, by name.

    Raises:
        SettingsError: a value is out of range, or values do not go together.
    """
    given = {name: values[name] for name in ("keys", "audio_reactive") if name in values}
    changing = TimeSettings(**given).names
    is_zoom = values.get("animate") == "zoom" or any(
        values.get(name) is not None or name in changing for name in ("zoom", "rotate")
    )
    is_animation = source.is_picture and not isinstance(target, StillTarget)
    return usual_preset(values, octaves=is_animation and not is_zoom)
