"""A job: what is rendered into what, with which settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidream.core.errors import OutputError, SettingsError
from vidream.core.presets import usual_preset
from vidream.core.reporting import CancelToken, Reporter
from vidream.core.settings import Settings, TimeSettings, schema
from vidream.media.checks import check_source, check_target
from vidream.media.places import (
    Place,
    Source,
    StillTarget,
    Target,
    VideoFile,
    parse_places,
    parse_source,
)


@dataclass(frozen=True, slots=True)
class Job:
    """One render."""

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
        """Check names, file headers and settings, before any work.

        Raises:
            VidreamError: the job is impossible.
        """
        self._check_resume()
        self._check_animation()
        if self.is_still:
            self._check_still()
        check_source(self.source)
        check_target(self.target, self.source, self.settings.write)

    def check_divided(self) -> None:
        """Check also that it has scenes, which can be rendered one by one; see :meth:`check`."""
        if self.source.is_live or self.target.is_pipe:
            raise SettingsError("a pipe or a camera cannot be divided into scenes: give files")
        if self.source.is_picture:
            raise SettingsError("a picture has no scenes: render it by itself")
        self.check()

    def _check_resume(self) -> None:
        if not self.settings.write.resume:
            return
        if self.source.is_live or self.target.is_pipe:
            raise SettingsError("a pipe or a camera cannot be resumed: leave out `resume`")
        if self.is_animation:
            raise SettingsError("an animation is made in one go: leave out `resume`")

    def _check_animation(self) -> None:
        if self.source.is_picture:
            return
        given = ", ".join(
            f"`{name}`"
            for name, setting in schema().items()
            if setting.part == "animation"
            if name in self.settings.time.names or self.settings.value(name) != setting.default
        )
        if given:
            raise SettingsError(
                f"{given} (or the preset) animates a still, and {self.source.name} is no picture: "
                "use a JPEG, PNG, WebP or noise:640x360, or leave it out"
            )

    def _check_still(self) -> None:
        if self.settings.time.names:
            raise SettingsError(
                "a picture has no time for settings to change in: leave out `key` and "
                "`audio_reactive`, or animate it"
            )
        if self.settings.read.audio is not None:
            raise SettingsError("a picture has no sound: leave out `audio`, or animate it")


def find_places(
    source: Place, target: Place, settings: Settings, *, animated: bool
) -> tuple[Source, Target]:
    """Return the source and target of a job; stills are ``animated`` where that is asked for.

    Raises:
        InputError: the source cannot be read, which is looked at before the target is blamed.
        OutputError: there is no such target.
    """
    try:
        return parse_places(source, target, settings.write, animated=animated)
    except OutputError:
        read = parse_source(source)
        check_source(read)
        if isinstance(read, VideoFile):
            from vidream.media.reader import open_reader  # noqa: PLC0415  (PyAV takes its time)

            open_reader(read).close()
        raise


def default_preset(source: Source, target: Target, values: Mapping[str, Any]) -> str:
    """Return the preset of a job that names none; ``values`` are the settings given, by name.

    Raises:
        SettingsError: a value is invalid.
    """
    given = {name: values[name] for name in ("keys", "audio_reactive") if name in values}
    changing = TimeSettings(**given).names
    is_zoom = values.get("animate") == "zoom" or any(
        values.get(name) is not None or name in changing for name in ("zoom", "rotate")
    )
    is_animation = source.is_picture and not isinstance(target, StillTarget)
    return usual_preset(values, octaves=is_animation and not is_zoom)


def describe_stop(done: int, expected: int | None, notes: Sequence[str]) -> str:
    """Return in one line how far a run came that was stopped, and what is kept of it."""
    if not done and not notes:
        return "stopped before the first frame; nothing was written"
    of = f" of {expected}" if expected else ""
    after = f" after {done}{of} frames" if done else ""
    return "; ".join((f"stopped{after}", *notes))
