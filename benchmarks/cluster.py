"""Rendering on a cluster: the same bytes under kill -9, scaling, a model of it, memory.

python benchmarks/cluster.py kills --kills 20
python benchmarks/cluster.py scaling
python benchmarks/cluster.py model
python benchmarks/cluster.py memory
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import logging
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import psutil

from vidream.cluster.engine import Engine, EnginePolicy
from vidream.cluster.render import Trouble
from vidream.cluster.run import run_job_on_cluster
from vidream.cluster.schedulers import connect
from vidream.core.presets import preset_settings
from vidream.core.reporting import Reporter
from vidream.render.cost import TimeModel
from vidream.render.job import Job, find_places
from vidream.render.parts import Part, Scene

STILLS = ("cat.jpg", "person.jpg", "meadow.jpg", "clouds.jpg")
SAMPLES = Path(__file__).parents[1] / "samples"


def make_clip(path: Path, scenes: list[int], width: int, height: int) -> None:
    """Write a clip whose scenes pan over the stills of samples/, so many frames each."""
    stills = []
    for name in STILLS:
        with av.open(str(SAMPLES / name)) as file:
            frame = next(file.decode(video=0))
            size = {"width": width + 64, "height": height + 32, "format": "rgb24"}
            stills.append(frame.reformat(**size).to_ndarray())
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for number, frames in enumerate(scenes):
            still = stills[number % len(stills)]
            still = still if number // len(stills) % 2 == 0 else still[:, ::-1]
            for k in range(frames):
                x, y = min(2 * k, 64), min(k, 32)
                picture = np.ascontiguousarray(still[y : y + height, x : x + width])
                out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode(None))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def job_of(clip: Path, target: Path, reporter: Reporter | None = None, **values: object) -> Job:
    settings = preset_settings("creatures", overwrite=True, **values)
    return Job(
        *find_places(clip, target, settings, animated=False), settings, reporter or Reporter()
    )


def in_one_run(clip: Path, target: Path, threads: int, *options: str) -> float:
    """Render with the command, in one process; return the seconds."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "vidream", str(clip), "-o", str(target), "--overwrite", "-q"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    subprocess.run([*command, *options], check=True, env=environment)
    return time.perf_counter() - began


class Killer(Reporter):
    """Kills workers at random moments, once there are some."""

    def __init__(self, kills: int) -> None:
        self.left, self.kills = kills, 0
        self.began = False
        threading.Thread(target=self._run, daemon=True).start()

    def parts(self, report: object) -> None:
        self.began = self.began or report.frames > 0  # type: ignore[attr-defined]

    def _run(self) -> None:
        while self.kills < self.left:
            time.sleep(random.uniform(0.5, 6))
            children = psutil.Process().children(recursive=True) if self.began else []
            with contextlib.suppress(psutil.Error, IndexError):
                workers = [p for p in children if "dask_worker" in " ".join(p.cmdline())]
                random.choice(workers).kill()
                self.kills += 1


def kills(args: argparse.Namespace, folder: Path) -> None:
    clip = folder / "clip.mp4"
    make_clip(clip, [12, 9, 20, 8, 15, 30, 10, 24, 12, 16] * args.longer, 96, 64)
    options = {"octaves": 2, "steps": 2}
    in_one_run(clip, folder / "one.mp4", 1, "--octaves", "2", "--steps", "2")
    random.seed(args.seed)
    killer = Killer(args.kills)
    began = time.perf_counter()
    run_job_on_cluster(job_of(clip, folder / "many.mp4", killer, **options), "local:2")
    same = digest(folder / "one.mp4") == digest(folder / "many.mp4")
    print(
        f"{killer.kills} of {args.kills} kills in {time.perf_counter() - began:.0f} s: "
        f"{'the same bytes' if same else 'OTHER BYTES'}"
    )


