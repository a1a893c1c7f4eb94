"""Processors: what is done to a frame. The dreamer and AdaIN are built in; others are plugins.

A plugin registers a class (or any callable that takes :class:`DreamSettings` and gives a
:class:`Processor`) under the entry-point group ``vidream.processors``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

from torch import Tensor

from vidream.deepening import Deepener, Depth
from vidream.dreamer import Dreamer
from vidream.effects.adain import AdaIn
from vidream.errors import SettingsError, unknown
from vidream.settings import DreamSettings, StyleSettings
from vidream.temporal import Memo, Start

GROUP = "vidream.processors"


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


@dataclass(frozen=True, slots=True)
class DreamProcessor:
    """The dreamer as a processor: full depth on fresh frames, as little as it takes on others.

    Its memo is the :class:`~vidream.deepening.Depth` that the scene's dreams are held to.
    """

    dreamer: Dreamer
    recurrent: bool = True

    def process(self, start: Start, source: Tensor, index: int) -> tuple[Tensor, Memo]:
        """Dream, or deepen what is carried."""
        deepener = Deepener(self.dreamer)
        if start.fresh is None or not start.memo:
            dream = self.dreamer.dream(start.image, frame=index)
            # Nothing will be held to it where nothing is carried.
            if self.dreamer.settings.carried_share == 0:
                return dream, ()
            return dream, deepener.depth(dream, source).memo
        depth = Depth.recall(start.memo)
        dream, depth = deepener.deepen(start.image, source, start.fresh, depth, frame=index)
        return dream, depth.memo


def load_processor(
    name: str,
    settings: DreamSettings,
    on_download: Callable[[int, int | None], None] | None = None,
    style: StyleSettings | None = None,
) -> Processor:
    """Make the processor of that name; ``style`` is for the built-in ones.

    Raises:
        SettingsError: there is none of that name, or the plugin cannot be loaded.
        VidreamError: whatever the processor itself raises.
    """
    if name == "dream":
        return DreamProcessor(Dreamer(settings, style=style, on_download=on_download))
    if name == "adain":
        return AdaIn(settings, style or StyleSettings(), on_download=on_download)
    plugins = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in plugins:
        names = sorted({"dream", "adain", *plugins})
        raise SettingsError(unknown("effect", name, names, f"The effects are {', '.join(names)}."))
    try:
        make = plugins[name].load()
    except Exception as error:  # whatever foreign code raises when it is imported
        raise SettingsError(f"effect {name!r} cannot be loaded: {error}") from error
    processor: Processor = make(settings)
    return processor
