"""What damaged and hostile files do: none may end in a traceback, hang, or fill the memory.

usage: python benchmarks/fuzz.py [N] [--seed 0] [--workers 2] [--limit 20] [--keep FOLDER]

Clips of every kind that is read, some with covers, chapters, subtitles and mattes, pictures and
animations are damaged in N ways: bits flipped, bytes
overwritten, numbers made huge, pieces lost, doubled or put elsewhere, the end cut off, the head of
one put before the rest of another. The effect "none" makes a video or a picture of each, by
settings that differ, some through a pipe, in processes that are ended when for longer than the
limit no frame is made, or when there is no end of frames. What came out under its name must play.
With --keep what goes wrong is kept.

refused: one line says why not. whole: the output plays, to its last frame. All else is a fault.
"""

from __future__ import annotations

import argparse
import json
import logging
import queue
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import roundtrip
from PIL import Image, ImageCms
from tables import Row, show

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from heif import make_heic

_JOBS = 100  # for one process, so that the most that it held says something of each
_ENDLESS = 6  # times the limit
_GIB = 2**30

# Suffix, video encoder, pixels, sound encoder.
KINDS = (
    ("mp4", "libx264", "yuv420p", "aac"),
    ("mov", "mpeg4", "yuv420p", "pcm_s16le"),
    ("mkv", "libx264", "yuv420p", "flac"),
    ("webm", "libvpx-vp9", "yuv420p", "libopus"),
    ("avi", "mpeg4", "yuv420p", "libmp3lame"),
    ("ts", "libx264", "yuv420p", "aac"),
    ("flv", "flv", "yuv420p", "aac"),
    ("asf", "wmv2", "yuv420p", "libmp3lame"),
    ("ogg", "libvpx", "yuv420p", "libopus"),
    ("mpg", "mpeg2video", "yuv420p", "mp2"),
    ("mxf", "mpeg2video", "yuv420p", None),
    ("obu", "libsvtav1", "yuv420p", None),
    ("hevc", "libx265", "yuv420p", None),
    ("h264", "libx264", "yuv420p", None),
    ("mjpeg", "mjpeg", "yuvj420p", None),
    ("apng", "apng", "rgb24", None),
    ("ivf", "libvpx-vp9", "yuv420p", None),
    ("gif", "gif", "rgb8", None),
    ("y4m", "rawvideo", "yuv420p", None),
    ("nut", "ffv1", "yuv420p", "pcm_s16le"),
)


