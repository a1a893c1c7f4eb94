"""What a file says of how it was made, and the command that makes it again.

Nothing that differs between runs of the same command is in it, and no folder's name.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from vidream.errors import SettingsError
from vidream.media import Place, is_pipe
from vidream.presets import DEFAULT, PRESETS, preset_settings
from vidream.settings import Settings, StyleTerm, option_of

_MARK = "vidream "  # begins the line of a comment that holds a record
# The keys of a file are among the others.
_LEFT_OUT = frozenset(("overwrite", "resume", "keep_work", "keys"))
_COMMANDS = frozenset(("info", "measure"))


def own_version() -> str:
    """Give the version of vidream."""
    try:
        return version("vidream")
    except PackageNotFoundError:  # run from a folder of sources
        return "unknown"


@dataclass(frozen=True, slots=True)
class Record:
    """How a file was made.

    Args:
        source: name of the source, without its folder; ``-`` for a pipe.
        settings: all of them by name, as JSON has them; of files the names.
        weights: SHA-256 of the weights files, by their names.
        version: of vidream.
    """

    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    version: str = field(default_factory=own_version)

    @classmethod
    def of(cls, source: Place, settings: Settings, weights: Mapping[str, str]) -> Self:
        """Make the record of a file that is about to be made.

        Args:
            source: what is dreamed.
            settings: as they are given.
            weights: SHA-256 of the files that are used, by their names.
        """
        values = {
            setting.name: _plain(setting, getattr(part, setting.name))
            for part, setting in _options(settings)
            if setting.name not in _LEFT_OUT
        }
        values["key"] = [str(term) for term in settings.time.curves]
        name = "-" if is_pipe(source) else _base(os.fspath(source))  # type: ignore[arg-type]
        return cls(name, values, dict(weights))

    @property
    def text(self) -> str:
        """The same in one line of ASCII; :meth:`find` reads it."""
        return _MARK + json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))

    def as_dict(self) -> dict[str, Any]:
        """Give the same for JSON."""
        return {
            "version": self.version,
            "source": self.source,
            "settings": dict(self.settings),
            "weights": dict(self.weights),
        }

    def within(self, comment: str | None) -> str:
        """Give a comment with this record, in place of an older one in it."""
        kept = [line for line in (comment or "").splitlines() if _read(line) is None]
        return "\n".join([*kept, self.text])

    @classmethod
    def find(cls, comment: str | None) -> Record | None:
        """Find the record in a comment; None if there is none."""
        found = [record for line in (comment or "").splitlines() if (record := _read(line))]
        return found[-1] if found else None

    def given(self) -> Settings:
        """Give the settings.

        Raises:
            SettingsError: this version of vidream does not know them all, or not so.
        """
        try:
            return Settings().updated(**self.settings)
        except (TypeError, AttributeError, SettingsError) as error:
            raise SettingsError(
                f"vidream {self.version} made it, and {own_version()} cannot make it again: {error}"
            ) from error

    def command(self, target: str) -> str:
        """Give the command that makes it again, quoted for a shell.

        Raises:
            SettingsError: this version of vidream does not know all of the settings, or not so.
        """
        from vidream.films import usual_preset  # noqa: PLC0415  (it brings PyTorch)

        settings = self.given()
        preset, differing = _nearest_preset(settings)
        arguments = [_as_argument(self.source), "-o", target]
        if usual_preset(self.source, target, **differing) != preset:
            arguments += ["--preset", preset]
        return shlex.join(["vidream", *arguments, *_flags(settings, differing)])


def _read(line: str) -> Record | None:
    """Read a line of a comment; None if it holds no record."""
    if not line.startswith(_MARK):
        return None
    try:
        content = json.loads(line.removeprefix(_MARK))
        settings, weights = content["settings"], content["weights"]
        if not isinstance(settings, dict) or not isinstance(weights, dict):
            return None
        return Record(str(content["source"]), settings, weights, str(content["version"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _options(settings: Settings) -> Iterator[tuple[Any, Field[Any]]]:
    """Give each setting that is an option, and the part it belongs to."""
    for name in fields(settings):
        if "option" in name.metadata:
            yield settings, name
            continue
        part = getattr(settings, name.name)
        for setting in fields(part):
            if "option" in setting.metadata:
                yield part, setting


def _base(path: str) -> str:
    return Path(path).name or path


def _plain(setting: Field[Any], value: Any) -> Any:
    """Give a value as JSON has it; of a path its last part."""
    if isinstance(value, tuple):
        return [_plain(setting, term) for term in value]
    if isinstance(value, StyleTerm):
        return str(StyleTerm(_base(value.path), value.weight))
    if isinstance(value, str) and option_of(setting).names_file:
        return _base(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _nearest_preset(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Find the preset to which the fewest settings have to be added, and those."""
    found = {}
    for preset in sorted(PRESETS, key=lambda name: name != DEFAULT):
        usual = dict(_values(preset_settings(preset)))
        differing = {n: v for n, v in _values(settings) if v != usual[n] and n not in _LEFT_OUT}
        # An option can say something, and not that there be nothing.
        if not any(v is None or v is False or v == () for v in differing.values()):
            found[preset] = differing
    preset = min(found, key=lambda name: len(found[name]))
    return preset, found[preset]


def _values(settings: Settings) -> Iterator[tuple[str, Any]]:
    for part, setting in _options(settings):
        yield setting.name, getattr(part, setting.name)


def _flags(settings: Settings, differing: Mapping[str, Any]) -> Iterator[str]:
    for _, setting in _options(settings):
        if setting.name not in differing:
            continue
        value = differing[setting.name]
        flag = "--" + (option_of(setting).flag or setting.name).replace("_", "-")
        if value is True:
            yield flag
            continue
        for term in value if isinstance(value, tuple) else (value,):
            yield from (flag, _written(term))


def _written(value: Any) -> str:
    """Write a value as an option is read; times know no exponents."""
    if not isinstance(value, float):
        return str(value)
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def _as_argument(source: str) -> str:
    """Give a source as it is not taken for an option or a command."""
    safe = source == "-" or not (source.startswith("-") or source in _COMMANDS)
    return source if safe else f"./{source}"
