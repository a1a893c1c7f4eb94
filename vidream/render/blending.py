"""Blending the pieces of a scene that was cut, where one goes over into the next."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vidream.core.errors import OutputError
from vidream.core.frames import Frame
from vidream.render.parts import Part
from vidream.render.segments import Segment, SegmentFormat, SegmentSeries, segment_path
from vidream.render.spool import read_spool


def faded_in(folder: Path, part: Part) -> Path:
    """Return the path of the frames with which a part begins, uncompressed."""
    return segment_path(folder, part.segment, ".new")


def faded_out(folder: Path, part: Part) -> Path:
    """Return the path of the frames of a part beyond its end, uncompressed."""
    return segment_path(folder, part.segment + len(part.segments), ".old")


def blend_pieces(before: Path, after: Path, part: Part, format: SegmentFormat) -> Segment:
    """Encode the segment in which the piece before goes over into a part.

    Args:
        before: folder of the piece before.
        after: folder of the part, in which the segment is put.
        part: that begins there.
        format: of segments.

    Raises:
        OutputError: frames are missing, or it cannot be written.
    """
    series = SegmentSeries(after, format, part.segment, part.last)
    old = segment_path(before, part.segment, ".old")
    try:
        for frame in _blended(old, faded_in(after, part), part):
            series.put(frame)
        segment = series.close()
    except BaseException:
        series.discard()
        raise
    if segment is None or segment.frames != part.fade_in:
        raise OutputError(f"{before} is damaged: remove it, and render it again")
    return segment


def _blended(old: Path, new: Path, part: Part) -> Iterator[Frame]:
    stop = part.first + part.fade_in
    pairs = zip(read_spool(old, part.first, stop), read_spool(new, part.first, stop), strict=False)
    for number, (before, after) in enumerate(pairs, 1):
        yield replace(after, image=blend(before.image, after.image, number / (part.fade_in + 1)))


def blend(before: Any, after: Any, share: float) -> Any:
    """Return a share of one picture in another, uint8 or uint16, eased at both ends."""
    eased = share * share * (3 - 2 * share)
    mixed = (1 - eased) * before.astype(np.float32) + eased * after.astype(np.float32)
    return np.rint(mixed).astype(before.dtype)
