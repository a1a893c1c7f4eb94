"""Processors: what is done to a frame. The dreamer, AdaIN and PixelNN are built in.

A plugin registers a class (or any callable that takes :class:`DreamSettings` and gives a
:class:`Processor`) under the entry-point group ``vidream.processors``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from vidream.dreamer import Deepener, Depth, Dreamer, Room
from vidream.effects import decoder
from vidream.effects.adain import AdaIn
from vidream.effects.pixelnn import PixelNN
from vidream.errors import SettingsError, unknown
from vidream.frames import Picture
from vidream.networks import find_network
from vidream.settings import DreamSettings, ExampleSettings, Settings, StyleSettings
from vidream.temporal import Memo, Start
from vidream.weights import digest_of

GROUP = "vidream.processors"

_BUILT_IN = ("dream", "adain", "pixelnn")


class Processor(Protocol):
    """Turns the start image of a frame into what is shown."""

    @property
    def recurrent(self) -> bool:
        """Whether it wants the previous output carried into its start image."""
        ...

    def process(self, start: Start, source: Tensor, index: int) -> tuple[Tensor, Memo]:
        """Give the output of one frame, and what to find in ``start.memo`` at the next one.

        Args:
            start: where to start from: the source with what was carried, or the source alone.
            source: the frame, float32 ``[1, 3, H, W]`` RGB in [0, 1].
            index: number of the frame in its clip.

        Returns:
            Float32 ``[1, 3, H, W]`` RGB in [0, 1], and plain numbers, or () for none.
        """
        ...


@runtime_checkable
class Tunable(Protocol):
    """What a processor may have besides: other settings from one frame to the next."""

    def tuned(self, settings: DreamSettings, style: StyleSettings) -> Processor:
        """Give the same processor with other settings of those that may change over time."""
        ...


@dataclass(frozen=True, slots=True)
class DreamProcessor:
    """The dreamer as a processor: full depth on fresh frames, as little as it takes on others.

    Its memo is the :class:`~vidream.dreamer.Depth` that the scene's dreams are held to.

    Args:
        dreamer: what dreams.
        recurrent: whether dreams are carried on.
        holds: whether dreams are held to those before them, and so are measured.
    """

    dreamer: Dreamer
    recurrent: bool = True
    holds: bool = True

    def tuned(self, settings: DreamSettings, style: StyleSettings) -> DreamProcessor:  # noqa: ARG002
        """Give one that dreams by other settings."""
        return replace(self, dreamer=self.dreamer.tuned(settings))

    @property
    def room(self) -> Room:
        """Memory that decides into which tiles frames are cut."""
        return self.dreamer.room

    def guided(self, picture: Picture) -> DreamProcessor:
        """Give one whose dreams a picture guides."""
        return replace(self, dreamer=self.dreamer.guided(picture))

    def process(self, start: Start, source: Tensor, index: int) -> tuple[Tensor, Memo]:
        """Dream, or deepen what is carried."""
        deepener = Deepener(self.dreamer)
        if start.fresh is None or not start.memo:
            dream = self.dreamer.dream(start.image, frame=index)
            return dream, deepener.depth(dream, source).memo if self.holds else ()
        depth = Depth.recall(start.memo)
        dream, depth = deepener.deepen(start.image, source, start.fresh, depth, frame=index)
        return dream, depth.memo


def load_processor(
    name: str,
    settings: DreamSettings,
    on_download: Callable[[int, int | None], None] | None = None,
    style: StyleSettings | None = None,
    examples: ExampleSettings | None = None,
    room: Room | None = None,
) -> Processor:
    """Make the processor of that name; ``style`` is for ``dream`` and ``adain``.

    ``examples`` are for ``pixelnn``, ``room`` for ``dream``.

    Raises:
        SettingsError: there is none of that name, or the plugin cannot be loaded.
        VidreamError: whatever the processor itself raises.
    """
    if name == "dream":
        dreamer = Dreamer(settings, style=style, on_download=on_download, room=room)
        return DreamProcessor(dreamer, holds=settings.carried_share > 0)
    if name == "adain":
        return AdaIn(settings, style or StyleSettings(), on_download=on_download)
    if name == "pixelnn":
        return PixelNN(settings, examples or ExampleSettings(), on_download=on_download)
    plugins = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in plugins:
        names = sorted({*_BUILT_IN, *plugins})
        raise SettingsError(unknown("effect", name, names, f"The effects are {', '.join(names)}."))
    try:
        make = plugins[name].load()
    except Exception as error:  # whatever foreign code raises when it is imported
        raise SettingsError(f"effect {name!r} cannot be loaded: {error}") from error
    processor: Processor = make(settings)
    return processor


def tuned(processor: Processor, settings: Settings) -> Processor:
    """Give the processor for a frame whose settings are these."""
    if not isinstance(processor, Tunable):
        return processor
    return processor.tuned(settings.dream, settings.style)


def check_tunable(processor: Processor, name: str, changing: frozenset[str]) -> None:
    """Find out early whether a processor can follow settings that change.

    Args:
        processor: of that effect.
        name: of the effect.
        changing: settings.

    Raises:
        SettingsError: it cannot.
    """
    own = {s.name for part in (DreamSettings, StyleSettings) for s in fields(part)}
    # How much is carried is no matter of the processor's.
    stuck = sorted(changing & own - {"coherence", "carry"})
    if stuck and not isinstance(processor, Tunable):
        given = ", ".join(setting.replace("_", "-") for setting in stuck)
        raise SettingsError(f"the effect {name} cannot change {given} over time: leave it out")


def weights_of(effect: str, settings: DreamSettings) -> dict[str, str]:
    """Give the SHA-256 of the weights that a built-in effect, once loaded, works with.

    Returns:
        In hex, by the names of the files; none for plugins, of which nothing is known.
    """
    if effect not in _BUILT_IN:
        return {}
    own = find_network("vgg19" if effect == "adain" else settings.network).weights
    name = own.name if settings.weights is None else Path(settings.weights).name
    found = {name: digest_of(own, settings.weights)}
    if effect == "adain":
        found[decoder.SPEC.weights.name] = digest_of(decoder.SPEC.weights)
    return found
