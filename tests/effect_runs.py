"""Effects run frame by frame, without the render layer, also on a pan whose motion is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch
from conftest import textured
from torch import Tensor

from vidream import Settings
from vidream.core.effect import Context, Effect, InitImage, State
from vidream.core.frames import Picture
from vidream.core.images import to_picture, to_tensor

STEP = 3  # pixels to the right from one frame of a pan to the next, around the border
_SETTLING = 3  # frames


@dataclass(frozen=True)
class EffectRun:
    """An effect, and the settings that it is run with."""

    effect: Effect
    settings: Settings

    def step(
        self, frame: Tensor, init: InitImage | None = None, state: State | None = None, index=0
    ) -> tuple[Tensor, State]:
        """Make one frame; by default the first of a scene."""
        context = Context(index, Fraction(index, 25), self.settings)
        return self.effect.step(init or InitImage(frame), frame, context, state or {})

    def shown(self, pictures: Sequence[Picture], motion: int = 0) -> list[Picture]:
        """Return what becomes of pictures that move to the right by ``motion`` pixels each."""
        share, state, residual, images = self.settings.dream.coherence, {}, None, []
        for index, picture in enumerate(pictures):
            frame = to_tensor(picture)
            init = InitImage(frame)
            if residual is not None and share:
                start = (frame + share * residual.roll(motion, -1)).clamp(0, 1)
                init = InitImage(start, torch.full_like(frame[:, :1], 1 - share))
            image, state = self.step(frame, init, state, index)
            residual = image - frame
            images.append(to_picture(image))
        return images


def pan(count: int) -> list[Picture]:
    """Return so many frames of a pan."""
    return [np.roll(textured(64, 96), STEP * k, axis=1) for k in range(count)]


def makes_each_on_its_own(run: EffectRun) -> bool:
    """Whether frames of a pan come out as if each were the only one."""
    alone = [run.shown([picture])[0] for picture in pan(4)]
    both = zip(run.shown(pan(4), STEP), alone, strict=True)
    return all(np.array_equal(a, b) for a, b in both)


def flicker(run: EffectRun) -> float:
    """Return the mean square of what the motion of the pan does not explain."""
    pictures = [picture / 255 for picture in run.shown(pan(8), STEP)]
    apart = (np.roll(a, STEP, axis=1) - b for a, b in pairwise(pictures[_SETTLING:]))
    return float(np.mean([np.square(rest).mean() for rest in apart]))
