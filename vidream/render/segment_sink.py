"""The sink of files that can be resumed: segments, joined into the target in the end."""

from __future__ import annotations

import logging
from pathlib import Path
from types import NoneType
from typing import Self

from vidream.core.errors import OutputError, VidreamError
from vidream.core.frames import Frame
from vidream.core.settings import WriteSettings
from vidream.media.atomic import AtomicFile
from vidream.media.audio_source import AudioSource, Silence
from vidream.media.encoder import VideoEncoder
from vidream.media.info import VideoInfo
from vidream.media.places import VideoTarget
from vidream.render.checkpoint import Checkpoint
from vidream.render.joining import OnJoin, join
from vidream.render.segments import SegmentFormat, SegmentRecorder
from vidream.render.work_folder import WorkFolder

_log = logging.getLogger(__name__)

_PREVIEW = "so-far"


class SegmentSink:
    """Keeps frames in segments, and makes the target of them.

    Args:
        work: the folder in which they are kept.
        target: the file.
        info: size, rate, and what is said of the target in it.
        settings: codec and quality.
        audio: sound of the target, from its beginning.
        on_join: called with frames joined so far and in all; may raise to stop.

    Raises:
        OutputError: the folder is damaged, or cannot be written.
    """

    def __init__(
        self,
        work: WorkFolder,
        target: VideoTarget,
        info: VideoInfo,
        settings: WriteSettings,
        audio: AudioSource,
        on_join: OnJoin | None = None,
    ) -> None:
        self._work, self._target, self._info, self._settings = work, target, info, settings
        self._audio, self._on_join = audio, on_join
        self._recorder = SegmentRecorder(work, SegmentFormat.of(target, info, settings))
        self._recorded = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing: what lies in the work folder is kept or goes with it."""

    def wants_checkpoint(self, index: int) -> bool:
        """Whether a segment ends, or it is time to save."""
        return self._recorder.wants_checkpoint(index)

    def write(self, frame: Frame, checkpoint: Checkpoint | None) -> None:
        """Encode a frame."""
        self._recorder.write(frame, checkpoint)

    def finish(self, last: Checkpoint) -> None:
        """Join the segments, with the sound between them."""
        self._recorder.finish(last.position)
        self._recorded = True
        self._join(self._target, self._settings, cut_audio=False)
        self._work.done = True

    def keep(self, last: Checkpoint, *, preview: bool = False) -> list[str]:
        """Save what there is; with ``preview`` also make a file of it."""
        self._recorder.keep(last)
        kept = self._work.kept()
        if preview and kept and not self._recorded and (path := self._preview()) is not None:
            kept.append(f"{path} shows what there is so far")
        return kept

    def _preview(self) -> Path | None:
        if not self._recorder.segments:
            return None
        path = self._work.path / f"{_PREVIEW}{self._work.target.suffix}"
        target = VideoTarget(path, self._recorder.format.container)
        try:
            self._join(target, WriteSettings(overwrite=True), cut_audio=True)
        except VidreamError as error:
            _log.debug("no preview: %s", error)
            return None
        return path

    def _join(self, target: VideoTarget, settings: WriteSettings, *, cut_audio: bool) -> None:
        try:
            self._join_with(self._audio, target, settings, cut_audio)
        except OutputError as error:
            # Pictures are our own. Sound is as it came, and its damage may show as late as at the
            # very end of the file; then it is FFmpeg that complains, and not the system.
            if not self._audio.streams or isinstance(error.__cause__, (OSError, NoneType)):
                raise
            _log.warning("the sound cannot be copied, for it is damaged: it is left out")
            self._join_with(Silence(), target, settings, cut_audio)

    def _join_with(
        self, audio: AudioSource, target: VideoTarget, settings: WriteSettings, cut_audio: bool
    ) -> None:
        format = self._recorder.format
        pieces = [(segment, self._recorder.path(segment)) for segment in self._recorder.segments]
        draft = AtomicFile(target.path, overwrite=settings.overwrite, folder=self._work.path)
        on_join = None if cut_audio else self._on_join
        with VideoEncoder(target, self._info, settings, audio, draft) as encoder:
            join(pieces, encoder, on_join, copy=format.container.joins)
            encoder.finish(cut_audio=cut_audio)
