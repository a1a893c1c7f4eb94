"""The commands that render: ``vidream SOURCE``, ``vidream zoom`` and ``vidream octaves``."""

from typing import Any

import click

from vidream.cli.options import Command
from vidream.cli.render import render_command, render_options
from vidream.core.presets import OCTAVE_PRESET

_COMMANDS = [
    ("zoom, octaves", "Animate a still: an endless zoom, or its dream growing."),
    ("preview", "Show what presets, layers or values give, side by side."),
    ("atlas", "Show what each layer of a network gives."),
    ("plan", "List the scenes of a clip, and what they cost, also on many machines."),
    ("preset", "Keep presets of your own."),
    ("studio", "Open a page that shows, renders, and dreams a webcam."),
    ("live", "Dream a camera into a window or a pipe, at a rate that is kept."),
    ("measure", "Measure a dream: warping error, strength, drift."),
    ("info", "Show how a dream was made."),
    ("list", "List presets, networks, layers, classes, flows, effects."),
]


@click.command(
    cls=Command,
    usage="SOURCE... [-o TARGET] [OPTIONS]",
    params=render_options(divides=True),
    commands=_COMMANDS,
)
@click.version_option(package_name="vidream")
def dream(**options: Any) -> None:
    """Turn a video into a temporally coherent DeepDream.

    SOURCE is a video, a picture, pictures (frames/%05d.png), noise:640x360, a camera (/dev/video0,
    camera:0), or - for a pipe.
    TARGET is a video (.mp4 .mov .mkv .webm .gif .webp), a picture (.png .jpg .webp), pictures
    (frames/%05d.png), a folder, or - for a pipe.
    """
    render_command(None, options)


@click.command(
    cls=Command,
    usage="zoom STILL... [-o TARGET] [OPTIONS]",
    params=render_options(
        own="Zoom",
        without=("Motion", "Postprocessing"),
        but=("start", "end", "keep_hdr", "keep_alpha", "resume", "refine_steps", "detail"),
    ),
)
def zoom(**options: Any) -> None:
    """Zoom into a still for ever: each frame is the one before, enlarged and dreamed on.

    STILL is a picture or noise:640x360. Without --duration it is 10 seconds long.
    """
    render_command("zoom", options)


@click.command(
    cls=Command,
    usage="octaves STILL... [-o TARGET] [OPTIONS]",
    params=render_options(
        own="Octave animation",
        without=("Motion", "Postprocessing", "Over time", "Examples (pixelnn)"),
        but=(
            *("effect", "start", "end", "duration", "keep_hdr", "keep_alpha", "resume"),
            *("refine_steps", "weak_steps"),
        ),
        preset=OCTAVE_PRESET,
    ),
)
def octaves(**options: Any) -> None:
    """Animate how the dream of a still grows, octave by octave, at 10 frames per second.

    STILL is a picture or noise:640x360.
    """
    render_command("octaves", options)
