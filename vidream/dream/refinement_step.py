"""One step of refinement: gradient → gain → precondition → normalize → step."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from vidream.core.images import Size, resize, size_of
from vidream.dream.ascent import normalize, normalize_locally
from vidream.dream.dreamer import Dreamer
from vidream.dream.precondition import precondition
from vidream.dream.refinement_policy import REFINEMENT_POLICY
from vidream.dream.strength import STRENGTH_POLICY, step_gain
from vidream.dream.views import View
from vidream.dream.windows import Window


@dataclass(frozen=True, slots=True)
class RefinementStep:
    """Takes the steps of one frame, each with its own view."""

    dreamer: Dreamer
    source: Tensor  # the frame, or windows of it, of the shape of the images: content reference
    next_view: Callable[[], View]

    def within(self, window: Window) -> Self:
        """Return the same within a window of the frame."""
        return replace(self, source=self.source[window.of])

    def __call__(
        self,
        image: Tensor,
        octave: Size,
        level: Tensor,
        new: Tensor | None = None,
        hold: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Take one step at the size of an octave and add its detail to the images.

        Args:
            image: ``[B, 3, H, W]``.
            octave: size to take the step at.
            level: to reach at this octave, ``[B, 1, H, W]``.
            new: how new each pixel is, ``[B, 1, H, W]``: there the step may be longer.
            hold: step of regions above their level.

        Returns:
            The images, and the strength of each cell before the step, ``[B, 1, h, w]``.
        """
        settings, policy = self.dreamer.settings, REFINEMENT_POLICY
        objective = self.dreamer.objective_function
        view = self.next_view()
        reference = resize(self.source, octave) if objective.content else None
        found = self.dreamer.compute_gradient(resize(image, octave), reference, view)
        direction = precondition(found.gradient, settings)
        if objective.terms:
            direction = normalize_locally(
                direction, settings.normalize, policy.normalize_diameter, policy.normalize_floor
            )
        else:
            # The gradient of a statistic of all of a frame is large in places and small in others.
            direction = normalize(direction, settings.normalize)
        most = STRENGTH_POLICY.max_steps
        longest = most + (0 if new is None else policy.longer_steps)
        gain = view.locate(step_gain(found.cells, level, view.size(octave), hold, longest))
        if new is not None:
            gain = gain.minimum(most + policy.longer_steps * new)
        # Geometric mean of the first and the last step of a dream from scratch.
        step_size = settings.step_size * math.sqrt(settings.anneal)
        detail = resize(step_size * (gain * direction), size_of(image))
        return (image + detail).clamp_(0, 1), view.locate_cells(found.cells, octave)
