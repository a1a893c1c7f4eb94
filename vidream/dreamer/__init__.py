"""The dreamer: gradient ascent on an image, and what it is made of.

``dreamer`` goes up the ``octaves``, and at each step looks at the image as ``transforms`` turn it.
What it climbs is an objective (``objectives``, ``likeness``), which ``aims`` makes of the settings
and of the pictures that they name (``styles``). ``survey`` gives the gradient, whole or in
``tiles`` that are ``fitting`` into ``memory``; ``allocator`` keeps what it frees.

``deepening`` is what happens to a dream that is carried instead of begun: ``strength`` says how far
it has to grow, ``windows`` where it needs further steps, and ``balance`` holds its light and
colour.
"""

from vidream.dreamer.deepening import Deepener, Depth
from vidream.dreamer.dreamer import (
    Dreamer,
    OctaveReport,
    choose_device,
    choose_precision,
    working_device,
)
from vidream.dreamer.fitting import Room
from vidream.dreamer.styles import read_style
from vidream.dreamer.transforms import draw_views

__all__ = [
    "Deepener",
    "Depth",
    "Dreamer",
    "OctaveReport",
    "Room",
    "choose_device",
    "choose_precision",
    "draw_views",
    "read_style",
    "working_device",
]
