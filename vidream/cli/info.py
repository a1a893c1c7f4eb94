"""``vidream info DREAM``: how it was made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidream.cli.options import GroupedCommand, unset
from vidream.cli.terminal import fail
from vidream.errors import InputError, SettingsError, VidreamError

if TYPE_CHECKING:
    from vidream.record import Record


@click.command(cls=GroupedCommand, usage="info DREAM [OPTIONS]", no_args_is_help=True)
@click.argument("dream", metavar="DREAM")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(dream: str, as_json: bool) -> None:
    """Say how a DREAM was made: its settings, its weights, and the command that makes it again.

    Of files the names are known, and not the folders. A clip that is itself named info is dreamed
    as ./info.
    """
    try:
        record, command = _find(dream)
    except VidreamError as error:
        fail(error)
    if as_json:
        content = record.as_dict() | {"command": command}
        click.echo(json.dumps(content, indent=2, sort_keys=True))
    else:
        click.echo("\n".join(_printable(line) for line in _lines(dream, record, command)))


def _find(dream: str) -> tuple[Record, str | None]:
    """Give the record of a file, and its command; None if it cannot be told any more."""
    # They bring PyTorch, which is slow to import.
    from vidream.inscriptions import read_comment  # noqa: PLC0415
    from vidream.record import Record  # noqa: PLC0415

    record = Record.find(read_comment(dream))
    if record is None:
        raise InputError(
            f"{dream} does not say how it was made: vidream did not make it, or another program "
            "has written it since"
        )
    try:
        return record, record.command(_target(dream, record))
    except SettingsError:
        return record, None


def _target(dream: str, record: Record) -> str:
    """Give the target that a file was: of one of many pictures, their pattern."""
    from vidream.films import is_pictured  # noqa: PLC0415
    from vidream.stills import is_still  # noqa: PLC0415

    path = Path(dream)
    digits = re.search(r"\d+(?=\D*$)", path.name)
    if digits is None or not is_still(dream) or is_pictured(record.source):
        return dream
    name = f"{path.name[: digits.start()]}%0{len(digits[0])}d{path.name[digits.end() :]}"
    return str(path.with_name(name))


def _lines(dream: str, record: Record, command: str | None) -> Iterator[str]:
    yield f"{dream}: made by vidream {record.version} of {record.source}"
    yield ""
    yield command or f"Only vidream {record.version} can make it again."
    yield ""
    for name, value in sorted(record.settings.items()):
        if not unset(value) and value != []:
            yield f"{name.replace('_', '-'):<16} {_shown(value)}"
    for name, digest in sorted(record.weights.items()):
        yield f"{'sha256':<16} {digest}  {name}"


def _shown(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def _printable(line: str) -> str:
    """Give a line without what would command a terminal: a file may say anything."""
    return "".join(c if c.isprintable() else "?" for c in line)
