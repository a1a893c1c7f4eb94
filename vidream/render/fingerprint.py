"""What a run depends on: its source, its settings, and the programs that make it."""

from __future__ import annotations

import hashlib
import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vidream.core.devices import choose_device, choose_precision
from vidream.core.settings import Settings
from vidream.media.places import Source
from vidream.render.record import own_version

Fingerprint = dict[str, Any]
"""Names, and plain values that JSON can hold."""

_PIECE = 2**20  # bytes read of a file's beginning, middle and end
_FILE = re.compile(r"\d+ bytes, |not to be read")  # how files are told apart
_IDLE = ("overwrite", "resume", "keep_work", "format")  # settings that no frame depends on
_LIBRARIES = ("torch", "av")


def fingerprint(source: Source, settings: Settings) -> Fingerprint:
    """Describe a run so that one that was cut short can be told from another.

    Files are known by their content, not by their name. The networks' own weights are not in it:
    they are checked against hashes that this version of the program knows.
    """
    device = choose_device(settings.dream.device)
    found: Fingerprint = {"version of vidream": own_version()}
    found |= {f"version of {library}": version(library) for library in _LIBRARIES}
    if not source.is_pipe:
        found["source"] = identity(source.name)
    values = settings.to_dict(path=identity)
    found |= {name: value for name, value in values.items() if name not in _IDLE}
    found["device"] = str(device)
    precision = choose_precision(settings.dream.precision, device)
    found["precision"] = str(precision).removeprefix("torch.")
    return found


def identity(name: str) -> str:
    """Tell a file from others by its size, its beginning, its middle and its end.

    A folder is told by the files in it. What is no file, as a camera or a pipe, is not opened.
    """
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            inside = (file for file in sorted(path.iterdir()) if file.is_file())
            lines = "".join(f"{file.name} {identity(str(file))}\n" for file in inside)
            return f"{len(lines)} bytes, {hashlib.sha256(lines.encode()).hexdigest()}"
        if path.is_file():
            return _contents(path)
    except OSError:
        pass
    return "not to be read"  # who wants to read it will say so


def _contents(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256()
        for start in (0, max(0, size // 2 - _PIECE // 2), max(0, size - _PIECE)):
            file.seek(start)
            digest.update(file.read(_PIECE))
    return f"{size} bytes, {digest.hexdigest()}"


def difference(before: Fingerprint, now: Fingerprint) -> str:
    """Say how two runs differ, in half a line; empty if they do not."""
    names = [n for n in dict.fromkeys([*before, *now]) if before.get(n) != now.get(n)]
    if not names:
        return ""
    if "source" in names:
        return "the source has changed"
    name = names[0]
    said = name.replace("_", "-")
    values = before.get(name), now.get(name)
    if any(isinstance(value, list) or _FILE.match(str(value)) for value in values):
        return f"{said} has changed"
    return f"{said} was {_said(values[0])} and is {_said(values[1])}"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "unset" if value is None else f"{value}"
