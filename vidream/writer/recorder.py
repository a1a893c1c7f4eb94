"""Recorders keep frames as they come, so that a run that is cut short loses next to nothing.

What is kept of a video is in :mod:`vidream.writer.segments`; numbered pictures are their own
record.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from vidream.drafts import cannot_write, sync, write_whole
from vidream.frames import Frame, to_eight_bits
from vidream.settings import WriteSettings
from vidream.stills import Still, pictures_of, save_picture
from vidream.work import Point, WorkFolder

AT_RISK = 10.0
"""Seconds of work that may be lost: what is done is saved as often, or less if saving is slow."""

_WORTH = 20  # how much longer the work takes than saving it


class Recorder(Protocol):
    """Takes frames in their order, and keeps them and what the next one depends on."""

    def wants(self, index: int) -> bool:
        """Whether the point after this frame should be handed over with it."""

    def write(self, frame: Frame, point: Point | None) -> None:
        """Take a frame, and maybe the point after it; what is kept already is passed over."""

    def pause(self, point: Point | None) -> None:
        """Keep what there is, up to the last frame or an error; raises nothing."""

    def finish(self, point: Point) -> None:
        """Keep all of it: there are no more frames."""


class Pace:
    """Tells when it is time to save."""

    def __init__(self) -> None:
        self._saved = time.monotonic()
        self._cost = 0.0

    def due(self, share: float = 1.0) -> bool:
        """Whether so much is at risk, or this share of it, that it should be saved."""
        return time.monotonic() - self._saved >= max(share * AT_RISK, _WORTH * self._cost)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure how long it takes to save."""
        began = time.monotonic()
        yield
        self._saved = time.monotonic()
        self._cost = self._saved - began


@contextmanager
def as_output_error(name: Path) -> Iterator[None]:
    """Say in one line what went wrong in the file system."""
    try:
        yield
    except OSError as error:
        raise cannot_write(name, error) from error


_MOVING = "moving"


class PictureRecorder:
    """Numbered pictures, kept in the work folder and moved into place together.

    Args:
        work: the folder; pictures that it holds are kept.
        settings: whether older pictures of the pattern may be replaced.
        comment: written into each of them.

    Raises:
        OutputError: there are such pictures already, or the folder cannot be written.
    """

    def __init__(
        self, work: WorkFolder, settings: WriteSettings, comment: str | None = None
    ) -> None:
        self._work, self._comment = work, comment
        self._pattern = work.target
        self._moving = (work.path / _MOVING).exists()
        self._suffix = self._pattern.suffix.lower()
        self._fresh: list[Path] = []
        self._pace = Pace()
        pictures_of(self._pattern, overwrite=settings.overwrite or self._moving)

    def wants(self, index: int) -> bool:  # noqa: ARG002
        """Whether the point after this frame should be handed over with it."""
        return self._pace.due()

    def write(self, frame: Frame, point: Point | None) -> None:
        """Write a picture, numbered from 1.

        Raises:
            OutputError: it cannot be written.
        """
        path = self._work.path / (self._pattern.name % (frame.index + 1))
        save_picture(path, self._suffix, Still(to_eight_bits(frame.image), comment=self._comment))
        self._fresh.append(path)
        if point is not None and self._pace.due():
            with as_output_error(self._work.path):
                self._save(point)

    def _save(self, point: Point) -> None:
        with self._pace.saving():
            for path in self._fresh:
                sync(path)
            self._fresh.clear()
            self._work.save(point)

    def pause(self, point: Point | None) -> None:
        """Keep what there is, up to the last frame or an error; raises nothing."""
        try:
            if point is not None and self._written(point.frames):
                self._save(point)
        except OSError:
            pass  # there is an error on its way already, and what was saved before is there

    def _written(self, count: int) -> bool:
        return not count or (self._work.path / (self._pattern.name % count)).exists()

    def finish(self, point: Point) -> None:
        """Move the pictures into place.

        Older ones that are not replaced are removed: what is left of a longer run would be taken
        for the end of this one.

        Raises:
            OutputError: they cannot be moved.
        """
        with as_output_error(self._work.path):
            self._save(point)
            if not self._moving:
                for older in pictures_of(self._pattern, overwrite=True):
                    older.unlink()
                # Whoever finds this goes on with moving, and takes what is there for its own.
                write_whole(self._work.path / _MOVING, lambda draft: draft.touch())
            for number in range(1, point.frames + 1):
                path = self._work.path / (self._pattern.name % number)
                if path.exists():
                    path.replace(self._pattern.with_name(path.name))
            sync(self._pattern.parent)
