"""Makes docs/presets/NAME.jpg and NAME-strip.jpg: what each preset makes of the sample pictures.

usage: python samples/make_presets.py [NAME ...]

The strip shows a person, a meadow, a cat and clouds; the thumbnail is its last picture. Presets
that paint in a style or make an animation are in the gallery alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vidream import Dreamer, preset_settings
from vidream.core.frames import Picture
from vidream.core.images import to_picture, to_tensor
from vidream.core.presets import OCTAVE_PRESET, PRESETS

HERE = Path(__file__).parent
OUT = HERE.parent / "docs" / "presets"
PICTURES = ("person", "meadow", "cat", "clouds")
SHOWN = [name for name in PRESETS if name not in (OCTAVE_PRESET, "painted")]
THUMBNAIL, TILE = (320, 180), (256, 144)


def read_pictures() -> dict[str, Picture]:
    """Return the sample pictures, uint8 ``[270, 480, 3]``, by name."""
    return {name: np.asarray(Image.open(HERE / f"{name}.jpg").convert("RGB")) for name in PICTURES}


def dream(name: str, pictures: Mapping[str, Picture]) -> dict[str, Picture]:
    """Return what a preset makes of each picture."""
    dreamer = Dreamer(preset_settings(name).dream)
    return {key: to_picture(dreamer.dream(to_tensor(p))) for key, p in pictures.items()}


def save(name: str, dreams: Mapping[str, Picture]) -> None:
    """Write the thumbnail and the strip of a preset."""
    OUT.mkdir(exist_ok=True)
    images = [Image.fromarray(dreams[key]) for key in PICTURES]
    thumbnail = images[-1].resize(THUMBNAIL, Image.Resampling.LANCZOS)
    thumbnail.save(OUT / f"{name}.jpg", quality=80, optimize=True)
    strip = Image.new("RGB", (TILE[0] * len(images), TILE[1]))
    for place, image in enumerate(images):
        strip.paste(image.resize(TILE, Image.Resampling.LANCZOS), (place * TILE[0], 0))
    strip.save(OUT / f"{name}-strip.jpg", quality=78, optimize=True)


def main(names: Sequence[str]) -> None:
    """Make the pictures of the named presets, or of all that the page shows."""
    pictures = read_pictures()
    for name in names or SHOWN:
        save(name, dream(name, pictures))
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
