"""The command ``vidream``: options derived from the settings, progress, and exit codes.

The only module that prints.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import Field, fields
from typing import Any, TypeVar

import click
from click_default_group import DefaultGroup
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from vidream.errors import SettingsError, VidreamError
from vidream.presets import DEFAULT, PRESETS, preset_settings
from vidream.settings import (
    DreamSettings,
    ReadSettings,
    Settings,
    WriteSettings,
    option_of,
)

Command = TypeVar("Command", bound=Callable[..., Any])

INTERRUPTED = 130  # what a shell calls a program that Ctrl-C ended

GROUPS: tuple[tuple[str, type], ...] = (
    ("Dream", DreamSettings),
    ("Effect", Settings),
    ("Input", ReadSettings),
    ("Output", WriteSettings),
)


class _Text(click.ParamType[Any]):
    """A value that the settings module reads itself."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, and call what does not parse a usage error."""
        try:
            return self._parse(value) if isinstance(value, str) else value
        except SettingsError as error:
            self.fail(str(error), param, ctx)


class _Grouped(click.Option):
    """An option that knows under which heading of the help it stands."""

    def __init__(self, *args: Any, heading: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


class _GroupedCommand(click.Command):
    """A command whose help lists its options under headings."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the plain form, which needs no name of a command."""
        formatter.write_usage("vidream", "SOURCE -o TARGET [OPTIONS]")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each under its heading."""
        headings: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                heading = param.heading if isinstance(param, _Grouped) else "General"
                headings.setdefault(heading, []).append(record)
        for heading, records in headings.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def _unset(value: Any) -> bool:
    """Whether an option was left out. Not a matter of truth: 0 is a value that people give."""
    return value is None or value is False or value == ()


def _value_type(setting: Field[Any]) -> Any:
    option = option_of(setting)
    if option.choices:
        return click.Choice(option.choices)
    if option.parse is not None:
        return _Text(setting.name, option.parse)
    kind = str(setting.type)
    if "int" in kind:
        return int
    return float if "float" in kind else str


def _option_for(setting: Field[Any], heading: str) -> click.Option:
    """Derive the command line option of a setting."""
    option = option_of(setting)
    name = "--" + (option.flag or setting.name).replace("_", "-")
    about = option.help
    if not _unset(setting.default):
        about += f" [default: {setting.default}]"
    if isinstance(setting.default, bool):
        return _Grouped([name, setting.name], is_flag=True, help=about, heading=heading)
    return _Grouped(
        [name, setting.name],
        type=_value_type(setting),
        multiple=setting.default == (),
        metavar=option.metavar,
        help=about,
        heading=heading,
    )


def _settings_options(command: Command) -> Command:
    """Add an option for every setting, in the order of their definition."""
    params: list[click.Parameter] = [
        _option_for(setting, heading)
        for heading, part in GROUPS
        for setting in fields(part)
        if "option" in setting.metadata
    ]
    command.__click_params__ = [  # type: ignore[attr-defined]
        *reversed(params),
        *getattr(command, "__click_params__", []),
    ]
    return command


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


def _presets(_: Any) -> Iterator[str]:
    for name, preset in PRESETS.items():
        yield f"{name:<12} {preset.shows}{' (default)' if name == DEFAULT else ''}"


@click.group(cls=DefaultGroup, default="dream", default_if_no_args=True, add_help_option=False)
def cli() -> None:
    """Turn a video into a DeepDream that holds still on what it grows on."""


@cli.command(cls=_GroupedCommand, no_args_is_help=True)  # type: ignore[untyped-decorator]
@click.argument("source", metavar="SOURCE")
@click.option("-o", "--output", "target", required=True, metavar="TARGET", help="File to write.")
@click.option(
    "--preset", default=DEFAULT, show_default=True, type=click.Choice(list(PRESETS)),
    metavar="NAME", help="What one shall see: see --list-presets.",
)  # fmt: skip
@_settings_options
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is going on.")
@click.option("--list-networks", is_flag=True, is_eager=True, expose_value=False,
              callback=_show(_networks), help="List the networks and exit.")  # fmt: skip
@click.option("--list-layers", metavar="NETWORK", is_eager=True, expose_value=False,
              callback=_show(_layers), help="List a network's layers and exit.")  # fmt: skip
@click.option("--list-presets", is_flag=True, is_eager=True, expose_value=False,
              callback=_show(_presets), help="List the presets and exit.")  # fmt: skip
@click.version_option(package_name="vidream")
def dream(
    source: str, target: str, preset: str, quiet: bool, verbose: bool, **options: Any
) -> None:
    """Turn a video into a DeepDream that holds still on what it grows on.

    SOURCE is a video, a picture, or - for Y4M or NUT from a pipe. TARGET's suffix chooses what is
    written: .mp4 .mov .mkv .webm .gif .webp, pictures (frames/%05d.png), or - for a pipe.
    """
    from vidream.pipeline import dream_video  # noqa: PLC0415  (torch is slow to import)

    given = {name: value for name, value in options.items() if not _unset(value)}
    try:
        settings = preset_settings(preset, **given)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    with _messages(quiet, verbose), _Progress(hidden=quiet) as progress:
        try:
            dream_video(source, target, settings, progress=progress, on_download=progress.download)
        except VidreamError as error:
            progress.close()
            fail(error)
        except KeyboardInterrupt:
            progress.close()
            click.echo(f"vidream: {progress.how_far(target)}", err=True)
            sys.exit(INTERRUPTED)


class _Progress:
    """The progress bar: frames, frames a second and time left; silent off a terminal."""

    def __init__(self, *, hidden: bool) -> None:
        self._disable = True if hidden else None  # None: silent when not a terminal
        self._bar: Any = None
        self.done = 0
        self.expected: int | None = None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, report: Any) -> None:
        """Count a frame."""
        if self.done == 0:
            self._open(report.expected, "frame")
        self.done += 1
        self.expected = report.expected
        self._bar.update(1)

    def download(self, so_far: int, total: int | None) -> None:
        """Show how much of the weights is there."""
        if self._bar is None:
            self._open(total, "B", unit_scale=True, unit_divisor=1024, desc="weights")
        self._bar.update(so_far - self._bar.n)
        if so_far == total:
            self.close()

    def _open(self, total: int | None, unit: str, **how: Any) -> None:
        self.close()
        self._bar = tqdm(total=total, unit=unit, disable=self._disable, dynamic_ncols=True, **how)

    def close(self) -> None:
        """Leave the terminal on a line of its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def how_far(self, target: str) -> str:
        """Say what an interrupted run has left."""
        if not self.done:
            return "stopped before the first frame; nothing was written"
        of = f" of {self.expected}" if self.expected else ""
        return f"stopped after {self.done}{of} frames; {target} holds what was dreamed so far"


@contextmanager
def _messages(quiet: bool, verbose: bool) -> Iterator[None]:
    """Show what the package logs, above the progress bar."""
    logger = logging.getLogger("vidream")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("vidream: %(message)s"))
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        with logging_redirect_tqdm([logger]):
            yield
    finally:
        logger.removeHandler(handler)


def fail(error: VidreamError) -> None:
    """Say what is wrong in one line, and end with status 1.

    Raises:
        SystemExit: always.
    """
    click.echo(f"vidream: {' '.join(str(error).split())}", err=True)
    sys.exit(1)


def main() -> None:
    """Run the command."""
    try:
        cli()
    except BrokenPipeError:
        # Whoever read our standard output is gone: end quietly, as other filters do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
