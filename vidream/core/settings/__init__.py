"""Every setting: its type, range, default and help, declared once; see :func:`schema`."""

from vidream.core.settings.animation import (
    MOST_ZOOM,
    OCTAVE_RATE,
    ZOOM_RATE,
    ZOOM_SECONDS,
    AnimationSettings,
)
from vidream.core.settings.curves import Curve, Key
from vidream.core.settings.dream import DreamSettings
from vidream.core.settings.examples import ExampleSettings
from vidream.core.settings.files import ReadSettings, WriteSettings
from vidream.core.settings.options import Option, Setting, option, settings_of
from vidream.core.settings.postprocess import PostprocessSettings
from vidream.core.settings.settings import Settings, find_setting, schema
from vidream.core.settings.style import StyleSettings
from vidream.core.settings.terms import (
    ClassTerm,
    LayerTerm,
    StyleTerm,
    exact_rate,
    format_time,
    parse_bytes,
    parse_devices,
    parse_time,
    plain_number,
)
from vidream.core.settings.time import (
    BANDS,
    LIVE_RATE,
    LIVE_RATES,
    OVER_TIME,
    AudioBinding,
    KeyTerm,
    TimeSettings,
    checked,
)

__all__ = [
    "BANDS",
    "LIVE_RATE",
    "LIVE_RATES",
    "MOST_ZOOM",
    "OCTAVE_RATE",
    "OVER_TIME",
    "ZOOM_RATE",
    "ZOOM_SECONDS",
    "AnimationSettings",
    "AudioBinding",
    "ClassTerm",
    "Curve",
    "DreamSettings",
    "ExampleSettings",
    "Key",
    "KeyTerm",
    "LayerTerm",
    "Option",
    "PostprocessSettings",
    "ReadSettings",
    "Setting",
    "Settings",
    "StyleSettings",
    "StyleTerm",
    "TimeSettings",
    "WriteSettings",
    "checked",
    "exact_rate",
    "find_setting",
    "format_time",
    "option",
    "parse_bytes",
    "parse_devices",
    "parse_time",
    "plain_number",
    "schema",
    "settings_of",
]
