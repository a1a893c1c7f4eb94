"""The command that makes a dream again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from vidream.cli.dream import dream
from vidream.cli.octaves import octaves
from vidream.cli.zoom import zoom
from vidream.core.errors import VidreamError
from vidream.core.presets import DEFAULT, PRESETS, preset_settings
from vidream.core.settings import Settings, plain_number, schema
from vidream.media.places import parse_source, parse_target

_COMMANDS = {None: dream, "zoom": zoom, "octaves": octaves}  # by what a still is animated as
_NAMES = ("dream", "zoom", "octaves", "measure", "info", "list")  # a source is told from them

_OF_A_RUN = frozenset(("overwrite", "resume", "keep_work"))


def command_line(source: str, target: str, settings: Settings) -> str:
    """Return the command that dreams a source by some settings, quoted for a shell.

    Args:
        source: its name.
        target: what it becomes.
        settings: of the dream.
    """
    preset, differing = _nearest_preset(settings)
    animate = settings.animation.animate
    if not settings.time.names.isdisjoint(("zoom", "rotate")):
        animate = "zoom"
    # What a command has no option for has no effect there.
    known = {param.name for param in _COMMANDS[animate].params}
    differing = {name: value for name, value in differing.items() if name in known}
    command = ["vidream", *([animate] if animate else []), _as_argument(source), "-o", target]
    if preset != usual_preset(source, target, differing, animate):
        command += ["--preset", preset]
    return shlex.join([*command, *_flags(differing)])


def _nearest_preset(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Return the preset to which the fewest settings have to be added, and those."""
    found = {}
    values = settings.values()
    for preset in sorted(PRESETS, key=lambda name: name != DEFAULT):
        usual = preset_settings(preset).values()
        differing = {n: v for n, v in values.items() if v != usual[n] and n not in _OF_A_RUN}
        # An option can say something, and not that there be nothing.
        if not any(v is None or v == () for n, v in differing.items() if n != "animate"):
            found[preset] = differing
    preset = min(found, key=lambda name: len(found[name]))
    return preset, found[preset]


def usual_preset(
    source: str, target: str, given: Mapping[str, Any], animate: str | None = None
) -> str | None:
    """Return the preset of a command that names none; None if that cannot be told.

    Args:
        source: as it is written.
        target: likewise.
        given: settings that the command gives, by name.
        animate: what a still is animated as.
    """
    from vidream.render.job import default_preset  # noqa: PLC0415

    values = {**given, "animate": animate} if animate else given
    try:
        read = parse_source(source)
        moving = animate is not None or not read.is_picture
        written = parse_target(target, Settings().write, moving=moving)
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


def _as_argument(source: str) -> str:
    """Return a source so that it is not taken for an option or a command."""
    safe = source == "-" or not (source.startswith("-") or source in _NAMES)
    return source if safe else f"./{source}"
