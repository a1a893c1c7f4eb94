"""What a file says of how it was made.

Nothing that differs between runs of the same command is in it, and no folder's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from vidream.core.errors import SettingsError
from vidream.core.settings import Settings
from vidream.media.places import Source

_MARK = "vidream "  # begins the line of a comment that holds a record
_LEFT_OUT = frozenset(("overwrite", "resume", "keep_work"))


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
    def of(cls, source: Source, settings: Settings, weights: Mapping[str, str]) -> Self:
        """Make the record of a file that is about to be made.

        Args:
            source: what is dreamed.
            settings: as they are given.
            weights: SHA-256 of the files that are used, by their names.
        """
        values = settings.to_dict(path=_base)
        values = {name: value for name, value in values.items() if name not in _LEFT_OUT}
        return cls("-" if source.is_pipe else _base(source.name), values, dict(weights))

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
            return Settings.from_dict(self.settings)
        except SettingsError as error:
            raise SettingsError(
                f"vidream {self.version} made it, and {own_version()} cannot make it again: {error}"
            ) from error


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


def _base(path: str) -> str:
    return Path(path).name or path