# Suffix of a picture, and Pillow's name of its kind.
PICTURES = {
    **{"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "avif": "AVIF"},
    **{"jfif": "JPEG"},
}
ANIMATIONS = ("anim.webp", "anim.png", "anim.gif")
WRITTEN = ("png", "jpg", "webp")


def make_pictures(folder: Path) -> list[Path]:
    """Write a picture of each kind, with all that may lie in one, and animations."""
    made = []
    grid = np.indices((64, 96)).sum(0)
    picture = np.stack([grid * c % 256 for c in (2, 3, 5)], -1).astype(np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for suffix, kind in PICTURES.items():
        image = Image.fromarray(picture)
        exif = image.getexif()
        exif[0x0112], exif[0x010E] = 6, "turned"
        extra = {} if kind == "BMP" else {"exif": exif, "icc_profile": profile}
        made.append(folder / f"picture.{suffix}")
        image.save(made[-1], kind, **extra)
    for name in ANIMATIONS:
        images = [Image.fromarray(np.roll(picture, 5 * k, 1)).convert("RGBA") for k in range(4)]
        for image in images:
            image.putalpha(Image.fromarray((grid % 256).astype(np.uint8)))
        made.append(folder / name)
        images[0].save(
            made[-1], save_all=True, append_images=images[1:], duration=[40, 100, 20, 500]
        )
    make_heic(folder / "picture.heic", picture, turn=1)
    return [*made, folder / "picture.heic"]


def make_dressed(folder: Path) -> list[Path]:
    """Write films with all that goes along: covers, chapters, tags, subtitles, transparency."""
    made = [
        roundtrip.make(folder / f"{words}.{suffix}", codec, subtitles=words)
        for suffix, codec, words in (
            ("mkv", "libx264", "subrip"),
            ("webm", "libvpx-vp9", "webvtt"),
            ("mp4", "libx264", "mov_text"),
        )
    ]
    made.append(roundtrip.make(folder / "dressed.mkv", sound=2))
    options = {"auto-alt-ref": "0"}
    made.append(roundtrip.make(folder / "matte.webm", "libvpx-vp9", "yuva420p", options=options))
    made.append(roundtrip.make(folder / "matte.mov", "qtrle", "argb"))
    with av.open(str(made[3])) as source, av.open(str(folder / "dressed.mp4"), "w") as out:
        out.set_chapters(source.chapters())
        streams = [s for s in source.streams if s.index < 3]
        copied = {s.index: out.add_stream_from_template(s) for s in streams}
        cover = out.add_mux_stream("mjpeg", width=32, height=32)
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in source.demux():
            if packet.size and packet.stream.index in copied:
                packet.stream = copied[packet.stream.index]
                out.mux(packet)
            elif packet.size:
                packet.stream, packet.pts, packet.dts = cover, 0, 0
                out.mux(packet)
    return [*made, folder / "dressed.mp4"]


def make_clips(folder: Path) -> list[Path]:
    """Write a clip of each kind: 8 frames of 96×64, two tenths of a second of sound."""
    made = []
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    grid = np.indices((64, 96)).sum(0)
    for suffix, encoder, pixels, sound in KINDS:
        path = folder / f"clip.{suffix}"
        kind = {"y4m": "yuv4mpegpipe", "ts": "mpegts", "mpg": "mpeg"}.get(suffix)
        with av.open(str(path), "w", format=kind) as out:
            video = out.add_stream(encoder, rate=Fraction(25))
            video.width, video.height, video.pix_fmt = 96, 64, pixels
            track = out.add_stream(sound, rate=48_000) if sound else None
            for k in range(8):
                picture = np.stack([(grid * c + 20 * k) % 256 for c in (2, 3, 5)], -1)
                frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")
                out.mux(video.encode(frame.reformat(format=pixels)))
            out.mux(video.encode(None))
            if track is not None:
                tone = (np.sin(np.arange(9600) * 0.05) * 0.3).astype(np.float32)[None]
                frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                frame.rate, frame.pts = 48_000, 0
                out.mux(track.encode(frame))
                out.mux(track.encode(None))
        made.append(path)
    return made


# Ways to damage a file. Headers are where lies are: half of all places are within them.


def _place(chance: random.Random, data: bytes) -> int:
    where = chance.random()
    near = min(len(data), 1500)
    if where < 0.35:
        return chance.randrange(near)
    return len(data) - 1 - chance.randrange(near) if where < 0.5 else chance.randrange(len(data))


def flip(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Flip single bits."""
    damaged = bytearray(data)
    for _bit in range(chance.choice((1, 1, 2, 8, 64, 512))):
        damaged[_place(chance, data)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def overwrite(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Put bytes where others were: noise, zeros, ones."""
    damaged = bytearray(data)
    for _piece in range(chance.choice((1, 1, 4))):
        begin, length = _place(chance, data), chance.choice((1, 4, 16, 300))
        filled = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))
        damaged[begin : begin + length] = filled[: len(data) - begin]
    return bytes(damaged)


def exaggerate(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Put a number where numbers of such a size give trouble, in either order of bytes."""
    damaged = bytearray(data)
    for _number in range(chance.choice((1, 1, 2, 6))):
        size = chance.choice((2, 4, 4, 8))
        most = 2 ** (8 * size)
        value = chance.choice((0, 1, most - 1, most // 2, most // 2 - 1, 65_535, 10**4, 16_384))
        begin = _place(chance, data)
        order = chance.choice(("big", "little"))
        damaged[begin : begin + size] = (value % most).to_bytes(size, order)
    return bytes(damaged[: len(data)])


def truncate(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Cut off the end."""
    return data[: 1 + _place(chance, data)]


def lose(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Leave a piece out."""
    begin = _place(chance, data)
    return data[:begin] + data[begin + chance.choice((1, 7, 188, 2000)) :]


def double(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Put a piece in once more, or often, there or elsewhere."""
    begin, to = _place(chance, data), _place(chance, data)
    piece = data[begin : begin + chance.choice((1, 8, 188, 2000))]
    return data[:to] + piece * chance.choice((1, 1, 3, 200)) + data[to:]


def splice(chance: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Put the head of one file before the rest of another."""
    other = chance.choice(others)
    return data[: 1 + _place(chance, data)] + other[_place(chance, other) :]


WAYS = (flip, flip, overwrite, exaggerate, exaggerate, truncate, lose, double, splice)


def mutations(clips: list[Path], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Give damaged files: a name that says which it is, and what is in it."""
    whole = [path.read_bytes() for path in clips]
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        which = number % len(clips)
        data, ways = whole[which], chance.choices(WAYS, k=chance.choice((1, 1, 1, 2, 4)))
        for way in ways:
            data = way(chance, data, whole) or b"\0"
        names = "+".join(way.__name__ for way in ways)
        yield f"{number:05d}-{names}-{clips[which].name}", data


# One process that renders what it is told to


def wishes(name: str, *, picture: bool) -> dict[str, Any]:
    """Give the settings that one is rendered with."""
    chance = random.Random(name)
    ways: list[dict[str, Any]] = [{}, {}, {"start": 0.1}, {"max_side": 48}, {"fps": 10.0}]
    chosen = chance.choice(ways)
    if "matte" in name or "anim" in name:
        chosen = chosen | {"keep_alpha": chance.random() < 0.5}
    return {name: value for name, value in chosen.items() if not picture or name == "max_side"}


def target_of(name: str, *, picture: bool) -> str:
    films = ("mp4", "mp4", "mkv", "mov", "webm", "gif", "webp", "y4m", "nut")
    return f"out.{random.Random(name).choice(WRITTEN if picture else films)}"


def render(source: Path, target: Path, values: dict[str, Any], *, piped: bool) -> dict[str, Any]:
    """Render one file; tell how that ended."""
    from vidream import Reporter, Settings, VidreamError, dream_video  # noqa: PLC0415

    class Heartbeat(Reporter):
        told = time.monotonic()

        def frame(self, report: object) -> None:
            if time.monotonic() - self.told > 1:
                self.told = time.monotonic()
                print(json.dumps({"end": None}), flush=True)

    settings = Settings(effect="none").updated(overwrite=True, memory="1G", **values)
    try:
        if piped:
            with source.open("rb") as file:
                frames = dream_video(file, target, settings, reporter=Heartbeat())
        else:
            frames = dream_video(source, target, settings, reporter=Heartbeat())
    except VidreamError as error:
        lines = str(error).splitlines()
        return {"end": "refused" if len(lines) == 1 else "more than a line", "says": str(error)}
    except BaseException:
        return {"end": "traceback", "says": traceback.format_exc()}
    return {"end": "whole", "frames": frames}


def worker() -> None:
    """Render what is named on standard input, a JSON object a line; answer likewise."""
    import torch  # noqa: PLC0415

    logging.disable()
    torch.set_num_threads(1)
    print("{}", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        ended = render(Path(job["source"]), Path(job["target"]), job["wishes"], piped=job["piped"])
        ended["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(ended), flush=True)


class Worker:
    """A process that renders, and is ended when it takes too long."""

    def __init__(self) -> None:
        self.done = 0
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._answers.get(timeout=300)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def run(self, job: dict[str, Any], limit: float) -> dict[str, Any]:
        """Render; after a hang or a crash the process is gone."""
        assert self._process.stdin is not None
        self.done += 1
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        began = time.monotonic()
        ended: dict[str, Any] = {}
        while not ended.get("end"):
            try:
                answer = self._answers.get(timeout=limit)
            except queue.Empty:
                self.end()
                return {"end": "hang", "says": f"no frame for {limit:g} s"}
            if not answer:
                return {"end": "crash", "says": f"the process ended with {self._process.wait()}"}
            ended = json.loads(answer)
            if time.monotonic() - began > _ENDLESS * limit:
                self.end()
                return {"end": "endless", "says": f"still at it after {_ENDLESS * limit:g} s"}
        return ended

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def plays(path: Path, frames: int) -> bool:
    """Whether a file can be decoded to its end, and has that many frames."""
    try:
        if path.suffix[1:] in WRITTEN:
            with Image.open(path) as opened:
                for number in range(getattr(opened, "n_frames", 1)):
                    opened.seek(number)
                    opened.load()
            return True
        with av.open(str(path)) as clip:
            # Some fall on their neighbour's tick of the clock, and are left out. In a file without
            # timestamps some are repeated.
            count = sum(1 for _ in clip.decode(video=0))
            return count > 0 and (count <= frames or path.suffix == ".y4m")
    except (av.FFmpegError, IndexError, OSError):
        return False


def examine(name: str, data: bytes, folder: Path, process: Worker, limit: float) -> dict[str, Any]:
    """Render one damaged file, and look at what that left."""
    place = folder / name
    place.mkdir()
    picture = "-picture." in name
    source = place / f"source{Path(name).suffix}"
    target = place / target_of(name, picture=picture)
    source.write_bytes(data)
    job = {
        "source": str(source),
        "target": str(target),
        "piped": not picture and int(name[:5]) % 7 == 0,
        "wishes": wishes(name, picture=picture),
    }
    began = time.perf_counter()
    ended = process.run(job, limit)
    ended |= {"name": name, "seconds": time.perf_counter() - began}
    left = sorted(p.name for p in place.iterdir())
    if ended["end"] == "whole" and (
        left != sorted((source.name, target.name)) or not plays(target, ended["frames"])
    ):
        ended |= {"end": "does not play"}
    if ended["end"] == "refused" and left != [source.name]:
        ended |= {"end": "left something", "says": f"{left}"}
    shutil.rmtree(place)
    return ended


def fuzz(
    count: int, seed: int, workers: int, limit: float
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Render damaged files in several processes; give how each ended, and what was in it."""
    results: queue.Queue[tuple[dict[str, Any], bytes] | None] = queue.Queue()
    lock = threading.Lock()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [*make_clips(folder), *make_pictures(folder), *make_dressed(folder)]
        jobs = mutations(clips, count, seed)

        def work() -> None:
            process: Worker | None = None
            while True:
                with lock:
                    job = next(jobs, None)
                if job is None:
                    break
                if process is None or not process.alive or process.done >= _JOBS:
                    if process is not None:
                        process.end()
                    process = Worker()
                results.put((examine(*job, folder, process, limit), job[1]))
            if process is not None:
                process.end()
            results.put(None)

        for _ in range(workers):
            threading.Thread(target=work, daemon=True).start()
        for _ in range(workers):
            while (result := results.get()) is not None:
                yield result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=float, default=20, help="seconds without a frame")
    parser.add_argument(
        "--keep", type=Path, help="folder for the files of which something is wrong"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker()
        return
    ends: dict[str, Counter[str]] = {}
    slowest, peak, faults, began = {"seconds": 0.0}, 0, 0, time.perf_counter()
    for ended, data in fuzz(options.count, options.seed, options.workers, options.limit):
        ends.setdefault(ended["name"].rpartition("-")[2], Counter())[ended["end"]] += 1
        peak = max(peak, ended.get("peak", 0))
        slowest = max(slowest, ended, key=lambda e: e["seconds"])
        if ended["end"] not in ("whole", "refused"):
            faults += 1
            print(f"{ended['name']}: {ended['end']}\n{ended.get('says', '')}", flush=True)
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / ended["name"]).write_bytes(data)
    kinds = sorted({end for counted in ends.values() for end in counted})
    rows: list[Row] = [
        {"kind": kind, **{end: counted[end] for end in kinds}} for kind, counted in ends.items()
    ]
    show(f"{options.count} damaged files, seed {options.seed}", rows)
    print(
        f"\n{faults} faults; the slowest took {slowest['seconds']:.1f} s "
        f"({slowest.get('name')}); the most held was {peak / _GIB:.2f} GiB; "
        f"{time.perf_counter() - began:.0f} s in all"
    )
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
