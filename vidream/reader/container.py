"""Opening a video, and choosing what of it is read. The only place where a container is opened."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import av
import av.container
import av.video

from vidream.errors import InputError, reason
from vidream.media import MAX_PIXELS, MAX_SIDE, Place, is_pipe
from vidream.reader.cameras import Camera, camera_of
from vidream.reader.guard import Guard, decoding_threads

_log = logging.getLogger(__name__)

# Real containers only. Playlists and scripts (hls, dash, concat, image2, sdp …) would let a file
# name other files, or addresses, for us to open.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,flv,live_flv,asf,ogg,gif,"
    "apng,yuv4mpegpipe,nut,ivf,h264,hevc,obu,av1,mjpeg,mxf,dv,wtv,rm,amr,wav,mp3,aac,flac"
)
_PIPE = {
    "protocol_whitelist": "file,pipe,fd",
    "format_whitelist": _FORMATS,
    "max_streams": "200",
}
# A broadcast that was cut into may take seconds to show its first key frame. A pipe shall not wait.
_FILE = _PIPE | {"probesize": "20000000", "analyzeduration": "15000000"}


def name_of(source: Place) -> str:
    """Give the name of a source, for messages."""
    return "standard input" if is_pipe(source) else os.fspath(source)  # type: ignore[arg-type]


def open_container(source: Place, name: str) -> tuple[av.container.InputContainer, Guard]:
    """Open a container of a kind that cannot name other files, or a camera.

    Returns:
        The container, and the guard that opened it: by that it is read, and closed in the end.

    Raises:
        InputError: there is none, or it does not open.
    """
    guard = Guard(source, name)
    return guard.open(partial(_open, source, name)), guard


def _open(source: Place, name: str) -> av.container.InputContainer:
    camera = None if is_pipe(source) else camera_of(name)
    if camera is not None:
        return _open_camera(camera, name)
    file: Any
    if is_pipe(source):
        # Past the buffer: at the end Python waits for whoever reads through it, were it for ever.
        stdin = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        file = stdin if isinstance(source, (str, os.PathLike)) else source
    else:
        _check_file(name)
        # The prefix keeps FFmpeg from reading "concat:a" or "http:b" as anything but a name.
        file = f"file:{name}"
    try:
        container = av_open(file, None, _PIPE if is_pipe(source) else _FILE)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _unindexed(source) or InputError(
            f"{name} is not a video that can be read ({reason(error)}): is it whole, and a video?"
        ) from error
    if len(container.streams) == 0 and (lost := _unindexed(source)) is not None:
        container.close()
        raise lost
    return container


def av_open(file: Any, kind: str | None, options: Mapping[str, str]) -> av.container.InputContainer:
    """Let PyAV open something; titles in an unknown alphabet are no reason to refuse it."""
    opened = av.open(
        file, "r", format=kind, container_options=dict(options), metadata_errors="replace"
    )
    return cast(av.container.InputContainer, opened)


def _open_camera(camera: Camera, name: str) -> av.container.InputContainer:
    try:
        return av_open(camera.place, camera.kind, camera.options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"the camera {name} cannot be opened ({reason(error)}): is it plugged in, "
            "allowed to you, and not in use elsewhere?"
        ) from error


def _check_file(name: str) -> None:
    path = Path(name)
    if "://" in name and not path.exists():
        raise InputError(f"{name} is an address: download it first, and give the file")
    if not path.exists():
        raise InputError(f"there is no file {name}: check the name")
    if path.is_dir():
        raise InputError(f"{name} is a folder: give one clip, or see `make dreams` for a folder")
    if not os.access(path, os.R_OK):
        raise InputError(f"{name} may not be read: change its permissions")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{name} is empty: record or copy it again")


def _unindexed(source: Place) -> InputError | None:
    """Make the error for an MP4 or MOV that was cut off before its index; None for all others."""
    if is_pipe(source):
        return None
    path = Path(os.fspath(source))  # type: ignore[arg-type]
    with path.open("rb") as file:
        if file.read(12)[4:8] not in (b"ftyp", b"wide", b"mdat"):
            return None
    return InputError(
        f"{path} has no index: its recording was not finished, or it was not copied whole; copy it "
        "again, or rebuild the index with a tool such as untrunc"
    )


def choose_video(container: av.container.InputContainer, name: str) -> av.VideoStream:
    """Pick the video that is meant: the largest, the first of equals.

    Beside it lie maps of depth, layers of enhancement and previews.

    Raises:
        InputError: there is none, or its frames are too large.
    """
    pictures = av.stream.Disposition.attached_pic
    videos = [s for s in container.streams.video if not s.disposition & pictures]
    videos = [s for s in videos if s.codec_context]
    if not videos:
        raise InputError(f"{name} holds no video, only sound or nothing: give a video")
    stream = max(videos, key=lambda s: s.width * s.height)
    stream.thread_type = "AUTO"
    check_size(name, stream.width, stream.height)
    stream.codec_context.thread_count = decoding_threads(stream.width, stream.height)
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def choose_sound(container: av.container.InputContainer) -> list[Any]:
    """Give the tracks of sound whose kind is known."""
    return [s for s in container.streams.audio if s.codec_context]


def say_what_is_left_out(container: av.container.InputContainer, used: list[Any]) -> None:
    """Say which tracks of a file are not read."""
    kinds = {"video": "further video", "audio": "unknown sound"}
    pictures = av.stream.Disposition.attached_pic
    left = [s for s in container.streams if s not in used and not s.disposition & pictures]
    for kind in ("video", "audio", "subtitle", "data"):
        count = sum(s.type == kind for s in left)
        if count:
            what = kinds.get(kind, kind)
            _log.info("%d %s track%s left out", count, what, "s" if count > 1 else "")


def check_size(name: str, width: int, height: int) -> None:
    """Refuse frames that no recording has.

    Raises:
        InputError: they are too large.
    """
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(
            f"{name} says its frames are {width}×{height}; the most that is read is "
            f"{MAX_PIXELS // 2**20} megapixels and {MAX_SIDE} a side: scale it down first"
        )
