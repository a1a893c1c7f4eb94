"""How stable dreams are, how deep and how fast: from scratch, blended, propagated.

usage: python benchmarks/coherence.py [CLIP ...] [--width 640] [--frames 40] [--drift 300]

All ways run on the same frames with the same network, layers and octaves. E is the warping error
by Farnebäck's flow (DIS propagates the dream), times 10^4; "agreed" is E where Farnebäck's flow and
DIS differ by at most a pixel: elsewhere one of them is wrong, and E says little about the dream.
With --drift, a still clip with noise and a clip that runs to and fro are dreamed as well.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from vidream import Dreamer, DreamSettings, Frame, ReadSettings, dream_frames
from vidream.core.effect import Context, InitImage, Resources, State
from vidream.core.frames import Picture
from vidream.core.images import to_tensor
from vidream.core.settings import Settings
from vidream.effects.dream import DreamEffect
from vidream.measure import Report, measure_clip
from vidream.media.reader import open_reader
from vidream.temporal.flow import FlowArray, load_flow
from vidream.temporal.tracking import MotionTracker

SAMPLE = Path(__file__).parents[1] / "samples" / "clouds.mp4"
FAR_OUTSIDE = 1e6  # pixels: a displacement that leads out of any frame, so that it does not count


@dataclass
class Run:
    """What one way of dreaming gave."""

    pictures: list[Picture] = field(repr=False)
    seconds: float


class Agreeing:
    """Farnebäck's flow where DIS finds the same."""

    def __init__(self) -> None:
        self._judge, self._other = load_flow("farneback"), load_flow("dis")

    def __call__(self, picture: Picture, other: Picture) -> FlowArray:
        flow = self._judge(picture, other)
        apart = np.linalg.norm(flow - self._other(picture, other), axis=2)
        flow[apart > 1] = FAR_OUTSIDE
        return flow


@dataclass
class BlendEffect:
    """The simplest recurrence: the previous dream mixed in, and a third of the steps."""

    dreamer: Dreamer
    recurrent: bool = True
    over_time: frozenset[str] = frozenset()

    def step(
        self, init: InitImage, frame: Tensor, context: Context, state: State
    ) -> tuple[Tensor, State]:
        if not state:
            dream = self.dreamer.dream(init.image, frame=context.index)
        else:
            image, steps = frame.lerp(state["dream"], 0.5), self.dreamer.settings.steps // 3
            dream = self.dreamer.dream(image, frame=context.index, steps=steps)
        return dream, {"dream": dream}


class CachedDreamer(Dreamer):
    """A dreamer that has dreamed these frames already."""

    def remember(self, dreams: Sequence[Picture]) -> None:
        self._dreams = dreams

    def dream(self, image: Tensor, *, frame: int = 0, **_: object) -> Tensor:
        return to_tensor(self._dreams[frame])


def read(clip: str, width: int, frames: int) -> list[Picture]:
    with open_reader(clip, ReadSettings(width=width, frames=frames)) as reader:
        return [item.image for item in reader]


def timed(frames: Iterable[tuple[Frame, object]]) -> Run:
    """Run; the first frame, which every way dreams from scratch, is left out of the time."""
    pictures, began = [], time.perf_counter()
    for number, (frame, _) in enumerate(frames, 1):
        pictures.append(frame.image)
        if number == 1:
            began = time.perf_counter()
    return Run(pictures, (time.perf_counter() - began) / max(1, len(pictures) - 1))


def dream_effect(dreamer: Dreamer) -> DreamEffect:
    return DreamEffect(Settings(dream=dreamer.settings), Resources(), dreamer=dreamer)


def ways(source: list[Picture], dreamer: Dreamer) -> dict[str, Run]:
    settings, effect = Settings(dream=dreamer.settings), dream_effect(dreamer)
    alone = settings.updated(coherence=0.0)
    return {
        "from scratch": timed(dream_frames(source, alone, effect=effect)),
        "blended": timed(dream_frames(source, settings, effect=BlendEffect(dreamer))),
        "propagated": timed(dream_frames(source, settings, effect=effect)),
    }


