"""Settings in TOML files."""

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vidream.core.errors import SettingsError, describe_error
from vidream.core.settings import Settings, TimeSettings, find_setting, schema


def read_settings(path: str) -> dict[str, Any]:
    """Return the settings in a file, by field, and the name of its ``preset``, if it has one.

    Its keys are fields or flags, ``preset``, and a table ``[keys]``::

        preset = "eyes"
        step-size = 0.01
        [keys]
        strength = "0s=0.2, 5s=1 linear"

    Raises:
        SettingsError: it cannot be read, or a setting in it is invalid.
    """
    try:
        content = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {describe_error(error)}") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    try:
        return dict(_checked(name, value) for name, value in content.items())
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _checked(name: str, value: Any) -> tuple[str, Any]:
    if name == "preset":
        return name, str(value)
    field = find_setting(name).name
    if field == "keys":
        return field, TimeSettings(keys=value).keys
    return field, schema()[field].check(value)


def write_settings(
    settings: Settings, preset: str, usual: Settings, path: Callable[[str], Any] = str
) -> str:
    """Return the file of settings: what differs from the ``usual`` ones of a ``preset``.

    Args:
        settings: all of them.
        preset: name of what they are compared with.
        usual: its settings.
        path: applied to paths of files.
    """
    values, before = settings.to_dict(path), usual.to_dict(path)
    lines = [f"preset = {_toml(preset)}"]
    lines += [f"{name} = {_toml(value)}" for name, value in _differing(values, before)]
    if settings.time.keys:
        keys = settings.time.keys
        lines += ["", "[keys]", *(f"{key.setting} = {_toml(str(key.curve))}" for key in keys)]
    return "\n".join(lines) + "\n"


def _differing(values: Mapping[str, Any], before: Mapping[str, Any]) -> list[tuple[str, Any]]:
    left_out = {*(name for name, s in schema().items() if s.option.per_run), "keys"}
    return [
        (name, value)
        for name, value in values.items()
        if value != before[name] and value is not None and name not in left_out
    ]


def _toml(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)  # numbers, true and false are those of JSON
    escaped = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{_scalar(c):08x}" for c in escaped)


def _scalar(character: str) -> int:
    """Return the code point of a character; that of a surrogate, which TOML forbids, is U+FFFD."""
    code = ord(character)
    return 0xFFFD if 0xD800 <= code < 0xE000 else code
