"""What is refused before anything is opened."""

import contextlib
import os
from pathlib import Path

from vidream.core.errors import InputError, OutputError, describe_error
from vidream.core.settings import WriteSettings
from vidream.media.atomic import already_exists
from vidream.media.codecs import codec_for
from vidream.media.places import (
    FileSource,
    PictureFiles,
    SequenceTarget,
    Source,
    StillTarget,
    Target,
    VideoTarget,
    usable,
)


def check_source(source: Source) -> None:
    """Raise :class:`InputError` for a source that does not exist or cannot be read."""
    if not isinstance(source, FileSource):
        return
    path = source.path
    try:
        _check_file(source, path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {describe_error(error)}") from error


def _check_file(source: FileSource, path: Path) -> None:
    if isinstance(source, PictureFiles):
        if not source.files:
            if path.is_dir():
                raise InputError(f"{path} is a folder without pictures: give files, as {path}/*")
            raise InputError(f"no picture fits {path}: check the names")
        return
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
    if isinstance(target, SequenceTarget):
        if set(target.existing(overwrite=True)) & set(source.files):
            raise _is_the_source(target.path)
        if not settings.resume:
            target.existing(overwrite=settings.overwrite)
    if isinstance(target, VideoTarget):
        codec_for(target.container, target.path.name, settings)
    if isinstance(target, (VideoTarget, StillTarget)):
        check_output(target.path, source, overwrite=settings.overwrite)


def check_output(path: Path, source: Source, *, overwrite: bool) -> None:
    """Raise :class:`OutputError` for a file that cannot be written, or is the source."""
    with usable(path):
        if path.is_dir():
            raise OutputError(f"{path} is a folder: give the name of a file")
        if not path.parent.is_dir():
            raise OutputError(f"output folder {path.parent} does not exist")
        if path.exists():
            with contextlib.suppress(OSError):
                if any(path.samefile(file) for file in source.files):
                    raise _is_the_source(path)
            if not overwrite:
                raise already_exists(path)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise OutputError(f"permission denied: cannot write into {path.parent}")


def _is_the_source(path: Path) -> OutputError:
    return OutputError(f"{path} is the source itself: choose another name")
