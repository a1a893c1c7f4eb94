"""What goes into a file beside its frames: tracks with their labels, chapters, a cover."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av

from vidream.media.audio_track import AudioTrack, check_template
from vidream.media.codecs import Container
from vidream.media.info import Chapter, Cover
from vidream.media.subtitle_track import SubtitleTrack
from vidream.media.track_labels import defaults, label, language_of
from vidream.media.tracks import takes

_log = logging.getLogger(__name__)

_CHAPTER_BASE = Fraction(1, 1_000_000)
_MIME = {"mjpeg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "gif": "image/gif"}
_SUFFIX = {"mjpeg": "jpg"}

Track = AudioTrack | SubtitleTrack


def open_tracks(
    out: av.container.OutputContainer, container: Container, templates: Sequence[Any]
) -> tuple[list[Track | None], list[str]]:
    """Add the tracks of a source to a file.

    Returns:
        The tracks, None for each that is left out; and what the file does not hold, for a message.
    """
    tracks: list[Track | None] = []
    lost, sounds = set(), 0
    for template in templates:
        check_template(template)
    first = defaults(templates)
    for number, template in enumerate(templates):
        track: Track | None = None
        if template.type == "audio" and container.audio is None:
            lost.add("sound")
        elif template.type == "audio":
            track = _open_audio(out, container, number, template)
        elif container.subtitles == frozenset():
            lost.add("subtitles")
        elif takes(out, container.subtitles, template):
            track = SubtitleTrack(out, template)
        else:
            _log.info(
                "subtitle track %d is left out: this container does not take %s",
                number + 1 - sounds, template.codec_context.codec.canonical_name,
            )  # fmt: skip
        sounds += template.type == "audio"
        if track is not None and not label(
            track.stream, template, container.muxer, default=number in first
        ):
            _log.info("the language %s has no place in MOV: left out", language_of(template))
        tracks.append(track)
    return tracks, sorted(lost, key="sound subtitles".index)


def _open_audio(
    out: av.container.OutputContainer, container: Container, number: int, template: Any
) -> AudioTrack | None:
    try:
        return AudioTrack(out, container, number, template)
    except (av.FFmpegError, ValueError, IndexError) as error:
        _log.info("audio track %d is left out: it cannot be written (%s)", number + 1, error)
        return None


def add_chapters(
    out: av.container.OutputContainer, container: Container, chapters: Sequence[Chapter]
) -> list[str]:
    """Add chapters to a file; return what it does not hold."""
    if not chapters:
        return []
    if not container.chapters:
        return ["chapters"]
    out.set_chapters(
        [
            {
                "id": number,
                "start": round(chapter.start / _CHAPTER_BASE),
                "end": round(chapter.end / _CHAPTER_BASE),
                "time_base": _CHAPTER_BASE,
                "metadata": dict(chapter.metadata),
            }
            for number, chapter in enumerate(chapters, 1)
        ]
    )
    return []


def add_cover(
    out: av.container.OutputContainer, container: Container, cover: Cover | None
) -> list[str]:
    """Add a cover to a file; return what it does not hold."""
    if cover is None:
        return []
    if container.cover is None or cover.codec not in _MIME:
        return ["cover"]
    if container.cover == "attachment":
        name = f"cover.{_SUFFIX.get(cover.codec, cover.codec)}"
        out.add_attachment(name, _MIME[cover.codec], cover.data)
        return []
    stream = out.add_mux_stream(cover.codec, width=cover.width, height=cover.height)
    stream.disposition = av.stream.Disposition.attached_pic
    packet = av.Packet(cover.data)
    packet.stream, packet.is_keyframe = stream, True
    packet.pts = packet.dts = 0
    packet.time_base = Fraction(1, 25)
    out.mux(packet)
    return []
