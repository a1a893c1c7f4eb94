"""The record in a file of how it was made; the same for each run of a command, without folders."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from vidream.core.errors import InputError, SettingsError, VidreamError
from vidream.core.settings import Settings, schema
from vidream.media.checks import check_source
from vidream.media.places import FileTarget, Source, Target, parse_source

RUN_SETTINGS = frozenset(name for name, setting in schema().items() if setting.option.per_run)
"""Settings of a run, which no frame depends on."""

_MARK = "vidream "  # begins the line of a comment that holds a record


def own_version() -> str:
    """Return the version of vidream."""
    try:
        return version("vidream")
    except PackageNotFoundError:  # run from a folder of sources
        return "unknown"


def recorded_values(settings: Settings) -> dict[str, Any]:
    """Return JSON values by name as a record has them: files without folders, no run settings."""
    values = settings.to_dict(path=_base)
    return {name: value for name, value in values.items() if name not in RUN_SETTINGS}


@dataclass(frozen=True, slots=True)
class Record:
    """How a file was made."""

    source: str  # name without folder; - for a pipe
    settings: Mapping[str, Any] = field(default_factory=dict)  # JSON values by name
    weights: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of files
    version: str = field(default_factory=own_version)  # of vidream

    @classmethod
    def of(cls, source: Source, settings: Settings, weights: Mapping[str, str]) -> Self:
        """Return the record of a file to be made."""
        name = "-" if source.is_pipe else _base(source.name)
        return cls(name, recorded_values(settings), dict(weights))

    @property
    def text(self) -> str:
        """The record as a line of ASCII, which :meth:`find` reads."""
        return _MARK + json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def within(self, comment: str | None) -> str:
        """Return a comment with this record instead of an older one."""
        kept = [line for line in (comment or "").splitlines() if _parse(line) is None]
        return "\n".join([*kept, self.text])

    @classmethod
    def find(cls, comment: str | None) -> "Record | None":
        """Return the record in a comment; None if there is none."""
        found = [record for line in (comment or "").splitlines() if (record := _parse(line))]
        return found[-1] if found else None

    def given(self) -> Settings:
        """Return the settings.

        Raises:
            SettingsError: they are not of this version of vidream.
        """
        try:
            return Settings.from_dict(self.settings)
        except SettingsError as error:
            raise SettingsError(
                f"vidream {self.version} made it, and {own_version()} cannot make it again: {error}"
            ) from error


def find_record(dream: str) -> Record:
    """Return the record of a file.

    Raises:
        InputError: it has none, or cannot be read.
    """
    from vidream.media.metadata import read_comment  # noqa: PLC0415  (PyAV takes its time)

    check_source(parse_source(dream))
    record = Record.find(read_comment(dream))
    if record is None:
        raise InputError(
            f"{dream} does not say how it was made: vidream did not make it, or another program "
            "has written it since"
        )
    return record


def is_made(target: Target, source: Source, settings: Settings) -> bool:
    """Whether a target was made of a source, as it is now, with these settings."""
    from vidream.media.metadata import read_comment  # noqa: PLC0415  (as above)

    if not isinstance(target, FileTarget):
        return False
    try:
        path = target.path
        record = Record.find(read_comment(str(path))) if path.is_file() else None
        if record is None or record.source != _base(source.name):
            return False
        if recorded_values(Settings.from_dict(record.settings)) != recorded_values(settings):
            return False
        made = path.stat().st_mtime
        files = (*source.files, *_named_files(settings))
        return all(file.stat().st_mtime <= made for file in files)
    except (VidreamError, OSError):
        return False


def _named_files(settings: Settings) -> list[Path]:
    """Return the files and folders that settings name."""
    found: list[str] = []
    settings.to_dict(path=lambda path: found.append(path) or path)  # type: ignore[func-returns-value]
    return [Path(name).expanduser() for name in found]


def _parse(line: str) -> Record | None:
    """Return the record in a line of a comment; None if there is none."""
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


def _base(path: str) -> str:
    return Path(path).name or path
