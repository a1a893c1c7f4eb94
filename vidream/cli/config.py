"""Configuration files: settings in TOML, with a preset that they change."""

from collections.abc import Mapping
from typing import Any

from vidream.cli.options import given_values
from vidream.core.errors import SettingsError
from vidream.core.presets import preset_settings, preset_text
from vidream.core.settings import KeyTerm, Settings
from vidream.core.settings_file import read_settings


def read_config(path: str) -> dict[str, Any]:
    """Return the settings in a file, by field, and ``preset``.

    Raises:
        SettingsError: it cannot be read, or a setting or the preset in it is invalid.
    """
    values = read_settings(path)
    if "preset" in values:
        try:
            preset_settings(values["preset"])
        except SettingsError as error:
            raise SettingsError(f"{path}: {error}") from error
    return values


def merged(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a file overridden by those of the command line; keys, by setting."""
    keys: tuple[KeyTerm, ...] = given.get("keys", ())
    own = {term.setting for term in keys}
    kept = tuple(term for term in config.get("keys", ()) if term.setting not in own)
    return {**config, **given, **({"keys": (*keys, *kept)} if keys or kept else {})}


def given_preset(
    preset: str | None, config: str | None, options: dict[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """Return the preset that is named, if any, and the settings that are given.

    What is typed goes over what is in the file ``config``; raises as :func:`read_config`.
    """
    values = merged(read_config(config) if config else {}, given_values(options))
    of_file = values.pop("preset", None)
    return preset or of_file, values


def write_config(settings: Settings) -> str:
    """Return the configuration file of settings: what differs from the default preset."""
    return preset_text(settings)
