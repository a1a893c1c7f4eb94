"""Presets of one's own: TOML files in the user's configuration folder."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidream.core.errors import SettingsError, describe_error
from vidream.core.settings_file import read_settings

_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,63}")
_SUFFIX = ".toml"


def presets_folder() -> Path:
    """Return the folder: ``$VIDREAM_PRESETS``, or the system's place for configuration."""
    if own := os.environ.get("VIDREAM_PRESETS"):
        return Path(own).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA", "~/AppData/Roaming"))
    elif sys.platform == "darwin":
        base = Path("~/Library/Application Support")
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config")
    return base.expanduser() / "vidream" / "presets"


def preset_path(name: str) -> Path:
    """Return the file of a preset, which need not exist.

    Raises:
        SettingsError: it is no name for one.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is no name for a preset: use letters, digits, - and _, as in my-eyes"
        )
    return presets_folder() / f"{name}{_SUFFIX}"


def own_presets() -> Iterator[str]:
    """Yield the names of one's presets, in order."""
    folder = presets_folder()
    if folder.is_dir():
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            if path.is_file() and _NAME.fullmatch(path.stem):
                yield path.stem


def read_preset(name: str) -> dict[str, Any] | None:
    """Return the settings of a preset, by field, and its base as ``preset``; None without one.

    Raises:
        SettingsError: its file cannot be read, or is invalid.
    """
    if not _NAME.fullmatch(name) or not preset_path(name).is_file():
        return None
    return read_settings(str(preset_path(name)))


def save_preset(name: str, text: str, *, overwrite: bool = False) -> Path:
    """Write a preset's file, and return its path.

    Raises:
        SettingsError: there is one of that name, or it cannot be written.
    """
    path = preset_path(name)
    if path.exists() and not overwrite:
        raise SettingsError(f"there is a preset {name} already (set `overwrite` to replace it)")
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {describe_error(error)}") from error
    return path


def remove_preset(name: str) -> None:
    """Remove a preset.

    Raises:
        SettingsError: there is none of that name, or it cannot be removed.
    """
    try:
        preset_path(name).unlink()
    except FileNotFoundError as error:
        raise SettingsError(f"there is no preset {name} of your own to remove") from error
    except OSError as error:
        raise SettingsError(f"cannot remove {name}: {describe_error(error)}") from error
