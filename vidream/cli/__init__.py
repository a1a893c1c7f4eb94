"""The command ``vidream``: what is typed becomes settings, and what happens becomes lines.

The only package that prints.
"""

from __future__ import annotations

import os
import sys

import click

from vidream.cli.dream import dream
from vidream.cli.info import info
from vidream.cli.lists import list_names
from vidream.cli.measure import measure
from vidream.cli.octaves import octaves
from vidream.cli.zoom import zoom

__all__ = ["cli", "main"]


class _DefaultGroup(click.Group):
    """Takes arguments that begin with no command for those of ``dream``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Name the command that is meant."""
        return super().parse_args(
            ctx, args if args and args[0] in self.commands else ["dream", *args]
        )


@click.group(cls=_DefaultGroup, add_help_option=False)
def cli() -> None:
    """Turn a video into a temporally coherent DeepDream."""


for _command in (dream, zoom, octaves, measure, info, list_names):
    cli.add_command(_command)


def main() -> None:
    """Run the command."""
    _limit_spinning()
    try:
        cli()
    except BrokenPipeError:
        # Whoever read our standard output is gone: end quietly, as other filters do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _limit_spinning() -> None:
    """Let PyTorch's threads sleep soon when they wait for each other, unless the user decides.

    By default those of the GNU OpenMP library spin, as good as for ever: two renders at once then
    take not twice but dozens of times as long. Spinning a little costs an idle machine a twelfth
    of the time. It is read when PyTorch is imported, which is later.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
