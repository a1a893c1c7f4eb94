"""What a run depends on: its source, settings and program versions."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vidream.core.devices import choose_device, choose_precision, describe_device
from vidream.core.errors import InputError
from vidream.core.settings import Settings
from vidream.media.places import PictureFiles, Source, parse_source
from vidream.render.record import RUN_SETTINGS, own_version

Fingerprint = dict[str, Any]
"""JSON values by name."""

_PIECE = 2**20  # bytes read at a file's start, middle and end
UNREADABLE = "not to be read"
"""What is in a file that cannot be read."""

_FILE = re.compile(r"\d+ bytes, |not to be read")  # results of identity()


def fingerprint(source: Source, settings: Settings) -> Fingerprint:
    """Return what the frames of a run depend on; files by content, not by name.

    The networks' own weights are not in it: their hashes are fixed by the version of vidream.
    """
    device = choose_device(settings.dream.device)
    found: Fingerprint = {"version of vidream": own_version()}
    found |= {f"version of {library}": version(library) for library in ("torch", "av")}
    found |= subject(source, settings) | {"device": device.type}
    return found | {"precision": _precision(settings, device)}


def subject(source: Source, settings: Settings) -> Fingerprint:
    """Return what is rendered, wherever that is: files by content, and settings."""
    found: Fingerprint = {} if source.is_pipe else {"source": identity(source.name)}
    left = RUN_SETTINGS | {"format", "device", "precision"}
    values = settings.to_dict(path=identity)
    return found | {name: value for name, value in values.items() if name not in left}


def machine(settings: Settings) -> Fingerprint:
    """Return where frames are rendered, as far as their last bits depend on it.

    Raises:
        DeviceError: the device is not there.
    """
    device = choose_device(settings.dream.device)
    found: Fingerprint = {"version of vidream": f"{own_version()} ({_own_code()})"}
    libraries = ("torch", "av", "numpy", "opencv-python-headless", "pillow")
    found |= {f"version of {library}": version(library) for library in libraries}
    return found | {"device": describe_device(device), "precision": _precision(settings, device)}


def with_weights(place: Fingerprint, weights: Mapping[str, str]) -> Fingerprint:
    """Return a machine with the SHA-256 of the weights that it has loaded, by names of files."""
    return place | {f"weights {name}": digest[:12] for name, digest in weights.items()}


def _precision(settings: Settings, device: torch.device) -> str:
    return str(choose_precision(settings.dream.precision, device)).removeprefix("torch.")


@cache
def _own_code() -> str:
    """Return a hash of vidream's code, by which two states of one version differ."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def identity(name: str) -> str:
    """Return the size of a file and a hash of its start, middle and end; of a folder, of its files.

    Cameras and pipes are not opened.
    """
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            return _several(file for file in sorted(path.iterdir()) if file.is_file())
        if path.is_file():
            return _contents(path)
        source = parse_source(path)
        if isinstance(source, PictureFiles):
            return _several(source.files)
    except (OSError, InputError):
        pass
    return UNREADABLE  # an error follows where it is read


def _several(files: Iterable[Path]) -> str:
    lines = "".join(f"{file.name} {identity(str(file))}\n" for file in files)
    return f"{len(lines)} bytes, {hashlib.sha256(lines.encode()).hexdigest()}"


def _contents(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256()
        for start in (0, max(0, size // 2 - _PIECE // 2), max(0, size - _PIECE)):
            file.seek(start)
            digest.update(file.read(_PIECE))
    return f"{size} bytes, {digest.hexdigest()}"


def difference(before: Fingerprint, now: Fingerprint) -> str:
    """Return the first difference of two runs in words; empty if there is none."""
    names = [n for n in dict.fromkeys([*before, *now]) if before.get(n) != now.get(n)]
    if not names:
        return ""
    if "source" in names:
        return "the source has changed"
    label, values = names[0].replace("_", "-"), (before.get(names[0]), now.get(names[0]))
    if any(isinstance(value, list) or _FILE.match(str(value)) for value in values):
        return f"{label} has changed"
    return f"{label} was {_in_words(values[0])} and is {_in_words(values[1])}"


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "unset" if value is None else str(value)
