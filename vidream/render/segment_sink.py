"""The sink of files that can be resumed: segments, joined at the end."""

import logging

from vidream.core.errors import VidreamError
from vidream.core.frames import Frame
from vidream.core.settings import WriteSettings
from vidream.media.info import VideoInfo
from vidream.media.places import VideoTarget
from vidream.media.tracks import TrackSource
from vidream.render.checkpoint import Checkpoint
from vidream.render.film import Film
from vidream.render.joining import OnJoin
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
        pieces = [(segment, self._recorder.path(segment)) for segment in self._recorder.segments]
        film = Film(target, self._info, settings, self._tracks)
        if preview:
            film.join(pieces, self._work.path, cut_audio=True)
        else:
            film.join(pieces, self._work.path, self._on_join)
