"""The streams of a container: which is the film, and what goes with it."""

import logging
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av

from vidream.core.errors import InputError, SettingsError
from vidream.core.settings import parse_time
from vidream.media.container import OpenInput, check_size, open_container
from vidream.media.info import MAX_PIXELS, Chapter, Cover
from vidream.media.layouts import settle_layout
from vidream.media.places import Source
from vidream.media.timeouts import decoding_threads

_log = logging.getLogger(__name__)

# Decoders of what others decode without its alpha channel.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def choose_video(file: OpenInput) -> av.VideoStream:
    """Return the film: no cover or thumbnail, the default track, and of several the largest."""
    name, streams = file.source.name, file.container.streams.video
    videos = [s for s in streams if not is_cover(s) and s.codec_context]
    if not videos:
        raise InputError(f"{name} holds no video, only sound or nothing: give a video")
    longest = max(map(_length, videos))
    films = [s for s in videos if not _is_picture(s, longest)] or videos
    # Depth maps and enhancement layers are smaller than the film, or not the default.
    stream = max(films, key=lambda s: (s.disposition & av.stream.Disposition.default, _area(s)))
    stream.thread_type = "AUTO"
    check_size(name, stream.width, stream.height)
    stream.codec_context.thread_count = decoding_threads(stream.width, stream.height)
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def _length(stream: av.VideoStream) -> float:
    """Return the length in seconds; 0 if unknown. Matroska has it in a tag, if anywhere."""
    with suppress(SettingsError):
        return parse_time(stream.metadata.get("DURATION", ""))
    return float((stream.duration or 0) * (stream.time_base or 0))


def _is_picture(stream: av.VideoStream, longest: float) -> bool:
    """Whether a stream is a cover, which not all programs mark, or much shorter than the film."""
    return stream.frames == 1 or 0 < _length(stream) < longest / 2


def _area(stream: av.VideoStream) -> int:
    return stream.width * stream.height


def tags_of(container: av.container.InputContainer) -> dict[str, str]:
    """Return the tags of a file by names in lower case: Matroska writes them in capitals."""
    streams = container.streams.video if container.format.name == "ogg" else ()  # has them there
    found = [*(stream.metadata for stream in streams), container.metadata]
    return {name.lower(): value for tags in found for name, value in tags.items()}


def is_cover(stream: Any) -> bool:
    """Whether a stream is marked as a cover."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def choose_audio(file: OpenInput) -> list[Any]:
    """Return the audio streams whose codec is known."""
    found = [s for s in file.container.streams.audio if s.codec_context]
    for stream in found:
        settle_layout(stream)
    return found


def choose_subtitles(file: OpenInput) -> list[Any]:
    """Return the subtitles whose codec is known."""
    return [s for s in file.container.streams.subtitles if s.codec_context]


def alpha_decoder(stream: av.VideoStream) -> Any:
    """Return the decoder of a stream with an alpha channel that its own one does not see."""
    context = stream.codec_context
    tags = {name.lower(): value for name, value in stream.metadata.items()}
    if context.name not in _ALPHA_DECODERS or tags.get("alpha_mode") != "1":
        return None
    decoder: Any = av.CodecContext.create(_ALPHA_DECODERS[context.name], "r")
    decoder.extradata = context.extradata
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    return decoder


def chapters_of(container: av.container.InputContainer) -> tuple[Chapter, ...]:
    """Return the chapters; times are the container's."""
    found = []
    for chapter in container.chapters():
        base = chapter["time_base"] or Fraction(0)
        start, end = chapter["start"] * base, chapter["end"] * base
        found.append(Chapter(start, end, dict(chapter["metadata"])))
    return tuple(found)


def read_cover(file: OpenInput) -> Cover | None:
    """Return the first cover of a file; None without one, or if it is read once only."""
    covers = [s for s in file.container.streams.video if is_cover(s) and s.codec_context]
    if not covers or file.source.is_live:
        return None
    return _cover(file.source, covers[0].index)


def _cover(source: Source, index: int) -> Cover | None:
    with suppress(InputError), open_container(source) as file:  # which its packet would be lost to
        stream: Any = file.container.streams[index]
        packet = file.worker.run(lambda: next(file.container.demux(stream), None))
        if packet is not None and packet.size and stream.width and stream.height:
            codec = stream.codec_context.name
            return Cover(bytes(packet), codec, stream.width, stream.height)
    return None


def log_unused_tracks(file: OpenInput, used: list[Any]) -> None:
    """Log which streams of a file are not read."""
    left = [s for s in file.container.streams if s not in used and not is_cover(s)]
    # A chapter track says what the chapters say.
    chapters = bool(file.container.chapters())
    counted = {"audio": "unknown sound", "subtitle": "unknown subtitle", "data": "data"}
    names = [_describe(file, s) for s in left if s.type == "video"]
    for kind, what in counted.items():
        count = sum(s.type == kind and not (chapters and kind == "data") for s in left)
        names += [f"{count} {what} track{'s' if count > 1 else ''}"] if count else []
    if names:
        _log.info("left out: %s", ", ".join(names))


def _describe(file: OpenInput, stream: Any) -> str:
    number = 1 + file.container.streams.video.index(stream)
    if not stream.codec_context:
        return f"video track {number} (of an unknown codec)"
    codec = stream.codec_context.name
    return f"video track {number} ({codec}, {stream.width}×{stream.height})"
