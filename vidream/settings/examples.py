"""Which pictures frames are composed of, and how their pixels are looked for."""

from __future__ import annotations

from dataclasses import dataclass

from vidream.settings.options import Validated, option


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleSettings(Validated):
    """Which pictures frames are composed of, by the effect ``pixelnn``."""

    examples: tuple[str, ...] = option(
        (),
        "Picture whose pixels frames are composed of, or a folder of pictures; may be repeated.",
        metavar="FOLDER|FILE",
    )
    example_size: int | None = option(
        None,
        "Shorter side at which examples are looked at: what is in them should then be about as "
        "large as in the frames. Unset: as match-size.",
        metavar="PIXELS",
        minimum=16,
        maximum=4096,
    )
    match_size: int = option(
        240,
        "Shorter side at which frames are compared with examples, at most: what is copied into "
        "larger frames are small squares of pixels. Smaller is faster.",
        metavar="PIXELS",
        minimum=16,
        maximum=4096,
    )
    match_places: int = option(
        3,
        "How many of the examples are looked at closely for each part of a frame.",
        metavar="N",
        minimum=1,
        maximum=64,
    )
    match_reach: int = option(
        4,
        "How far around the place that is most alike pixels are looked for.",
        metavar="PIXELS",
        minimum=0,
        maximum=4096,
    )

    def __post_init__(self) -> None:
        """Check ranges, and accept a list of places, or one alone."""
        Validated.__post_init__(self)
        places = (self.examples,) if isinstance(self.examples, str) else self.examples
        object.__setattr__(self, "examples", tuple(places))
