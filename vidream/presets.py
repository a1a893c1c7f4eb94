"""Presets: combinations of network, layers and steps, named after what one sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vidream.errors import SettingsError, unknown
from vidream.settings import Settings

DEFAULT = "creatures"
"""The preset of who asks for none."""

THINGS = "things"
"""The preset of who asks for none, and names a class."""

OCTAVE_FILM = "octave-film"
"""The preset of who asks for none, and for a film of a still."""


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
    "beasts": Preset("shaggy coats, scales and mosaics", {"layers": ("Mixed_6c",)}),
    "eyes": Preset("staring eyes ringed with beads", {"layers": ("Mixed_6a",)}),
    "swirls": Preset(
        "spirals, dots and tentacles",
        {"layers": ("Mixed_5d:0.7", "Mixed_5c:0.3"), "octaves": 5, "smoothing": 0.5},
    ),
    "veins": Preset(
        "glowing veins and cells, as in stained glass",
        {"layers": ("Mixed_5b",), "octaves": 5, "step_size": 0.006, "smoothing": 0.5},
    ),
    "weave": Preset(
        "a woven basket of strokes",
        {"layers": ("Conv2d_4a_3x3",), "step_size": 0.005, "smoothing": 0.5},
    ),
    "article": Preset(
        "the VGG19 dream of the article: great eyes in furry rings (needs its weights, 80 MB)",
        {"network": "vgg19", "layers": ("block5_conv1",)},
    ),
    # Without noise and blur a class grows as a texture that only the network recognises.
    THINGS: Preset(
        "a thing by its name, a tabby unless --class names another (needs its weights, 23 MB)",
        {
            "network": "efficientnet_lite2",
            "classes": ("tabby",),
            "steps": 20,
            "jitter": 16,
            "jitter_rotation": 10.0,
            "jitter_scale": 0.2,
            "jitter_noise": 0.25,
            "smoothing": 2.5,
        },
    ),
    # The terms of the article, with weights for losses that are relative to the style's.
    "painted": Preset(
        "the frame painted anew with what the --style pictures show (needs vgg19, 80 MB)",
        {
            "network": "vgg19",
            "objective": "none",
            "style_size": 256,
            "content_weight": 0.005,
            "total_variation": 3.0,
            "octaves": 3,
            "octave_scale": 1.6,
            "steps": 100,
            "step_size": 0.03,
            "anneal": 0.05,
            "smoothing": 0.5,
        },
    ),
    # The numbers of the article's film. Its steps are of 0.01 where black to white is 2.
    OCTAVE_FILM: Preset(
        "a still's dream growing over five octaves, as in the article (usual for films of stills)",
        {
            "animate": True,
            "octaves": 5,
            "octave_scale": 1.3,
            "steps": 200,
            "step_size": 0.005,
            "anneal": 1.0,
            "normalize": "std",
        },
    ),
    # What ascent in raw pixels climbs to: opponent colours and high frequencies.
    "psychedelic": Preset(
        "rainbow rings, beads and eyes in every color",
        {
            "color": 0.0,
            "detail": 1.0,
            "smoothing": 1.5,
            "steps": 10,
            "step_size": 0.01,
            "anneal": 1.0,
        },
    ),
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
