"""What a page sends: settings, and where they apply."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vidream.core.errors import SettingsError, VidreamError
from vidream.core.presets import DEFAULT, PRESETS, preset_names, preset_settings
from vidream.core.registry import EFFECTS, FLOWS
from vidream.core.settings import LIVE_RATE, LIVE_RATES, Setting, Settings, schema
from vidream.dream.build_objective import layers_to_load
from vidream.networks.registry import find_network, network_names
from vidream.networks.weights import is_here
from vidream.studio.folder import Folder


def asked_settings(body: Mapping[str, Any], folder: Folder) -> Settings:
    """Return the settings of ``{"preset": NAME, "values": {SETTING: VALUE}}``.

    Raises:
        VidreamError: there is no such preset or setting, a value is invalid, or a file that is
            named lies outside of the folder.
    """
    values, preset = body.get("values") or {}, body.get("preset") or DEFAULT
    if not isinstance(values, dict) or not isinstance(preset, str):
        raise SettingsError("settings are a preset and values by their names")
    settings = preset_settings(preset, **{str(name): value for name, value in values.items()})
    return Settings.from_dict(settings.to_dict(path=folder.setting))


def live_settings(text: str, folder: Folder) -> tuple[Settings, float]:
    """Return the settings and the rate of live pictures that a page sends as JSON; raises so."""
    try:
        body = json.loads(text)
        wanted = float(body.get("rate") or LIVE_RATE)
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError("that is no JSON with settings") from error
    least, most = LIVE_RATES
    if not least <= wanted <= most:
        raise SettingsError(f"a rate is from {least:g} to {most:g}; not {wanted:g}")
    return asked_settings(body, folder), wanted


def describe_presets() -> list[dict[str, Any]]:
    """Return presets as a page shows them: names, what one sees, and their settings."""
    found = []
    for name in preset_names():
        try:
            settings = preset_settings(name)
            needs = _needs_download(settings)
        except VidreamError:  # one of one's own, which was edited
            continue
        if settings.animation.asked:  # of a still: there are commands for it
            continue
        values = settings.to_dict()
        cost = settings.dream.octaves * settings.dream.steps
        shows = PRESETS[name].shows if name in PRESETS else "a preset of your own"
        found.append(
            {
                "name": name,
                "shows": shows,
                "own": name not in PRESETS,
                "values": values,
                "needs": needs,
                "cost": cost,
            }
        )
    return found


def _needs_download(settings: Settings) -> bool:
    """Whether the weights of settings are not on this machine yet."""
    dream, spec = settings.dream, find_network(settings.dream.network)
    if settings.effect != "dream" or dream.weights is not None:
        return False
    layers, also = layers_to_load(dream, settings.style, spec)
    return not is_here(spec.weights_for((*layers, *also)))


def describe_settings() -> list[dict[str, Any]]:
    """Return the schema as a page needs it for its knobs."""
    return [_described(setting) for setting in schema().values() if not setting.option.per_run]


def _suggestions(name: str) -> list[str]:
    """Return values of a setting of any text that are known."""
    known: dict[str, Callable[[], Iterable[str]]] = {
        "network": network_names,
        "effect": EFFECTS.names,
        "flow": FLOWS.names,
    }
    return sorted(known[name]()) if name in known else []


def _described(setting: Setting) -> dict[str, Any]:
    option = setting.option
    kind = {bool: "switch", int: "whole", float: "number"}.get(setting.type, "text")
    if option.parse is not None:
        kind = "text"
    return {
        "name": setting.name,
        "flag": setting.flag,
        "group": option.group,
        "help": option.help,
        "kind": "choice" if option.choices else kind,
        "choices": option.choices,
        "minimum": option.minimum,
        "maximum": option.maximum,
        "multiple": setting.multiple,
        "suggestions": _suggestions(setting.name),
        "optional": setting.default is None and not setting.multiple,
        "file": setting.names_file,
        "common": option.common,
        "metavar": option.metavar,
    }
