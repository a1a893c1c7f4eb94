"""``vidream zoom STILL``: an endless zoom."""

from __future__ import annotations

from typing import Any

import click

from vidream.cli.options import Command
from vidream.cli.render import render_command, render_options

_OTHERS = ("start", "end", "keep_hdr", "resume", "refine_steps", "detail")


@click.command(
    cls=Command,
    usage="zoom STILL... [-o TARGET] [OPTIONS]",
    no_args_is_help=True,
    params=render_options(own="Zoom", without=("Motion", "Postprocessing"), but=_OTHERS),
)
def zoom(**options: Any) -> None:
    """Zoom into a still for ever: each frame is the one before, enlarged and dreamed on.

    STILL is a picture or noise:640x360. Without --duration it is 10 seconds long.
    """
    render_command("zoom", options)
