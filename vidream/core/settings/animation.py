"""Animation of a still."""

from dataclasses import dataclass, replace
from functools import partial

from vidream.core.errors import SettingsError
from vidream.core.settings.dream import DreamSettings
from vidream.core.settings.options import Validated, option

OCTAVE_RATE = 10
"""Frames per second of an animation of octaves."""

ZOOM_RATE = 25
"""Frames per second of an endless zoom."""

MOST_ZOOM = 1.25
"""Largest zoom per frame: beyond it there is nothing to follow."""

USUAL_ZOOM = 1.02
"""Zoom per frame where neither it nor a rotation is set."""

ZOOM_SECONDS = 10
"""Length of an endless zoom."""

_octaves = partial(option, group="Octave animation")
_zoom = partial(option, group="Zoom")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnimationSettings(Validated):
    """Animation of a still. If all are defaults, the target decides whether it is one."""

    animate: str | None = option(None, "Animate a still.", "Animation", choices=("octaves", "zoom"))
    every: int | None = _octaves(
        None, "Show the image after each N steps. Unset: after each octave.", metavar="N", minimum=1
    )
    first_octave: int | None = _octaves(
        None,
        "First octave: 0 is the still's size, below is smaller. Unset: as many below as above.",
        metavar="N",
        within=(-16, 8),
    )
    blend: float = _octaves(
        0.5,
        "Share of the octave before in what an octave starts from; the rest is the still.",
        within=(0, 1),
    )
    zoom: float | None = _zoom(
        None,
        "Enlargement per frame. Unset: 1.02, or what covers the corners of a rotation.",
        within=(1, MOST_ZOOM),
        over_time=True,
    )
    rotate: float | None = _zoom(
        None, "Clockwise rotation per frame.", metavar="DEGREES", within=(-10, 10), over_time=True
    )
    loop: bool = _zoom(False, "Blend the last second into the beginning.")
    zoom_steps: int = _zoom(3, "Gradient steps per frame.", within=(0, 10_000), over_time=True)
    zoom_detail: float = _zoom(
        0.5, "Scale of the dream: 0 is large and soft, 1 fine.", within=(0, 1), over_time=True
    )

    def __post_init__(self) -> None:
        Validated.__post_init__(self)
        moves = self.zoom is not None or self.rotate is not None
        if moves and self.animate == "octaves":
            raise SettingsError(
                "an animation of octaves has no `zoom` and `rotate`: leave them out"
            )
        grows = self.every is not None or self.first_octave is not None or self.blend != 0.5
        if moves:
            object.__setattr__(self, "animate", "zoom")
        elif grows and self.animate is None:
            object.__setattr__(self, "animate", "octaves")
        elif self.animate == "zoom":
            object.__setattr__(self, "zoom", USUAL_ZOOM)
        if self.zooms and (self.every is not None or self.first_octave is not None):
            raise SettingsError("a zoom has no `every` and `first_octave`: leave them out")

    @property
    def zooms(self) -> bool:
        """Whether it is an endless zoom."""
        return self.animate == "zoom"

    @property
    def asked(self) -> bool:
        """Whether an animation is set, whatever the target is."""
        return self != AnimationSettings()

    def adapted(self, dream: DreamSettings) -> DreamSettings:
        """Return the dream settings of each image of the animation.

        A zoom has its own steps, and propagates all of the previous frame: it has no other source.
        """
        if not self.zooms:
            return dream
        return replace(dream, refine_steps=self.zoom_steps, detail=self.zoom_detail, coherence=1.0)
