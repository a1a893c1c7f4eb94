"""Peak memory against the number of frames: 600 frames must take no more than 60.

Each run is a process of its own, dreaming small frames of a generated clip for one step.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

FRAMES = (60, 600)
_RUN = "run"


def make_clip(path: str, frames: int) -> None:
    """Write a clip of moving noise, 320×180."""
    noise = np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8)
    with av.open(path, "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        for k in range(frames):
            picture = np.roll(noise, k, axis=1)
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode(None))


def peak(clip: str, target: str) -> int:
    """Dream a clip in a process of its own; give its peak memory in KiB."""
    done = subprocess.run(
        [sys.executable, __file__, _RUN, clip, target], capture_output=True, check=True, text=True
    )
    return int(done.stdout)


def dream(clip: str, target: str) -> None:
    from vidream import dream_video, preset_settings  # noqa: PLC0415

    settings = preset_settings(octaves=1, steps=1, refine_steps=1, layers=("Mixed_5b",))
    dream_video(clip, target, settings)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for frames in FRAMES:
            clip = str(Path(folder, f"{frames}.mp4"))
            make_clip(clip, frames)
            peaks.append(peak(clip, str(Path(folder, f"{frames}-dream.mp4"))))
            print(f"{frames:4} frames: peak {peaks[-1] / 1024:.0f} MiB")
        print(f"ratio {peaks[1] / peaks[0]:.3f} (bar: 1.05)")


if __name__ == "__main__":
    if sys.argv[1:2] == [_RUN]:
        dream(*sys.argv[2:])
    else:
        main()
