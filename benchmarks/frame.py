"""Where the time of a carried frame goes, in gradient steps at full size.

usage: python benchmarks/frame.py CLIP [CLIP ...] [--width 640] [--frames 51] [--precision auto]

A clip is dreamed from file to file by the default preset. A step is one forward and backward pass
over a dreamed frame at full size, the least of several before and after; what is left is what no
part accounts for: decoding, conversion, encoding, and the loop.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from tables import Row, machine, show
from timing import FrameTimes, least

from vidream import Dreamer, ReadSettings, dream_video, preset_settings
from vidream.core.images import to_tensor
from vidream.dream.refinement import Refiner
from vidream.media.reader import open_reader
from vidream.render import loop
from vidream.temporal.tracking import MotionTracker

PARTS: dict[str, tuple[Any, str]] = {
    "flow and masks": (MotionTracker, "track"),
    "propagation": (loop, "propagate"),
    "coarser octaves": (Refiner, "_at_coarse_octaves"),
    "a part in turn": (Refiner, "_at_full_size"),
    "windows": (Refiner, "_in_windows"),
}
DREAMING = (Refiner, "refine")
ROUNDS = 8


@contextmanager
def timed(parts: dict[str, tuple[Any, str]]) -> Iterator[dict[str, float]]:
    """Add up the seconds that methods take, by name."""
    taken: dict[str, float] = defaultdict(float)

    def timing(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def called(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                taken[name] += time.perf_counter() - began

        return called

    before = {name: getattr(owner, method) for name, (owner, method) in parts.items()}
    for name, (owner, method) in parts.items():
        setattr(owner, method, timing(name, before[name]))
    try:
        yield taken
    finally:
        for name, (owner, method) in parts.items():
            setattr(owner, method, before[name])


def measure(clip: str, options: argparse.Namespace) -> tuple[str, list[Row]]:
    settings = preset_settings(
        width=options.width, frames=options.frames, precision=options.precision
    )
    dreamer = Dreamer(settings.dream)
    with open_reader(clip, ReadSettings(width=options.width, frames=1)) as reader:
        source = next(to_tensor(item.image) for item in reader)
    dream = dreamer.dream(source)
    works = {
        "step": lambda: dreamer.compute_gradient(dream),
        "scratch": lambda: dreamer.dream(source),
    }
    found = [least(works, ROUNDS)]
    reports = FrameTimes()
    with timed({**PARTS, "dreaming": DREAMING}) as taken, tempfile.TemporaryDirectory() as folder:
        dream_video(clip, str(Path(folder, "dream.mp4")), settings, reporter=reports)
    found.append(least(works, ROUNDS))
    step, scratch = (min(times[name] for times in found) for name in works)
    carried = sum(report.propagated and not report.duplicate for _, report in reports.frames)
    whole = (reports.frames[-1][0] - reports.frames[0][0]) / carried
    within = ("coarser octaves", "a part in turn", "windows")
    each = {name: taken[name] / carried for name in PARTS}
    each["other dreaming"] = taken["dreaming"] / carried - sum(each[name] for name in within)
    each["all else"] = whole - sum(each.values())
    each["a carried frame"] = whole
    each["a frame from scratch"] = scratch
    height, width = source.shape[-2:]
    title = (
        f"{Path(clip).name}, {width}×{height}, {carried} carried frames; step {step * 1e3:.1f} ms"
    )
    return title, [
        {"": name, "ms": 1e3 * seconds, "steps": seconds / step} for name, seconds in each.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", metavar="CLIP")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--frames", type=int, default=51)
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    options = parser.parse_args()
    print(machine())
    for clip in options.clips:
        show(*measure(clip, options))


if __name__ == "__main__":
    main()