def scaling(args: argparse.Namespace, folder: Path) -> None:
    clip = folder / "clip.mp4"
    make_clip(clip, [24] * 8, args.width, args.width * 9 // 16)
    took = {}
    for workers in (1, 2, 1, 2):
        with connect(f"local:{workers}") as scheduler, Engine(scheduler) as engine:
            # One thread each, also where there is one worker.
            scheduler.client.wait_for_workers(workers, timeout=60)
            scheduler.client.run(_one_thread)
            _admit(engine, clip, folder)
            began = time.perf_counter()
            engine.run([job_of(clip, folder / "many.mp4")], _raise)
            took.setdefault(workers, []).append(time.perf_counter() - began)
    best = {workers: min(times) for workers, times in took.items()}
    print(f"1 worker {best[1]:.1f} s, 2 workers {best[2]:.1f} s: {best[1] / best[2]:.2f} times")


def _one_thread(dask_worker: object) -> None:
    """Let a worker dream with one thread, however many it was started with."""
    from vidream.cluster import worker  # noqa: PLC0415

    worker.torch.set_num_threads(1)
    worker.limit_threads(1)
    worker.torch.set_num_threads = worker.limit_threads = lambda _: None


def _admit(engine: Engine, clip: Path, folder: Path) -> None:
    """Let workers load PyTorch and the network before the time is taken."""
    short = folder / "short.mp4"
    make_clip(short, [8] * 4, 64, 48)
    engine.run([job_of(short, folder / "short-dream.mp4")], _raise)


def _raise(job: Job, error: Exception | None) -> None:
    if error is not None:
        raise error


class SleepingRender:
    """Stands for a clip: its parts are known at once, and rendered by sleeping."""

    def __init__(self, parts: list[Part], seconds: list[float], job: Job) -> None:
        self.job, self.parts, self.waiting = job, parts, list(parts)
        self.done: set[int] = set()
        self.admitted: dict[str, int] = {}
        self.refused: dict[str, str] = {}
        self.planned = True
        self._seconds = seconds
        self.most_bytes = 0
        self.order = SimpleNamespace(id="sleep", to_json=dict, shared=None, memory=0)
        self.division = SimpleNamespace(job=job, path=Path())

    expected = None
    frames_done = 0

    def take(self) -> None:
        pass

    def fix_memory(self, size: int) -> None:
        pass

    def trouble(self, part: Part) -> Trouble:
        return Trouble()

    def differs(self, machine: object) -> str:
        return ""

    def next(self) -> Part:
        part = max(self.waiting, key=lambda part: part.frames)
        self.waiting.remove(part)
        return SleepingPart(part, self._seconds[part.number])

    @property
    def is_done(self) -> bool:
        return len(self.done) == len(self.parts)

    def accept(self, part: Part, result: dict[str, object]) -> None:
        self.done.add(part.number)

    def is_joined(self, pool: object, reporter: Reporter) -> bool:
        return self.is_done

    def close(self) -> None:
        pass


class SleepingPart:
    def __init__(self, part: Part, seconds: float) -> None:
        self.number, self.frames, self.span = part.number, part.frames, part.span
        self._seconds = seconds

    def to_json(self) -> dict[str, float]:
        return {"seconds": self._seconds}


def sleep_instead(name: str, *given: object) -> object:
    """Do as a worker that renders by sleeping."""
    if name == "describe":
        return {"missing": [], "machine": {}, "weights": {}, "memory": 2**30}
    time.sleep(given[1]["seconds"])  # type: ignore[index]
    return {}


def scenes_of(lengths: list[int]) -> list[Part]:
    parts, first = [], 0
    for number, frames in enumerate(lengths):
        time_ = Fraction(first, 25)
        scene = Scene(first, time_, Fraction(frames, 25), frames, 0)
        zero = Fraction(0)
        parts.append(Part(number, zero, (scene,), number, (frames,), None, 0, 0, 0, time_, 0, 0))
        first += frames
    return parts


def simulate(workers: int, lengths: list[int], seconds: list[float]) -> float:
    """Return the seconds of a render by sleeping, on a real scheduler with its workers."""
    from distributed import Client, LocalCluster  # noqa: PLC0415

    parts = scenes_of(lengths)
    clip, target = SAMPLES / "clouds.mp4", Path("/nowhere/dream.mp4")
    render = SleepingRender(parts, seconds, job_of(clip, target))
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        scheduler = SimpleNamespace(client=client, revive=lambda: None)
        with Engine(scheduler, policy=EnginePolicy(tick=0.02), call=sleep_instead) as engine:
            engine._renders.append(render)
            while len(render.admitted) < workers:
                engine._crew.meet(render)
                time.sleep(0.05)
            began = time.perf_counter()
            engine.run([], lambda *_: None)
            return time.perf_counter() - began


def model(args: argparse.Namespace, folder: Path) -> None:
    rng = np.random.default_rng(1)
    lengths = [int(n) for n in rng.lognormal(4.5, 0.8, args.scenes).clip(8, 1500)]
    seconds = [n * args.frame for n in lengths]
    print(f"{args.scenes} scenes, the longest {max(seconds):.1f} s, {sum(seconds):.0f} s in all")
    parts = scenes_of(lengths)
    simple = TimeModel(scan=1e9, begin=0, overhead=0.01, join=1e9)
    for workers in (4, 16, 64):
        predicted = simple.predict(parts, seconds, workers)
        found = simulate(workers, lengths, seconds)
        ideal = sum(seconds) / workers
        print(
            f"{workers:3d} workers: predicted {predicted:.2f} s, took {found:.2f} s "
            f"({found / predicted:.2f} times); shared evenly {ideal:.2f} s"
        )


def memory(args: argparse.Namespace, folder: Path) -> None:
    for scenes in (100, 1000):
        took = simulate(4, [8] * scenes, [0.005] * scenes)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{scenes} scenes: {took:.0f} s, scheduler and caller {peak:.0f} MiB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("kills", "scaling", "model", "memory"))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longer", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--frame", type=float, default=0.004, help="seconds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        globals()[args.what](args, Path(folder))


if __name__ == "__main__":
    main()
