"""The command that makes a dream again."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from vidream.cli.dream import dream, octaves, zoom
from vidream.core.errors import VidreamError
from vidream.core.presets import DEFAULT, PRESETS, preset_settings
from vidream.core.settings import Settings, plain_number, schema
from vidream.media.places import parse_places
from vidream.render.job import default_preset
from vidream.render.record import RUN_SETTINGS

_COMMANDS = {None: dream, "zoom": zoom, "octaves": octaves}  # by `animate`
_NAMES = (
    *("dream", "zoom", "octaves", "preview", "atlas", "plan", "preset", "studio", "live"),
    *("measure", "info", "list"),
)


def command_line(source: str, target: str, settings: Settings) -> str:
    """Return the command that dreams a source with some settings, quoted for a shell."""
    preset, differing = _nearest_preset(settings)
    animate = settings.animation.animate
    if not settings.time.names.isdisjoint(("zoom", "rotate")):
        animate = "zoom"
    # What a command has no option for has no effect there.
    known = {param.name for param in _COMMANDS[animate].params}
    differing = {name: value for name, value in differing.items() if name in known}
    is_ambiguous = source in _NAMES or (source.startswith("-") and source != "-")
    named = f"./{source}" if is_ambiguous else source
    command = ["vidream", *([animate] if animate else []), named, "-o", target]
    if preset != usual_preset(source, target, differing, animate):
        command += ["--preset", preset]
    return shlex.join([*command, *_flags(differing)])


def _nearest_preset(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Return the preset that differs in the fewest settings, and those."""
    found = {}
    values = settings.values()
    for preset in sorted(PRESETS, key=lambda name: name != DEFAULT):
        usual = preset_settings(preset).values()
        differing = {n: v for n, v in values.items() if v != usual[n] and n not in RUN_SETTINGS}
        # No option unsets what a preset sets.
        if not any(v is None or v == () for n, v in differing.items() if n != "animate"):
            found[preset] = differing
    return min(found.items(), key=lambda item: len(item[1]))


def usual_preset(
    source: str, target: str, given: Mapping[str, Any], animate: str | None = None
) -> str | None:
    """Return the preset of a command that names none; None if source or target are invalid."""
    values = {**given, "animate": animate} if animate else given
    try:
        read, written = parse_places(source, target, animated=animate is not None)
    except VidreamError:
        return None
    return default_preset(read, written, values)


def _flags(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        flag = schema()[name].flag
        if isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
            continue
        for term in value if isinstance(value, tuple) else (value,):
            yield from (f"--{flag}", plain_number(term) if isinstance(term, float) else str(term))
