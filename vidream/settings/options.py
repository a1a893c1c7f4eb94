"""How a setting is declared: its default, range and help stated once, and checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from vidream.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is offered on the command line, and which values it takes."""

    help: str
    metavar: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    flag: str | None = None
    """Name of the command line option, where it is not the field's own."""
    over_time: bool = False
    """Whether it may change from frame to frame."""
    common: bool = False
    """Whether it is one of the few that most people need, which the help shows first."""

    @property
    def names_file(self) -> bool:
        """Whether its value is the path of a file."""
        return "FILE" in (self.metavar or "")


def option(default: Any, help: str, **details: Any) -> Any:
    """Declare a field that is offered as an option; ``details`` are those of :class:`Option`."""
    return field(default=default, metadata={"option": Option(help, **details)})


def option_of(setting: Field[Any]) -> Option:
    """Give the :class:`Option` of a dataclass field of this module."""
    option: Option = setting.metadata["option"]
    return option


class Validated:
    """Checks every field against its :class:`Option` on construction."""

    def __post_init__(self) -> None:
        for setting in fields(self):  # type: ignore[arg-type]
            value = getattr(self, setting.name)
            if "option" in setting.metadata and value is not None:
                _check(setting, value)


def _check(setting: Field[Any], value: Any) -> None:
    option, name = option_of(setting), setting.name.replace("_", "-")
    if option.choices and value not in option.choices:
        raise SettingsError(f"{name} is one of {', '.join(option.choices)}; not {value!r}")
    if option.minimum is None and option.maximum is None:
        return
    low = -math.inf if option.minimum is None else option.minimum
    high = math.inf if option.maximum is None else option.maximum
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        bounds = f"from {low:g} to {high:g}" if high < math.inf else f"at least {low:g}"
        raise SettingsError(f"{name} is a number {bounds}; not {value!r}")
    if isinstance(setting.default, int) and not isinstance(value, int):
        raise SettingsError(f"{name} is a whole number; not {value!r}")


def default_of(setting: Field[Any]) -> Any:
    """Give a field's default, None where it has none."""
    return None if setting.default is MISSING else setting.default
