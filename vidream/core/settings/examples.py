"""The effect ``pixelnn``."""

from dataclasses import dataclass
from functools import partial

from vidream.core.settings.options import Validated, option

_examples = partial(option, group="Examples (pixelnn)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleSettings(Validated):
    """Example images of the effect ``pixelnn``, and their search."""

    examples: tuple[str, ...] = _examples(
        (),
        "Image to compose frames of, or a folder of images; repeatable.",
        metavar="FOLDER|FILE",
        flag="example",
    )
    example_size: int | None = _examples(
        None,
        "Shorter side of examples. Unset: that of frames.",
        metavar="PIXELS",
        within=(16, 4096),
    )
    match_size: int = _examples(
        240,
        "Shorter side at which frames are matched, at most.",
        metavar="PIXELS",
        within=(16, 4096),
    )
    match_candidates: int = _examples(
        3, "Examples searched for each part of a frame.", metavar="N", within=(1, 64)
    )
    match_radius: int = _examples(
        4, "Search radius around the best match.", metavar="PIXELS", within=(0, 4096)
    )
