"""Metadata of files: what FFmpeg's muxers cannot write, and comments, which are read from all."""

import os
import shutil
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from vidream.core.errors import InputError
from vidream.media.container import open_container
from vidream.media.places import AnimationFile, Place, Source, StillFile, parse_source
from vidream.media.stills import exif_of, read_still_comment
from vidream.media.streams import tags_of

_LOOP = b"\x21\xff\x0bNETSCAPE2.0"  # the extension by which a GIF runs for ever
_EXIF = 0x08  # the flag of a WebP that holds some
_DELAY = 12  # bytes before the delay of a picture of WebP
_NUT_MOST = 1023  # bytes of a tag of NUT that FFmpeg reads


def held_tags(tags: Mapping[str, str], muxer: str) -> dict[str, str]:
    """Return the tags that a container can hold: in NUT only as many lines as are short."""
    if muxer != "nut":
        return dict(tags)
    return {name: kept for name, text in tags.items() if (kept := _shortened(text))}


def _shortened(text: str) -> str:
    while len(text.encode()) > _NUT_MOST:
        text = text.rpartition("\n")[0]
    return text


def set_last_delay(path: Path, length: Fraction) -> None:
    """Let the last picture of an animated WebP end at a length in seconds: FFmpeg guesses it."""
    with path.open("r+b") as file:
        frames = [(at, size) for kind, at, size in _chunks(file) if kind == b"ANMF"]
        if not frames:
            return
        shown = 0
        for at, _ in frames[:-1]:
            file.seek(at + _DELAY)
            shown += int.from_bytes(file.read(3), "little")
        last = min(max(0, round(length * 1000) - shown), 2**24 - 1)
        file.seek(frames[-1][0] + _DELAY)
        file.write(last.to_bytes(3, "little"))


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunks of a WebP: name, offset and size of what is in them."""
    at = 12
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], "little")
        yield head[:4], at + 8, size
        at += 8 + size + size % 2


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
    if isinstance(source, (StillFile, AnimationFile)):
        return read_still_comment(source)
    with open_container(source) as file:
        return tags_of(file.container).get("comment")
