"""Presets: combinations of network, layers and steps, named after what one sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vidream.errors import SettingsError, unknown
from vidream.settings import Settings

DEFAULT = "creatures"


@dataclass(frozen=True, slots=True)
class Preset:
    """A named combination.

    Args:
        shows: what one sees, for people.
        values: what differs from the defaults of :mod:`vidream.settings`.
    """

    shows: str
    values: Mapping[str, Any] = field(default_factory=dict)


# The default preset differs from the defaults in nothing: each default is stated once.
PRESETS: Mapping[str, Preset] = {
    DEFAULT: Preset("animal faces, eyes and fur growing out of everything"),
}


def preset_settings(name: str = DEFAULT, **values: Any) -> Settings:
    """Give the settings of a preset, with ``values`` laid over them.

    A network that is not the preset's brings its own layers unless ``layers`` are given.

    Raises:
        SettingsError: there is no preset of that name, or a value is out of range.
    """
    if name not in PRESETS:
        raise SettingsError(
            unknown("preset", name, PRESETS, f"The presets are {', '.join(PRESETS)}.")
        )
    base = Settings().updated(**PRESETS[name].values)
    if values.get("network", base.dream.network) != base.dream.network:
        values.setdefault("layers", ())
    return base.updated(**values)
