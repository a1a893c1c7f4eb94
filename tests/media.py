"""Clips made for tests, with PyAV, and what can be read back from a file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from conftest import textured
from PIL import Image

COLOURS = [(230, 20, 20), (20, 200, 40), (30, 40, 220), (128, 128, 128), (240, 240, 20)]


def make_clip(
    path,
    pictures=None,
    *,
    rate=Fraction(25),
    times=None,
    time_base=None,
    codec="libx264",
    pixels="yuv420p",
    sound=None,
    rotation=None,
    full=False,
    tags=(2, 2, 2),
    options=None,
    shift=0,
    title=None,
):
    """Write a clip; ``times`` count in ``time_base``; ``tags`` are primaries, transfer, matrix."""
    pictures = [textured(48, 64, k) for k in range(5)] if pictures is None else pictures
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as out:
        out.metadata.update({"title": title} if title else {})
        video = out.add_stream(codec, rate=rate, options=options or {})
        video.width, video.height, video.pix_fmt = width, height, pixels
        context = video.codec_context
        context.color_range = 2 if full else 1
        context.color_primaries, context.color_trc, context.colorspace = tags
        if time_base:
            context.time_base = video.time_base = time_base
        if rotation:
            video.set_display_rotation(rotation)
        track = out.add_stream(sound, rate=48000) if sound else None
        if track:
            tone = (np.sin(np.arange(9600) * 0.05) * 0.3).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.rate, frame.pts = 48000, 0
            out.mux(track.encode(frame))
            out.mux(track.encode(None))
        matrix = {1: "itu709", 2: "itu601", 6: "itu601"}[tags[2]]
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format=pixels, dst_colorspace=matrix, dst_color_range=2 if full else 1
            )
            if times is not None:
                frame.pts, frame.time_base = times[k] + shift, time_base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return str(path)


def delays(path):
    """How long each picture of a GIF or a WebP shows, in ms."""
    found = []
    with Image.open(path) as opened:
        for number in range(opened.n_frames):
            opened.seek(number)
            opened.load()
            found.append(round(opened.info["duration"]))
    return found


def bars(width=80, height=48):
    """Vertical bars of the known colours."""
    picture = np.zeros((height, width, 3), np.uint8)
    step = width // len(COLOURS)
    for k, colour in enumerate(COLOURS):
        picture[:, k * step : (k + 1) * step] = colour
    return picture


def middles(picture, width=80):
    """The colour in the middle of each bar."""
    step = width // len(COLOURS)
    row = picture[picture.shape[0] // 2]
    return [row[k * step + step // 2].astype(int) for k in range(len(COLOURS))]


def video_times(path):
    with av.open(str(path)) as clip:
        return [f.pts * f.time_base for f in clip.decode(video=0)]


def sound_packets(path):
    with av.open(str(path)) as clip:
        packets = [p for p in clip.demux(audio=0) if p.dts is not None]
        return [(bytes(p), p.pts * p.time_base) for p in packets]


def leftovers(folder: Path, *expected: str):
    return sorted(p.name for p in folder.iterdir() if p.name not in expected)
