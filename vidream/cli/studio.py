"""``vidream studio``: a page in the browser."""

import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from vidream.cli.command_line import command_line
from vidream.cli.options import Command, Option
from vidream.cli.terminal import end_stopped, fail, say
from vidream.core.allocator import keep_freed_memory
from vidream.core.errors import SettingsError, VidreamError
from vidream.core.settings import parse_bytes
from vidream.studio import LOOPBACK

DEFAULT_PORT = 8765
"""Where the page is."""

_REMOTE = (
    "--host {host} lets other machines reach this studio: whoever has the address with its token "
    "may read the folder, write into it and use this computer, unencrypted; add --allow-remote if "
    "that is meant"
)


def _option(*names: str, **how: Any) -> Option:
    return Option([*names], group="Studio", **how)


@click.command(
    cls=Command,
    usage="studio [FOLDER] [OPTIONS]",
    params=[
        click.Argument(["folder"], metavar="FOLDER", default="."),
        _option(
            "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, metavar="N",
            help=f"Port; 0 for a free one. [default: {DEFAULT_PORT}]",
        ),
        _option(
            "--host", default="127.0.0.1", metavar="ADDRESS",
            help="Address to listen at. [default: 127.0.0.1]",
        ),
        _option(
            "--allow-remote", is_flag=True,
            help="Let other machines reach the page, as --host says.",
        ),
        _option(
            "--max-upload", default="1G", metavar="SIZE",
            help="Largest clip that the page may send. [default: 1G]",
        ),
        _option(
            "--cluster", metavar="ADDRESS|local[:N]",
            help="Render clips on the workers of a Dask scheduler, or on N of this machine.",
        ),
        _option("--open/--no-open", "opens", default=True, help="Open the page in a browser."),
    ],
)  # fmt: skip
def studio(
    folder: str,
    port: int,
    host: str,
    allow_remote: bool,
    max_upload: str,
    cluster: str | None,
    opens: bool,
) -> None:
    """Open a page that shows what settings give, renders clips of FOLDER, and dreams a webcam.

    FOLDER, by default the current one, is all that the page may read and write. Needs
    vidream[studio].
    """
    missing = [name for name in ("starlette", "uvicorn", "websockets") if find_spec(name) is None]
    if missing:
        fail(VidreamError("the studio needs more packages: pip install 'vidream[studio]'"))
    if not Path(folder).is_dir():
        fail(VidreamError(f"{folder} is not a folder"))
    if host not in LOOPBACK and not allow_remote:
        raise click.UsageError(_REMOTE.format(host=host))
    if cluster is not None and find_spec("distributed") is None:
        fail(VidreamError("--cluster needs Dask: pip install 'vidream[cluster]'"))
    try:
        most = parse_bytes(max_upload)
    except SettingsError as error:
        raise click.UsageError(
            f"--max-upload: {max_upload} is no size: write 500M or 4G"
        ) from error
    keep_freed_memory()
    from vidream.studio.serve import serve  # noqa: PLC0415  (it imports PyTorch)

    def ready(address: str) -> None:
        say(f"the studio is at {address}")
        say("Ctrl-C ends it; renders go on when it is started again")
        if opens:
            webbrowser.open(address)

    try:
        serve(Path(folder), host, port, most, command_line, ready, cluster)
    except VidreamError as error:
        fail(error)
    except KeyboardInterrupt as stop:
        end_stopped("the studio has ended", stop)
