"""Which style frames are painted in."""

from __future__ import annotations

from dataclasses import dataclass

from vidream.settings.options import Validated, option
from vidream.settings.terms import LayerTerm, StyleTerm


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSettings(Validated):
    """Which style frames are painted in by the effect ``adain``, or dreams take on."""

    styles: tuple[StyleTerm, ...] = option(
        (),
        "Picture whose style is taken: FILE, or FILE:WEIGHT; may be repeated, to mix them.",
        metavar="FILE",
        parse=StyleTerm.parse,
        flag="style",
    )
    style_weight: float = option(
        1.0,
        "For dream: how much the style counts beside what grows.",
        metavar="WEIGHT",
        minimum=0,
    )
    style_layers: tuple[LayerTerm, ...] = option(
        (),
        "For dream: layer that the style is seen in, NAME or NAME:WEIGHT; may be repeated. Unset: "
        "the network's own.",
        metavar="LAYER",
        parse=LayerTerm.parse,
        flag="style-layer",
    )
    style_match: str = option(
        "gram",
        "For dream: what of these layers becomes the style's: gram, which channels are active "
        "together, or adain, mean and deviation of each.",
        choices=("gram", "adain"),
    )
    style_strength: float = option(
        1.0,
        "For adain: how much of the style, 0 = none, 1 = all of it.",
        minimum=0,
        maximum=1,
        over_time=True,
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
        "For adain: shorter side at which frames are painted, at most: smaller is faster and gives "
        "broader strokes. Unset: half of the frame's own, but from 128 to 512.",
        metavar="PIXELS",
        minimum=16,
        maximum=4096,
    )
    preserve_color: bool = option(
        False, "For adain: match the colours of the style to those of each scene's first frame."
    )

    def __post_init__(self) -> None:
        """Check ranges, and accept styles written as text."""
        Validated.__post_init__(self)
        terms = tuple(StyleTerm.parse(t) if isinstance(t, str) else t for t in self.styles)
        object.__setattr__(self, "styles", terms)
        layers = tuple(LayerTerm.parse(t) if isinstance(t, str) else t for t in self.style_layers)
        object.__setattr__(self, "style_layers", layers)
