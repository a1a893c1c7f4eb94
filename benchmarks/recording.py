"""A long recording with a variable rate: are timestamps kept, is sound in step, is memory flat?

A made recording of tiny frames flashes and clicks once a minute. It is passed through without an
effect, once with its sound copied and once with it re-encoded.

usage: python benchmarks/recording.py [--minutes 60] [--size 64x48]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from tables import machine, show

from vidream import FrameReport, Reporter, Settings, dream_video

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from recordings import clicks, flashes, record, varied


def times(path: str) -> list[Fraction]:
    with av.open(path) as clip:
        return [f.pts * f.time_base for f in clip.decode(video=0)]


def resident() -> float:
    """Memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def apart(path: str) -> np.ndarray:
    """How long after each click the flash comes, in milliseconds."""
    return 1000 * np.subtract(flashes(path), clicks(path))


def passed(source: str, target: str) -> dict[str, str | float]:
    """Pass a recording through, and compare what comes out."""
    memory: list[float] = []

    class Watch(Reporter):
        def frame(self, report: FrameReport) -> None:
            if report.index % 500 == 0:
                memory.append(resident())

    began = time.perf_counter()
    settings = Settings(effect="none").updated(codec_speed="fast", overwrite=True)
    count = dream_video(source, target, settings, reporter=Watch())
    seconds = time.perf_counter() - began
    before, after = times(source), times(target)
    kept = sum(a == b for a, b in zip(before, after, strict=True))
    marks = apart(target) - apart(source)
    settled = memory[len(memory) // 5 :]  # queues and the encoder's look ahead are full by then
    return {
        "to": Path(target).suffix,
        "frames": count,
        "timestamps kept": kept,
        "off by, ms": float(max(abs(a - b) for a, b in zip(before, after, strict=True)) * 1000),
        "marks": len(marks),
        "sound off by, ms": float(np.abs(marks).max()),
        "memory, MiB": settled[-1],
        "its growth, MiB": max(settled) - settled[0],
        "frames/s": count / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--size", default="64x48", metavar="WIDTHxHEIGHT")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    shown = varied(options.minutes * 60 * 18)
    shown = [t for t in shown if t < 60_000 * options.minutes]
    marks = [60 * minute + 30.0 for minute in range(options.minutes)]
    with tempfile.TemporaryDirectory() as folder:
        source = record(
            Path(folder, "source.mkv"), size=(width, height), times=shown, marks=marks,
            options={"preset": "ultrafast"},
        )  # fmt: skip
        rows = [passed(source, str(Path(folder, f"dream{suffix}"))) for suffix in (".mp4", ".webm")]
    title = f"{options.minutes} minutes of {width}×{height}, {len(shown)} frames, {machine()}"
    show(title, rows)


if __name__ == "__main__":
    main()
