"""Postprocessing."""

from dataclasses import dataclass
from functools import partial

from vidream.core.errors import SettingsError
from vidream.core.settings.options import Validated, option

_postprocess = partial(option, group="Postprocessing")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostprocessSettings(Validated):
    """Postprocessing of what is shown; none of it is propagated."""

    strength: float = _postprocess(
        1.0,
        "How much of the dream is shown: 0 is the source, 2 twice the dream.",
        within=(0, 2),
        over_time=True,
        common=True,
    )
    keep_edges: float = _postprocess(
        0.0,
        "Smooth the dream, but not across the source's edges.",
        metavar="AMOUNT",
        within=(0, 1),
        over_time=True,
    )
    luma_only: bool = _postprocess(False, "Dream in luma only; colors stay the source's.")
    match_color: str | None = _postprocess(
        None,
        "Match the colors of the source, or of an image.",
        metavar="source|FILE",
        keyword="source",
        common=True,
    )
    mask: str | None = _postprocess(
        None,
        "Dream only where this image or video is white, or opaque.",
        metavar="FILE",
        common=True,
    )
    feather: int = _postprocess(
        8, "Soft edge inside the mask, in pixels.", metavar="PIXELS", within=(0, 512)
    )

    def __post_init__(self) -> None:
        Validated.__post_init__(self)
        if self.luma_only and self.match_color is not None:
            raise SettingsError("give either `luma_only` or `match_color`, not both")
