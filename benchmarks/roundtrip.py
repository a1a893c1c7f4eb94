"""What of a clip is kept: frames, timestamps, sound, and nothing left behind.

usage: python benchmarks/roundtrip.py CLIP [OPTIONS of vidream ...]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av

DEFAULT = Path(__file__).parents[1] / "samples" / "clouds.mp4"


def times(path: str) -> list[Fraction]:
    with av.open(path) as clip:
        return [f.pts * f.time_base for f in clip.decode(video=0)]


def sound(path: str) -> list[tuple[bytes, Fraction]]:
    with av.open(path) as clip:
        if not clip.streams.audio:
            return []
        packets = clip.demux(audio=0)
        return [(bytes(p), p.pts * p.time_base) for p in packets if p.dts is not None]


def main() -> None:
    clip, options = str(sys.argv[1] if sys.argv[1:] else DEFAULT), sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder, "dream.mp4"))
        command = [sys.executable, "-m", "vidream", clip, "-o", target, *options]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - began
        before, after = times(clip), times(target)
        print(f"frames      {len(after)} of {len(before)}, {seconds / len(after):.2f} s each")
        print(f"timestamps  {'identical' if before == after else 'DIFFERENT'}")
        same = sound(clip) == sound(target)
        print(f"sound       {'identical' if same else 'DIFFERENT'}, {len(sound(clip))} packets")
        left = [p.name for p in Path(folder).iterdir()]
        print(f"left        {', '.join(left)}")


if __name__ == "__main__":
    main()
