"""What becomes of a dream before it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from vidream.errors import SettingsError
from vidream.settings.options import Validated, option


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishSettings(Validated):
    """What becomes of a dream before it is shown; nothing of it is carried on."""

    strength: float = option(
        1.0,
        "How much of what the dream adds is shown: 0 = the source, 1 = the dream, 2 = twice as "
        "much.",
        minimum=0,
        maximum=2,
        over_time=True,
        common=True,
    )
    keep_edges: float = option(
        0.0,
        "Smooth what the dream adds, but not across the outlines of the source: 0 = not at all, "
        "1 = wholly.",
        metavar="AMOUNT",
        minimum=0,
        maximum=1,
        over_time=True,
    )
    keep_color: bool = option(False, "Dream in brightness only, in the colours of the source.")
    match_color: str | None = option(
        None,
        "Match the dream's colours to those of the source, or of a picture.",
        metavar="source|FILE",
    )
    mask: str | None = option(
        None,
        "Show the dream only where this picture or video is white, or not transparent. A video "
        "runs in step with the clip; its last frame holds.",
        metavar="FILE",
        common=True,
    )
    feather: int = option(
        8,
        "Width of the soft edge, inside of what the mask shows.",
        metavar="PIXELS",
        minimum=0,
        maximum=512,
    )

    def __post_init__(self) -> None:
        """Check ranges, and that not both ways with colour are wanted."""
        Validated.__post_init__(self)
        if self.keep_color and self.match_color is not None:
            raise SettingsError("give either keep-color or match-color, not both")
