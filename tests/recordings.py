"""Recordings as they come, made with PyAV or by spoiling what PyAV wrote; and what comes of them.

Each shows a scene whose upper left is bright, so that one sees which way up it is; at each mark it
flashes white for one frame, and sound clicks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.filter
import numpy as np

MILLISECOND = Fraction(1, 1000)
SOUND_RATE = 48_000


def scene(width: int, height: int, number: int = 0, flash: bool = False) -> np.ndarray:
    """A grey scene with a bright upper left quarter, and a bar that moves on."""
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[: height // 2, : width // 2] = 190
    bar = (3 * number) % (width // 2)
    picture[-height // 4 :, width // 2 + bar // 2 : width // 2 + bar // 2 + 4] = 30
    return np.full_like(picture, 255) if flash else picture


def quarters(picture: np.ndarray) -> list[int]:
    """Mean brightness of the quarters: upper left and right, lower left and right."""
    height, width = picture.shape[:2]
    top, bottom = picture[: height // 2], picture[height // 2 :]
    halves = [
        half[:, part]
        for half in (top, bottom)
        for part in (slice(width // 2), slice(width // 2, None))
    ]
    return [round(float(half.mean())) for half in halves]


def steady(count: int, step: int = 40, first: int = 0) -> list[int]:
    return [first + step * number for number in range(count)]


def varied(count: int, first: int = 0, seed: int = 0) -> list[int]:
    """Times, in milliseconds, as a phone or a browser has them: about 40 apart, sometimes 200."""
    random = np.random.default_rng(seed)
    steps = np.where(random.random(count) < 0.1, 200, random.integers(25, 55, count))
    return [first, *(first + np.cumsum(steps)[:-1]).tolist()]


def record(
    path: Path | str,
    *,
    size: tuple[int, int] = (64, 48),
    times: Sequence[int] | None = None,
    base: Fraction = MILLISECOND,
    marks: Iterable[float] = (),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    sound: str | None = "aac",
    sound_from: float = 0.0,
    layout: str = "mono",
    container: dict[str, str] | None = None,
    muxer: str | None = None,
    rate: Fraction = Fraction(25),
    matrix: tuple[int, ...] | None = None,
    aspect: Fraction | None = None,
    tags: tuple[int, int, int, int] = (1, 1, 1, 1),
    fields: str | None = None,
    pictures: Sequence[np.ndarray] | None = None,
) -> str:
    """Write a recording.

    Args:
        times: of the frames, in ``base``.
        marks: seconds at which the picture flashes (the first frame from then on) and sound clicks.
        sound_from: when sound begins, in seconds.
        matrix: the four numbers of the display matrix that turn: a, b, c, d.
        aspect: width over height of a pixel.
        tags: range, primaries, transfer, matrix.
        fields: tff or bff; two pictures, one after the other, then make one frame.
        pictures: what is shown instead of the scene.
    """
    times = steady(50) if times is None else times
    marks = sorted(marks)
    with av.open(str(path), "w", format=muxer, options=container or {}) as out:
        video = out.add_stream(codec, rate=rate, options=options or {})
        video.width, video.height, video.pix_fmt = *size, pixels
        context = video.codec_context
        context.time_base = video.time_base = base
        context.color_range, context.color_primaries, context.color_trc, context.colorspace = tags
        if aspect:
            context.sample_aspect_ratio = aspect
        if matrix:
            a, b, c, d = (65536 * number for number in matrix)
            video.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        track = out.add_stream(sound, rate=SOUND_RATE, layout=layout) if sound else None
        chunks = _clicks(sound_from, float(times[-1] * base) + 0.04, marks)
        due = list(marks)
        graph = _fields(size, pixels, fields) if fields else None
        for number, time in enumerate(times):
            while track and (chunk := next(chunks, None)) is not None:
                out.mux(track.encode(chunk))
                if chunk.pts > (time * base + 1) * SOUND_RATE:
                    break
            flash = bool(due) and time * base >= due[0]
            if flash:
                due.pop(0)
            picture = scene(*size, number, flash) if pictures is None else pictures[number]
            frame = _stored(picture, pixels, tags)
            if graph:
                graph.vpush(frame)
                frame = graph.vpull()
            frame.pts, frame.time_base = time, base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for chunk in chunks if track else ():
            out.mux(track.encode(chunk))
        if track:
            out.mux(track.encode(None))
    return str(path)


def _stored(picture: np.ndarray, pixels: str, tags: tuple[int, ...]) -> av.VideoFrame:
    kinds = {(np.uint16, 3): "rgb48le", (np.uint8, 4): "rgba", (np.uint8, 3): "rgb24"}
    kind = kinds[picture.dtype.type, picture.shape[2]]
    matrix = {1: "itu709", 9: "bt2020"}.get(tags[3], "itu601")
    frame = av.VideoFrame.from_ndarray(picture, format=kind)
    frame = frame.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=tags[0])
    frame.color_range, frame.colorspace = tags[0], tags[3]
    frame.color_primaries, frame.color_trc = tags[1:3]
    return frame


def _fields(size: tuple[int, int], pixels: str, order: str) -> av.filter.Graph:
    """Mark frames as interlaced."""
    graph = av.filter.Graph()
    source = graph.add(
        "buffer", f"video_size={size[0]}x{size[1]}:pix_fmt={pixels}:time_base=1/1000"
    )
    mark = graph.add("setfield", order)
    graph.link_nodes(source, mark, graph.add("buffersink")).configure()
    return graph


def _clicks(begin: float, end: float, marks: Sequence[float]):
    """Sound in chunks of 20 ms: silence, and a click of 3 ms at each mark."""
    first, last = round(begin * SOUND_RATE), round(end * SOUND_RATE)
    step = SOUND_RATE // 50
    click = np.sin(np.arange(144) * 2 * np.pi / 24).astype(np.float32) * 0.9
    places = [round(mark * SOUND_RATE) for mark in marks]
    for start in range(first, last, step):
        wave = np.zeros(step + len(click), np.float32)
        for place in places:
            if start - len(click) < place < start + step:
                low = max(place, start)
                part = click[low - place :][: start + step - low]
                wave[low - start : low - start + len(part)] = part
        chunk = av.AudioFrame.from_ndarray(wave[None, :step], format="fltp", layout="mono")
        chunk.rate, chunk.pts, chunk.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
        yield chunk


def flashes(path: str) -> list[float]:
    """When the picture, the largest if there are several, begins to flash, in seconds."""
    found, before = [], False
    with av.open(path) as clip:
        for frame in clip.decode(max(clip.streams.video, key=lambda s: s.width)):
            now = frame.to_ndarray(format="gray").mean() > 220
            if now and not before:
                found.append(float(frame.pts * frame.time_base))
            before = now
    return found


def clicks(path: str) -> list[float]:
    """When sound begins to click, in seconds."""
    found, last = [], -1.0
    with av.open(path) as clip:
        track = clip.streams.audio[0]
        mono = av.AudioResampler("fltp", "mono", SOUND_RATE)
        for frame in clip.decode(track):
            for part in mono.resample(frame):
                begin = float(part.pts * part.time_base)
                loud = np.flatnonzero(np.abs(part.to_ndarray()[0]) > 0.3)
                for place in loud:
                    now = begin + place / SOUND_RATE
                    if now - last > 0.1:
                        found.append(now)
                    last = now
    return found


def cut_off(path: Path, share: float) -> None:
    """Cut a file off, as a power cut does."""
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])


def shift_blocks(path: Path, shifts: dict[int, int], track: int = 1) -> None:
    """Spoil the times of some packets of a Matroska file, which no muxer would write.

    Args:
        path: the file.
        shifts: milliseconds by number of the packet.
        track: its track; the first is the video.
    """
    data = bytearray(path.read_bytes())
    number = 0
    for place in _blocks(data, 0, len(data)):
        if data[place] == 0x80 + track:
            time = struct.unpack_from(">h", data, place + 1)[0] + shifts.get(number, 0)
            struct.pack_into(">h", data, place + 1, time)
            number += 1
    path.write_bytes(data)


def _blocks(data: bytearray, place: int, end: int) -> Iterator[int]:
    """Give where each block of a Matroska file begins, by walking through its elements."""
    while place < end:
        width = 9 - data[place].bit_length()
        kind, place = bytes(data[place : place + width]), place + width
        width = 9 - data[place].bit_length()
        size = int.from_bytes(data[place : place + width]) & ((1 << 7 * width) - 1)
        place += width
        if kind in (b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\xa0"):  # segment, cluster, group
            yield from _blocks(data, place, min(place + size, end))
        elif kind in (b"\xa3", b"\xa1"):
            yield place
        place += size
