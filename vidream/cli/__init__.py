"""The command ``vidream``: what is typed becomes settings, and what happens becomes lines.

The only package that prints.
"""

from __future__ import annotations

import os
import sys

import click
from click_default_group import DefaultGroup

from vidream.cli.dream import dream
from vidream.cli.info import info
from vidream.cli.measure import measure
from vidream.cli.terminal import Progress as _Progress

__all__ = ["_Progress", "cli", "dream", "info", "main", "measure"]


@click.group(cls=DefaultGroup, default="dream", default_if_no_args=True, add_help_option=False)
def cli() -> None:
    """Turn a video into a DeepDream that holds still on what it grows on."""


cli.add_command(dream)
cli.add_command(measure)
cli.add_command(info)


def main() -> None:
    """Run the command."""
    _share_the_processor()
    try:
        cli()
    except BrokenPipeError:
        # Whoever read our standard output is gone: end quietly, as other filters do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _share_the_processor() -> None:
    """Let PyTorch's threads sleep soon when they wait for each other, unless the user says how.

    Left to itself the GNU OpenMP library lets them spin, for ever as good as: two renders at once
    then take not twice but dozens of times as long. Spinning a little costs an idle machine a
    twelfth of the time. It is read when PyTorch is imported, which is later.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
