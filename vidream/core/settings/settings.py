"""All settings, and the flat schema of them."""

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, Self

from vidream.core.errors import SettingsError, unknown
from vidream.core.settings.animation import AnimationSettings
from vidream.core.settings.dream import DreamSettings
from vidream.core.settings.examples import ExampleSettings
from vidream.core.settings.files import ReadSettings, WriteSettings
from vidream.core.settings.options import Setting, Validated, option, settings_of
from vidream.core.settings.postprocess import PostprocessSettings
from vidream.core.settings.style import StyleSettings
from vidream.core.settings.time import TimeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Validated):
    """All settings of a run, by parts; :func:`schema` has them by name."""

    effect: str = option(
        "dream",
        "Effect: dream, adain (paints in a style), pixelnn (composes of images), none.",
        "Dream",
        metavar="NAME",
        common=True,
    )
    dream: DreamSettings = field(default_factory=DreamSettings)
    style: StyleSettings = field(default_factory=StyleSettings)
    examples: ExampleSettings = field(default_factory=ExampleSettings)
    postprocess: PostprocessSettings = field(default_factory=PostprocessSettings)
    animation: AnimationSettings = field(default_factory=AnimationSettings)
    time: TimeSettings = field(default_factory=TimeSettings)
    read: ReadSettings = field(default_factory=ReadSettings)
    write: WriteSettings = field(default_factory=WriteSettings)

    def __post_init__(self) -> None:
        Validated.__post_init__(self)
        if self.style.styles and self.effect not in ("dream", "adain"):
            raise SettingsError(f"the effect {self.effect} takes no style: leave `styles` out")
        if self.examples.examples and self.effect != "pixelnn":
            raise SettingsError("`examples` are for the effect pixelnn: set `effect` to pixelnn")
        zooms = self.animation.zooms or not self.time.names.isdisjoint(("zoom", "rotate"))
        if self.animation.loop and not zooms:
            raise SettingsError("`loop` is for an endless zoom: set `zoom` or `rotate` as well")

    def value(self, name: str) -> Any:
        """Return the value of a setting of any part."""
        part = schema()[name].part
        return getattr(getattr(self, part) if part else self, name)

    def values(self) -> dict[str, Any]:
        """Return all values by name."""
        return {name: self.value(name) for name in schema()}

    def updated(self, **values: Any) -> Self:
        """Return a copy with settings of any part changed.

        Raises:
            SettingsError: a name is no setting, or a value is invalid.
        """
        changes: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            changes.setdefault(find_setting(name).part, {})[name] = value
        own = changes.pop("", {})
        parts = {part: replace(getattr(self, part), **new) for part, new in changes.items()}
        return replace(self, **parts, **own)

    def to_dict(self, path: Callable[[str], Any] = str) -> dict[str, Any]:
        """Return all values by name, as JSON has them; ``path`` is applied to paths of files."""
        return {name: s.plain(self.value(name), path) for name, s in schema().items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings of :meth:`to_dict`'s result; raises as :meth:`updated`."""
        return cls().updated(**values)


@cache
def schema() -> Mapping[str, Setting]:
    """Return all settings by name."""
    found = dict(settings_of(Settings))
    for part in fields(Settings):
        if is_dataclass(part.default_factory):
            found |= settings_of(part.default_factory, part.name)
    return types.MappingProxyType(found)


@cache
def _names() -> Mapping[str, Setting]:
    settings = schema().values()
    return {s.name.replace("_", "-"): s for s in settings} | {s.flag: s for s in settings}


def find_setting(name: str) -> Setting:
    """Return a setting by field or flag (``content-layer``); raises a SettingsError."""
    found = _names().get(name.replace("_", "-"))
    if found is None:
        raise SettingsError(unknown("setting", name.replace("-", "_"), schema(), "").strip())
    return found
