"""The sink of files that can be resumed: segments, joined at the end."""

import logging
from types import NoneType

from vidream.core.errors import OutputError, VidreamError
from vidream.core.frames import Frame
from vidream.core.settings import WriteSettings
from vidream.media.atomic import AtomicFile
from vidream.media.encoder import VideoEncoder
from vidream.media.info import VideoInfo
from vidream.media.places import VideoTarget
from vidream.media.tracks import TrackSource
from vidream.render.checkpoint import Checkpoint
from vidream.render.joining import OnJoin, join
from vidream.render.recorder import SegmentRecorder
from vidream.render.segments import SegmentFormat
from vidream.render.sinks import Sink
from vidream.render.work_folder import WorkFolder

_log = logging.getLogger(__name__)


class SegmentSink(Sink):
    """Records segments in a work folder, which are kept, and joins them to the target.

    ``on_join`` is called with the frames joined so far and in all, and may raise to stop.

    Raises:
        OutputError: the folder is damaged, or cannot be written.
    """

    def __init__(
        self,
        work: WorkFolder,
        target: VideoTarget,
        info: VideoInfo,
        settings: WriteSettings,
        tracks: TrackSource,
        on_join: OnJoin,
    ) -> None:
        self._work, self._target, self._info, self._settings = work, target, info, settings
        self._tracks, self._on_join = tracks, on_join
        self._recorder = SegmentRecorder(work, SegmentFormat.of(target, info, settings))
        self._recorded = False

    def wants_checkpoint(self, index: int, *, begins_scene: bool) -> bool:
        """Whether a segment begins or ends, or a checkpoint is due."""
        return self._recorder.wants_checkpoint(index, begins_scene=begins_scene)

    def write(
        self, frame: Frame, checkpoint: Checkpoint | None, *, begins_scene: bool = False
    ) -> None:
        """Encode a frame."""
        self._recorder.write(frame, checkpoint, begins_scene=begins_scene)

    def finish(self, last: Checkpoint) -> None:
        """Join the segments and the audio."""
        self._recorder.finish(last.position)
        self._recorded = True
        self._join(self._target, self._settings, preview=False)
        self._work.done = True

    def keep(self, last: Checkpoint, *, preview: bool = False) -> list[str]:
        """Save a checkpoint; with ``preview`` also join the segments to a file."""
        self._recorder.keep(last)
        kept = self._work.kept()
        if preview and kept and not self._recorded and self._recorder.segments:
            path = self._work.path / f"so-far{self._work.target.suffix}"
            target = VideoTarget(path, self._target.container)
            try:
                self._join(target, WriteSettings(overwrite=True), preview=True)
                kept.append(f"{path} shows what there is so far")
            except VidreamError as error:
                _log.debug("no preview: %s", error)
        return kept

    def _join(self, target: VideoTarget, settings: WriteSettings, *, preview: bool) -> None:
        def join_with(tracks: TrackSource) -> None:
            draft = AtomicFile(target.path, overwrite=settings.overwrite, folder=self._work.path)
            with VideoEncoder(target, self._info, settings, tracks, draft) as encoder:
                join(pieces, encoder, on_join, copy=target.container.joins)
                encoder.finish(cut_audio=preview)

        pieces = [(segment, self._recorder.path(segment)) for segment in self._recorder.segments]
        on_join: OnJoin | None = None if preview else self._on_join
        try:
            join_with(self._tracks)
        except OutputError as error:
            # Pictures are our own. Audio is as it came, and its damage may show as late as at the
            # very end of the file; then it is FFmpeg that complains, and not the system.
            if not self._tracks.streams or isinstance(error.__cause__, (OSError, NoneType)):
                raise
            _log.warning("the sound cannot be copied, for it is damaged: it is left out")
            join_with(TrackSource())
