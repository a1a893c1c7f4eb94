"""The dreamer as an effect: from scratch where a scene begins, then refined."""

from collections.abc import Mapping

from torch import Tensor

from vidream.core.effect import Context, InitImage, Resources, State
from vidream.core.frames import Picture
from vidream.core.settings import OVER_TIME, DreamSettings, Settings, settings_of
from vidream.dream.dreamer import Dreamer
from vidream.dream.refinement import Refiner
from vidream.dream.target_strength import TargetStrength
from vidream.effects.registry import digests


class DreamEffect:
    """Dreams frames. Its state is the :class:`TargetStrength` of the scene.

    Raises:
        VidreamError: whatever :class:`Dreamer` raises.
    """

    recurrent = True
    over_time = frozenset(OVER_TIME) & frozenset(settings_of(DreamSettings)) | {"guide"}

    def __init__(
        self, settings: Settings, resources: Resources, *, dreamer: Dreamer | None = None
    ) -> None:
        self.dreamer = dreamer or Dreamer(
            settings.dream,
            style=settings.style,
            on_download=resources.reporter.download,
            budget=resources.memory,
        )
        self._measures = settings.dream.coherence > 0
        self._guided: tuple[Picture, Dreamer] | None = None

    @property
    def weights(self) -> Mapping[str, str]:
        """SHA-256 of the weights by the names of their files."""
        return digests((self.dreamer.network.weights_file, self.dreamer.settings.weights))

    def step(
        self, init: InitImage, frame: Tensor, context: Context, state: State
    ) -> tuple[Tensor, State]:
        """Dream a frame, or refine the dream propagated to it.

        Raises:
            SettingsError: the guide is too small.
            NetworkError: the network cannot take an image of this size.
            DeviceError: there is not even memory for tiles of it.
        """
        dreamer = self._guided_by(context.guide).at(context.settings.dream)
        refiner = Refiner(dreamer)
        if init.new_mask is None or not state:
            dream = dreamer.dream(init.image, frame=context.index)
            return dream, refiner.measure(dream, frame).state if self._measures else {}
        target = TargetStrength.from_state(state)
        dream, target = refiner.refine(init, frame, target, context.index)
        return dream, target.state

    def strength(self, state: State) -> float | None:
        """Return the energy of a dream over that of one from scratch, by the state after it."""
        return TargetStrength.from_state(state).reached if state else None

    def _guided_by(self, guide: Picture | None) -> Dreamer:
        """Return the dreamer with that guide, which may last for several frames."""
        if guide is None:
            return self.dreamer
        if self._guided is None or self._guided[0] is not guide:
            self._guided = guide, self.dreamer.at(guide=guide)
        return self._guided[1]
