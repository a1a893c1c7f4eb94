"""Effects by name: loaded, and checked against the settings that change over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vidream.core.effect import Effect, EffectFactory, Resources
from vidream.core.errors import SettingsError
from vidream.core.registry import EFFECTS
from vidream.core.settings import Settings, schema
from vidream.networks.weights import WeightsFile, digest_of


def load_effect(settings: Settings, resources: Resources | None = None) -> Effect:
    """Make the effect that ``settings.effect`` names.

    Raises:
        SettingsError: there is none of that name, or it cannot be loaded.
        VidreamError: whatever the effect itself raises.
    """
    make: EffectFactory = EFFECTS.load(settings.effect)
    return make(settings, resources or Resources())


def check_over_time(effect: Effect, name: str, changing: Iterable[str]) -> None:
    """Find out early whether an effect can follow the settings that change.

    Args:
        effect: loaded.
        name: of the effect, for the error.
        changing: names of the settings.

    Raises:
        SettingsError: it cannot.
    """
    own = {name for name, s in schema().items() if s.part in ("dream", "style", "examples")}
    # How much is propagated is not up to the effect.
    stuck = sorted((set(changing) & own) - {"coherence"} - effect.over_time)
    if stuck:
        given = ", ".join(f"`{setting}`" for setting in stuck)
        raise SettingsError(f"the effect {name} cannot change {given} over time: leave it out")


def weights_of(effect: Effect) -> Mapping[str, str]:
    """Return the SHA-256 of the weights that an effect works with, in hex, by file names.

    An effect that has any offers them as ``weights``; nothing is known of another.
    """
    found: Mapping[str, str] = getattr(effect, "weights", {})
    return found


def digests(*files: tuple[WeightsFile, str | None]) -> dict[str, str]:
    """Return the SHA-256 of weights files that have been loaded, in hex, by their names.

    Args:
        *files: each with the path that is used in its place, if any.
    """
    return {
        own.name if path is None else Path(path).name: digest_of(own, path) for own, path in files
    }
