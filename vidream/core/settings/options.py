"""Declaration and validation of settings."""

import contextlib
import functools
import math
import os
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, get_args, get_origin, get_type_hints

from vidream.core.errors import SettingsError
from vidream.core.settings.terms import StyleTerm

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True, slots=True)
class Option:
    """A setting's declaration besides its name, type and default.

    Args:
        help: one line.
        group: heading under which it is listed.
        metavar: placeholder of a value, as in ``PIXELS``; with ``FILE`` in it, a path.
        minimum: least value.
        maximum: greatest value.
        choices: all values.
        parse: parser of a value, where its type is none.
        flag: its name for people, if not the field's: ``layer`` for ``layers``.
        keyword: a value that is no path, of a setting that takes paths.
        over_time: whether it may change from frame to frame.
        common: whether most people need it.
        per_run: whether no frame depends on it.
    """

    help: str
    group: str
    metavar: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    flag: str | None = None
    keyword: str | None = None
    over_time: bool = False
    common: bool = False
    per_run: bool = False


def option(default: Any, help: str, group: str, **details: Any) -> Any:
    """Declare a dataclass field as a setting; ``details`` are those of :class:`Option`.

    ``within=(minimum, maximum)`` says both.
    """
    if within := details.pop("within", None):
        details["minimum"], details["maximum"] = within
    return field(default=default, metadata={"option": Option(help, group, **details)})


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of the schema."""

    name: str  # its field
    part: str  # attribute of Settings that holds it; empty: a setting of Settings itself
    type: type  # of a value: bool, int, float, str or a term
    default: Any  # value if unset
    multiple: bool  # whether it is a tuple of values
    option: Option  # its declaration

    @property
    def flag(self) -> str:
        """Its name for people: ``content-layer``."""
        return (self.option.flag or self.name).replace("_", "-")

    @property
    def names_file(self) -> bool:
        """Whether a value is the path of a file."""
        return "FILE" in (self.option.metavar or "")

    def check(self, value: Any) -> Any:
        """Return a validated value; text is parsed, a list becomes a tuple.

        Raises:
            SettingsError: it is of another type, or out of range.
        """
        if self.multiple:
            alone = isinstance(value, str) or not isinstance(value, Iterable)
            return tuple(self.check_one(item) for item in ((value,) if alone else value))
        return None if value is None and self.default is None else self.check_one(value)

    def read(self, text: str) -> Any:
        """Parse one value; raises as :meth:`check`."""
        value: Any = text
        if self.type in (int, float) and self.option.parse is None:
            with contextlib.suppress(ValueError):  # it is refused below
                value = self.type(text)
        return self.check_one(value)

    def check_one(self, value: Any) -> Any:
        """Return one validated value; raises as :meth:`check`."""
        parse = self.option.parse or getattr(self.type, "parse", None)
        if isinstance(value, str) and parse is not None:
            value = parse(value)
        elif isinstance(value, os.PathLike) and self.type is str:
            value = os.fspath(value)
        elif self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        self._check_type(value)
        option = self.option
        if option.choices and value not in option.choices:
            raise SettingsError(
                f"`{self.name}` is one of {', '.join(option.choices)}; not {value!r}"
            )
        low = -math.inf if option.minimum is None else option.minimum
        high = math.inf if option.maximum is None else option.maximum
        if self.type in (int, float) and not (low <= value <= high and math.isfinite(value)):
            bounds = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
            raise SettingsError(f"`{self.name}` is {_KINDS[self.type]} {bounds}; not {value!r}")
        return value

    def _check_type(self, value: Any) -> None:
        if isinstance(value, bool) is (self.type is bool) and isinstance(value, self.type):
            return
        kind = _KINDS.get(self.type, "text")
        raise SettingsError(f"`{self.name}` is {kind}; not {value!r}")

    def plain(self, value: Any, path: Callable[[str], Any] = str) -> Any:
        """Return a value as JSON has it: terms as text, ``path`` applied to paths of files."""
        if isinstance(value, tuple):
            return [self.plain(item, path) for item in value]
        if isinstance(value, StyleTerm):
            return str(StyleTerm(path(value.path), value.weight))
        if isinstance(value, str):
            return path(value) if self.names_file and value != self.option.keyword else value
        return value if value is None or isinstance(value, (bool, int, float)) else str(value)


@functools.cache
def settings_of(part: type, name: str = "") -> Mapping[str, Setting]:
    """Return the settings that a dataclass declares, by field; ``name`` is their ``part``."""
    hints = get_type_hints(part)
    found = {}
    for declared in fields(part):
        if "option" in declared.metadata:
            kind, multiple = _value_type(hints[declared.name])
            default = None if declared.default is MISSING else declared.default
            found[declared.name] = Setting(
                declared.name, name, kind, default, multiple, declared.metadata["option"]
            )
    return types.MappingProxyType(found)


def _value_type(hint: Any) -> tuple[type, bool]:
    """Return the type of a field's values, and whether it holds several."""
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    kinds = [kind for kind in get_args(hint) if kind is not types.NoneType] or [hint]
    return kinds[0], False


class Validated:
    """Validates and parses every setting on construction."""

    def __post_init__(self) -> None:
        part: type = type(self)
        for name, setting in settings_of(part).items():
            object.__setattr__(self, name, setting.check(getattr(self, name)))
