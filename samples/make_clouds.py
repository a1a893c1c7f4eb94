"""Makes samples/clouds.mp4: four seconds of flight through procedural clouds, with wind.

usage: python samples/make_clouds.py [OUTPUT]

Rays are marched through a volume of fractal noise with Beer–Lambert extinction; each sample is
lit by how much thinner the cloud is toward the sun. All is seeded: the same clip each time.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

WIDTH, HEIGHT, RATE, SECONDS = 480, 270, 25, 4
SIDE = 128  # voxels of the noise volume, which repeats
STEPS = 96  # samples along a ray
NEAR, FAR = 0.3, 9.0  # where they lie, in cloud heights
BASE, TOP = -0.55, 0.75  # the layer of clouds, in cloud heights
SUN = F.normalize(torch.tensor([0.55, 0.42, 0.72]), dim=0)
RATE_OF_SOUND = 48_000


def fractal_noise(generator: torch.Generator) -> Tensor:
    """Give a periodic ``[1, 1, D, H, W]`` volume of fractal noise, mean 0, deviation 1."""
    volume = torch.zeros(1, 1, SIDE, SIDE, SIDE)
    for octave in range(5):
        cells = 4 * 2**octave
        noise = torch.randn(1, 1, cells, cells, cells, generator=generator)
        # Padding by wrapping keeps the volume periodic through the interpolation.
        wrapped = F.pad(noise, (1, 1, 1, 1, 1, 1), mode="circular")
        scaled = F.interpolate(wrapped, scale_factor=SIDE // cells, mode="trilinear")
        edge = SIDE // cells
        volume += 0.66**octave * scaled[..., edge:-edge, edge:-edge, edge:-edge]
    return (volume - volume.mean()) / volume.std()


def density(noise: Tensor, points: Tensor) -> Tensor:
    """Give the density of cloud at ``[N, 3]`` points: noise, thinned toward base and top."""
    cell = torch.remainder(points * 0.34, 1) * 2 - 1
    value = F.grid_sample(
        noise, cell.view(1, -1, 1, 1, 3), align_corners=False, padding_mode="border"
    ).view(-1)
    height = (points[:, 1] - BASE) / (TOP - BASE)
    # Flat below and heaped above, as cumulus is: the higher, the rarer.
    return F.relu(value - 0.25 - 1.9 * height.clamp(0, 1) ** 1.5) * (height * 8).clamp(0, 1)


def rays(time: float) -> tuple[Tensor, Tensor]:
    """Give the camera's place and the ``[H · W, 3]`` directions of its pixels."""
    y, x = torch.meshgrid(
        torch.linspace(0.5, -0.5, HEIGHT) * HEIGHT / WIDTH,
        torch.linspace(-0.5, 0.5, WIDTH),
        indexing="ij",
    )
    bank = 0.10 * math.sin(time * 0.9)
    x, y = x * math.cos(bank) - y * math.sin(bank), x * math.sin(bank) + y * math.cos(bank)
    forward = torch.stack([x + 0.10 * math.sin(time * 0.5), y - 0.10, torch.full_like(x, 0.75)])
    place = torch.tensor([0.35 * time, 0.62 + 0.05 * math.sin(time), 0.75 * time])
    return place, F.normalize(forward, dim=0).view(3, -1).T


def sky(directions: Tensor) -> Tensor:
    """Give the ``[N, 3]`` colour of the clear sky: blue above, pale at the horizon, a sun."""
    up = directions[:, 1:2].clamp(0, 1)
    zenith, horizon = torch.tensor([0.16, 0.36, 0.72]), torch.tensor([0.80, 0.84, 0.88])
    colour = horizon + (zenith - horizon) * (1 - (-7 * up).exp())
    toward = (directions @ SUN).clamp(0, 1)[:, None]
    return colour + torch.tensor([1.0, 0.75, 0.45]) * (0.35 * toward**12 + 1.5 * toward**600)


def picture(noise: Tensor, time: float, generator: torch.Generator) -> np.ndarray:
    """Render the uint8 ``[H, W, 3]`` frame of a time in seconds."""
    place, directions = rays(time)
    count = len(directions)
    clear = sky(directions)
    light, through = torch.zeros(count, 3), torch.ones(count, 1)
    # Rays start at random depths within a step: grain instead of bands.
    start = torch.rand(count, 1, generator=generator)
    growth = (FAR / NEAR) ** (1 / STEPS)
    sun, shade = torch.tensor([1.32, 1.20, 1.02]), torch.tensor([0.40, 0.50, 0.66])
    for step in range(STEPS):
        depth = NEAR * growth ** (step + start)
        points = place + directions * depth
        inside = ((points[:, 1] > BASE) & (points[:, 1] < TOP)).nonzero().squeeze(1)
        if not len(inside):
            continue
        here = density(noise, points[inside])
        toward_sun = density(noise, points[inside] + 0.13 * SUN)
        lit = (-(1.5 * toward_sun + 0.7 * here)).exp()[:, None]
        haze = 1 - (-depth[inside] * 0.09).exp()
        colour = (shade + (sun - shade) * lit).lerp(clear[inside], haze)
        opacity = 1 - (-here[:, None] * 14 * depth[inside] * (growth - 1)).exp()
        light[inside] += through[inside] * opacity * colour
        through[inside] *= 1 - opacity
    colour = (light + through * clear).clamp(0, 1.4)
    toned = colour * (1 + colour / 4) / (1 + colour * 0.45)
    pixels = (toned.clamp(0, 1) ** 0.95 * 255).round().to(torch.uint8)
    return pixels.view(HEIGHT, WIDTH, 3).numpy()


def wind() -> np.ndarray:
    """Give quiet stereo wind: noise whose spectrum falls, swelling slowly; ``[2, samples]``."""
    count = RATE_OF_SOUND * SECONDS
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal((2, count)))
    frequency = np.fft.rfftfreq(count, 1 / RATE_OF_SOUND)
    sound = np.fft.irfft(spectrum / (1 + (frequency / 180) ** 1.4), count)
    swell = 0.7 + 0.3 * np.sin(np.linspace(0, 2 * np.pi, count))
    return (0.12 * sound * swell / np.abs(sound).max()).astype(np.float32)


def main(target: str) -> None:
    """Render the frames and encode them as they come."""
    generator = torch.Generator().manual_seed(7)
    noise = fractal_noise(generator)
    with av.open(target, "w", options={"movflags": "+faststart"}) as out:
        video = out.add_stream("libx264", rate=RATE, options={"crf": "24", "preset": "slow"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = out.add_stream("aac", rate=RATE_OF_SOUND)
        audio.layout, audio.bit_rate = "stereo", 64_000
        sound = av.AudioFrame.from_ndarray(wind(), format="fltp", layout="stereo")
        sound.rate, sound.pts = RATE_OF_SOUND, 0
        out.mux(audio.encode(sound))
        for k in range(RATE * SECONDS):
            frame = av.VideoFrame.from_ndarray(picture(noise, k / RATE, generator), format="rgb24")
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else str(Path(__file__).with_name("clouds.mp4")))
