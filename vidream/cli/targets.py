"""The targets of sources."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from vidream.core.errors import VidreamError
from vidream.media.codecs import CONTAINERS
from vidream.media.kinds import is_picture_name
from vidream.media.places import (
    PICTURES,
    Fifo,
    FileSource,
    PictureFiles,
    StillFile,
    VideoFile,
    parse_source,
)

_VIDEO, _PICTURE = ".mp4", ".png"  # suffixes for sources of a kind that cannot be written
_PIPED = (".y4m", ".nut")  # not compressed


@dataclass(frozen=True, slots=True)
class Task:
    """A source and its target, as written."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is rendered into what."""

    tasks: tuple[Task, ...]  # in order
    is_batch: bool = False  # skips what is up to date, and goes on after failures
    folder: Path | None = None  # to be made for the targets


def plan_targets(
    sources: Sequence[str], output: str | None, suffix: str | None, *, moving: bool
) -> Plan:
    """Return the target of each source.

    ``output`` is a file, a folder, or None for files next to the sources. In these the targets
    have the ``suffix``, or the source's own.

    Raises:
        UsageError: a source needs a named target, or two would have the same one.
    """
    if output is not None and not _is_folder(output):
        if len(sources) > 1:
            quoted = " (frames of a clip: a pattern in quotes)" if _pictures(sources) else ""
            raise click.UsageError(f"{len(sources)} sources need a folder: -o FOLDER/{quoted}")
        return Plan((Task(sources[0], output),))
    tasks = [Task(source, _target(source, output, suffix, moving=moving)) for source in sources]
    if output is None:  # `vidream *.mp4` may name dreams of an earlier run
        made = {task.target for task in tasks}
        tasks = [task for task in tasks if task.source not in made]
    by_target: dict[str, str] = {}
    for task in tasks:
        other = by_target.get(os.path.normcase(task.target))
        if other is not None:
            raise click.UsageError(
                f"{other} and {task.source} would both become {task.target}: rename one"
            )
        by_target[os.path.normcase(task.target)] = task.source
    folder = None if output is None or Path(output).exists() else Path(output)
    return Plan(tuple(tasks), len(sources) > 1 or output is not None, folder)


def _pictures(sources: Sequence[str]) -> bool:
    return all(is_picture_name(Path(source)) for source in sources)


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def _target(source: str, folder: str | None, suffix: str | None, *, moving: bool) -> str:
    """Return the target of a source, in a folder or next to it."""
    try:
        parsed = parse_source(source)
    except VidreamError:  # it is refused in its turn
        parsed = VideoFile(Path(source))
    if not isinstance(parsed, FileSource) or isinstance(parsed, Fifo):
        raise click.UsageError(f"{source} is no file to name its dream after: give -o FILE")
    if isinstance(parsed, PictureFiles) and not parsed.path.is_dir():
        raise click.UsageError(f"{source} is no name for its dream: give -o FILE")
    path, own = Path(source), Path(source).suffix.lower()
    if suffix is None:
        is_still = isinstance(parsed, StillFile) and not moving
        writable = own in PICTURES if is_still else own in CONTAINERS and own not in _PIPED
        suffix = path.suffix if writable else _PICTURE if is_still else _VIDEO
    suffix = suffix if suffix.startswith(".") else f".{suffix}"
    if folder is None:
        return str(path.with_name(f"{path.stem}.dream{suffix}"))
    return str(Path(folder) / f"{path.stem}{suffix}")
