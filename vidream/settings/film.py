"""What film is made of a still."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vidream.errors import SettingsError
from vidream.settings.dream import DreamSettings
from vidream.settings.options import Validated, option

OCTAVE_RATE = 10
"""Pictures a second of an octave film: 100 ms each."""

ZOOM_RATE = 25
"""Frames a second of an endless zoom."""

MOST_ZOOM = 1.25
"""Enlargement of one frame into the next, more than which leaves nothing to follow."""

ZOOM_SECONDS = 10
"""Length of an endless zoom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmSettings(Validated):
    """What film is made of a still. Every field at its default: as the target asks."""

    animate: bool = option(
        False, "Make a film even where TARGET could be a picture, as .webp could."
    )
    every: int | None = option(
        None,
        "Show a picture after each N steps, the still first. Unset: one for each octave.",
        metavar="N",
        minimum=1,
    )
    first_octave: int | None = option(
        None,
        "Where the octaves begin: 0 is the still's own size, below are smaller, above larger. "
        "Unset: as many below it as above, -2 to 2 of five.",
        metavar="N",
        minimum=-16,
        maximum=8,
    )
    blend: float = option(
        0.5,
        "Share of the octave before in what an octave starts from; the rest is the still.",
        minimum=0,
        maximum=1,
    )
    zoom: float | None = option(
        None,
        "Instead of octaves: an endless zoom, each frame the one before enlarged by this and "
        "dreamed on. Unset, with rotate: as little as keeps the corners covered.",
        minimum=1,
        maximum=MOST_ZOOM,
        over_time=True,
    )
    rotate: float | None = option(
        None,
        "Turn each frame of a zoom clockwise by this. Unset: not at all.",
        metavar="DEGREES",
        minimum=-10,
        maximum=10,
        over_time=True,
    )
    loop: bool = option(False, "Let the last second of a zoom flow into its beginning.")
    zoom_steps: int = option(
        3,
        "Gradient steps at full size on each frame of a zoom, in place of carried-steps.",
        minimum=0,
        maximum=10_000,
        over_time=True,
    )
    zoom_detail: float = option(
        0.5,
        "Detail of what grows in a zoom, in place of detail: what will be enlarged has to be drawn "
        "finely.",
        minimum=0,
        maximum=1,
        over_time=True,
    )

    def __post_init__(self) -> None:
        """Check ranges, and that the wishes go together."""
        Validated.__post_init__(self)
        if self.zooms and (self.every is not None or self.first_octave is not None):
            raise SettingsError(
                "every and first-octave are for films of octaves: leave them out, or zoom and "
                "rotate"
            )

    @property
    def zooms(self) -> bool:
        """Whether it is an endless zoom, and not a film of octaves."""
        return self.zoom is not None or self.rotate is not None

    @property
    def asked(self) -> bool:
        """Whether a film was asked for, whatever the target is."""
        return self != FilmSettings()

    def deepened(self, dream: DreamSettings) -> DreamSettings:
        """Give the dream of each picture of the film; a zoom has its own steps.

        It carries all of the frame before, for it has no other source.
        """
        if not self.zooms:
            return dream
        return replace(dream, carried_steps=self.zoom_steps, detail=self.zoom_detail, carry=1.0)
