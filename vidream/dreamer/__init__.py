"""The dreamer: gradient ascent on an image, and what it is made of.

``dreamer`` goes up the ``octaves``, and at each step looks at the image as ``transforms`` turn it.
What it climbs is an objective (``objectives``, ``likeness``), which ``aims`` makes of the settings
and of the pictures that they name (``styles``). ``survey`` gives the gradient, whole or in
``tiles`` as ``memory`` allows, and ``allocator`` keeps what it frees.

``deepening`` is what happens to a dream that is carried instead of begun: ``strength`` says how far
it has to grow, ``windows`` where it needs further steps, and ``balance`` holds its light and
colour.
"""

from vidream.dreamer.allocator import keep_freed_memory
from vidream.dreamer.deepening import Deepener, Depth
from vidream.dreamer.dreamer import Dreamer, OctaveReport, choose_device, choose_precision
from vidream.dreamer.styles import read_style
from vidream.dreamer.survey import Room
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
    "keep_freed_memory",
    "read_style",
]
