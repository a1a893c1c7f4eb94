"""``vidream preset``: presets of one's own."""

from pathlib import Path
from typing import Any

import click

from vidream.cli.config import given_preset
from vidream.cli.options import (
    LOOK,
    Command,
    Option,
    in_words,
    options_of,
    preset_option,
)
from vidream.cli.terminal import fail, say
from vidream.core.errors import SettingsError, VidreamError
from vidream.core.own_presets import (
    own_presets,
    presets_folder,
    read_preset,
    remove_preset,
)
from vidream.core.presets import (
    DEFAULT,
    PRESETS,
    keep_preset,
    preset_settings,
    preset_text,
)
from vidream.core.settings import Settings, schema
from vidream.core.settings_file import write_settings

# What belongs to a clip, and not to a look.
_GROUPS = (*LOOK, "Over time", "Octave animation", "Zoom")


@click.group(
    "preset",
    options_metavar="",
    subcommand_metavar="save|list|show|remove|export [NAME] [OPTIONS]",
)
def preset() -> None:
    """Keep presets of your own, to be used by name like any other."""


@preset.command(
    cls=Command,
    usage="preset save NAME [OPTIONS]",
    params=[
        click.Argument(["name"], metavar="NAME"),
        preset_option("Dream", f"What it changes. [default: {DEFAULT}]"),
        *(option for group in _GROUPS for option in options_of(group)),
        Option(["--from", "dream"], metavar="DREAM", help="Take the settings of a dream."),
        Option(["--config"], metavar="FILE.toml", help="Take the settings of a file."),
        Option(["--overwrite"], is_flag=True, help="Replace a preset of that name."),
    ],
)
def save(name: str, dream: str | None, config: str | None, overwrite: bool, **options: Any) -> None:
    """Save settings as a preset: those given, of a file, or of a dream."""
    base = options.pop("preset")
    try:
        base, values = given_preset(base, config, options)
        text = _text_of_dream(dream, values) if dream else _text(base or DEFAULT, values)
        path = keep_preset(name, text, overwrite=overwrite)
    except SettingsError as error:
        raise click.UsageError(in_words(error)) from error
    except VidreamError as error:
        fail(error)
    say(f"saved as {path}: --preset {name}")


def _text(base: str, values: dict[str, Any]) -> str:
    return preset_text(preset_settings(base, **values), base, _whole)


def _text_of_dream(dream: str, values: dict[str, Any]) -> str:
    """Return the file of a dream's settings, but for what belongs to its clip and its target."""
    from vidream.render.record import find_record  # noqa: PLC0415  (PyAV takes its time)

    settings = find_record(dream).given()
    usual = Settings()
    clip = {n: usual.value(n) for n, s in schema().items() if s.part in ("read", "write")}
    settings = settings.updated(**{**clip, **values})
    return preset_text(settings)


def _whole(path: str) -> str:
    """Return the path of a file from the root: a preset is used in any folder."""
    return str(Path(path).expanduser().absolute())


@preset.command("list", cls=Command, usage="preset list")
def list_own() -> None:
    """List your presets."""
    names = list(own_presets())
    for name in names:
        click.echo(name)
    if not names:
        say(f"there are none in {presets_folder()}: vidream preset save NAME --help")


@preset.command(cls=Command, usage="preset show NAME")
@click.argument("name", metavar="NAME")
def show(name: str) -> None:
    """Show the settings of a preset, as a file for --config."""
    click.echo(_file_of(name), nl=False)


@preset.command(cls=Command, usage="preset export NAME -o FILE.toml")
@click.argument("name", metavar="NAME")
@click.option(
    "-o", "--output", cls=Option, metavar="FILE.toml", required=True, help="File to write."
)
@click.option("--overwrite", cls=Option, is_flag=True, help="Replace an existing file.")
def export(name: str, output: str, overwrite: bool) -> None:
    """Write a preset to a file, for others: vidream preset save NAME --config FILE.toml."""
    text, path = _file_of(name), Path(output)
    try:
        with path.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(SettingsError(f"{path} already exists (set `overwrite` to replace it)"))
    except OSError as error:
        fail(SettingsError(f"cannot write {path}: {error.strerror}"))


def _file_of(name: str) -> str:
    try:
        if name in PRESETS:
            return write_settings(preset_settings(name), DEFAULT, Settings())
        values = read_preset(name)
        base = DEFAULT if values is None else values.get("preset", DEFAULT)
        return write_settings(preset_settings(name), base, preset_settings(base))
    except SettingsError as error:
        fail(error)


@preset.command(cls=Command, usage="preset remove NAME")
@click.argument("name", metavar="NAME")
def remove(name: str) -> None:
    """Remove a preset of your own."""
    try:
        remove_preset(name)
    except SettingsError as error:
        fail(error)
