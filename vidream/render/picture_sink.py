"""The sink of numbered pictures, which are their own record of how far a run has come."""

import contextlib
from pathlib import Path

from vidream.core.errors import OutputError
from vidream.core.frames import Frame, to_eight_bits
from vidream.core.settings import WriteSettings
from vidream.media.atomic import atomic_write, sync
from vidream.media.info import VideoInfo
from vidream.media.places import SequenceTarget
from vidream.media.stills import Still, check_alpha, save_picture
from vidream.render.checkpoint import Checkpoint
from vidream.render.sinks import Pace, Sink, as_output_error
from vidream.render.work_folder import WorkFolder


class PictureSink(Sink):
    """Writes numbered pictures into the work folder, and moves them into place together.

    Pictures that the folder holds are kept. If not ``is_resumable``, those of a run that is
    stopped are moved into place.

    Raises:
        OutputError: there are such pictures already, or the clip is HDR.
    """

    def __init__(
        self, work: WorkFolder, info: VideoInfo, settings: WriteSettings, *, is_resumable: bool
    ) -> None:
        if info.is_hdr:
            raise OutputError(
                "pictures hold no HDR: write .mp4, .mov, .mkv or .webm, or leave out `keep_hdr`"
            )
        check_alpha(work.target, has_alpha=info.has_alpha)
        self._work, self._comment = work, info.metadata.get("comment")
        self._target = SequenceTarget(work.target)
        self._mark = work.path / "moving"  # there while pictures are moved into place
        self._is_resumable = is_resumable
        self._unsynced: list[Path] = []
        self._pace = Pace()
        self._target.existing(overwrite=settings.overwrite or self._mark.exists())

    def wants_checkpoint(self, index: int, *, begins_scene: bool) -> bool:  # noqa: ARG002
        """Whether a checkpoint is due."""
        return self._is_resumable and self._pace.is_due()

    def write(
        self,
        frame: Frame,
        checkpoint: Checkpoint | None,
        *,
        begins_scene: bool = False,  # noqa: ARG002
    ) -> None:
        """Write a picture, numbered from 1."""
        path = self._numbered(frame.index + 1)
        picture = to_eight_bits(frame.image)
        save_picture(path, Still(picture, frame.alpha, comment=self._comment))
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
        """Save a checkpoint; with ``preview`` finish a run that cannot be resumed."""
        if not self._is_resumable:
            if not last.frames or not preview:
                return []
            self.finish(last)
            return [f"{self._target.name} holds what was dreamed so far"]
        # There is an error on its way already, and what was saved before is there.
        with contextlib.suppress(OSError):
            if not last.frames or self._numbered(last.frames).exists():
                self._save(last)
        return self._work.kept()

    def finish(self, last: Checkpoint) -> None:
        """Move the pictures into place.

        Older ones that are not replaced are removed: the rest of a longer run would be taken for
        the end of this one.
        """
        with as_output_error(self._work.path):
            self._save(last.position)
            if not self._mark.exists():
                for older in self._target.existing(overwrite=True):
                    older.unlink()
                # A run that finds the mark goes on moving, and takes what is there for its own.
                atomic_write(self._mark, lambda draft: draft.touch())
            for number in range(1, last.frames + 1):
                path = self._numbered(number)
                if path.exists():
                    path.replace(self._target.path.with_name(path.name))
            sync(self._target.path.parent)
        self._work.done = True
