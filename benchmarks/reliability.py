"""Kills a render at random moments, resumes it, and counts how often the output is the same.

    python benchmarks/reliability.py                          # 100 kills of a copy, 5 of a dream
    python benchmarks/reliability.py --kills 3 --dreams 1 --frames 24
    python benchmarks/reliability.py --full-disk 20           # on a disk of 20 MB: needs root

The renders are killed by SIGKILL at moments spread over the whole run, from the first save to the
last. Saving as often as the default does a render of seconds would be saved once: it is saved
after each frame, so that every kill finds something to go on with.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

import av
import numpy as np

from vidream import cli
from vidream.render import run as pipeline  # noqa: F401  (imported once, not in each child)
from vidream.render import segments, sinks

DREAM = ("--octaves", "2", "--steps", "2", "--jitter", "4")


def make_clip(path: Path, frames: int, size: tuple[int, int]) -> None:
    """Write a pan over noise with two cuts, and a tone."""
    random = np.random.default_rng(0)
    width, height = size
    grounds = [random.integers(0, 255, (height // 8, width // 8, 3), np.uint8) for _ in range(3)]
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=Fraction(25), options={"crf": "12"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = out.add_stream("aac", rate=48000)
        for k in range(frames):
            ground = grounds[3 * k // frames].repeat(8, 0).repeat(8, 1)
            picture = np.roll(ground, 2 * k, axis=1)
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        tone = (np.sin(np.arange(1920 * frames) * 0.05) * 0.3).astype(np.float32)[None]
        for start in range(0, tone.shape[1], 1024):
            piece = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(tone[:, start : start + 1024]), format="fltp", layout="mono"
            )
            piece.rate, piece.pts = 48000, start
            out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
        out.mux(video.encode(None))


class Render:
    """One command, started as often as it takes.

    It is forked off, so that PyTorch need not be imported each time; the child is a process of its
    own, and killed as one.

    Args:
        clip: what is rendered.
        segment: frames of a segment.
        risk: seconds between saves.
        options: of the command.
    """

    def __init__(self, clip: Path, segment: int, risk: float, *options: str) -> None:
        self._clip, self._segment, self._risk, self._options = clip, segment, risk, options
        self._said = clip.with_name("said.txt")

    def start(self, target: Path, *more: str) -> ForkProcess:
        """Start it."""
        process = get_context("fork").Process(target=self._child, args=(target, more))
        process.start()
        return process

    def _child(self, target: Path, more: tuple[str, ...]) -> None:
        with self._said.open("w") as said:
            os.dup2(said.fileno(), 2)
        segments._LEAST, segments._PIXEL_BYTES = self._segment, 0
        sinks.AT_RISK = sinks._WORTH = self._risk
        sys.argv = ["vidream", str(self._clip), "-o", str(target), *self._options, *more]
        cli.main()

    def run(self, target: Path, *more: str) -> tuple[int, str]:
        """Run it to its end; give the status, and what it said."""
        process = self.start(target, *more)
        process.join()
        return process.exitcode or 0, self._said.read_text().strip()


def begun(target: Path) -> bool:
    """Whether there is something to go on with."""
    return (target.with_name(f".{target.name}.vidream") / "state.pt").exists()


def watch(render: Render, target: Path) -> float:
    """Run it to its end; give the seconds from its first save to its output."""
    process = render.start(target)
    while not begun(target):
        time.sleep(0.001)
    began = time.monotonic()
    while not target.exists():
        time.sleep(0.001)
    took = time.monotonic() - began
    process.join()
    return took


def count_kills(render: Render, folder: Path, kills: int, seed: int) -> int:
    """Kill and resume so many times; give how often the output was the same to the byte."""
    whole, target = folder / "whole.mp4", folder / "killed.mp4"
    status, said = render.run(whole)
    assert status == 0, said
    took = watch(render, target)
    moments = random.Random(seed)
    same = tries = 0
    while tries < kills:
        target.unlink(missing_ok=True)
        process = render.start(target)
        while not begun(target) and process.is_alive():
            time.sleep(0.001)
        time.sleep(moments.random() * took)
        process.kill()
        process.join()
        if target.exists():  # it was done already: no kill
            continue
        tries += 1
        status, said = render.run(target, "--resume")
        good = status == 0 and filecmp.cmp(whole, target, shallow=False)
        good = good and not target.with_name(f".{target.name}.vidream").exists()
        same += good
        if not good:
            print(f"kill {tries}: status {status}: {said}")
            shutil.rmtree(target.with_name(f".{target.name}.vidream"), ignore_errors=True)
    return same


def fill_disk(folder: Path, megabytes: int) -> None:
    """Render onto a small disk until it is full, make room, and go on."""
    clip, disk = folder / "clip.mp4", folder / "disk"
    disk.mkdir()
    make_clip(clip, 120, (320, 176))
    options = ("--effect", "none", "--codec", "ffv1")
    render = Render(clip, 8, 0, *options)
    whole = folder / "whole.mkv"
    status, said = render.run(whole)
    assert status == 0, said
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)], check=True
    )
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes((megabytes - 4) * 2**20))
        status, said = render.run(disk / "d.mkv")
        print(f"full disk: status {status}: {said}")
        print(f"  output there: {(disk / 'd.mkv').exists()}")
        ballast.unlink()
        subprocess.run(["mount", "-o", f"remount,size={8 * megabytes}m", str(disk)], check=True)
        status, said = render.run(disk / "d.mkv", "--resume")
        same = status == 0 and filecmp.cmp(whole, disk / "d.mkv", shallow=False)
        print(f"  resumed: status {status} {said}; the same to the byte: {same}")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def main() -> None:
    """Count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of a run with --effect none")
    parser.add_argument("--dreams", type=int, default=5, help="kills of a run that dreams")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--size", default="160x96")
    parser.add_argument("--segment", type=int, default=24, help="frames")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full-disk", type=int, metavar="MB", help="try a disk of that size too")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "clip.mp4"
        make_clip(clip, args.frames, (width, height))
        for label, kills, options in (
            ("copy", args.kills, ("--effect", "none")),
            ("dream", args.dreams, DREAM),
        ):
            if not kills:
                continue
            place = folder / label
            place.mkdir()
            began = time.monotonic()
            render = Render(clip, args.segment, 0, *options)
            same = count_kills(render, place, kills, args.seed)
            seconds = time.monotonic() - began
            print(
                f"{label}: {same} of {kills} killed and resumed runs over {args.frames} frames "
                f"of {args.size} gave the same bytes ({seconds:.0f} s)",
                flush=True,
            )
        if args.full_disk:
            (folder / "small").mkdir()
            fill_disk(folder / "small", args.full_disk)


if __name__ == "__main__":
    main()
