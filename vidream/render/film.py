"""The file that segments are joined to."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType

from vidream.core.errors import OutputError
from vidream.core.settings import WriteSettings
from vidream.media.atomic import AtomicFile
from vidream.media.encoder import VideoEncoder
from vidream.media.info import VideoInfo
from vidream.media.places import VideoTarget
from vidream.media.tracks import TrackSource
from vidream.render.joining import OnJoin, Pieces, join

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Film:
    """A video file to be made of segments, with sound and subtitles."""

    target: VideoTarget
    info: VideoInfo
    settings: WriteSettings
    tracks: TrackSource = field(default_factory=TrackSource, repr=False)

    def join(
        self,
        pieces: Pieces,
        folder: Path,
        on_join: OnJoin | None = None,
        *,
        cut_audio: bool = False,
    ) -> None:
        """Join segments; the file lies in a folder until it is complete.

        ``on_join`` may raise to stop; with ``cut_audio`` the sound ends with the last frame.

        Raises:
            OutputError: a segment is damaged, or the file cannot be written.
        """
        try:
            self._join(pieces, folder, on_join, self.tracks, cut_audio=cut_audio)
        except OutputError as error:
            # Pictures are our own. Audio is as it came, and its damage may show as late as at the
            # very end of the file; then it is FFmpeg that complains, and not the system.
            if not self.tracks.streams or isinstance(error.__cause__, (OSError, NoneType)):
                raise
            _log.warning("the sound cannot be copied, for it is damaged: it is left out")
            self._join(pieces, folder, on_join, TrackSource(), cut_audio=cut_audio)

    def _join(
        self,
        pieces: Pieces,
        folder: Path,
        on_join: OnJoin | None,
        tracks: TrackSource,
        *,
        cut_audio: bool,
    ) -> None:
        target, settings = self.target, self.settings
        draft = AtomicFile(target.path, overwrite=settings.overwrite, folder=folder)
        with VideoEncoder(target, self.info, settings, tracks, draft) as encoder:
            join(pieces, encoder, on_join, copy=target.container.joins)
            encoder.finish(cut_audio=cut_audio)
