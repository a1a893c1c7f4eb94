"""What is done to images as tensors, ``[B, C, H, W]``: pure functions all.

``sizes`` resamples; ``filters`` averages, smooths up to edges and feathers; ``colour`` tells and
matches colours; ``camera`` zooms and turns.
"""

from vidream.images.camera import Camera, covering
from vidream.images.colour import Palette, keep_colour, luma, match_colour, palette
from vidream.images.filters import feather, guided_filter
from vidream.images.sizes import Size, resize

__all__ = [
    "Camera",
    "Palette",
    "Size",
    "covering",
    "feather",
    "guided_filter",
    "keep_colour",
    "luma",
    "match_colour",
    "palette",
    "resize",
]
