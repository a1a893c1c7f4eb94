"""How stable dreams are by true motion, on clips made of photographs.

usage: python benchmarks/true_motion.py PHOTO ... [--seeds 0] [--kinds hand front tripod]
           [--front PHOTO] [--frames 24] [--size 320x240] [--noise 2] [--every 8]
           [--clips FOLDER] [--only-clips]

Each photograph is seen by a hand-held camera that shifts, turns and zooms ("hand"), by one that a
cut-out of another photograph moves before ("front"), or by one on a tripod, before which it moves
too ("tripod"), with the noise of a sensor, and compressed as H.264. So it is known how every pixel
moves, also where there is no texture for optical flow to hold on to. Beside each clip lie its
motion and the map of its untextured regions, for `vidream measure --true-motion`.

Each clip is dreamed by the default settings, and every Nth frame and the one before it from scratch
(--every). E is a mean square, times 10^4, one frame apart and five, over all pixels ("all"), where
the photograph shows no texture ("flat") and on the cut-out ("front"); "scratch/E" says how much
less it is than from scratch, "strength" how strong propagated dreams are over those from scratch.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from tables import Row, machine, show

from vidream import Dreamer, DreamSettings, Frame, dream_frames
from vidream.core.effect import Resources
from vidream.core.frames import Picture
from vidream.core.images import to_tensor
from vidream.core.settings import Settings
from vidream.effects.dream import DreamEffect
from vidream.measure import TrueMotion, measure_clip
from vidream.measure.report import TrueSummary
from vidream.measure.true_motion import oval
from vidream.media.reader import open_reader

KINDS = ("hand", "front", "tripod")
LAGS = (1, 5)

Size = tuple[int, int]
Matrix = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Camera:
    """How a clip is recorded; the same numbers and seed give the same clip.

    Args:
        seed: of the motion and of the noise.
        frames: how many.
        size: width and height in pixels.
        noise: standard deviation of the sensor's, in levels of 255.
        still: whether it stands on a tripod.
    """

    seed: int = 0
    frames: int = 24
    size: Size = (320, 240)
    noise: float = 2.0
    still: bool = False

    @property
    def cut(self) -> int:
        """Side of the cut-out in pixels."""
        return round(self.size[1] * 0.45)

    def to_scene(self, scene: Size) -> list[Matrix]:
        """Return the matrix from each frame to a scene of a width and height, by its middle."""
        random = np.random.default_rng(self.seed)
        # Pixels right and down, radians, and shares of the size.
        right, down, turn, zoom = (self._sway(random, by) for by in (18, 12, 0.02, 0.03))
        middle = shifted(-self.size[0] / 2, -self.size[1] / 2)
        if self.still:
            return [shifted(scene[0] / 2, scene[1] / 2) @ middle] * self.frames
        return [
            shifted(scene[0] / 2 + x, scene[1] / 2 + y) @ turned(angle, 1 + growth) @ middle
            for x, y, angle, growth in zip(right, down, turn, zoom, strict=True)
        ]

    def to_front(self) -> list[Matrix]:
        """Return the matrix from each frame to the cut-out, which crosses the picture."""
        random = np.random.default_rng(self.seed + 1000)
        width, height = self.size
        x = np.linspace(width * 0.2, width * 0.7, self.frames) + self._sway(random, 6)
        y = height * 0.55 + self._sway(random, 10)
        half = self.cut / 2
        return [shifted(half - across, half - down) for across, down in zip(x, y, strict=True)]

    def _sway(self, random: np.random.Generator, by: float) -> npt.NDArray[np.float64]:
        """Return the motion of a hand, one number a frame: four slow waves."""
        heights = random.normal(size=(4, 1))
        speeds, phases = random.uniform(0.02, 0.12, (4, 1)), random.uniform(0, 6.28, (4, 1))
        waves = np.sin(2 * np.pi * speeds * np.arange(self.frames) + phases)
        swayed: npt.NDArray[np.float64] = by * (heights * waves).sum(0) / 2
        return swayed


def shifted(right: float, down: float) -> Matrix:
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def turned(angle: float, scale: float) -> Matrix:
    across, along = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[across, -along, 0], [along, across, 0], [0, 0, 1.0]])


def photograph(path: str) -> Floats:
    """Read a photograph, RGB from 0 to 255."""
    image = cv2.imread(path)
    if image is None:
        raise SystemExit(f"{path} is no picture that can be read")
    return np.ascontiguousarray(image[..., ::-1]).astype(np.float32)


def scene_of(photo: Floats, size: Size) -> Floats:
    """Scale a photograph so that the camera has a quarter of the frame to move in."""
    height, width = photo.shape[:2]
    scale = max(1.25 * size[0] / width, 1.25 * size[1] / height)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=how)


def square_of(photo: Floats, side: int) -> Floats:
    """Scale the middle of a photograph to a square."""
    height, width = photo.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    middle = np.ascontiguousarray(photo[top : top + short, left : left + short])
    return cv2.resize(middle, (side, side), interpolation=cv2.INTER_AREA)


def untextured(scene: Floats) -> Floats:
    """Return where a scene shows next to no texture, ``[H, W]``: 1 = none, 0 = as much as any."""
    grey = cv2.cvtColor(scene.clip(0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    edges = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3))).astype(np.float32)
    flat: Floats = 1 - np.clip(cv2.GaussianBlur(edges, (0, 0), 5) / 6, 0, 1)
    return flat


def seen(image: Floats, matrix: Matrix, size: Size, border: int = cv2.BORDER_REFLECT) -> Floats:
    """Show an image as the camera sees it, by the matrix from the frame to the image."""
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix[:2], size, flags=how, borderMode=border)


def recorded(scene: Floats, front: Floats | None, camera: Camera) -> Iterator[Picture]:
    """Yield the frames that a camera records."""
    random = np.random.default_rng(camera.seed)
    opacity = oval(camera.cut)[0, 0].numpy()
    ways = zip(camera.to_scene(scene.shape[1::-1]), camera.to_front(), strict=True)
    for to_scene, to_front in ways:
        frame = seen(scene, to_scene, camera.size)
        if front is not None:
            over = seen(opacity, to_front, camera.size, cv2.BORDER_CONSTANT)[..., None]
            frame = frame * (1 - over) + seen(front, to_front, camera.size) * over
        frame = frame + random.normal(0, camera.noise, frame.shape)
        yield np.clip(frame, 0, 255).astype(np.uint8)


def make_clip(path: Path, photo: str, camera: Camera, front: str | None = None) -> Path:
    """Write a clip, its true motion and the map of its untextured regions, side by side."""
    scene = scene_of(photograph(photo), camera.size)
    cut_out = None if front is None else square_of(photograph(front), camera.cut)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(25), options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = *camera.size, "yuv420p"
        for picture in recorded(scene, cut_out, camera):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    np.save(path.with_suffix(".flat.npy"), untextured(scene).astype(np.float16))
    motion = {
        "size": camera.size,
        "cut": camera.cut,
        "back": [matrix.tolist() for matrix in camera.to_scene(scene.shape[1::-1])],
        "front": [matrix.tolist() for matrix in camera.to_front()] if front else [],
    }
    path.with_suffix(".json").write_text(json.dumps(motion))
    return path


def read(clip: Path) -> list[Picture]:
    with open_reader(str(clip)) as reader:
        return [item.image for item in reader]


def compare(clip: Path, dreamer: Dreamer, every: int) -> list[Row]:
    """Dream a clip, propagated and from scratch; return a row of the table for each region."""
    motion, source = TrueMotion.load(clip.with_suffix(".json")), read(clip)
    frames = dream_frames(source, Settings(dream=dreamer.settings), effect=dream_effect(dreamer))
    dreams = [frame.image for frame, _ in frames]
    later = list(range(every, len(source), every)) or [len(source) - 1]
    # From scratch a frame needs none before it, and E only the one before it.
    alone = {k: scratch(source[k], k, dreamer) for j in later for k in (j - 1, j)}
    errors = [
        e
        for k in later
        for e in motion.errors(k, 1, (source[k], alone[k]), (source[k - 1], alone[k - 1]))
    ]
    ceiling = {e.region: e.dream for e in TrueSummary.of(errors, [1])}
    pairs = zip(source, dreams, strict=True)
    summary = measure_clip(pairs, dreamer, lags=LAGS, true_motion=motion).summary
    found = {(e.lag, e.region): e for e in summary.true_errors}
    strength = [objective(dreamer, dreams[k]) / objective(dreamer, alone[k]) for k in alone]
    rows: list[Row] = []
    for region in (region for lag, region in found if lag == 1):
        near, far = (found[lag, region] for lag in LAGS)
        scratched = ceiling.get(region)
        rows.append(
            {
                "": region,
                "pixels": near.share,
                "E(1)": scaled(near.dream),
                "source(1)": scaled(near.source),
                "scratch(1)": scaled(scratched),
                "scratch/E": scratched / near.dream if scratched and near.dream else "–",
                "E(5)": scaled(far.dream),
                "source(5)": scaled(far.source),
                "strength": float(np.mean(strength)) if region == "all" else "",
            }
        )
    return rows


def summed(kind: str, found: Mapping[str, list[Row]]) -> Row:
    """Return the row of a kind of clip: means, and the worst ratio to from-scratch dreams."""
    clips = [rows for name, rows in found.items() if name.split("-")[-2] == kind]
    regions = [{row[""]: row for row in rows} for rows in clips]

    def ratios(region: str, above: str, below: str) -> list[float]:
        some = (named[region] for named in regions if region in named)
        pairs = ((row[above], row[below]) for row in some)
        return [a / b for a, b in pairs if isinstance(a, float) and isinstance(b, float)]

    def mean(values: Sequence[float]) -> float | str:
        return float(np.mean(values)) if values else "–"

    scratches = ratios("all", "scratch(1)", "E(1)")
    flat = [n["flat"]["E(1)"] / n["all"]["E(1)"] for n in regions if "flat" in n]
    return {
        "": kind,
        "clips": len(clips),
        "scratch/E": mean(scratches),
        "least": min(scratches),
        "front's": mean(ratios("front", "scratch(1)", "E(1)")),
        "E flat/all": mean(flat),
        "E(5)/E(1)": mean(ratios("all", "E(5)", "E(1)")),
        "source's": mean(ratios("all", "source(5)", "source(1)")),
        "scratch/source": mean(ratios("all", "scratch(1)", "source(1)")),
        "strength": mean([named["all"]["strength"] for named in regions]),
    }


def scaled(error: float | None) -> float | str:
    return "–" if error is None else 1e4 * error


def scratch(picture: Picture, index: int, dreamer: Dreamer) -> Picture:
    """Dream a frame as ``--coherence 0`` does."""
    alone = Settings(dream=DreamSettings(coherence=0))
    frames = dream_frames([Frame(picture, index)], alone, effect=dream_effect(dreamer))
    return next(frames)[0].image


def dream_effect(dreamer: Dreamer) -> DreamEffect:
    return DreamEffect(Settings(dream=dreamer.settings), Resources(), dreamer=dreamer)


def objective(dreamer: Dreamer, picture: Picture) -> float:
    return float(dreamer.objective(to_tensor(picture)))


def clips(options: argparse.Namespace, folder: Path) -> Iterator[Path]:
    """Make the clips one after the other."""
    width, height = (int(side) for side in options.size.split("x"))
    for place, kind, seed in product(range(len(options.photos)), options.kinds, options.seeds):
        photo = options.photos[place]
        camera = Camera(seed, options.frames, (width, height), options.noise, kind == "tripod")
        # Another photograph than the scene's, so that the cut-out stands out.
        front = options.front or options.photos[(place + 1) % len(options.photos)]
        name = folder / f"{Path(photo).stem}-{kind}-{seed}.mp4"
        yield make_clip(name, photo, camera, None if kind == "hand" else front)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", metavar="PHOTO")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--kinds", nargs="+", default=["hand"], choices=KINDS)
    parser.add_argument("--front", metavar="PHOTO", help="what moves in front; else the next one")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--noise", type=float, default=2.0)
    parser.add_argument("--every", type=int, default=8, help="frames from scratch: every Nth pair")
    parser.add_argument("--clips", metavar="FOLDER", help="keep the clips there")
    parser.add_argument("--only-clips", action="store_true", help="make the clips, dream nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.clips or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        made = clips(options, folder)
        if options.only_clips:
            print(*made, sep="\n")
            return
        dreamer = Dreamer(DreamSettings())
        print(machine())
        found = {}
        for clip in made:
            found[clip.stem] = compare(clip, dreamer, options.every)
            show(clip.stem, found[clip.stem])
        show("All clips of a kind", [summed(kind, found) for kind in options.kinds])


if __name__ == "__main__":
    main()
