"""Comments in a file's metadata: written where FFmpeg's muxers write none, and read from all."""

import os
import shutil
from pathlib import Path

from vidream.core.errors import InputError
from vidream.media.container import open_container, tags_of
from vidream.media.places import Place, Source, StillFile, parse_source
from vidream.media.stills import exif_of, read_still_comment

_LOOP = b"\x21\xff\x0bNETSCAPE2.0"  # the extension by which a GIF runs for ever
_EXIF = 0x08  # the flag of a WebP that holds some


def embed_comment(path: Path, muxer: str, comment: str) -> None:
    """Write a comment into a finished GIF or animated WebP; FFmpeg writes the others."""
    if muxer == "gif":
        _embed_in_gif(path, comment.encode())
    elif muxer == "webp":
        _embed_in_webp(path, exif_of(comment))


def _embed_in_gif(path: Path, comment: bytes) -> None:
    """Insert a comment extension before the first image."""
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


def _embed_in_webp(path: Path, exif: bytes) -> None:
    """Append an EXIF chunk, if the file has an extended header."""
    with path.open("r+b") as file:
        head = bytearray(file.read(30))
        if head[12:16] != b"VP8X":
            return
        file.seek(0, os.SEEK_END)
        file.write(b"EXIF" + len(exif).to_bytes(4, "little") + exif + b"\0" * (len(exif) % 2))
        head[4:8] = (file.tell() - 8).to_bytes(4, "little")
        head[20] |= _EXIF
        file.seek(0)
        file.write(head)


def read_comment(place: Source | Place) -> str | None:
    """Return the comment of an image or a video; None if it has none."""
    source = parse_source(place)
    if source.is_pipe:
        raise InputError("a pipe has no comment: give a file")
    if isinstance(source, StillFile) or source.name.lower().endswith(".gif"):
        return read_still_comment(source)
    with open_container(source) as file:
        return tags_of(file.container).get("comment")
