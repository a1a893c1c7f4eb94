"""Effects by name: loaded, and checked against the settings that change over time."""

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
    """Raise a SettingsError if an effect cannot follow the settings that change over time."""
    own = {name for name, s in schema().items() if s.part in ("dream", "style", "examples")}
    # How much is propagated is not up to the effect.
    stuck = sorted((set(changing) & own) - {"coherence"} - effect.over_time)
    if stuck:
        given = ", ".join(f"`{setting}`" for setting in stuck)
        raise SettingsError(f"the effect {name} cannot change {given} over time: leave it out")


def weights_of(effect: Effect) -> Mapping[str, str]:
    """Return the SHA-256 of an effect's weights, in hex, by file names; none if unknown."""
    found: Mapping[str, str] = getattr(effect, "weights", {})
    return found


def digests(*files: tuple[WeightsFile, str | None]) -> dict[str, str]:
    """Return the SHA-256 of loaded weights files, each with the path used instead, if any."""
    return {Path(path or own.name).name: digest_of(own, path) for own, path in files}
