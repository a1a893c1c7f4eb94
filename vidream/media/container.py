"""Opening containers, here alone, and choosing their streams."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import av

from vidream.core.closeable import Closeable
from vidream.core.errors import InputError, describe_error
from vidream.media.cameras import DeviceInput, device_input
from vidream.media.checks import check_source
from vidream.media.info import MAX_PIXELS, MAX_SIDE
from vidream.media.places import (
    CameraDevice,
    PipeIn,
    Place,
    Source,
    VideoFile,
    parse_source,
)
from vidream.media.timeouts import TimedWorker

_log = logging.getLogger(__name__)

# Real containers only. Playlists and scripts (hls, dash, concat, image2, sdp …) would let a file
# name other files, or addresses, for us to open.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,flv,live_flv,asf,ogg,gif,"
    "apng,yuv4mpegpipe,nut,ivf,h264,hevc,obu,av1,mjpeg,mxf,dv,wtv,rm,amr,wav,mp3,aac,flac"
)
_MP4 = (b"ftyp", b"wide", b"mdat")  # what MP4 and MOV begin with, after 4 bytes
_HEAD = 12  # bytes that tell it
_PIPE = {"protocol_whitelist": "file,pipe,fd", "format_whitelist": _FORMATS, "max_streams": "200"}
# The first key frame of a broadcast may be seconds away. A pipe should not wait.
_FILE = _PIPE | {"probesize": "20000000", "analyzeduration": "15000000"}


@dataclass(frozen=True, slots=True)
class OpenInput(Closeable):
    """An open container and the thread that reads it. A context manager."""

    source: Source
    container: av.container.InputContainer
    worker: TimedWorker

    def close(self) -> None:
        """Close the container."""
        self.worker.close(self.container.close)


def open_container(place: Place | Source) -> OpenInput:
    """Open a camera, or a container of a kind that cannot refer to other files."""
    source = parse_source(place)
    worker = TimedWorker(source)
    return OpenInput(source, worker.open(partial(_open, source)), worker)


def _open(source: Source) -> av.container.InputContainer:
    if isinstance(source, CameraDevice):
        device = device_input(source.name)
        assert device is not None
        return _open_camera(device, source.name)
    check_source(source)
    # The prefix keeps FFmpeg from reading "concat:a" or "http:b" as anything but a name.
    file = _Stream(source.file) if isinstance(source, PipeIn) else f"file:{source.name}"
    try:
        container = av_open(file, None, _PIPE if source.is_pipe else _FILE)
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(file, _Stream) and file.head[4:8] in _MP4:
            raise not_for_pipes(source) from error
        raise _without_index(source) or InputError(
            f"{source.name} is not a video that can be read ({describe_error(error)}): "
            "is it whole, and a video?"
        ) from error
    if len(container.streams) == 0 and (lost := _without_index(source)) is not None:
        container.close()
        raise lost
    return container


class _Stream:
    """A stream that keeps its first bytes; all else is as it is."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.head = b""

    def read(self, size: int = -1) -> bytes:
        """Read some bytes."""
        data: bytes = self._file.read(size) or b""
        if len(self.head) < _HEAD:
            self.head += data[:_HEAD]
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def not_for_pipes(source: Source) -> InputError:
    """Return the error for an MP4 or MOV on a pipe whose index is at its end."""
    return InputError(
        f"{source.name} is an MP4 or MOV that is not made for pipes: give the file, or MKV, NUT or "
        "Y4M, or an MP4 with its index in front (ffmpeg -movflags +faststart)"
    )


def av_open(file: Any, kind: str | None, options: Mapping[str, str]) -> av.container.InputContainer:
    """Open an input with PyAV; undecodable metadata is replaced."""
    opened = av.open(
        file, "r", format=kind, container_options=dict(options), metadata_errors="replace"
    )
    return cast(av.container.InputContainer, opened)


def _open_camera(device: DeviceInput, name: str) -> av.container.InputContainer:
    try:
        return av_open(device.url, device.format, device.options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"the camera {name} cannot be opened ({describe_error(error)}): is it plugged in, "
            "allowed to you, and not in use elsewhere?"
        ) from error


def _without_index(source: Source) -> InputError | None:
    """Return the error for an MP4 or MOV that ends before its index; None for all others."""
    if not isinstance(source, VideoFile):
        return None
    with Path(source.path).open("rb") as file:
        if file.read(_HEAD)[4:8] not in _MP4:
            return None
    return InputError(
        f"{source.name} has no index: its recording was not finished, or it was not copied whole; "
        "copy it again, or rebuild the index with a tool such as untrunc"
    )


def check_size(name: str, width: int, height: int) -> None:
    """Raise :class:`InputError` for frames larger than any recording's."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(
            f"{name} says its frames are {width}×{height}; the most that is read is "
            f"{MAX_PIXELS // 2**20} megapixels and {MAX_SIDE} a side: scale it down first"
        )
