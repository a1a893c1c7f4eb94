"""``vidream SOURCE``, the command that is meant when none is named."""

from __future__ import annotations

from typing import Any

import click

from vidream.cli.options import Command
from vidream.cli.render import render_command, render_options

_COMMANDS = [
    ("zoom, octaves", "Animate a still: an endless zoom, or its dream growing."),
    ("measure", "Measure a dream: warping error, strength, drift."),
    ("info", "Show how a dream was made."),
    ("list", "List presets, networks, layers, classes, flows, effects."),
]


@click.command(
    cls=Command,
    usage="SOURCE... [-o TARGET] [OPTIONS]",
    no_args_is_help=True,
    params=render_options(),
    sections=lambda: [("Commands (vidream COMMAND --help)", _COMMANDS)],
)
@click.version_option(package_name="vidream")
def dream(**options: Any) -> None:
    """Turn a video into a temporally coherent DeepDream.

    SOURCE is a video, a picture, noise:640x360, a camera (/dev/video0, camera:0), or - for a pipe.
    TARGET is a video (.mp4 .mov .mkv .webm .gif .webp), a picture (.png .jpg .webp), pictures
    (frames/%05d.png), a folder, or - for a pipe.
    """
    render_command(None, options)