def number(value: float | None, scale: float = 1, digits: int = 2) -> str:
    return "–" if value is None else f"{value * scale:.{digits}f}"


def compare(clip: str, source: list[Picture], dreamer: CachedDreamer) -> None:
    runs = ways(source, Dreamer(dreamer.settings, network=dreamer.network))
    scratch = runs["from scratch"]
    dreamer.remember(scratch.pictures)
    size = f"{source[0].shape[1]}×{source[0].shape[0]}"
    tracking = f"tracking alone: {tracking_time(source):.3f} s"
    print(f"\n{Path(clip).name}, {size}, {len(source)} frames; {tracking}")
    print(
        f"{'':13} s/frame  of scratch  strength  least  evenness  low"
        "   E(1)  /source  scratch/E  agreed  /source  scratch/E   E(5)  E(20)"
    )
    floor: dict[str, float] = {}
    for name, run in runs.items():
        pairs = list(zip(source, run.pictures, strict=True))
        every = measure_clip(pairs, dreamer, scratch_every=1)
        agreed = measure_clip(pairs, dreamer, flow=Agreeing(), lags=(1,))
        row = [f"{name:13} {run.seconds:7.2f}  1/{scratch.seconds / run.seconds:<8.1f}"]
        beside = every.summary.scratch
        assert beside is not None
        row += [f"{number(beside.strength.mean):>8} {number(beside.strength.minimum):>6}"]
        row += [f"{number(beside.evenness):>8} {number(beside.low):>5}"]
        for key, report in (("all", every), ("agreed", agreed)):
            first = report.summary.errors[0]
            floor.setdefault(key, first.dream or 0)
            row += [f"{number(first.dream, 1e4):>7} {number(first.ratio, 1, 1):>7}"]
            row += [f"{floor[key] / (first.dream or 1):>10.1f}"]
        row += [f"{number(e.dream, 1e4):>6}" for e in every.summary.errors[1:]]
        print(" ".join(row), flush=True)
    print(f"{'cells in new regions:':13} {beside.new_cells}")


def tracking_time(source: list[Picture]) -> float:
    """Return the seconds a frame that flow and masks take."""
    tracker = MotionTracker(load_flow("dis"), DreamSettings().recall)
    began = time.perf_counter()
    for index, picture in enumerate(source):
        tracker.track(picture, index)
    return (time.perf_counter() - began) / len(source)


def drift(name: str, source: list[Picture], dreamer: Dreamer) -> None:
    run = timed(
        dream_frames(source, Settings(dream=dreamer.settings), effect=dream_effect(dreamer))
    )
    report: Report = measure_clip(zip(source, run.pictures, strict=True), dreamer, lags=(1,))
    found = report.summary.drift
    slopes = {"strength": found.strength} | {
        name: getattr(found.dream, name) for name in ("brightness", "contrast", "saturation")
    }
    print(
        f"{name:10} {run.seconds:.2f} s/frame; slope per 100 frames after frame {found.since}: "
        + ", ".join(f"{quantity} {number(slope, 100)} %" for quantity, slope in slopes.items())
        + f"; E(1) {number(report.summary.errors[0].dream, 1e4)}",
        flush=True,
    )


def noisy_still(picture: Picture, count: int) -> list[Picture]:
    random = np.random.default_rng(0)
    return [
        np.clip(picture + random.normal(0, 2, picture.shape), 0, 255).round().astype(np.uint8)
        for _ in range(count)
    ]


def to_and_fro(pictures: list[Picture], count: int) -> list[Picture]:
    there = pictures + pictures[-2:0:-1]
    return list(itertools.islice(itertools.cycle(there), count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", default=[str(SAMPLE)])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--drift", type=int, default=0, metavar="FRAMES")
    options = parser.parse_args()
    dreamer = CachedDreamer()
    for clip in options.clips:
        source = read(clip, options.width, options.frames)
        if options.drift:
            plain = Dreamer(dreamer.settings, network=dreamer.network)
            drift("still", noisy_still(source[0], options.drift), plain)
            drift("to and fro", to_and_fro(source, options.drift), plain)
        else:
            compare(clip, source, dreamer)


if __name__ == "__main__":
    main()
