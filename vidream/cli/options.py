"""Options of the command line, from the schema, and help in groups."""

from collections.abc import Collection, Sequence
from typing import Any

import click

from vidream.core.errors import SettingsError, VidreamError
from vidream.core.presets import preset_settings
from vidream.core.settings import Setting, find_setting, schema

_ALL = "vidream.help-all"  # key of a click context: whether every option is shown


LOOK = (*("Dream", "Content", "Style", "Examples (pixelnn)", "Ascent", "Motion", "Postprocessing"),)
"""Groups of the schema that say what is dreamed, and how it is shown."""


def _flag(name: str) -> str:
    try:
        setting = find_setting(name)
    except SettingsError:
        return name
    # `animate` is no option: there are commands for it.
    return name if name == "animate" else f"--{setting.flag}"


def in_words(error: VidreamError) -> str:
    """Return the message of an error in one line, with settings as flags: ``--keep-hdr``."""
    return error.rendered(_flag)


class _Value(click.ParamType[Any]):
    """The type of a setting's value."""

    def __init__(self, setting: Setting) -> None:
        self.name = setting.name
        self._setting = setting

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of a text; an invalid one is a usage error."""
        try:
            return self._setting.read(value) if isinstance(value, str) else value
        except SettingsError as error:
            self.fail(in_words(error), param, ctx)


class PresetName(click.ParamType[str]):
    """The name of a preset, or of one's own."""

    name = "preset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; one of no preset is a usage error."""
        try:
            preset_settings(str(value))
        except SettingsError as error:
            self.fail(in_words(error), param, ctx)
        return str(value)


class Option(click.Option):
    """An option in a group of the help; only ``--help-all`` shows those that are not common."""

    def __init__(self, *args: Any, group: str = "General", common: bool = True, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.group, self.common = group, common

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names, without ``--no-…``, and the help."""
        if self.hidden:
            return None
        names = sorted(self.opts, key=len)
        value = "" if self.is_flag else f" {self.make_metavar(ctx)}"
        return ", ".join(names) + value, self.help or ""


def option_for(name: str, group: str | None = None, *, common: bool = False) -> Option:
    """Return the option of a setting, by default in the group of the schema."""
    setting = schema()[name]
    text, option = f"--{setting.flag}", setting.option
    how: dict[str, Any] = {
        "group": group or option.group,
        "common": common or option.common,
        "help": _help(setting),
    }
    if setting.type is bool:
        return Option([f"{text}/--no-{setting.flag}", name], default=None, **how)
    how["metavar"] = option.metavar or ("N" if setting.type is int else "FLOAT")
    if option.choices:
        how["metavar"] = f"[{'|'.join(option.choices)}]"
    return Option([text, name], type=_Value(setting), multiple=setting.multiple, **how)


def _help(setting: Setting) -> str:
    option, default = setting.option, setting.default
    notes = []
    if option.minimum is not None and (option.maximum or 1e9) < 10_000:
        notes.append(f"{option.minimum:g} to {option.maximum:g}")
    if not unset(default):
        notes.append(f"default: {default:g}" if setting.type is float else f"default: {default}")
    return f"{option.help} [{'; '.join(notes)}]" if notes else option.help


def options_of(group: str, *, but: Collection[str] = (), common: bool = False) -> list[Option]:
    """Return the options of a group of the schema, except ``but``."""
    settings = schema().values()
    names = [s.name for s in settings if s.option.group == group and s.name not in but]
    return [option_for(name, common=common) for name in names]


def preset_option(group: str, help: str) -> Option:
    """Return the option ``--preset``."""
    return Option(["--preset"], metavar="NAME", group=group, type=PresetName(), help=help)


def unset(value: Any) -> bool:
    """Whether an option was left out; 0 is a value."""
    return value is None or value is False or value == ()


def given_values(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


class Command(click.Command):
    """A command whose help lists its options in groups; ``--help-all`` lists all of them.

    Args:
        usage: without the name of the program.
        commands: names and descriptions of other commands, for the help.
    """

    def __init__(
        self, *args: Any, usage: str, commands: Sequence[tuple[str, str]] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.no_args_is_help = any(
            isinstance(param, click.Argument) and param.required for param in self.params
        )
        self._usage, self._commands = usage, commands
        if not all(option.common for option in self.params if isinstance(option, Option)):
            self.params.append(_help_all())

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the usage."""
        formatter.write_usage("vidream", self._usage)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options by group."""
        if self._commands:
            with formatter.section("Commands (vidream COMMAND --help)"):
                formatter.write_dl(self._commands)
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

    how: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False}
    return Option(["--help-all"], **how, callback=show, help="Show every option and exit.")


LOGGING = (
    Option(["-q", "--quiet"], is_flag=True, help="Print errors only."),
    Option(["-v", "--verbose"], is_flag=True, help="Print what is going on."),
)
