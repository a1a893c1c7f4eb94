"""Comments in files: where FFmpeg's muxers write none, and wherever one is to be read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO

from vidream.errors import InputError
from vidream.media import Place, is_pipe
from vidream.reader import open_container
from vidream.stills import exif_of, is_still, read_still_comment

_LOOP = b"\x21\xff\x0bNETSCAPE2.0"  # the extension by which a GIF runs for ever
_EXIF = 0x08  # the flag of a WebP that holds some


def inscribe(path: Path, muxer: str, comment: str) -> None:
    """Write a comment into a finished GIF or animated WebP; others have theirs from FFmpeg.

    Args:
        path: of the file, which is changed.
        muxer: FFmpeg's name of its kind.
        comment: what it shall say.

    Raises:
        OSError: the file cannot be changed.
    """
    if muxer == "gif":
        _inscribe_gif(path, comment.encode())
    elif muxer == "webp":
        _inscribe_webp(path, exif_of(comment))


def _inscribe_gif(path: Path, comment: bytes) -> None:
    """Put a comment extension before the first picture, where readers look for it."""
    blocks = (comment[k : k + 255] for k in range(0, len(comment), 255))
    extension = b"\x21\xfe" + b"".join(bytes([len(b)]) + b for b in blocks) + b"\0"
    other = path.with_name(f"{path.name}.new")
    try:
        with path.open("rb") as old, other.open("wb") as new:
            head = old.read(13)
            head += old.read(3 * 2 ** ((head[10] & 7) + 1) if head[10] & 0x80 else 0)
            loop = old.read(19)
            if not loop.startswith(_LOOP):
                old.seek(len(head))
                loop = b""
            new.write(head + loop + extension)
            shutil.copyfileobj(old, new)
        other.replace(path)
    finally:
        other.unlink(missing_ok=True)


def _inscribe_webp(path: Path, exif: bytes) -> None:
    """Put a chunk of EXIF at the end. A file without the extended header has no place for it."""
    with path.open("r+b") as file:
        head = bytearray(file.read(30))
        if head[12:16] != b"VP8X":
            return
        file.seek(0, os.SEEK_END)
        _write_chunk(file, b"EXIF", exif)
        head[4:8] = (file.tell() - 8).to_bytes(4, "little")
        head[20] |= _EXIF
        file.seek(0)
        file.write(head)


def _write_chunk(file: BinaryIO, name: bytes, content: bytes) -> None:
    file.write(name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2))


def read_comment(place: Place) -> str | None:
    """Read the comment of a picture or a video; None if it has none.

    Raises:
        InputError: there is no picture or video to read there.
    """
    if is_pipe(place):
        raise InputError("a pipe has nothing to say of itself: give a file")
    name = os.fspath(place)  # type: ignore[arg-type]
    if is_still(name) or name.lower().endswith(".gif"):
        return read_still_comment(name)
    container, guard = open_container(name, name)
    with guard.closing(container):
        # Matroska writes names in capitals.
        tags = {key.lower(): value for key, value in container.metadata.items()}
    return tags.get("comment")
