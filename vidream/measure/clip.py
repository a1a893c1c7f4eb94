"""The measurement of a clip, frame by frame; only the last few frames are kept."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from vidream.dreamer import Dreamer
from vidream.errors import InputError, SettingsError
from vidream.flow import FlowEstimator, load_flow
from vidream.frames import Picture, to_picture, to_tensor
from vidream.measure.quantities import (
    LEAST_RELIABLE,
    fresh_cells,
    look,
    low,
    residual,
    warping_error,
)
from vidream.measure.recognition import Recogniser
from vidream.measure.records import FrameError, FrameMeasure, FrameRecognition, FrameScratch
from vidream.measure.report import Report, Summary
from vidream.measure.true_motion import TrueError, TrueMotion
from vidream.temporal import SceneDetector
from vidream.temporal.motion import followed
from vidream.temporal.warp import reliability, to_flow

LAGS = (1, 5, 20)
"""How many frames earlier a frame is compared with: flicker, wobble and slow change."""

Progress = Callable[[FrameMeasure, int | None], None]
"""Told of each frame, and of how many frames are expected, if that is known."""

Pair = tuple[Picture, Picture]


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
    expected: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Measure a dreamed clip against its source, as its frames come.

    Args:
        pairs: frames of the source and of the dream, uint8 ``[H, W, 3]`` RGB, all of one size.
            The last ``max(lags)`` pairs are kept as they are: they must not change later.
        dreamer: says what strength is; makes the from-scratch dreams, with its own settings.
        flow: estimator of the source's motion. By default Farnebäck's: a dream that DIS carried
            would be measured too well by DIS, whose mistakes it shares.
        lags: how many frames earlier a frame is compared with.
        scratch_every: dream every Nth frame (the Nth, the 2Nth …) from scratch too, for evenness;
            0 leaves it out. It takes about as long as dreaming these frames.
        guided: where a guide moves, from ``dreamer`` to that of the pair that was read last.
        true_motion: how the clip moves, where that is known: the error is measured by it too.
        recogniser: an independent classifier that looks at some of the frames.
        expected: frames in all, for ``progress``.
        progress: called after each frame.

    Raises:
        SettingsError: a lag is under 1, or a layer has no grid of cells to tell evenness by.
        InputError: the pictures differ in size, are fewer than two, or are not those of the true
            motion.
        NetworkError: the network cannot take an image of this size.
    """
    if not lags or min(lags) < 1:
        raise SettingsError(f"lags are one or more whole numbers from 1; not {list(lags)}")
    if scratch_every < 0:
        raise SettingsError(f"scratch-every is a number of frames, or 0; not {scratch_every}")
    meter = _Meter(dreamer, flow or load_flow("farneback"), lags, true_motion, recogniser)
    frames: list[FrameMeasure] = []
    for number, (source, dream) in enumerate(pairs, 1):
        sampled = scratch_every > 0 and number % scratch_every == 0
        if guided is not None:
            meter.dreamer = guided(dreamer)
        frames.append(meter.frame(source, dream, with_scratch=sampled))
        if progress is not None:
            progress(frames[-1], expected)
    if len(frames) < 2:
        raise InputError("one frame has no motion to measure: give a clip of at least two frames")
    return Report(Summary.of(frames, lags), tuple(frames))


