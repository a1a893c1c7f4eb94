"""How still dreams hold, how deep and how fast they are: from scratch, blended, carried.

usage: python benchmarks/coherence.py [CLIP ...] [--width 640] [--frames 40] [--drift 300]

All ways run on the same frames with the same network, layers and octaves. E is the warping error
by Farnebäck's flow (DIS carried the dream), times 10^4; "agreed" is E where Farnebäck's flow and
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
import torch
from torch import Tensor

from vidream import Dreamer, DreamSettings, Frame, ReadSettings, dream_frames
from vidream.flow import Field, load_flow
from vidream.frames import Picture, to_tensor
from vidream.measure import Report, measure_clip
from vidream.processors import DreamProcessor
from vidream.reader import open_reader
from vidream.temporal import DreamState, Memo, Motion, MotionTracker, Start

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

    def __call__(self, picture: Picture, other: Picture) -> Field:
        flow = self._judge(picture, other)
        apart = np.linalg.norm(flow - self._other(picture, other), axis=2)
        flow[apart > 1] = FAR_OUTSIDE
        return flow


class Blend:
    """The simplest carrier: the previous dream mixed into the frame where it stands."""

    def start(self, source: Tensor, state: DreamState | None, motion: Motion) -> Start:  # noqa: ARG002
        if state is None:
            return Start(source)
        return Start(source.lerp(state.dream, 0.5), torch.full_like(source[:, :1], 0.5))


@dataclass
class BlendProcessor:
    """A third of the steps at every octave, on every carried frame."""

    dreamer: Dreamer
    recurrent: bool = True

    def process(self, start: Start, source: Tensor, index: int) -> tuple[Tensor, Memo]:  # noqa: ARG002
        steps = self.dreamer.settings.steps // 3 if start.carried else None
        return self.dreamer.dream(start.image, frame=index, steps=steps), ()


class Recalling(Dreamer):
    """A dreamer that has dreamed these frames already."""

    def recall(self, dreams: Sequence[Picture]) -> None:
        self._dreams = dreams

    def dream(self, image: Tensor, *, frame: int = 0, **_: object) -> Tensor:  # noqa: ARG002
        return to_tensor(self._dreams[frame])


def read(clip: str, width: int, frames: int) -> list[Picture]:
    with open_reader(clip, ReadSettings(width=width, frames=frames)) as reader:
        return [item.image for item in reader if isinstance(item, Frame)]


def timed(frames: Iterable[tuple[Frame, object]], carried_from: int) -> Run:
    """Run; the first frame, which every way dreams from scratch, is left out of the time."""
    pictures, began = [], time.perf_counter()
    for number, (frame, _) in enumerate(frames, 1):
        pictures.append(frame.image)
        if number == carried_from:
            began = time.perf_counter()
    return Run(pictures, (time.perf_counter() - began) / max(1, len(pictures) - carried_from))


def ways(source: list[Picture], dreamer: Dreamer) -> dict[str, Run]:
    settings = dreamer.settings
    carried = DreamProcessor(dreamer)
    alone = DreamSettings(coherence=0)
    return {
        "from scratch": timed(dream_frames(source, alone, processor=carried), 1),
        "blend": timed(
            dream_frames(source, settings, processor=BlendProcessor(dreamer), carrier=Blend()), 1
        ),
        "carried": timed(dream_frames(source, settings, processor=carried), 1),
    }


def number(value: float | None, scale: float = 1, digits: int = 2) -> str:
    return "–" if value is None else f"{value * scale:.{digits}f}"


def compare(clip: str, source: list[Picture], dreamer: Recalling) -> None:
    runs = ways(source, Dreamer(dreamer.settings, network=dreamer.network))
    scratch = runs["from scratch"]
    dreamer.recall(scratch.pictures)
    size = f"{source[0].shape[1]}×{source[0].shape[0]}"
    print(
        f"\n{Path(clip).name}, {size}, {len(source)} frames; motion alone: {followed(source):.3f} s"
    )
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
    print(f"{'cells of fresh ground:':13} {beside.fresh}")


def followed(source: list[Picture]) -> float:
    """Seconds a frame that flow and masks take."""
    tracker = MotionTracker(load_flow("dis"), DreamSettings().recall)
    began = time.perf_counter()
    for index, picture in enumerate(source):
        tracker.track(picture, index)
    return (time.perf_counter() - began) / len(source)


def drift(name: str, source: list[Picture], dreamer: Dreamer) -> None:
    run = timed(dream_frames(source, dreamer.settings, processor=DreamProcessor(dreamer)), 1)
    report: Report = measure_clip(zip(source, run.pictures, strict=True), dreamer, lags=(1,))
    held = report.summary.drift
    print(
        f"{name:10} {run.seconds:.2f} s/frame; slope per 100 frames after frame {held.since}: "
        f"strength {number(held.strength, 100)} %, brightness {number(held.dream.brightness, 100)}"
        f" %, contrast {number(held.dream.contrast, 100)} %, "
        f"saturation {number(held.dream.saturation, 100)} %; "
        f"E(1) {number(report.summary.errors[0].dream, 1e4)}",
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
    dreamer = Recalling()
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
