"""Films of a picture: its dream growing octave by octave, or an endless zoom into it.

``films`` plans them and makes them, ``zoom`` is how each frame of a zoom comes of the one before;
``noise`` is a picture for who has none.
"""

from vidream.films.films import (
    OnStep,
    film_frames,
    is_pictured,
    makes_film,
    plan_film,
    read_picture,
    usual_preset,
)

__all__ = [
    "OnStep",
    "film_frames",
    "is_pictured",
    "makes_film",
    "plan_film",
    "read_picture",
    "usual_preset",
]
