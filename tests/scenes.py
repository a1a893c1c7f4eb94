"""Clips of many scenes, and how they are rendered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from conftest import textured
from media import make_clip

from vidream.core.presets import preset_settings
from vidream.core.reporting import CancelToken, Reporter
from vidream.render.job import Job, find_places

SCENES = (10, 3, 3, 14, 8, 12, 9, 20, 11, 8)
"""Frames of the scenes of :func:`scenes_clip`; the second and third are too short for a segment."""

DREAM = {"octaves": 2, "steps": 2, "jitter": 4, "layers": ("Mixed_5b",)}
"""Settings of a dream that is soon made."""


def scenes_clip(path, lengths=SCENES, size=(48, 64), **how) -> Path:
    """Write a clip of pans, each over another texture."""
    height, width = size
    pictures = []
    for number, frames in enumerate(lengths):
        wide = textured(height, 2 * width, number)
        wide = wide // 2 if number % 2 else 255 - wide // 2
        pictures += [np.roll(wide, -2 * k, axis=1)[:, :width] for k in range(frames)]
    make_clip(path, pictures, **how)
    return Path(path)


def job_of(source, target, reporter=None, cancel=None, **values) -> Job:
    settings = preset_settings("creatures", **values)
    places = find_places(source, target, settings, animated=False)
    return Job(*places, settings, reporter or Reporter(), cancel or CancelToken())


def digest(path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def hidden(folder) -> list[str]:
    """The names of work folders and drafts that are left."""
    return sorted(path.name for path in Path(folder).iterdir() if path.name.startswith("."))
