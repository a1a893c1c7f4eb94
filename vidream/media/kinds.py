"""What a file is, by its content; its suffix counts only where that says nothing."""

import warnings
from enum import Enum
from pathlib import Path


class FileKind(Enum):
    """A kind of file."""

    PICTURE = "picture"
    ANIMATION = "animation"  # GIF, APNG or WebP of several pictures
    VIDEO = "video"  # or of unknown kind


# Pictures that are read, by suffix.
_PICTURES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif", ".hif"),
)
_STREAMS = frozenset((".mjpeg", ".mjpg"))  # JPEG pictures, one after the other
_ANIMATED = (b"GIF8", b"\x89PNG", b"RIFF")
_STILL = (b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
_FILMS = (b"\x1aE\xdf\xa3", b"OggS", b"FLV", b"\0\0\1\xba", b"\0\0\1\xb3")
_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis"))
_HEIC_INDEX = 2**16  # bytes in which a HEIC says what it is made of
_HEIF = _HEIC | {b"avif", b"mif1"}


def is_picture_name(path: Path) -> bool:
    """Whether a suffix is that of a picture."""
    return path.suffix.lower() in _PICTURES


def kind_of(path: Path) -> FileKind:
    """Return the kind of a file, which need not exist; raises OSError if it cannot be read."""
    named = is_picture_name(path)
    by_name = FileKind.PICTURE if named else FileKind.VIDEO
    head = _head(path)
    if head[4:8] == b"ftyp":
        return FileKind.PICTURE if head[8:12] in _HEIF else FileKind.VIDEO
    if head.startswith(_FILMS) or (head.startswith(b"RIFF") and head[8:12] == b"AVI "):
        return FileKind.VIDEO
    if head.startswith(_ANIMATED) and (head[:1] != b"R" or head[8:12] == b"WEBP"):
        return _pictures_in(path) or by_name
    if head.startswith(_STILL) and path.suffix.lower() not in _STREAMS:
        # Two letters are no proof.
        return FileKind.PICTURE if named or head[:2] != b"BM" else _pictures_in(path) or by_name
    return by_name


def is_webp(path: Path) -> bool:
    """Whether a file is WebP."""
    head = _head(path)
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def is_heic(path: Path) -> bool:
    """Whether a picture is HEIC, which FFmpeg reads and Pillow does not."""
    head = _head(path)
    brands = {head[8:12], *_brands(head)}
    return head[4:8] == b"ftyp" and bool(_HEIC & brands)


def has_tiles(path: Path) -> bool:
    """Whether a HEIC picture is made of tiles."""
    with path.open("rb") as file:
        return b"grid" in file.read(_HEIC_INDEX)


def _brands(head: bytes) -> list[bytes]:
    end = min(len(head), int.from_bytes(head[:4], "big"))
    return [head[k : k + 4] for k in range(16, end - 3, 4)]


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(64)


def _pictures_in(path: Path) -> FileKind | None:
    """Return whether a file has one picture or several; None if Pillow cannot read it."""
    from PIL import Image  # noqa: PLC0415  (it takes its time)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, which are refused when read
            with Image.open(path, formats=("GIF", "PNG", "WEBP", "BMP")) as opened:
                several = getattr(opened, "is_animated", False)
    except Exception:  # a damaged file raises whatever it likes
        return None
    return FileKind.ANIMATION if several else FileKind.PICTURE
