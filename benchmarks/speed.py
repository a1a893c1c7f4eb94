"""How fast dreaming is: against lone convolutions, by network, size and octaves; and its memory.

usage: python benchmarks/speed.py [CLIP] [--networks inception vgg19 vgg16]
           [--sizes 320x180 640x360 1280x720] [--json FILE] [--plot FILE.png] [--small]

Times are the least of a few rounds, in which all that is compared takes turns. FLOPs are those of
the convolutions as the network runs them, two for each product and sum. The roofline is the best
of a few lone convolutions in the same rounds; "share" is the time that the network's convolutions
would take at it, over the time of the whole gradient step. "Dreamer" is the time that the frames'
reports give. A network whose weights are not on this machine is left out: nothing is downloaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tables import Row, draw, machine, show
from timing import FrameTimes, convolution_flops, least, lone
from torch import Tensor

from vidream import (
    Dreamer,
    DreamSettings,
    ReadSettings,
    VidreamError,
    dream_video,
    preset_settings,
)
from vidream.core.devices import choose_device, choose_precision
from vidream.core.images import to_tensor
from vidream.core.settings import LayerTerm
from vidream.media.reader import open_reader
from vidream.networks.registry import find_network
from vidream.networks.weights import FOLDERS_VARIABLE, cache_folder

SAMPLE = Path(__file__).parents[1] / "samples" / "clouds.mp4"
LAYERS = {"vgg16": (LayerTerm("relu4_3"),)}  # others dream of their own
FILES = {"vgg16": ("vgg16-features.pth",)}  # besides the network's own weights file
PEAK = "peak"

Pair = tuple[Dreamer, Dreamer]
"""A network in the type that the dreamer chooses, and in float32."""


def weights_of(network: str) -> str | None:
    """Find a network's weights without downloading; None if a package carries them."""
    own = find_network(network).weights
    if own.package is not None:
        return None
    folders = [Path(f) for f in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if f]
    names = (*FILES.get(network, ()), own.name)
    paths = [f.expanduser() / name for f in (*folders, cache_folder()) for name in names]
    for path in filter(Path.is_file, paths):
        return str(path)
    raise VidreamError(f"its weights are not here: no {' or '.join(names)} in ${FOLDERS_VARIABLE}")


def load(networks: Iterable[str]) -> dict[str, Pair]:
    pairs = {}
    for name in networks:
        try:
            settings = DreamSettings(
                network=name, layers=LAYERS.get(name, ()), weights=weights_of(name)
            )
            pairs[name] = (Dreamer(settings), Dreamer(replace(settings, precision="float32")))
        except VidreamError as error:
            print(f"{name} is left out: {error}")
    return pairs


def first_frame(clip: str, size: str) -> Tensor:
    with open_reader(clip, ReadSettings(**sides(size), frames=1)) as reader:
        picture = next(item.image for item in reader)
    return to_tensor(picture, choose_device("auto"))


def sides(size: str) -> dict[str, Any]:
    return dict(zip(("width", "height"), map(int, size.split("x")), strict=True))


def measure_steps(
    clip: str, sizes: Sequence[str], pairs: Mapping[str, Pair], rounds: int
) -> tuple[list[Row], list[Row]]:
    """Time lone convolutions, and gradient steps on dreamed frames, in turns."""
    device = choose_device("auto")
    types = list(dict.fromkeys((choose_precision("auto", device), torch.float32)))
    alone, alone_flops = lone(device, types)
    best: dict[Any, float] = {}
    steps: list[Row] = []
    flops: list[tuple[int, int]] = []
    for size in sizes:
        works, cosines = dict(alone), {}
        for name, pair in pairs.items():
            # At full depth: the shallower a dream, the more rounding turns the gradient.
            image = pair[0].dream(first_frame(clip, size))
            ours, full = (
                dreamer.compute_gradient(image).gradient.flatten().double() for dreamer in pair
            )
            cosines[name] = F.cosine_similarity(ours, full, dim=0).item()
            flops.append(convolution_flops(pair[0], image))
            for own, dreamer in zip((True, False), pair, strict=True):
                works[name, own] = partial(dreamer.compute_gradient, image)
        took = least(works, rounds)
        for key, count in alone_flops.items():
            best[key[:2]] = max(best.get(key[:2], 0), count / took[key])
        for name, cosine in cosines.items():
            row: Row = {"network": name, "size": size, "ms": took[name, True] * 1e3}
            steps.append(row | {"float32 ms": took[name, False] * 1e3, "cosine": cosine})
    # Now that the roofline is the best of all rounds:
    for row, (forward, backward) in zip(steps, flops, strict=True):
        roof = forward / best[types[0], "forward"] + backward / best[types[0], "backward"]
        own_seconds = float(row["ms"]) / 1e3
        row |= {"GFLOP forward": forward / 1e9, "GFLOP backward": backward / 1e9}
        row |= {"GFLOP/s": (forward + backward) / own_seconds / 1e9, "share": roof / own_seconds}
    ways = ("forward", "backward")
    lone_rows: list[Row] = [
        {"type": str(t)[6:], **{f"{way} GFLOP/s": best[t, way] / 1e9 for way in ways}}
        for t in types
    ]
    return lone_rows, steps


