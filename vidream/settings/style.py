"""Which style frames are painted in."""

from __future__ import annotations

from dataclasses import dataclass

from vidream.settings.options import Validated, option
from vidream.settings.terms import StyleTerm


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSettings(Validated):
    """Which style frames are painted in, by the effect ``adain``."""

    styles: tuple[StyleTerm, ...] = option(
        (),
        "Picture whose style is taken: FILE, or FILE:WEIGHT; may be repeated, to mix them.",
        metavar="FILE",
        parse=StyleTerm.parse,
        flag="style",
    )
    style_strength: float = option(
        1.0, "How much of the style: 0 = none, 1 = all of it.", minimum=0, maximum=1
    )
    style_size: int = option(
        512,
        "Shorter side at which a style is looked at: larger gives broader strokes.",
        metavar="PIXELS",
        minimum=32,
        maximum=4096,
    )
    content_size: int | None = option(
        None,
        "Shorter side at which frames are painted, at most: smaller is faster and gives broader "
        "strokes. Unset: half of the frame's own, but from 128 to 512.",
        metavar="PIXELS",
        minimum=16,
        maximum=4096,
    )
    preserve_color: bool = option(
        False, "Match the colours of the style to those of each scene's first frame."
    )

    def __post_init__(self) -> None:
        """Check ranges, and accept styles written as text."""
        Validated.__post_init__(self)
        terms = tuple(StyleTerm.parse(t) if isinstance(t, str) else t for t in self.styles)
        object.__setattr__(self, "styles", terms)
