"""Channel layouts of sound: the nearest one that an encoder takes."""

import re
from typing import Any

import av
import numpy as np

# By number of channels, for sound whose channels have no places.
_USUAL = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")

_OTHERS = (
    *("5.1(side)", "5.0(side)", "quad(side)", "4.0", "2.1", "3.1", "4.1", "3.0(back)", "7.0"),
    *("7.1(wide)", "7.1(wide-side)", "6.0", "6.0(front)", "hexagonal", "6.1(back)", "6.1(front)"),
    *("7.0(front)", "octagonal"),
)
_ORDER = "vidream channel order"  # among a stream's tags: PyAV's streams take nothing else

# What encoders take, and players know: AAC has more, which they do not.
_TAKEN = {
    "aac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"),
    # FFmpeg 8 puts channels of 5.0 and 6.1 in Opus into each other's places.
    "libopus": tuple(name for name in _USUAL if name not in ("5.0", "6.1")),
}

# FLAC's own, one for each number of channels, and those that are heard alike.
_FLAC = frozenset(
    (
        "mono",
        "stereo",
        "3.0",
        "quad",
        "quad(side)",
        "5.0",
        "5.0(side)",
        "5.1",
        "5.1(side)",
        "6.1",
        "7.1",
    )
)

# Where a channel is heard that has no place of its own: with all of these, at no loss.
_HEARD = {
    **{"SL": {"BL"}, "SR": {"BR"}, "BL": {"SL"}, "BR": {"SR"}, "BC": {"BL", "BR"}},
    **{"DL": {"FL"}, "DR": {"FR"}, "FLC": {"FL", "FC"}, "FRC": {"FR", "FC"}},
    **{"WL": {"FL"}, "WR": {"FR"}, "LFE2": {"LFE"}, "BIL": {"FL"}, "BIR": {"FR"}},
}


def settle_layout(stream: Any) -> None:
    """Give sound whose channels come in an order of their own the usual layout of these.

    Of such a layout PyAV 18 frees memory that the file still has: it is read once, and replaced.
    The order is noted for :func:`in_order`.
    """
    layout = stream.layout
    own = re.fullmatch(r"\d+ channels \((.+)\)", layout.name)
    if own is None:
        return
    places, count = own[1].split("+"), layout.nb_channels
    usual = f"{count}C"  # so many, with no places
    for name in (*_USUAL, *_OTHERS):
        if sorted(places) == sorted(_places(av.AudioLayout(name))):
            usual = name
            order = [places.index(c.name) for c in av.AudioLayout(name).channels]
            stream.metadata[_ORDER] = " ".join(map(str, order))
            break
    del layout
    stream.codec_context.layout = usual


def has_own_order(stream: Any) -> bool:
    """Whether the channels of a track come in an order of their own."""
    return _ORDER in stream.metadata


def in_order(frame: Any, template: Any) -> Any:
    """Return a frame of a track with its channels in the usual order."""
    if not has_own_order(template) or frame.format.is_planar:  # which PCM is not
        return frame
    order = [int(number) for number in template.metadata[_ORDER].split()]
    levels = frame.to_ndarray().reshape(-1, len(order))[:, order].reshape(1, -1)
    made: Any = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(levels), frame.format.name, frame.layout.name
    )
    made.sample_rate, made.pts, made.time_base = frame.sample_rate, frame.pts, frame.time_base
    return made


def nearest_layout(encoder: str, layout: av.AudioLayout) -> str:
    """Return the layout to encode sound in: its own, or the one that loses and adds the least.

    Raises:
        ValueError: it has more channels than there are places for.
    """
    name = layout.name
    if name.endswith("channels"):
        if layout.nb_channels > len(_USUAL):
            raise ValueError(f"{layout.nb_channels} channels have no places")
        name = _USUAL[layout.nb_channels - 1]
    taken = _TAKEN.get(encoder)
    if taken is None or name in taken:
        return name
    own = _places(av.AudioLayout(name))
    return min(taken, key=lambda other: _distance(own, _places(av.AudioLayout(other))))


def keeps_layout(codec: str, muxer: str, template: Any) -> bool:
    """Whether the layout of sound that is copied is known there: FLAC's, in MP4, by its number."""
    if codec == "flac" and muxer == "mp4":
        return template.layout.name in _FLAC
    return muxer == "mov" or not has_own_order(template)


def _distance(own: set[str], other: set[str]) -> tuple[int, ...]:
    """Return how many channels are lost, how many mixed with others, added, and moved."""
    moved = own - other
    heard = {place: _HEARD.get(place, {place}) for place in moved}
    lost = {place for place in moved if not heard[place] <= other}
    mixed = {place for place in moved - lost if heard[place] & own}
    return len(lost), len(mixed), abs(len(other) - len(own)), len(moved)


def _places(layout: av.AudioLayout) -> set[str]:
    return {channel.name for channel in layout.channels}
