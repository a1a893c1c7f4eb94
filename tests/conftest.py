"""What every test relies on: no leaking randomness, a private cache, one loaded network."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hypothesis import settings

from vidream import Dreamer, DreamSettings, FrameReport, Reporter
from vidream.core import devices
from vidream.core.memory import MemoryBudget

# How long an example takes says nothing on a machine that does other things as well.
settings.register_profile("vidream", deadline=None)
settings.load_profile("vidream")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory):
    """Keep the user's cache out of the tests, and the tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _on_the_cpu():
    """Dream on the CPU, also where there is a GPU: tests of a GPU name it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "AUTO", ("cpu",))
        yield


@pytest.fixture(scope="session")
def dreamer() -> Dreamer:
    """The default network with its real weights, at little depth, in full precision."""
    return Dreamer(DreamSettings(octaves=2, steps=6, jitter=8, precision="float32"))


def room_for(pixels: int) -> MemoryBudget:
    """A budget under which so many pixels are seen at once."""
    return MemoryBudget(None, torch.device("cpu"), measured=2**40, max_pixels=pixels)


def textured(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth, colourful uint8 picture that networks find something in."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.random((1, 3, height // 8 + 2, width // 8 + 2)))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return (fine[0].permute(1, 2, 0).clamp(0, 1) * 255).to(torch.uint8).numpy()


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> str:
    """A clip of 6 frames, 96×64, 30000/1001 a second, with AAC sound."""
    path = str(tmp_path_factory.mktemp("clips") / "clip.mp4")
    with av.open(path, "w") as out:
        video = out.add_stream("libx264", rate=Fraction(30000, 1001))
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = out.add_stream("aac", rate=48000)
        for k in range(6):
            picture = np.roll(textured(64, 96), 2 * k, axis=1)
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        tone = np.sin(np.arange(9600) * 0.05).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.rate, frame.pts = 48000, 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
        out.mux(video.encode(None))
    return path


class Reports(Reporter):
    """Keeps the reports of the frames, and calls back on each."""

    def __init__(self, on_frame=None, on_step=None):
        self.frames: list[FrameReport] = []
        self._on_frame, self._on_step = on_frame, on_step

    def frame(self, report):
        self.frames.append(report)
        if self._on_frame is not None:
            self._on_frame(report)

    def step(self, done, total):
        if self._on_step is not None:
            self._on_step(done, total)
