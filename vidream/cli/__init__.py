"""The command ``vidream``. The only package that prints."""

import os
import sys

import click

from vidream.cli.dream import dream, octaves, zoom
from vidream.cli.info import info
from vidream.cli.lists import list_names
from vidream.cli.live import live
from vidream.cli.measure import measure
from vidream.cli.plan import plan
from vidream.cli.preset import preset
from vidream.cli.preview import atlas, preview
from vidream.cli.studio import studio

__all__ = ["cli", "main"]


class _DefaultGroup(click.Group):
    """Inserts the command ``dream`` if the first argument is no command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, with the command."""
        named = args and args[0] in self.commands
        return super().parse_args(ctx, args if named else ["dream", *args])


@click.group(cls=_DefaultGroup, add_help_option=False)
def cli() -> None:
    """Turn a video into a temporally coherent DeepDream."""


_COMMANDS = (
    *(dream, zoom, octaves, preview, atlas, plan, preset, studio, live),
    *(measure, info, list_names),
)
for _command in _COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """Run the command."""
    _limit_spinning()
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells of errors only
    try:
        cli()
    except BrokenPipeError:
        # The reader of our standard output is gone: end quietly, as other filters do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _limit_spinning() -> None:
    """Make PyTorch's threads sleep soon when they wait, unless the user decides.

    By default those of the GNU OpenMP library spin almost for ever: two renders at once then take
    dozens of times as long, and not twice. Spinning a little costs an idle machine a twelfth of
    the time. The variable is read when PyTorch is imported, which is later.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
