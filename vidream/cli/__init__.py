"""The command ``vidream``: what is typed becomes settings, and what happens becomes lines.

The only package that prints.
"""

from __future__ import annotations

import os
import sys

import click
from click_default_group import DefaultGroup

from vidream.cli.dream import dream
from vidream.cli.measure import measure
from vidream.cli.terminal import Progress as _Progress

__all__ = ["_Progress", "cli", "dream", "main", "measure"]


@click.group(cls=DefaultGroup, default="dream", default_if_no_args=True, add_help_option=False)
def cli() -> None:
    """Turn a video into a DeepDream that holds still on what it grows on."""


cli.add_command(dream)
cli.add_command(measure)


def main() -> None:
    """Run the command."""
    try:
        cli()
    except BrokenPipeError:
        # Whoever read our standard output is gone: end quietly, as other filters do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
