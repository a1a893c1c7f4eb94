"""Command line options, derived from the settings, and help that lists them under headings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field
from typing import Any, TypeVar

import click

from vidream.errors import SettingsError
from vidream.settings import option_of

Command = TypeVar("Command", bound=Callable[..., Any])


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


class Grouped(click.Option):
    """An option that knows under which heading of the help it stands."""

    def __init__(self, *args: Any, heading: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


class GroupedCommand(click.Command):
    """A command whose help lists its options under headings.

    Args:
        usage: how it is called, without the name of the program.
    """

    def __init__(self, *args: Any, usage: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._usage = usage

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write how it is called, as a user writes it."""
        formatter.write_usage("vidream", self._usage)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each under its heading."""
        headings: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                heading = param.heading if isinstance(param, Grouped) else "General"
                headings.setdefault(heading, []).append(record)
        for heading, records in headings.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def unset(value: Any) -> bool:
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


def option_for(setting: Field[Any], heading: str) -> click.Option:
    """Derive the command line option of a setting."""
    option = option_of(setting)
    name = "--" + (option.flag or setting.name).replace("_", "-")
    about = option.help
    if not unset(setting.default):
        about += f" [default: {setting.default}]"
    if isinstance(setting.default, bool):
        return Grouped([name, setting.name], is_flag=True, help=about, heading=heading)
    return Grouped(
        [name, setting.name],
        type=_value_type(setting),
        multiple=setting.default == (),
        metavar=option.metavar,
        help=about,
        heading=heading,
    )


def with_options(options: Sequence[click.Option]) -> Callable[[Command], Command]:
    """Make the decorator that adds options to a command, in their order."""

    def add(command: Command) -> Command:
        given = getattr(command, "__click_params__", [])  # click's own, last one first
        command.__click_params__ = [*given, *reversed(options)]  # type: ignore[attr-defined]
        return command

    return add
