"""Options of the command line, made of the schema, and help that lists them in groups."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import click

from vidream.core.errors import SettingsError, VidreamError
from vidream.core.settings import Setting, find_setting, schema

_ALL = "vidream.help-all"  # key of a click context: whether every option is shown


def flag(name: str) -> str:
    """Return how the command line calls a setting: ``--keep-hdr`` for ``keep_hdr``."""
    try:
        setting = find_setting(name)
    except SettingsError:
        return name
    # Which animation it is the sub-commands say.
    return name if name == "animate" else f"--{setting.flag}"


def in_words(error: VidreamError) -> str:
    """Return the text of an error in one line, in the words of the command line."""
    return error.rendered(flag)


class _Value(click.ParamType[Any]):
    """One value of a setting, which reads it itself."""

    def __init__(self, setting: Setting) -> None:
        self.name = setting.name
        self._setting = setting

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read text, and call what cannot be read a usage error."""
        try:
            return self._setting.read(value) if isinstance(value, str) else value
        except SettingsError as error:
            self.fail(in_words(error), param, ctx)


class Option(click.Option):
    """An option in a group of the help.

    Args:
        group: heading of the group.
        common: whether ``--help`` shows it, and not only ``--help-all``.
    """

    def __init__(self, *args: Any, group: str = "General", common: bool = True, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.group, self.common = group, common

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the name with its short form and value, and the help; ``--no-…`` is left out."""
        if self.hidden:
            return None
        names = sorted(self.opts, key=len)
        value = "" if self.is_flag else f" {self.make_metavar(ctx)}"
        return ", ".join(names) + value, self.help or ""


def option_for(name: str, group: str | None = None, *, common: bool = False) -> Option:
    """Make the option of a setting.

    Args:
        name: of the setting.
        group: None for the setting's own.
        common: whether ``--help`` shows it in any case.
    """
    setting = schema()[name]
    text, option = f"--{setting.flag}", setting.option
    how: dict[str, Any] = {
        "group": group or option.group,
        "common": common or option.common,
        "help": _help(setting),
    }
    if setting.type is bool:
        return Option([f"{text}/--no-{setting.flag}", name], default=None, **how)
    metavar = option.metavar or ("N" if setting.type is int else "FLOAT")
    if option.choices:
        metavar = f"[{'|'.join(option.choices)}]"
    return Option(
        [text, name], type=_Value(setting), multiple=setting.multiple, metavar=metavar, **how
    )


def _help(setting: Setting) -> str:
    option, default = setting.option, setting.default
    notes = []
    if option.minimum is not None and (option.maximum or 1e9) < 10_000:
        notes.append(f"{option.minimum:g} to {option.maximum:g}")
    if not unset(default):
        notes.append(f"default: {default:g}" if setting.type is float else f"default: {default}")
    return f"{option.help} [{'; '.join(notes)}]" if notes else option.help


def options_of(group: str, *, but: Collection[str] = (), common: bool = False) -> list[Option]:
    """Make the options of a group of settings.

    Args:
        group: of the schema.
        but: settings that are left out.
        common: whether ``--help`` shows them in any case.
    """
    settings = schema().values()
    names = [s.name for s in settings if s.option.group == group and s.name not in but]
    return [option_for(name, common=common) for name in names]


def unset(value: Any) -> bool:
    """Whether an option was left out. Not a matter of truth: 0 is a value that people give."""
    return value is None or value is False or value == ()


def given_values(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


class Command(click.Command):
    """A command whose help lists its options in groups; ``--help-all`` lists all of them.

    Args:
        usage: how it is called, without the name of the program.
        sections: further sections of the help, before the options: heading, rows.
    """

    def __init__(
        self,
        *args: Any,
        usage: str,
        sections: Callable[[], Iterable[tuple[str, list[tuple[str, str]]]]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._usage, self._sections = usage, sections
        if not all(option.common for option in self.params if isinstance(option, Option)):
            self.params.append(_help_all())

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write how it is called, as a user writes it."""
        formatter.write_usage("vidream", self._usage)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, then the options by group."""
        for heading, rows in self._sections() if self._sections else ():
            with formatter.section(heading):
                formatter.write_dl(rows)
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None or not isinstance(param, click.Option):
                continue
            group = param.group if isinstance(param, Option) else "General"
            if ctx.meta.get(_ALL) or not isinstance(param, Option) or param.common:
                groups.setdefault(group, []).append(record)
        general = groups.pop("General", [])
        for group, records in (*groups.items(), ("General", general)):
            with formatter.section(group):
                formatter.write_dl(records)


def _help_all() -> Option:
    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            ctx.meta[_ALL] = True
            click.echo(ctx.get_help())
            ctx.exit()

    return Option(
        ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=show,
        help="Show every option and exit.",
    )  # fmt: skip


QUIET = Option(["-q", "--quiet"], is_flag=True, help="Print errors only.")
VERBOSE = Option(["-v", "--verbose"], is_flag=True, help="Print what is going on.")
