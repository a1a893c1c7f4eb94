"""``vidream info DREAM``."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from vidream.cli.command_line import command_line
from vidream.cli.config import write_config
from vidream.cli.options import Command, Option, unset
from vidream.cli.terminal import fail
from vidream.core.errors import SettingsError, VidreamError
from vidream.core.settings import Settings
from vidream.media.places import PICTURES, parse_source
from vidream.render.record import Record, find_record


@click.command(cls=Command, usage="info DREAM [OPTIONS]")
@click.argument("dream", metavar="DREAM")
@click.option("--json", "form", flag_value="json", cls=Option, help="Print JSON.")
@click.option(
    "--toml", "form", flag_value="toml", cls=Option, help="Print a file for vidream --config."
)
def info(dream: str, form: str | None) -> None:
    """Show how a DREAM was made: settings, weights, and the command that makes it again.

    Files are named without their folders.
    """
    try:
        record = find_record(dream)
        settings = _settings(record)
        if form == "toml":
            if settings is None:
                raise SettingsError(f"only vidream {record.version} can make {dream} again")
            click.echo(f"# made by vidream {record.version} of {_printable(record.source)}")
            click.echo(write_config(settings), nl=False)
            return
    except VidreamError as error:
        fail(error)
    command = None
    if settings is not None:
        command = command_line(record.source, _target(dream, record), settings)
    if form == "json":
        click.echo(json.dumps(asdict(record) | {"command": command}, indent=2, sort_keys=True))
    else:
        click.echo("\n".join(_printable(line) for line in _lines(dream, record, command)))


def _settings(record: Record) -> Settings | None:
    """Return the settings of a file; None if this version does not know them."""
    try:
        return record.given()
    except SettingsError:
        return None


def _target(dream: str, record: Record) -> str:
    """Return the target that a file belongs to: of one of many pictures, their pattern."""
    path = Path(dream)
    digits = re.search(r"\d+(?=\D*$)", path.name)
    still = parse_source(record.source).is_picture
    if digits is None or still or path.suffix.lower() not in PICTURES:
        return dream
    field = "%d" if len(digits[0]) == 1 else f"%0{len(digits[0])}d"
    name = f"{path.name[: digits.start()]}{field}{path.name[digits.end() :]}"
    return str(path.with_name(name))


def _lines(dream: str, record: Record, command: str | None) -> Iterator[str]:
    yield f"{dream}: made by vidream {record.version} of {record.source}"
    yield ""
    yield command or f"Only vidream {record.version} can make it again."
    yield ""
    for name, value in sorted(record.settings.items()):
        if not unset(value) and value != []:
            text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{name.replace('_', '-'):<16} {text}"
    for name, digest in sorted(record.weights.items()):
        yield f"{'sha256':<16} {digest}  {name}"


def _printable(line: str) -> str:
    """Return a line without control characters: a file may say anything."""
    return "".join(c if c.isprintable() else "?" for c in line)
