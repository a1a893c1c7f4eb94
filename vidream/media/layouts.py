"""Channel layouts of sound: the nearest one that an encoder takes."""

import av

# By number of channels, for sound whose channels have no places.
_USUAL = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")

# What encoders take, and players know: AAC has more, which they do not.
_TAKEN = {
    "aac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"),
    "libopus": _USUAL,
}

# Where a channel is heard that has no place of its own: with all of these, at no loss.
_HEARD = {
    **{"SL": {"BL"}, "SR": {"BR"}, "BL": {"SL"}, "BR": {"SR"}, "BC": {"BL", "BR"}},
    **{"DL": {"FL"}, "DR": {"FR"}, "FLC": {"FL", "FC"}, "FRC": {"FR", "FC"}},
    **{"WL": {"FL"}, "WR": {"FR"}, "LFE2": {"LFE"}, "BIL": {"FL"}, "BIR": {"FR"}},
}


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


def _distance(own: set[str], other: set[str]) -> tuple[int, ...]:
    """Return how many channels are lost, how many mixed with others, added, and moved."""
    moved = own - other
    heard = {place: _HEARD.get(place, {place}) for place in moved}
    lost = {place for place in moved if not heard[place] <= other}
    mixed = {place for place in moved - lost if heard[place] & own}
    return len(lost), len(mixed), abs(len(other) - len(own)), len(moved)


def _places(layout: av.AudioLayout) -> set[str]:
    return {channel.name for channel in layout.channels}
