"""Sources and targets, parsed once into tagged types. Imports nothing heavy."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from vidream.core.errors import InputError, OutputError, describe_error
from vidream.core.settings import WriteSettings
from vidream.media.atomic import already_exists
from vidream.media.cameras import device_input
from vidream.media.codecs import CONTAINERS, Container
from vidream.media.kinds import FileKind, is_picture_name, kind_of
from vidream.media.numbering import by_number, is_pattern, names_of, with_number

Place = str | os.PathLike[str] | BinaryIO  # "-" is standard input or output
PICTURES = (".png", ".jpg", ".jpeg", ".webp")  # that are written
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

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        return ()


@dataclass(frozen=True, slots=True)
class FileSource(Source):
    """A path."""

    path: Path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self.path,)


class VideoFile(FileSource):
    """A video, audio, or a file of unknown kind."""


class AnimationFile(FileSource):
    """A GIF, APNG or WebP of several pictures."""


class StillFile(FileSource):
    """A picture; of an animation the first one."""

    is_picture = True


class PictureFiles(FileSource):
    """Pictures that are the frames of a clip: ``frames/%05d.png``, ``frames/*.png``, ``frames``."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The pictures, in the order of the numbers in their names."""
        folder, name = (
            (self.path, "*") if self.path.is_dir() else (self.path.parent, self.path.name)
        )
        if is_pattern(name):
            named = names_of(name)
            found = [path for path in _in(folder) if named.fullmatch(path.name)]
        else:
            found = [path for path in _in(folder) if fnmatch(path.name, name)]
        pictures = (p for p in found if is_picture_name(p) or kind_of(p) is FileKind.PICTURE)
        return tuple(sorted(pictures, key=lambda path: by_number(path.name)))


class Fifo(FileSource):
    """A named pipe."""

    is_live = True


def _in(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, except hidden ones."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_file() and not path.name.startswith("."):
            yield path


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
        return with_number(self.path.name, number)

    def existing(self, *, overwrite: bool) -> list[Path]:
        """Return the pictures of the pattern that exist: an error unless ``overwrite``."""
        if not self.path.parent.is_dir():
            return []
        named = names_of(self.path.name)
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
        return _parse_noise(text)
    return CameraDevice(text) if device_input(text) is not None else _parse_file(text)


def _parse_noise(text: str) -> Noise:
    if match := _NOISE.fullmatch(text):
        return Noise(int(match[1]), int(match[2]))
    raise InputError(f"{text} has no size: write noise:WIDTHxHEIGHT, as in noise:640x360")


def _parse_file(text: str) -> FileSource:
    path = Path(text)
    try:
        if path.is_fifo():
            return Fifo(path)
        if not path.is_file():
            if "://" in text and not path.exists():
                raise InputError(f"{text} is an address: download it first, and give the file")
            several = is_pattern(path.name) or any(c in path.name for c in "*?[")
            if path.is_dir() or path.name == "*" or (several and is_picture_name(path)):
                return PictureFiles(path)
        made = {FileKind.PICTURE: StillFile, FileKind.ANIMATION: AnimationFile}
        return made.get(kind_of(path), VideoFile)(path)
    except OSError:  # it is not to be read: an error follows
        return StillFile(path) if is_picture_name(path) else VideoFile(path)


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
    with usable(path):
        if path.is_dir():
            raise OutputError(f"{path} is a folder: give the name of a file")
    if suffix in PICTURES and is_pattern(path.name):
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


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Turn errors of impossible names into :class:`OutputError`."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be written: {describe_error(error)}") from error


def parse_places(
    source: Place | Source,
    target: Place | Target,
    settings: WriteSettings | None = None,
    *,
    animated: bool = False,
) -> tuple[Source, Target]:
    """Return a source and its target.

    An animation is a picture, its first one, where the target is a picture, or where a still is to
    be ``animated``.
    """
    read = parse_source(source)
    if isinstance(read, AnimationFile) and (animated or _is_single_picture(target)):
        read = StillFile(read.path)
    return read, parse_target(target, settings, moving=animated or not read.is_picture)


def _is_single_picture(target: Place | Target) -> bool:
    if not isinstance(target, (str, os.PathLike)):
        return isinstance(target, StillTarget)
    path = Path(target)
    suffix = path.suffix.lower()
    return suffix in PICTURES and suffix not in CONTAINERS and not is_pattern(path.name)


def is_picture(place: Place | Source) -> bool:
    """Whether a place is a single picture."""
    return parse_source(place).is_picture


def has_picture(place: Place | Source) -> bool:
    """Whether a place is a picture, or an animation, whose first one can be taken."""
    source = parse_source(place)
    return source.is_picture or isinstance(source, AnimationFile)