def measure_pipeline(clip: str, size: str, frames: int) -> Row:
    """Time the default preset from file to file."""
    reports = FrameTimes()
    settings = preset_settings(**sides(size), frames=frames)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        dream_video(clip, str(Path(folder, "dream.mp4")), settings, reporter=reports)
        ended = time.perf_counter()
    loaded = reports.frames[0][0] - reports.frames[0][1].seconds
    dreaming = sum(report.seconds for _, report in reports.frames)
    pairs = itertools.pairwise(reports.frames)
    carried = [
        (now - before, report.seconds)
        for (before, _), (now, report) in pairs
        if report.propagated and not report.duplicate
    ]
    took, alone = (sum(pair[k] for pair in carried) or math.nan for k in (0, 1))
    row: Row = {"size": size, "frames": len(reports.frames), "load s": loaded - began}
    row |= {"all s": ended - loaded, "dreamer s": dreaming, "ratio": (ended - loaded) / dreaming}
    row |= {
        "frames/s": len(reports.frames) / (ended - loaded),
        "carried frames/s": len(carried) / took,
    }
    return row | {"dreamer's carried frames/s": len(carried) / alone}


def measure_octaves(clip: str, size: str, dreamer: Dreamer, steps: int, rounds: int) -> list[Row]:
    """Time dreams from scratch; octaves too small for the network are left out."""
    image = first_frame(clip, size)
    height, width = image.shape[-2:]
    works, pixels = {}, {}
    for count in range(1, 6):
        other = Dreamer(replace(dreamer.settings, octaves=count), network=dreamer.network)
        octaves = other.octave_sizes((height, width))
        works[len(octaves)] = partial(other.dream, image, steps=steps)
        pixels[len(octaves)] = sum(h * w for h, w in octaves) / (height * width)
    took = least(works, rounds)
    return [
        {"octaves": k, "s": took[k], "times one": took[k] / took[1], "pixels, times one": pixels[k]}
        for k in works
    ]


def measure_peak(clip: str, size: str) -> Row:
    """Dream a frame and carry it on in a process of its own, for its peak memory."""
    command = [sys.executable, __file__, PEAK, clip, size]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    resident, gpu = (int(number) / 2**20 for number in done.stdout.split())
    return {"size": size, "peak MiB": resident, "GPU peak MiB": gpu}


def print_peak(clip: str, size: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = preset_settings(**sides(size), frames=2, steps=1)
        dream_video(clip, str(Path(folder, "dream.mp4")), settings)
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, end=" ")
    print(torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", default=str(SAMPLE))
    parser.add_argument("--networks", nargs="+", default=["inception", "vgg19", "vgg16"])
    parser.add_argument("--sizes", nargs="+", metavar="WxH")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE.png")
    parser.add_argument("--small", action="store_true", help="under two minutes on two cores")
    options = parser.parse_args()
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install 'vidream[plot]'")
    sizes = ["320x180", "640x360", *([] if options.small else ["1280x720"])]
    if torch.cuda.is_available() and not options.small:
        sizes.append("1920x1080")
    sizes = options.sizes or sizes
    rounds, steps, frames = (3, 2, 6) if options.small else (5, 10, 16)
    title, clip = machine(), options.clip
    print(title, flush=True)
    # First, as a process that is started begins with the peak of the one that starts it.
    memory = [measure_peak(clip, size) for size in sizes]
    pairs = load(options.networks)
    roof, gradients = measure_steps(clip, sizes, pairs, rounds)
    show("Lone 3×3 convolutions, channels last", roof)
    if gradients:
        show("A gradient step on a dreamed frame", gradients)
    pipeline = [measure_pipeline(clip, size, frames) for size in sizes]
    show("The default preset on a clip, from file to file", pipeline)
    dreamer = Dreamer()
    middle = sizes[len(sizes) // 2]
    octaves = measure_octaves(clip, middle, dreamer, steps, rounds)
    show(f"A dream from scratch, {middle}, {steps} steps an octave", octaves)
    show("Peak memory of a process that dreams and carries on", memory)
    tables = {"convolutions": roof, "steps": gradients, "pipeline": pipeline, "octaves": octaves}
    if options.json:
        text = json.dumps({"machine": title, **tables, "memory": memory}, indent=1)
        Path(options.json).write_text(text)
    if options.plot:
        draw(options.plot, title, gradients, pipeline)


if __name__ == "__main__":
    if sys.argv[1:2] == [PEAK]:
        print_peak(*sys.argv[2:])
    else:
        main()
