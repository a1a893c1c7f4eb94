"""Sources and targets, parsed once into tagged types. Imports nothing heavy."""

import contextlib
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from vidream.core.errors import InputError, OutputError
from vidream.core.settings import WriteSettings
from vidream.media.atomic import already_exists
from vidream.media.cameras import device_input
from vidream.media.codecs import CONTAINERS, Container, codec_for

Place = str | os.PathLike[str] | BinaryIO  # "-" is standard input or output
PICTURES = (".png", ".jpg", ".jpeg", ".webp")

_NUMBER = re.compile(r"%0?(\d*)d")
_NOISE = re.compile(r"noise:(\d{1,6})[x×](\d{1,6})")


class Source:
    """Something to read.

    Attributes:
        is_live: whether it cannot be read a second time.
        is_pipe: whether it has no path.
    """

    is_live: ClassVar[bool] = False
    is_pipe: ClassVar[bool] = False
    is_picture: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Its name, for messages."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class FileSource(Source):
    """A path."""

    path: Path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)


class VideoFile(FileSource):
    """A video, audio, or a file of unknown kind."""


class StillFile(FileSource):
    """A picture."""

    is_picture = True


class Fifo(FileSource):
    """A named pipe."""

    is_live = True


@dataclass(frozen=True, slots=True)
class Noise(Source):
    """A noise picture of a size in pixels."""

    width: int
    height: int

    is_picture: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """As given."""
        return f"noise:{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class CameraDevice(Source):
    """A camera: ``/dev/video0``, ``camera:0``."""

    name: str

    is_live: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class PipeIn(Source):
    """A binary stream; None for standard input."""

    stream: BinaryIO | None = field(default=None, repr=False)

    is_live: ClassVar[bool] = True
    is_pipe: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """For messages."""
        return "standard input" if self.stream is None else "the input stream"

    @property
    def file(self) -> Any:
        """The file to read from."""
        # Unbuffered: at exit Python would wait for a thread that reads from the buffer.
        return self.stream or getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)


class Target:
    """Something to write."""

    is_pipe: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Its name, for messages."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class FileTarget(Target):
    """A path."""

    path: Path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class VideoTarget(FileTarget):
    """A video or an animation."""

    container: Container = field(repr=False)


class StillTarget(FileTarget):
    """A single picture."""


class SequenceTarget(FileTarget):
    """Numbered pictures: a path such as ``frames/%05d.png``."""

    def numbered(self, number: int) -> str:
        """Return the file name of a picture, numbered from 1."""
        return self.path.name % number

    def existing(self, *, overwrite: bool) -> list[Path]:
        """Return the pictures of the pattern that exist: an error unless ``overwrite``."""
        if not self.path.parent.is_dir():
            return []
        before, digits, after = _NUMBER.split(self.path.name, maxsplit=1)
        count = f"{{{digits},}}" if digits else "+"
        named = re.compile(re.escape(before) + rf"\d{count}" + re.escape(after))
        found = sorted(path for path in self.path.parent.iterdir() if named.fullmatch(path.name))
        if found and not overwrite:
            raise already_exists(self.path)
        return found


@dataclass(frozen=True, slots=True)
class PipeTarget(Target):
    """A binary stream to write a video to; None for standard output."""

    stream: BinaryIO | None = field(repr=False)
    container: Container = field(repr=False)

    is_pipe: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """For messages."""
        return "standard output" if self.stream is None else "the output stream"

    @property
    def file(self) -> Any:
        """The file to write to."""
        return self.stream or sys.stdout.buffer


def parse_source(place: Place | Source) -> Source:
    """Return the source of a path, a stream, a camera or ``noise:WIDTHxHEIGHT``."""
    if isinstance(place, Source):
        return place
    if not isinstance(place, (str, os.PathLike)):
        return PipeIn(place)
    text = os.fspath(place)
    if text == "-":
        return PipeIn()
    if text.startswith("noise:"):
        if match := _NOISE.fullmatch(text):
            return Noise(int(match[1]), int(match[2]))
        raise InputError(f"{text} has no size: write noise:WIDTHxHEIGHT, as in noise:640x360")
    return CameraDevice(text) if device_input(text) is not None else _parse_file(text)


def _parse_file(text: str) -> FileSource:
    path = Path(text)
    if "://" in text and not path.exists():
        raise InputError(f"{text} is an address: download it first, and give the file")
    if path.suffix.lower() in PICTURES and not _NUMBER.search(path.name):
        return StillFile(path)
    return Fifo(path) if path.is_fifo() else VideoFile(path)


def parse_target(
    place: Place | Target, settings: WriteSettings | None = None, *, moving: bool = True
) -> Target:
    """Return the target of a path, or of a stream, whose format the settings name.

    ``.webp`` and the like are single pictures only if not ``moving``.
    """
    if isinstance(place, Target):
        return place
    path = Path(place) if isinstance(place, (str, os.PathLike)) else None
    if path is None or str(path) == "-":
        stream = None if isinstance(place, (str, os.PathLike)) else place
        return PipeTarget(stream, CONTAINERS[f".{(settings or WriteSettings()).format}"])
    suffix = path.suffix.lower()
    if path.is_dir():
        raise OutputError(f"{path} is a folder: give the name of a file")
    if _NUMBER.search(path.name):
        if suffix not in PICTURES:
            raise OutputError(f"unknown suffix {path.name}: pictures are {' '.join(PICTURES)}")
        return SequenceTarget(path)
    if suffix in PICTURES and not moving:
        return StillTarget(path)
    if suffix in CONTAINERS:
        return VideoTarget(path, CONTAINERS[suffix])
    if suffix in PICTURES:
        raise OutputError(
            f"{path} is a single picture: for a video give a pattern such as frames/%05d.png"
        )
    raise OutputError(
        f"{path.name} has an unknown suffix: use one of {' '.join(CONTAINERS)}, or pictures "
        "(frames/%05d.png)"
    )


def is_picture(place: Place | Source) -> bool:
    """Whether a place is a single picture."""
    return parse_source(place).is_picture


def check_source(source: Source) -> None:
    """Raise :class:`InputError` for a source that does not exist or cannot be read."""
    if not isinstance(source, FileSource):
        return
    path = source.path
    if not path.exists():
        raise InputError(f"{path} does not exist: check the name")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file")
    if not os.access(path, os.R_OK):
        raise InputError(f"permission denied: {path} cannot be read")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty: record or copy it again")


def check_target(target: Target, source: Source, settings: WriteSettings) -> None:
    """Raise :class:`OutputError` for a target that cannot be written, or is the source."""
    if isinstance(target, SequenceTarget) and not settings.resume:
        target.existing(overwrite=settings.overwrite)
    if isinstance(target, VideoTarget):
        codec_for(target.container, target.path.name, settings)
    if isinstance(target, (VideoTarget, StillTarget)):
        check_output(target.path, source, overwrite=settings.overwrite)


def check_output(path: Path, source: Source, *, overwrite: bool) -> None:
    """Raise :class:`OutputError` for a file that cannot be written, or is the source."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder: give the name of a file")
    if not path.parent.is_dir():
        raise OutputError(f"output folder {path.parent} does not exist")
    if isinstance(source, FileSource) and path.exists():
        with contextlib.suppress(OSError):
            if path.samefile(source.path):
                raise OutputError(f"{path} is the source itself: choose another name")
    if path.exists() and not overwrite:
        raise already_exists(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"permission denied: cannot write into {path.parent}")
