"""``vidream SOURCE -o TARGET``, the command that is meant when none is named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import click

from vidream.cli.options import Grouped, GroupedCommand, option_for, unset, with_options
from vidream.cli.terminal import Progress, fail, messages, notes, status, stoppable
from vidream.errors import SettingsError, VidreamError
from vidream.presets import CLASS, DEFAULT, OCTAVE_FILM, PRESETS, preset_settings
from vidream.settings import (
    DreamSettings,
    ExampleSettings,
    FilmSettings,
    FinishSettings,
    ReadSettings,
    Settings,
    StyleSettings,
    TimeSettings,
    WriteSettings,
    option_of,
)

GROUPS: tuple[tuple[str, type], ...] = (
    ("Dream", DreamSettings),
    ("Effect", Settings),
    ("Style", StyleSettings),
    ("Examples, for --effect pixelnn", ExampleSettings),
    ("Finish", FinishSettings),
    ("From a still", FilmSettings),
    ("Over time", TimeSettings),
    ("Input", ReadSettings),
    ("Output", WriteSettings),
)


FIRST = "Most used"
"""Heading of the options that most people need; they are not repeated under their own."""

_SETTINGS = [
    option_for(setting, FIRST if option_of(setting).common else heading)
    for heading, part in GROUPS
    for setting in fields(part)
    if "option" in setting.metadata
]


def _show(lines: Callable[[Any], Iterator[str]]) -> Callable[..., None]:
    """Make the callback of an option that prints a list and ends the program."""

    def callback(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value and not ctx.resilient_parsing:
            try:
                for line in lines(value):
                    click.echo(line)
            except VidreamError as error:
                fail(error)
            ctx.exit()

    return callback


def _networks(_: Any) -> Iterator[str]:
    from vidream.networks import describe_networks  # noqa: PLC0415  (torchvision is slow to import)

    for network in describe_networks():
        yield f"{network.name:<22} {network.description}"


def _layers(network: str) -> Iterator[str]:
    from vidream.networks import layer_names  # noqa: PLC0415

    for layer in layer_names(network):
        names = ", ".join(layer.aliases)
        channels = f"{layer.channels} channels" if layer.channels else ""
        yield f"{layer.name:<28} {channels:<14} {names}".rstrip()


def _classes(network: str) -> Iterator[str]:
    from vidream.networks import class_names  # noqa: PLC0415

    for number, name in enumerate(class_names(network)):
        yield f"{number:>4} {name}"


def _presets(_: Any) -> Iterator[str]:
    for name, preset in PRESETS.items():
        yield f"{name:<12} {preset.shows}{' (default)' if name == DEFAULT else ''}"


@click.command(
    cls=GroupedCommand,
    usage="SOURCE -o TARGET [OPTIONS]",
    no_args_is_help=True,
    epilog="How still and how deep a dream is: `vidream measure SOURCE DREAM`. How it was made: "
    "`vidream info DREAM`.",
)
@click.argument("source", metavar="SOURCE")
@click.option("-o", "--output", "target", required=True, metavar="TARGET", help="File to write.",
              cls=Grouped, heading=FIRST)  # fmt: skip
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), metavar="NAME", cls=Grouped, heading=FIRST,
    help="What one shall see: see --list-presets. "
    f"For a film of octaves: {OCTAVE_FILM}, with a class: {CLASS}, unless given. "
    f"[default: {DEFAULT}]",
)  # fmt: skip
@with_options(_SETTINGS)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is going on.")
@click.option("--list-networks", is_flag=True, is_eager=True, expose_value=False,
              callback=_show(_networks), help="List the networks and exit.")  # fmt: skip
@click.option("--list-layers", metavar="NETWORK", is_eager=True, expose_value=False,
              callback=_show(_layers), help="List a network's layers and exit.")  # fmt: skip
@click.option("--list-classes", metavar="NETWORK", is_eager=True, expose_value=False,
              callback=_show(_classes), help="List a network's classes and exit.")  # fmt: skip
@click.option("--list-presets", is_flag=True, is_eager=True, expose_value=False,
              callback=_show(_presets), help="List the presets and exit.")  # fmt: skip
@click.version_option(package_name="vidream")
def dream(
    source: str, target: str, preset: str | None, quiet: bool, verbose: bool, **options: Any
) -> None:
    """Turn a video into a DeepDream that holds still on what it grows on.

    SOURCE is a video, a picture, noise:WIDTHxHEIGHT, a camera (/dev/video0, camera:0), or - for Y4M
    or NUT from a pipe. TARGET's suffix chooses what is written: .mp4 .mov .mkv .webm .gif .webp,
    pictures (frames/%05d.png), or - for a pipe. A picture becomes a picture (.png .jpg .webp), or a
    film: of its dream growing octave by octave or, with --zoom, of an endless zoom into it.
    """
    from vidream.films import usual_preset  # noqa: PLC0415  (as below)
    from vidream.pipeline import check_resume, dream_video  # noqa: PLC0415  (torch is slow)
    from vidream.reader import is_live  # noqa: PLC0415

    given = {name: value for name, value in options.items() if not unset(value)}
    try:
        preset = preset or usual_preset(source, target, **given)
        settings = preset_settings(preset, **given)
        check_resume(source, target, settings)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    with (
        stoppable(waits=not is_live(source)) as stopping,
        messages(quiet, verbose),
        Progress(hidden=quiet, stopping=stopping) as progress,
    ):
        try:
            dream_video(
                source,
                target,
                settings,
                progress=progress,
                on_download=progress.download,
                on_step=progress.step,
                on_join=progress.join,
            )
        except VidreamError as error:
            progress.close()
            fail(error)
        except KeyboardInterrupt as stop:
            progress.close()
            click.echo(f"vidream: {progress.how_far(target, notes(stop))}", err=True)
            sys.exit(status(stop))
