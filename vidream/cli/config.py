"""Configuration files: settings in TOML, by their names."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vidream.core.errors import SettingsError, describe_error
from vidream.core.presets import DEFAULT, preset_settings
from vidream.core.settings import KeyTerm, Settings, TimeSettings, find_setting, schema

_NOT_KEPT = frozenset(("overwrite", "resume", "keep_work"))  # they are of a run, not of a dream


def read_config(path: str) -> dict[str, Any]:
    """Read a configuration file.

    Its lines are settings by their fields or flags, ``preset``, and a table ``[keys]``::

        preset = "eyes"
        step-size = 0.01
        [keys]
        strength = "0s=0.2, 5s=1 linear"

    Returns:
        Checked values by field, and ``preset``.

    Raises:
        SettingsError: there is no such file, or it says something else.
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
        preset_settings(str(value))
        return name, value
    field = find_setting(name).name
    if field == "keys":
        return field, TimeSettings(keys=value).keys
    return field, schema()[field].check(value)


def merged(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a configuration file, with those of the command line over them.

    Of keys those for the same setting are replaced.
    """
    keys: tuple[KeyTerm, ...] = given.get("keys", ())
    own = {term.setting for term in keys}
    kept = tuple(term for term in config.get("keys", ()) if term.setting not in own)
    return {**config, **given, **({"keys": (*keys, *kept)} if keys or kept else {})}


def write_config(settings: Settings) -> str:
    """Return the configuration file of settings: what differs from the default preset."""
    return "\n".join(_lines(settings)) + "\n"


def _lines(settings: Settings) -> Iterator[str]:
    usual, values = preset_settings(DEFAULT).to_dict(), settings.to_dict()
    yield f"preset = {_toml(DEFAULT)}"
    for name, value in values.items():
        if value != usual[name] and value is not None and name not in {*_NOT_KEPT, "keys"}:
            yield f"{name} = {_toml(value)}"
    if settings.time.keys:
        yield ""
        yield "[keys]"
        for term in settings.time.keys:
            yield f"{term.setting} = {_toml(str(term.curve))}"


def _toml(value: Any) -> str:
    """Write a value as TOML has it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)  # numbers, true and false are those of JSON
    escaped = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{_scalar(c):08x}" for c in escaped)


def _scalar(character: str) -> int:
    """Return the code of a character; that of a surrogate, which TOML has none of, is replaced."""
    code = ord(character)
    return 0xFFFD if 0xD800 <= code < 0xE000 else code
