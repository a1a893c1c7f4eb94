"""Every setting, its default, its range and its help, stated once; the CLI is derived from here."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from vidream.errors import SettingsError
from vidream.settings.curves import Curve, Key
from vidream.settings.dream import DreamSettings
from vidream.settings.examples import ExampleSettings
from vidream.settings.files import ReadSettings, WriteSettings
from vidream.settings.film import MOST_ZOOM, OCTAVE_RATE, ZOOM_RATE, ZOOM_SECONDS, FilmSettings
from vidream.settings.finish import FinishSettings
from vidream.settings.options import Option, Validated, default_of, option, option_of
from vidream.settings.style import StyleSettings
from vidream.settings.terms import ClassTerm, LayerTerm, StyleTerm, parse_bytes, parse_time
from vidream.settings.time import (
    BANDS,
    CHANGEABLE,
    KeyTerm,
    Reaction,
    TimeSettings,
    checked,
)

__all__ = [
    "BANDS",
    "CHANGEABLE",
    "MOST_ZOOM",
    "OCTAVE_RATE",
    "ZOOM_RATE",
    "ZOOM_SECONDS",
    "ClassTerm",
    "Curve",
    "DreamSettings",
    "ExampleSettings",
    "FilmSettings",
    "FinishSettings",
    "Key",
    "KeyTerm",
    "LayerTerm",
    "Option",
    "Reaction",
    "ReadSettings",
    "Settings",
    "StyleSettings",
    "StyleTerm",
    "TimeSettings",
    "WriteSettings",
    "checked",
    "default_of",
    "option_of",
    "parse_bytes",
    "parse_time",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Validated):
    """Everything that :func:`vidream.dream_video` can be told."""

    dream: DreamSettings = field(default_factory=DreamSettings)
    style: StyleSettings = field(default_factory=StyleSettings)
    examples: ExampleSettings = field(default_factory=ExampleSettings)
    read: ReadSettings = field(default_factory=ReadSettings)
    write: WriteSettings = field(default_factory=WriteSettings)
    finish: FinishSettings = field(default_factory=FinishSettings)
    film: FilmSettings = field(default_factory=FilmSettings)
    time: TimeSettings = field(default_factory=TimeSettings)
    effect: str = option(
        "dream",
        "What is done to each frame: dream, adain (paints it in the style of pictures: see Style), "
        "pixelnn (composes it of pixels of pictures: see Examples), none, or a plugin's name.",
        metavar="NAME",
    )

    def __post_init__(self) -> None:
        """Check what one part wants of another."""
        Validated.__post_init__(self)
        if self.style.styles and self.effect not in ("dream", "adain"):
            raise SettingsError(f"the effect {self.effect} takes no style: leave it out")
        if self.examples.examples and self.effect != "pixelnn":
            raise SettingsError("examples are for the effect pixelnn: add --effect pixelnn")
        zooms = self.film.zooms or not self.time.names.isdisjoint(("zoom", "rotate"))
        if self.film.loop and not zooms:
            raise SettingsError("loop is for an endless zoom: give zoom or rotate as well")

    def updated(self, **values: Any) -> Self:
        """Give a copy with the named settings changed, whichever part they belong to.

        Raises:
            SettingsError: a name is no setting, or a value is out of range.
        """
        parts: dict[str, Any] = {
            "dream": self.dream,
            "style": self.style,
            "examples": self.examples,
            "read": self.read,
            "write": self.write,
            "finish": self.finish,
            "film": self.film,
            "time": self.time,
        }
        for part, settings in parts.items():
            own = {s.name for s in fields(settings)}
            changes = {name: values.pop(name) for name in list(values) if name in own}
            parts[part] = replace(settings, **changes)
        if unknown := set(values) - {"effect"}:
            raise SettingsError(f"no such setting: {', '.join(sorted(unknown))}")
        return replace(self, **parts, **values)
