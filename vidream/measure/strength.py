"""Strength: the response of a network to what was dreamed. The only module here that dreams."""

import torch
from torch import Tensor

from vidream.core.errors import SettingsError
from vidream.core.frames import Picture
from vidream.core.images import to_picture, to_tensor
from vidream.dream.dreamer import Dreamer


class Strength:
    """The strength of a picture, uint8 ``[H, W, 3]``, by a dreamer's objective."""

    def __init__(self, dreamer: Dreamer, picture: Picture) -> None:
        self._objective = dreamer.objective_function
        with torch.no_grad():
            self._activations = dreamer.network.activations(to_tensor(picture, dreamer.device))
        self.total = float(self._objective.strength(self._activations))

    def cells(self) -> Tensor | None:
        """Return the strength per cell, ``[1, 1, h, w]`` on the CPU; None for style only.

        Raises:
            SettingsError: a layer has no grid of cells.
        """
        for term in self._objective.terms:
            if self._activations[term.layer].ndim != 4:
                raise SettingsError(
                    f"{term.layer} has no grid of cells to measure evenness by: leave "
                    "`scratch_every` out, or choose an earlier layer"
                )
        if not self._objective.terms:
            return None
        return self._objective.local_strength(self._objective.maps(self._activations)).cpu()


def dream_from_scratch(dreamer: Dreamer, source: Picture, index: int) -> Picture:
    """Dream a frame alone, rounded to 8 bits."""
    return to_picture(dreamer.dream(to_tensor(source), frame=index))
