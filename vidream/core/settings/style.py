"""Style images."""

from dataclasses import dataclass
from functools import partial

from vidream.core.settings.options import Validated, option
from vidream.core.settings.terms import LayerTerm, StyleTerm

_style = partial(option, group="Style")


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSettings(Validated):
    """Style of dreams, and of the effect ``adain``."""

    styles: tuple[StyleTerm, ...] = _style(
        (), "Style image: FILE[:WEIGHT]; repeatable.", metavar="FILE", flag="style", common=True
    )
    style_weight: float = _style(
        1.0, "dream: weight of the style loss.", metavar="WEIGHT", minimum=0
    )
    style_layers: tuple[LayerTerm, ...] = _style(
        (),
        "dream: layer of the style loss: NAME[:WEIGHT]; repeatable.",
        metavar="LAYER",
        flag="style-layer",
    )
    style_match: str = _style(
        "gram",
        "dream: statistic to match: gram (Gram matrix), adain (mean and deviation).",
        choices=("gram", "adain"),
    )
    style_strength: float = _style(
        1.0, "adain: how much of the style.", within=(0, 1), over_time=True
    )
    style_size: int = _style(
        512,
        "Shorter side of the style image; larger gives broader strokes.",
        metavar="PIXELS",
        within=(32, 4096),
    )
    content_size: int | None = _style(
        None,
        "adain: shorter side of the frames, at most. Unset: half their own, 128 to 512.",
        metavar="PIXELS",
        within=(16, 4096),
    )
    match_style_color: bool = _style(
        False, "adain: match the style's colors to each scene's first frame."
    )
