"""Measures a clip frame by frame; only the last few frames are kept."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from vidream.core.errors import InputError, SettingsError
from vidream.core.frames import Picture
from vidream.core.images import size_of, to_tensor
from vidream.dream.dreamer import Dreamer
from vidream.measure.quantities import ColourStatistics, Residual, new_cells, warping_error
from vidream.measure.recognition import Recogniser
from vidream.measure.records import FrameError, FrameMeasure, FrameRecognition, FrameScratch
from vidream.measure.report import Report, Summary
from vidream.measure.strength import Strength, dream_from_scratch
from vidream.measure.true_motion import TrueError, TrueMotion
from vidream.temporal.flow import FlowEstimator, load_flow
from vidream.temporal.scenes import may_begin_scene
from vidream.temporal.tracking import is_explained_by_motion
from vidream.temporal.warp import forward_backward_mask, to_flow

LAGS = (1, 5, 20)
"""How many frames earlier a frame is compared with: flicker, wobble and slow change."""

MIN_RELIABLE = 0.01
"""Share of the pixels that must be reliable for a warping error to mean anything."""

Pair = tuple[Picture, Picture]
Motions = dict[int, tuple[Tensor, Tensor]]


def measure_clip(
    pairs: Iterable[Pair],
    dreamer: Dreamer,
    *,
    flow: FlowEstimator | None = None,
    lags: Sequence[int] = LAGS,
    scratch_every: int = 0,
    guided: Callable[[Dreamer], Dreamer] | None = None,
    true_motion: TrueMotion | None = None,
    recogniser: Recogniser | None = None,
    progress: Callable[[FrameMeasure], None] | None = None,
) -> Report:
    """Measure a dreamed clip against its source.

    Args:
        pairs: frames of source and dream, uint8 ``[H, W, 3]`` RGB, all of one size. The last
            ``max(lags)`` are kept by reference.
        dreamer: measures strength, and dreams from scratch.
        flow: estimator of the source's motion. Farnebäck's by default: DIS, which propagates
            dreams, would not see its own errors.
        lags: how many frames earlier a frame is compared with.
        scratch_every: also dream every Nth frame from scratch, for evenness; 0 for none.
        guided: for a moving guide: maps ``dreamer`` to that of the last pair read.
        true_motion: of the clip, for errors by it.
        recogniser: an independent classifier, for some of the frames.
        progress: called after each frame.

    Raises:
        SettingsError: a lag is under 1, or a layer has no grid of cells for evenness.
        InputError: fewer than two pictures, of different sizes, or not of the true motion.
        NetworkError: the images are too small for the network.
    """
    if not lags or min(lags) < 1:
        raise SettingsError(f"`lags` are whole numbers from 1, not {list(lags)}")
    if scratch_every < 0:
        raise SettingsError(f"`scratch_every` is a number of frames from 0, not {scratch_every}")
    meter = _Meter(flow or load_flow("farneback"), lags, true_motion, recogniser)
    frames: list[FrameMeasure] = []
    for number, (source, dream) in enumerate(pairs, 1):
        sampled = scratch_every > 0 and number % scratch_every == 0
        led = dreamer if guided is None else guided(dreamer)
        frames.append(meter.measure(source, dream, led, with_scratch=sampled))
        if progress is not None:
            progress(frames[-1])
    if len(frames) < 2:
        raise InputError("one frame has no motion to measure: give a clip of at least two frames")
    return Report(Summary.of(frames, lags), tuple(frames))


class _Meter:
    def __init__(
        self,
        flow: FlowEstimator,
        lags: Sequence[int],
        true_motion: TrueMotion | None,
        recogniser: Recogniser | None,
    ) -> None:
        self._flow, self._lags = flow, lags
        self._true_motion, self._recogniser = true_motion, recogniser
        self._past: deque[Pair] = deque(maxlen=max(lags))
        self._since_cut = 0  # frames of the scene that lie in the past
        self._index = 0

    def measure(
        self, source: Picture, dream: Picture, dreamer: Dreamer, *, with_scratch: bool
    ) -> FrameMeasure:
        self._check(source, dream)
        if self._begins_scene(source):
            self._since_cut = 0
        strength = Strength(dreamer, dream)
        motions = self._motions(source, {*self._lags, *([1] if with_scratch else [])})
        measured = FrameMeasure(
            index=self._index,
            strength=_ratio(strength.total, Strength(dreamer, source).total),
            dream=ColourStatistics.of(dream),
            source=ColourStatistics.of(source),
            errors=tuple(self._errors(source, dream, motions)),
            scratch=self._scratch(source, strength, dreamer, motions) if with_scratch else None,
            residual=Residual.of(to_tensor(dream), to_tensor(source)),
            true_errors=tuple(self._true_errors(source, dream)),
            recognition=self._recognition(source, dream),
        )
        self._past.append((source, dream))
        self._index += 1
        self._since_cut += 1
        return measured

    def _check(self, source: Picture, dream: Picture) -> None:
        before = self._past[-1][0].shape if self._past else source.shape
        if source.shape != dream.shape:
            raise InputError(
                f"frame {self._index} of the source is {_size(source)} and of the dream "
                f"{_size(dream)}: scale the source to the dream's size first"
            )
        if source.shape != before:
            raise InputError(
                f"the size changes at frame {self._index} to {_size(source)}: "
                "measure the parts on their own"
            )

    def _begins_scene(self, source: Picture) -> bool:
        previous = self._past[-1][0] if self._past else None
        if not may_begin_scene(source, previous):
            return False
        if previous is None:
            return True
        return not is_explained_by_motion(to_flow(self._flow(source, previous)), source, previous)

    def _motions(self, source: Picture, lags: Iterable[int]) -> Motions:
        """Return flow to each earlier frame of the scene, and back, by lag."""
        found = {}
        for lag in lags:
            if lag <= min(self._since_cut, len(self._past)):
                earlier = self._past[-lag][0]
                pairs = (source, earlier), (earlier, source)
                there, back = (to_flow(self._flow(*pair)) for pair in pairs)
                found[lag] = there, back
        return found

    def _errors(self, source: Picture, dream: Picture, motions: Motions) -> Iterator[FrameError]:
        """Yield the warping errors where enough pixels are reliable."""
        for lag in self._lags:
            if lag not in motions:
                continue
            flow, then = motions[lag][0], self._past[-lag]
            mask = forward_backward_mask(*motions[lag])
            reliable = float(mask.mean(dtype=torch.float64))
            if reliable >= MIN_RELIABLE:
                of_source, of_dream = (
                    warping_error(to_tensor(now), to_tensor(earlier), flow, mask)
                    for now, earlier in zip((source, dream), then, strict=True)
                )
                yield FrameError(lag, of_dream, of_source, reliable)

    def _scratch(
        self, source: Picture, strength: Strength, dreamer: Dreamer, motions: Motions
    ) -> FrameScratch:
        """Compare with the dream of the same frame from scratch."""
        cells = strength.cells()
        alone = Strength(dreamer, dream_from_scratch(dreamer, source, self._index))
        ratio, cells_alone = _ratio(strength.total, alone.total), alone.cells()
        if cells is None or cells_alone is None:
            return FrameScratch(ratio)
        # All of the first frame is new, but it is dreamed from scratch in any case.
        new = torch.zeros_like(cells, dtype=torch.bool)
        if 1 in motions:
            new = new_cells(*motions[1], size_of(cells))
        low, low_alone = (float(np.quantile(c.numpy(), 0.1)) for c in (cells, cells_alone))
        return FrameScratch(
            strength=ratio,
            new_cells=int(new.sum()),
            new_dream=float(cells[new].sum(dtype=torch.float64)),
            new_scratch=float(cells_alone[new].sum(dtype=torch.float64)),
            low=_ratio(low, low_alone),
        )

    def _true_errors(self, source: Picture, dream: Picture) -> Iterator[TrueError]:
        if self._true_motion is None:
            return
        for lag in self._lags:
            if lag <= len(self._past):
                now, then = (source, dream), self._past[-lag]
                yield from self._true_motion.errors(self._index, lag, now, then)

    def _recognition(self, source: Picture, dream: Picture) -> FrameRecognition | None:
        if self._recogniser is None or (self._index + 1) % self._recogniser.every:
            return None
        of_dream, of_source = (self._recogniser.mass(to_tensor(p)) for p in (dream, source))
        return FrameRecognition(of_dream, of_source)


def _ratio(value: float, by: float) -> float | None:
    ratio = value / by if by else math.nan
    return ratio if math.isfinite(ratio) else None


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]}×{picture.shape[0]}"
