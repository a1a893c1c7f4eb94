"""Writing video: frames are encoded and audio interleaved."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from vidream.core.closeable import Closeable
from vidream.core.errors import OutputError
from vidream.core.frames import Frame
from vidream.core.settings import WriteSettings
from vidream.media.atomic import AtomicFile, cannot_write
from vidream.media.codecs import codec_for
from vidream.media.extras import add_chapters, add_cover, open_tracks
from vidream.media.info import VideoInfo
from vidream.media.metadata import embed_comment, held_tags, set_last_delay
from vidream.media.places import PipeTarget, Place, Target, VideoTarget, parse_target
from vidream.media.tracks import TrackPacket, TrackSource, before
from vidream.media.video_track import VideoTrack

_log = logging.getLogger(__name__)


def open_encoder(
    target: Target | Place,
    info: VideoInfo,
    settings: WriteSettings | None = None,
    tracks: TrackSource | None = None,
) -> "VideoEncoder":
    """Open a video or an animation for writing; the source of its tracks must stay open.

    Raises:
        OutputError: it cannot be written there, or not in that format.
    """
    settings = settings or WriteSettings()
    target = parse_target(target, settings)
    if not isinstance(target, (VideoTarget, PipeTarget)):
        raise OutputError(f"{target.name} is no video")
    log_odd_size(target, info, settings)
    return VideoEncoder(target, info, settings, tracks)


class VideoEncoder(Closeable):
    """One video file or pipe. A context manager: leaving it unfinished removes the file.

    Args:
        tracks: sound, copied or re-encoded, and subtitles: interleaved with the frames.
        draft: the file until it is complete; by default a hidden one next to the target.
    """

    def __init__(
        self,
        target: VideoTarget | PipeTarget,
        info: VideoInfo,
        settings: WriteSettings,
        tracks: TrackSource | None = None,
        draft: AtomicFile | None = None,
    ) -> None:
        self._name, container = target.name, target.container
        self._muxer, self._comment = container.muxer, info.metadata.get("comment")
        self._draft: AtomicFile | None = None
        self._source, self._end = tracks or TrackSource(), Fraction(0)
        self._finished = False
        file: Any
        if isinstance(target, PipeTarget):
            file = target.file
        else:
            self._draft = draft or AtomicFile(target.path, overwrite=settings.overwrite)
            file = f"file:{self._draft.path}"
        try:
            codec = codec_for(container, self._name, settings, info)
            with output_errors(self._name):
                self._out = av.open(file, "w", format=self._muxer, options=container.options)
                self._out.metadata.update(held_tags(info.metadata, self._muxer))
                self._video = VideoTrack(self._out, container, codec, info, settings)
                self._tracks, lost = open_tracks(self._out, container, self._source.streams)
                lost += add_chapters(self._out, container, info.chapters)
                lost += add_cover(self._out, container, info.cover)
                if lost:
                    _log.info("%s holds no %s: left out", self._name, ", ".join(lost))
        except BaseException:
            self.discard()
            raise

    def close(self) -> None:
        """Remove the file unless it is finished."""
        if not self._finished:
            self.discard()

    def discard(self) -> None:
        """Remove the unfinished file."""
        try:
            if hasattr(self, "_out"):
                self._out.close()
        except (av.FFmpegError, OSError):
            pass  # there is an error on its way already, and the file goes
        finally:
            if self._draft is not None:
                self._draft.discard()

    def write(self, frame: Frame) -> None:
        """Encode a frame, after the packets before it."""
        self._write_tracks(self._source.until(frame.time))
        with output_errors(self._name):
            for packet in self._video.encode(frame):
                self._out.mux(packet)
        self._end = frame.time + frame.duration * frame.time_base

    def write_encoded(self, packet: "av.Packet[Any]") -> None:
        """Write a frame encoded with the same settings, after the packets before it.

        Args:
            packet: timed in ``packet.time_base``; H.264 and HEVC with start codes.
        """
        shown, base = Fraction(packet.pts or 0), packet.time_base or Fraction(0)
        self._write_tracks(self._source.until(shown * base))
        self._end = max(self._end, (shown + (packet.duration or 0)) * base)
        packet.stream = self._video.stream
        with output_errors(self._name):
            self._out.mux(packet)

    def _write_tracks(self, packets: Iterable[TrackPacket]) -> None:
        for packet in packets if self._tracks else ():
            track = self._tracks[packet.track]
            if track is not None:
                with output_errors(self._name):
                    track.write(packet.packet)

    def finish(self, *, cut_audio: bool = False) -> None:
        """Complete the file; with ``cut_audio`` the sound ends with the last frame."""
        end = self._end if cut_audio or self._source.ends_with_video else None
        self._write_tracks(before(self._source.until(None), self._source.streams, end))
        with output_errors(self._name):
            for packet in self._video.flush():
                self._out.mux(packet)
            for track in self._tracks:
                if track is not None:
                    track.flush()
            self._out.close()
            if self._draft is not None:
                if self._muxer == "webp" and self._video.length:
                    set_last_delay(self._draft.path, self._video.length)
                if self._comment:
                    embed_comment(self._draft.path, self._muxer, self._comment)
        self._finished = True
        if self._draft is not None:
            self._draft.commit()


def log_odd_size(
    target: VideoTarget | PipeTarget, info: VideoInfo, settings: WriteSettings
) -> None:
    """Log that an odd size needs 4:4:4 chroma, which some players cannot show."""
    if not (info.width % 2 or info.height % 2):
        return
    codec = codec_for(target.container, target.name, settings, info)
    if codec.encoder != "rawvideo" and "444" in codec.pixels_for(info):
        _log.info(
            "%d×%d is odd: kept with full chroma (4:4:4), which some players cannot show; "
            "an even width and height avoid it",
            info.width, info.height,
        )  # fmt: skip


@contextmanager
def output_errors(name: str) -> Iterator[None]:
    """Turn errors of FFmpeg and the file system into :class:`OutputError`."""
    try:
        yield
    except OSError as error:
        raise cannot_write(name, error) from error
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(f"cannot write {name}: {error}") from error


def packet_order(path: Path) -> tuple[int, ...]:
    """Return the display index of each packet of a video, in decoding order."""
    with output_errors(str(path)), av.open(f"file:{path}") as video:
        packets = video.demux(video.streams.video[0])
        times = [packet.pts for packet in packets if packet.pts is not None]
    order = sorted(range(len(times)), key=times.__getitem__)
    return tuple(sorted(range(len(times)), key=order.__getitem__))