class _Meter:
    """Measures one frame after the other.

    Attributes:
        dreamer: as the next frame was dreamed.
    """

    def __init__(
        self,
        dreamer: Dreamer,
        flow: FlowEstimator,
        lags: Sequence[int],
        true_motion: TrueMotion | None,
        recogniser: Recogniser | None,
    ) -> None:
        self.dreamer = dreamer
        self._flow, self._lags = flow, lags
        self._true_motion, self._recogniser = true_motion, recogniser
        self._scenes = SceneDetector()
        self._past: deque[Pair] = deque(maxlen=max(lags))
        self._scene = 0  # frames of the scene that lie in the past
        self._index = 0

    def frame(self, source: Picture, dream: Picture, *, with_scratch: bool) -> FrameMeasure:
        """Measure the next frame."""
        self._check(source, dream)
        if self._cut(source):
            self._scene = 0
        seen = self._activate(source), self._activate(dream)
        motions = self._motions(source, {*self._lags, *([1] if with_scratch else [])})
        errors = [
            self._error(source, dream, lag, *motions[lag]) for lag in self._lags if lag in motions
        ]
        measured = FrameMeasure(
            index=self._index,
            strength=_ratio(self._strength(seen[1]), self._strength(seen[0])),
            dream=look(dream),
            source=look(source),
            errors=tuple(error for error in errors if error is not None),
            scratch=self._scratch(source, seen[1], motions.get(1)) if with_scratch else None,
            residual=residual(to_tensor(dream), to_tensor(source)),
            true_errors=tuple(self._true_errors(source, dream)),
            recognition=self._recognition(source, dream),
        )
        self._past.append((source, dream))
        self._index += 1
        self._scene += 1
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

    def _cut(self, source: Picture) -> bool:
        """Tell whether a scene begins: what was before it has no motion that leads here."""
        if not self._scenes.cut(source) or not self._scene:
            return False
        earlier = self._past[-1][0]
        return not followed(to_flow(self._flow(source, earlier)), source, earlier)

    def _motions(self, source: Picture, lags: Iterable[int]) -> dict[int, tuple[Tensor, Tensor]]:
        """Give the flow to each earlier frame that there is, and the flow back."""
        found = {}
        for lag in lags:
            if lag <= min(self._scene, len(self._past)):
                earlier = self._past[-lag][0]
                found[lag] = (
                    to_flow(self._flow(source, earlier)),
                    to_flow(self._flow(earlier, source)),
                )
        return found

    def _error(
        self, source: Picture, dream: Picture, lag: int, flow: Tensor, back: Tensor
    ) -> FrameError | None:
        """Give the warping error; None where too little is reliable to tell."""
        reliable = reliability(flow, back)
        share = float(reliable.mean(dtype=torch.float64))
        if share < LEAST_RELIABLE:
            return None
        then = self._past[-lag]
        of_source, of_dream = (
            warping_error(to_tensor(now), to_tensor(earlier), flow, reliable)
            for now, earlier in ((source, then[0]), (dream, then[1]))
        )
        return FrameError(lag, of_dream, of_source, share)

    def _true_errors(self, source: Picture, dream: Picture) -> Iterator[TrueError]:
        """Yield the errors by true motion, which knows of no scenes."""
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

    def _activate(self, picture: Picture) -> dict[str, Tensor]:
        with torch.no_grad():
            return self.dreamer.network.activations(to_tensor(picture, self.dreamer.device))

    def _strength(self, activations: dict[str, Tensor]) -> float:
        return float(self.dreamer.aim.strength(activations))

    def _cells(self, activations: dict[str, Tensor]) -> Tensor:
        """Give the local energy, ``[1, 1, h, w]``, on the CPU."""
        aim = self.dreamer.aim
        for term in aim.terms:
            if activations[term.layer].ndim != 4:
                raise SettingsError(
                    f"{term.layer} has no grid of cells to tell evenness by: leave "
                    "--scratch-every out, or choose an earlier layer"
                )
        return aim.local(aim.maps(activations)).cpu()

    def _scratch(
        self,
        source: Picture,
        activations: dict[str, Tensor],
        motion: tuple[Tensor, Tensor] | None,
    ) -> FrameScratch:
        """Compare the dream, by its activations, with one of the same frame from scratch."""
        dreamer = self.dreamer
        cells = self._cells(activations) if dreamer.aim.terms else None
        # Rounded as the dream was when it was written, so that like is compared with like.
        alone = to_picture(dreamer.dream(to_tensor(source), frame=self._index))
        reference = self._activate(alone)
        strength = _ratio(self._strength(activations), self._strength(reference))
        if cells is None:  # a style is seen in the frame as a whole: no place of it is even
            return FrameScratch(strength, 0, 0.0, 0.0, None)
        cells_alone = self._cells(reference)
        # All of the first frame is new, but it is dreamed from scratch in any case.
        fresh = torch.zeros_like(cells, dtype=torch.bool)
        if motion is not None:
            fresh = fresh_cells(*motion, (cells.shape[-2], cells.shape[-1]))
        return FrameScratch(
            strength=strength,
            fresh=int(fresh.sum()),
            fresh_dream=float(cells[fresh].sum(dtype=torch.float64)),
            fresh_scratch=float(cells_alone[fresh].sum(dtype=torch.float64)),
            low=_ratio(low(cells), low(cells_alone)),
        )


def _ratio(value: float, by: float) -> float | None:
    ratio = value / by if by else math.nan
    return ratio if math.isfinite(ratio) else None


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]}×{picture.shape[0]}"
