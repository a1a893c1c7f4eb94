"""Presets: named combinations of network, layers and steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidream.core.errors import SettingsError, unknown
from vidream.core.own_presets import own_presets, read_preset, save_preset
from vidream.core.settings import Settings
from vidream.core.settings_file import write_settings

DEFAULT = "creatures"
"""The preset where none is given."""

CLASS = "class"
"""The preset where none is given, but a class."""

OCTAVE_PRESET = "octaves"
"""The preset where none is given, of an animation of octaves."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A named combination."""

    shows: str  # what one sees
    values: Mapping[str, Any] = field(default_factory=dict)  # that differ from the defaults


def _preset(shows: str, **values: Any) -> Preset:
    return Preset(shows, values)


def _channels(layer: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{layer}#{number}" for number in numbers)


# A few channels pull less evenly than a whole layer does.
_CHANNELS: Mapping[str, Any] = {"steps": 8, "step_size": 0.011}

# The default preset differs from the defaults in nothing: each default is stated once.
PRESETS: Mapping[str, Preset] = {
    DEFAULT: _preset("animal faces, eyes and fur growing out of everything"),
    "beasts": _preset("shaggy beasts and coils of beads", layers=("Mixed_6c",)),
    "dogs": _preset(
        "dogs' faces and their pelts",
        layers=("Mixed_6d#178:0.5", "Mixed_6d#408", "Mixed_6d#448:2"),
        **_CHANNELS,
    ),
    "eyes": _preset(
        "human eyes, lids and brows",
        layers=(*_channels("Mixed_6c", 249, 256), "Mixed_6b#70"),
        objective="mean",
        **_CHANNELS,
    ),
    "feathers": _preset("plumage, feather over feather", layers=("Mixed_6d#617",), **_CHANNELS),
    "scales": _preset(
        "the hide of lizards and snakes: a texture",
        layers=("Mixed_6d#140", "Mixed_6c#160"),
        **_CHANNELS,
    ),
    "shells": _preset(
        "coils and whorls, as of snails and ammonites",
        layers=("Mixed_6c#716", "Mixed_6d#648"),
        **_CHANNELS,
    ),
    "palaces": _preset(
        "rows of houses, domes, arches and windows",
        layers=(*_channels("Mixed_6d", 69, 762), "Mixed_6c#707"),
        **_CHANNELS,
    ),
    "leaves": _preset(
        "broad leaves with their veins", layers=_channels("Mixed_6d", 62, 635, 647), **_CHANNELS
    ),
    "jungle": _preset(
        "palms and fronds",
        layers=("Mixed_6c#719", "Mixed_6d#91", "Mixed_6d#647:0.3"),
        objective="mean",
        **_CHANNELS,
    ),
    "flowers": _preset(
        "blossoms like orchids and hydrangeas",
        layers=_channels("Mixed_6d", 94, 641),
        objective="mean",
        **_CHANNELS,
    ),
    "rosettes": _preset(
        "small round blossoms, rolled up like snails: a texture",
        layers=("Mixed_6b#88", "Mixed_6c#628"),
        **_CHANNELS,
    ),
    "baubles": _preset("crowds of glittering beads", layers=("Mixed_6d#68",), **_CHANNELS),
    "waves": _preset(
        "folds and zigzags: a texture", layers=_channels("Mixed_6d", 726, 738), **_CHANNELS
    ),
    "swirls": _preset(
        "spirals, rings and dots: a texture", layers=("Mixed_5d:0.7", "Mixed_5c:0.3"), octaves=5
    ),
    "veins": _preset(
        "glowing veins and cells, as of stained glass: a texture", layers=("Mixed_5b",), octaves=5
    ),
    "weave": _preset(
        "dark strokes, as of a basket: a texture", layers=("Conv2d_4a_3x3",), step_size=0.006
    ),
    "vgg19": _preset(
        "great eyes in furry rings, as VGG19 sees them (needs its weights, 80 MB)",
        network="vgg19",
        layers=("block5_conv1",),
    ),
    # Many octaves lay out a scene, views of many kinds keep it from being a texture that only the
    # network recognises.
    CLASS: _preset(
        "a class by its name, tabby by default (needs its weights, 23 MB)",
        network="efficientnet_lite2",
        classes=("tabby",),
        octaves=6,
        octave_scale=1.3,
        steps=20,
        step_size=0.01,
        jitter=16,
        jitter_rotation=10.0,
        jitter_scale=0.2,
        jitter_noise=0.1,
        detail=0.3,
        smoothing=1.0,
    ),
    # The terms of the article, with weights for losses that are relative to the style's.
    "painted": _preset(
        "the frame painted anew in the style of images (needs vgg19, 80 MB)",
        network="vgg19",
        objective="none",
        style_size=256,
        content_weight=0.005,
        total_variation=3.0,
        # All colours and sizes that the style has, and no others.
        color=0.0,
        detail=1.0,
        octaves=3,
        octave_scale=1.6,
        steps=100,
        step_size=0.03,
        anneal=0.05,
        smoothing=0.5,
    ),
    # The numbers of the article's animation. Its steps are of 0.01 where black to white is 2.
    OCTAVE_PRESET: _preset(
        "a still's dream growing over five octaves, as in the article",
        animate="octaves",
        octaves=5,
        octave_scale=1.3,
        steps=200,
        step_size=0.005,
        anneal=1.0,
        normalize="std",
    ),
    # What ascent in raw pixels climbs to: opponent colours and high frequencies.
    "psychedelic": _preset(
        "rainbow rings, beads and eyes in every color",
        color=0.0,
        detail=1.0,
        smoothing=1.5,
        steps=10,
        step_size=0.01,
        anneal=1.0,
    ),
}


def usual_preset(values: Mapping[str, Any], *, octaves: bool = False) -> str:
    """Return the name of the preset where none is given, for some given settings."""
    return OCTAVE_PRESET if octaves else CLASS if values.get("classes") else DEFAULT


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, one's own last."""
    return (*PRESETS, *(name for name in own_presets() if name not in PRESETS))


def preset_settings(name: str = DEFAULT, **values: Any) -> Settings:
    """Return the settings of a preset, or of one's own, updated with ``values``.

    Another network than the preset's takes its own layers unless ``layers`` are given.

    Raises:
        SettingsError: there is no such preset, or a value is out of range.
    """
    return _changed(_preset_settings(name, frozenset()), values)


def preset_text(settings: Settings, base: str = DEFAULT, path: Callable[[str], Any] = str) -> str:
    """Return the file of settings, as what differs from a preset; ``path`` is applied to files."""
    return write_settings(settings, base, preset_settings(base), path)


def keep_preset(name: str, text: str, *, overwrite: bool = False) -> Path:
    """Keep a file of settings as a preset of one's own, and return its path.

    Raises:
        SettingsError: there is one of that name, or it cannot be written.
    """
    if name in PRESETS:
        raise SettingsError(f"{name} is a preset of vidream: choose another name")
    return save_preset(name, text, overwrite=overwrite)


def _changed(base: Settings, values: dict[str, Any]) -> Settings:
    if values.get("network", base.dream.network) != base.dream.network:
        values = {"layers": (), **values}
    return base.updated(**values)


def _preset_settings(name: str, within: frozenset[str]) -> Settings:
    """Return the settings of a preset; ``within`` are those that are made of it."""
    if name in PRESETS:
        return Settings().updated(**PRESETS[name].values)
    own = None if name in within else read_preset(name)
    if own is None:
        names = preset_names()
        raise SettingsError(unknown("preset", name, names, f"The presets are {', '.join(names)}."))
    return _changed(_preset_settings(own.pop("preset", DEFAULT), within | {name}), own)
