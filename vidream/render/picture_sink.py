"""The sink of numbered pictures: they are their own record of how far a run has come."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from vidream.core.errors import OutputError
from vidream.core.frames import Frame, to_eight_bits
from vidream.core.settings import WriteSettings
from vidream.media.atomic import atomic_write, sync
from vidream.media.info import VideoInfo
from vidream.media.places import SequenceTarget
from vidream.media.stills import Still, save_picture
from vidream.render.checkpoint import Checkpoint
from vidream.render.sinks import Pace, as_output_error
from vidream.render.work_folder import WorkFolder

_MOVING = "moving"


class PictureSink:
    """Numbered pictures, kept in the work folder and moved into place together.

    Args:
        work: the folder; pictures that it holds are kept.
        info: of the clip; its comment goes into each picture.
        settings: whether older pictures of the pattern may be replaced.
        is_resumable: whether a run that is stopped can be gone on with; if not, what there is of it
            is moved into place.

    Raises:
        OutputError: there are such pictures already, the folder cannot be written, or the clip is
            HDR.
    """

    def __init__(
        self,
        work: WorkFolder,
        info: VideoInfo,
        settings: WriteSettings,
        *,
        is_resumable: bool = True,
    ) -> None:
        if info.is_hdr:
            raise OutputError(
                "pictures hold no HDR: write .mp4, .mov, .mkv or .webm, or leave out `keep_hdr`"
            )
        self._work, self._comment = work, info.metadata.get("comment")
        self._target = SequenceTarget(work.target)
        self._moving = (work.path / _MOVING).exists()
        self._is_resumable = is_resumable
        self._unsynced: list[Path] = []
        self._pace = Pace()
        self._target.existing(overwrite=settings.overwrite or self._moving)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing: what lies in the work folder goes with it."""

    def wants_checkpoint(self, index: int) -> bool:  # noqa: ARG002
        """Whether it is time to save."""
        return self._is_resumable and self._pace.is_due()

    def write(self, frame: Frame, checkpoint: Checkpoint | None) -> None:
        """Write a picture, numbered from 1, into the work folder."""
        path = self._numbered(frame.index + 1)
        save_picture(path, Still(to_eight_bits(frame.image), comment=self._comment))
        self._unsynced.append(path)
        if checkpoint is not None and self._pace.is_due():
            with as_output_error(self._work.path):
                self._save(checkpoint)

    def _numbered(self, number: int) -> Path:
        return self._work.path / self._target.numbered(number)

    def _save(self, checkpoint: Checkpoint) -> None:
        with self._pace.saving():
            for path in self._unsynced:
                sync(path)
            self._unsynced.clear()
            self._work.save(checkpoint)

    def keep(self, last: Checkpoint, *, preview: bool = False) -> list[str]:
        """Save what there is."""
        if not self._is_resumable:
            if last.frames and preview:
                self.finish(last)
                return [f"{self._target.name} holds what was dreamed so far"]
            return []
        try:
            if not last.frames or self._numbered(last.frames).exists():
                self._save(last)
        except OSError:
            pass  # there is an error on its way already, and what was saved before is there
        return self._work.kept()

    def finish(self, last: Checkpoint) -> None:
        """Move the pictures into place.

        Older ones that are not replaced are removed: what is left of a longer run would be taken
        for the end of this one.
        """
        with as_output_error(self._work.path):
            self._save(last.position)
            if not self._moving:
                for older in self._target.existing(overwrite=True):
                    older.unlink()
                # Whoever finds this goes on with moving, and takes what is there for its own.
                atomic_write(self._work.path / _MOVING, lambda draft: draft.touch())
            for number in range(1, last.frames + 1):
                path = self._numbered(number)
                if path.exists():
                    path.replace(self._target.path.with_name(path.name))
            sync(self._target.path.parent)
        self._work.done = True
