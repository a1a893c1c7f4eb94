"""``vidream octaves STILL``: its dream growing octave by octave."""

from __future__ import annotations

from typing import Any

import click

from vidream.cli.options import Command
from vidream.cli.render import render_command, render_options
from vidream.core.presets import OCTAVE_PRESET

_WITHOUT = ("Motion", "Postprocessing", "Over time", "Examples (pixelnn)")
_OTHERS = (
    *("effect", "start", "end", "duration", "keep_hdr", "resume"),
    *("refine_steps", "weak_steps"),
)


@click.command(
    cls=Command,
    usage="octaves STILL... [-o TARGET] [OPTIONS]",
    no_args_is_help=True,
    params=render_options(
        own="Octave animation", without=_WITHOUT, but=_OTHERS, preset=OCTAVE_PRESET
    ),
)
def octaves(**options: Any) -> None:
    """Animate how the dream of a still grows, octave by octave, at 10 frames per second.

    STILL is a picture or noise:640x360.
    """
    render_command("octaves", options)
