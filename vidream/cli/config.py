"""Configuration files: settings in TOML."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidream.core.errors import SettingsError, describe_error
from vidream.core.presets import DEFAULT, preset_settings
from vidream.core.settings import KeyTerm, Settings, TimeSettings, find_setting, schema
from vidream.render.record import RUN_SETTINGS


def read_config(path: str) -> dict[str, Any]:
    """Return the settings in a file, by field, and ``preset``.

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
        preset_settings(str(value))
        return name, value
    field = find_setting(name).name
    if field == "keys":
        return field, TimeSettings(keys=value).keys
    return field, schema()[field].check(value)


def merged(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a file overridden by those of the command line; keys, by setting."""
    keys: tuple[KeyTerm, ...] = given.get("keys", ())
    own = {term.setting for term in keys}
    kept = tuple(term for term in config.get("keys", ()) if term.setting not in own)
    return {**config, **given, **({"keys": (*keys, *kept)} if keys or kept else {})}


def write_config(settings: Settings) -> str:
    """Return the configuration file of settings: what differs from the default preset."""
    usual, values = preset_settings(DEFAULT).to_dict(), settings.to_dict()
    lines = [f"preset = {_toml(DEFAULT)}"]
    for name, value in values.items():
        if value != usual[name] and value is not None and name not in {*RUN_SETTINGS, "keys"}:
            lines.append(f"{name} = {_toml(value)}")
    if settings.time.keys:
        keys = settings.time.keys
        lines += ["", "[keys]", *(f"{key.setting} = {_toml(str(key.curve))}" for key in keys)]
    return "\n".join(lines) + "\n"


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
