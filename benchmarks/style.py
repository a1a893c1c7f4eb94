"""How fast style transfer is beside a carried dream, and how still it holds.

usage: python benchmarks/style.py STYLE.jpg [CLIP] [--width 640] [--frames 16] [--rounds 2]

Seconds are those of the frames' reports, without the flow, which dream and style need alike: the
median over the frames but the first, the least of a few rounds in which all ways take turns.
E is the warping error by Farnebäck's flow, times 10^4 and over the source's own, of the style
carried along the motion and of every frame on its own ("plain"). Detail is the mean step from pixel
to pixel over that of the plain one: what is blurred has less.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from coherence import SAMPLE, dream_effect, read
from tables import Row, machine, show

from vidream import Dreamer, DreamSettings, Frame, FrameReport, Settings, dream_frames
from vidream.core.frames import Picture
from vidream.effects.registry import load_effect
from vidream.measure import measure_clip

CONTENT_SIZES = (None, 512, 240, 120)

Ways = dict[str, Callable[[], Iterator[tuple[Frame, FrameReport]]]]


def ways(source: list[Picture], style: str, dreamer: Dreamer) -> Ways:
    found: Ways = {
        "dream": partial(dream_frames, source, effect=dream_effect(dreamer)),
    }
    for size in CONTENT_SIZES:
        settings = Settings().updated(effect="adain", styles=(style,), content_size=size)
        effect = load_effect(settings)
        found[f"style, {size or 'default'}"] = partial(dream_frames, source, effect=effect)
    alone = settings.updated(content_size=None, coherence=0)
    found["style, plain"] = partial(dream_frames, source, alone, effect=load_effect(alone))
    return found


def detail(pictures: list[Picture]) -> float:
    return float(np.mean([np.abs(np.diff(p.astype(np.float32), axis=1)).mean() for p in pictures]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("style")
    parser.add_argument("clip", nargs="?", default=str(SAMPLE))
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    source = read(options.clip, options.width, options.frames)
    dreamer = Dreamer(DreamSettings())
    took: dict[str, list[float]] = {}
    shown: dict[str, list[Picture]] = {}
    for _ in range(options.rounds):
        for name, way in ways(source, options.style, dreamer).items():
            done = list(way())
            shown[name] = [frame.image for frame, _ in done]
            took.setdefault(name, []).append(float(np.median([r.seconds for _, r in done[1:]])))
    best = {name: min(seconds) for name, seconds in took.items()}
    rows: list[Row] = []
    for name, seconds in best.items():
        report = measure_clip(zip(source, shown[name], strict=True), dreamer, lags=(1, 5))
        near, far = report.summary.errors
        rows.append(
            {
                "": name,
                "s/frame": seconds,
                "dream's/its": best["dream"] / seconds,
                "E(1)": 1e4 * (near.dream or 0),
                "/source": near.ratio or "–",
                "E(5)": 1e4 * (far.dream or 0),
                "detail": detail(shown[name]) / detail(shown["style, plain"]),
            }
        )
    print(machine())
    show(f"{options.clip}, {source[0].shape[1]}×{source[0].shape[0]}", rows)


if __name__ == "__main__":
    main()
