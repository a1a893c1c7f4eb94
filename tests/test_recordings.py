"""Recordings as they come: each has the right size, way up, length and sound when it is done."""

from __future__ import annotations

import itertools
import logging
import os
import struct
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import Reports
from media import video_times
from recordings import (
    clicks,
    cut_off,
    flashes,
    quarters,
    record,
    shift_blocks,
    steady,
    varied,
)

from vidream import Settings, dream_video
from vidream.core.errors import InputError, OutputError
from vidream.core.settings import ReadSettings
from vidream.media import container_decoder
from vidream.media.reader import open_reader

UPRIGHT = [190, 90, 90, 86]
MARKS = (0.5, 1.5)
TICKS = Fraction(1, 90_000)
FRAMES = Fraction(1, 25)


def read(path, **settings):
    with open_reader(path, ReadSettings(**settings)) as reader:
        return reader.info, list(reader)


def times(frames):
    return [round(float(frame.time), 4) for frame in frames]


def done(source, target, **settings):
    dream_video(source, target, Settings(effect="none").updated(codec_speed="fast", **settings))
    return str(target)


# Each makes a file: (path) -> times at which it flashes, on the clock of what comes out.


def browser(path):
    """MediaRecorder: no length, no index, a rate that varies, and a clock that began before."""
    record(
        path, codec="libvpx-vp9", sound="libopus", container={"live": "1"}, marks=(1.8, 2.8),
        times=varied(60, 1337), sound_from=1.3, options={"deadline": "realtime", "cpu-used": "8"},
    )  # fmt: skip


def phone(path):
    record(path, times=varied(60), marks=MARKS, matrix=(0, 1, -1, 0))


def selfie(path):
    record(path, times=varied(60), marks=MARKS, matrix=(0, 1, 1, 0), options={"bf": "2"})


def broadcast(path):
    """A broadcast that was cut into, in the middle of a group of pictures and of a packet."""
    record(
        path, times=steady(150, 3600, 900_000), base=TICKS, marks=(11.5, 12.5, 13.5), sound="mp2",
        sound_from=10, options={"g": "12", "bf": "2"},
    )  # fmt: skip
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 3 // 188 * 188 + 70 :])


def reset(path):
    """Two recordings in one file, the second with a clock that was set back."""
    parts = []
    for begin in (50, 3):
        record(
            path, times=steady(75, 3600, 90_000 * begin), base=TICKS, sound="mp2",
            sound_from=begin, marks=(begin + 0.5, begin + 1.5), options={"g": "12", "bf": "2"},
        )  # fmt: skip
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))


def crashed(path):
    record(path, times=steady(150), marks=(0.5, 1.5), options={"g": "10"}, container={"live": "1"})
    cut_off(path, 0.6)


def copied_in_part(path):
    index_first = {"movflags": "+faststart"}
    record(path, times=steady(150), marks=(0.5, 1.5), options={"g": "10"}, container=index_first)
    cut_off(path, 0.8)


def ordered(path):
    """AVI with B-frames, which have no times there."""
    record(path, sound="libmp3lame", options={"bf": "2"}, marks=MARKS, base=FRAMES, times=range(60))


def misheaded(path):
    """AVI whose header lies about length, size and number of frames, and which has no index."""
    record(path, codec="mpeg4", sound="libmp3lame", marks=MARKS, base=FRAMES, times=range(60))
    data = bytearray(path.read_bytes())
    head = data.index(b"avih") + 8
    struct.pack_into("<I", data, head + 16, 90_000)  # frames
    struct.pack_into("<2I", data, head + 32, 640, 480)
    stream = data.index(b"strh") + 8
    struct.pack_into("<I", data, stream + 32, 90_000)  # length
    form = data.index(b"strf") + 8
    struct.pack_into("<2i", data, form + 4, 640, 480)
    path.write_bytes(data[: data.rindex(b"idx1")])


def sidecars(path):
    """Subtitles of no use, a second, smaller video, as of depth or Dolby's enhancement."""
    plain = path.with_name("plain.mov")
    record(plain, times=varied(60), marks=MARKS)
    small = path.with_name("small.mov")
    record(small, times=varied(60), size=(32, 24), sound=None)
    with av.open(str(plain)) as a, av.open(str(small)) as b, av.open(str(path), "w") as out:
        sources = [b.streams.video[0], a.streams.video[0], a.streams.audio[0]]
        streams = [out.add_stream_from_template(source) for source in sources]
        streams[1].disposition = av.stream.Disposition.default
        for clip, chosen in ((a, [1, 2]), (b, [0])):
            for packet in clip.demux([sources[k] for k in chosen]):
                if packet.dts is not None:
                    packet.stream = streams[sources.index(packet.stream)]
                    out.mux(packet)


KINDS = [
    # what, its file, frames, size, quarters, sound is re-encoded
    (browser, "a.webm", 60, (64, 48), UPRIGHT),
    (phone, "a.mov", 60, (48, 64), [90, 190, 86, 90]),
    (selfie, "a.mov", 60, (48, 64), [190, 90, 90, 86]),
    (broadcast, "a.ts", None, (64, 48), UPRIGHT),
    (reset, "a.ts", 150, (64, 48), UPRIGHT),
    (crashed, "a.mkv", None, (64, 48), UPRIGHT),
    (copied_in_part, "a.mp4", None, (64, 48), UPRIGHT),
    (ordered, "a.avi", 60, (64, 48), UPRIGHT),
    (misheaded, "a.avi", 60, (64, 48), UPRIGHT),
    (sidecars, "a.mov", 60, (64, 48), UPRIGHT),
]


@pytest.mark.parametrize(("make", "name", "count", "size", "seen"), KINDS)
def test_recordings_come_out_whole_upright_and_in_step(tmp_path, make, name, count, size, seen):
    source = tmp_path / name
    make(source)
    target = done(source, tmp_path / "out.mp4")
    with av.open(target) as clip:
        frames = [(f.pts * f.time_base, f.to_ndarray(format="rgb24")) for f in clip.decode(video=0)]
    for _, shown in (frames[0], frames[1], frames[-1]):
        assert shown.shape[1::-1] == size
        # The bar moves on, in one quarter or, turned, in another.
        assert np.abs(np.array(quarters(shown)) - seen).max() <= 6
    if count:
        assert len(frames) == count
    assert len(frames) >= 50
    assert 1.9 < frames[-1][0] - frames[0][0] < 6.1
    assert all(a[0] < b[0] for a, b in itertools.pairwise(frames))
    # Sound is as far from picture as it was.
    pairs = [list(zip(flashes(str(p)), clicks(str(p)), strict=False)) for p in (source, target)]
    before, after = ([flash - click for flash, click in pair] for pair in pairs)
    assert len(after) >= 2
    if make is not reset:  # of which no player shows the whole
        assert np.abs(np.subtract(after, before)).max() < 0.001
    else:
        assert len(after) == 4
        assert np.abs(np.array(after) - 0.02).max() < 0.001
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


def test_what_happens_is_said(tmp_path, caplog):
    caplog.set_level(logging.INFO, "vidream")
    for make, name, says in [
        (browser, "a.webm", []),
        (phone, "a.mov", []),
        (reset, "a.ts", ["1 missing, double or", "of sound repaired", "1 jump of the clock"]),
        (copied_in_part, "a.mp4", ["says it is 6.0 s long, and ends after"]),
        (misheaded, "a.avi", ["s long, and ends after 2.4 s"]),
        (ordered, "a.avi", []),
        (sidecars, "a.mov", ["left out: video track 1 (h264, 32×24)"]),
    ]:
        caplog.clear()
        make(tmp_path / name)
        read(tmp_path / name)
        found = [line for line in caplog.messages if any(part in line for part in says)]
        assert len(caplog.messages) == len(found) == len(says), caplog.messages


def test_without_its_index_a_recording_is_lost(tmp_path):
    record(tmp_path / "a.mp4", times=steady(150))
    data = (tmp_path / "a.mp4").read_bytes()
    for end in (1000, data.index(b"moov") - 50, data.index(b"moov") + 20):
        (tmp_path / "a.mp4").write_bytes(data[:end])
        with pytest.raises(InputError, match="has no index"):
            open_reader(tmp_path / "a.mp4")


def test_a_clock_that_begins_anywhere_begins_at_nothing(tmp_path):
    """Others keep their own, which the sound and a copy share."""
    broadcast(tmp_path / "a.ts")
    _, frames = read(tmp_path / "a.ts")
    assert 0 <= times(frames)[0] < 0.6
    late = record(tmp_path / "a.mkv", times=steady(20, 40, 3_600_000), sound_from=3600)
    assert times(read(late)[1])[0] == 0
    soon = record(tmp_path / "b.mkv", times=steady(20, 40, 500), sound=None)
    assert times(read(soon)[1])[0] == 0.5


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [
        ({20: -40}, {20: 0.8}),  # twice the same
        ({20: -90}, {20: 0.8}),  # backward
        ({20: 20_000}, {20: 0.8}),  # far ahead
        ({20: 40, 21: -40}, {20: 0.82, 21: 0.8}),  # in the wrong order: both shown, in the file's
    ],
)
def test_spoiled_times_are_repaired(tmp_path, caplog, shifts, expected):
    caplog.set_level(logging.INFO, "vidream")
    path = tmp_path / "a.mkv"
    record(path, times=steady(60), options={"bf": "0", "g": "10"}, marks=MARKS)
    shift_blocks(path, shifts)
    found = times(read(path)[1])
    wanted = [expected.get(k, round(0.04 * k, 4)) for k in range(60)]
    assert np.abs(np.subtract(found, sorted(wanted))).max() < 0.021
    assert found[:20] == wanted[:20]
    assert found[22:] == wanted[22:]
    assert "1 missing, double or backward timestamp:" in caplog.text


def test_spoiled_times_of_sound_are_repaired(tmp_path, caplog):
    caplog.set_level(logging.INFO, "vidream")
    path = tmp_path / "a.mkv"
    record(path, times=steady(60), marks=MARKS)
    before = clicks(done(path, tmp_path / "before.mp4"))
    shift_blocks(path, {10: 20_000, 20: -21, 30: -100}, track=2)
    target = done(path, tmp_path / "o.mp4")
    assert np.abs(np.subtract(clicks(target), before)).max() < 0.001
    assert "3 timestamps of sound repaired" in caplog.text
    with av.open(target) as clip:
        assert float(clip.duration / av.time_base) < 2.6


def test_without_any_times_the_rate_counts(tmp_path):
    path = record(
        tmp_path / "a.h264", muxer="h264", sound=None, base=Fraction(1, 10), rate=Fraction(10),
        times=range(30), options={"bf": "2"},
    )  # fmt: skip
    found = times(read(path)[1])
    assert len(found) == 30
    steps = np.diff(found)
    assert np.abs(steps - steps[0]).max() < 1e-3


def test_reading_twice_gives_the_same(tmp_path):
    for make, name in ((broadcast, "a.ts"), (browser, "a.webm"), (crashed, "a.mkv")):
        make(tmp_path / name)
        for settings in ({}, {"start": 0.7}):
            first, second = (read(tmp_path / name, **settings)[1] for _ in range(2))
            assert times(first) == times(second)
            assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


def test_a_cut_behind_a_jump_of_the_clock(tmp_path, monkeypatch):
    reset(tmp_path / "a.ts")
    whole = read(tmp_path / "a.ts")[1]
    # As if it were long: what is far before the cut is not decoded.
    policy = replace(container_decoder.POLICY, run_up=1)
    monkeypatch.setattr(container_decoder, "POLICY", policy)
    for begin in (0.4, 2, 5):
        cut = read(tmp_path / "a.ts", start=begin)[1]
        assert [f.time + begin for f in cut] == pytest.approx(
            [f.time for f in whole if f.time >= begin], abs=1e-4
        )
        kept = whole[len(whole) - len(cut) :]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(cut, kept, strict=True))


@pytest.mark.parametrize("settings", [{}, {"start": 0.7}, {"start": 0.7, "duration": 0.8}])
def test_sound_alone_and_later_frames_are_those_of_the_whole(tmp_path, settings):
    for make, name in (
        (reset, "a.ts"),
        (browser, "a.webm"),
        (crashed, "a.mkv"),
        (phone, "a.mov"),
        (ordered, "a.avi"),
    ):
        make(tmp_path / name)
        with open_reader(tmp_path / name, ReadSettings(**settings)) as reader:
            frames = list(reader)
            first = [_heard(packet) for packet in reader.tracks.until(Fraction(1, 2))]
            alone = first + [_heard(packet) for packet in reader.tracks.until(None)]
        assert [packet for packet in alone if packet[1] < 0.5] == first
        with (tmp_path / name).open("rb") as stream:
            live, piped = heard_live(stream, **settings)
        assert live == alone
        assert [(f.index, f.pts) for f in piped] == [(f.index, f.pts) for f in frames]
        with open_reader(tmp_path / name, ReadSettings(**settings)) as reader:
            reader.skip = 7
            later = list(reader)
        assert [(f.index, f.pts) for f in later] == [(f.index, f.pts) for f in frames[7:]]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(later, frames[7:], strict=True))


def heard_live(stream, **settings):
    """The sound of a stream, taken as its frames come, and these."""
    heard, frames = [], []
    with open_reader(stream, ReadSettings(**settings)) as reader:
        audio = reader.tracks
        for frame in reader:
            heard += [_heard(packet) for packet in audio.until(frame.time)]
            frames.append(frame)
        return heard + [_heard(packet) for packet in audio.until(None)], frames


def _heard(item):
    return bytes(item.packet), item.packet.pts * item.packet.time_base


@pytest.mark.parametrize("aspect", [Fraction(16, 11), Fraction(8, 9)])
def test_pixels_become_square(tmp_path, aspect):
    source = record(tmp_path / "a.mp4", size=(72, 48), aspect=aspect, times=steady(5))
    info, frames = read(source)
    wanted = (104, 48) if aspect > 1 else (72, 54)
    assert (info.width, info.height) == frames[0].image.shape[1::-1] == wanted
    assert info.sample_aspect_ratio == 1
    assert quarters(frames[0].image)[0] > 185
    info, _ = read(source, width=48)
    assert (info.width, info.sample_aspect_ratio) == (48, 1)
    assert abs(info.height - 48 / (72 / 48 * aspect)) <= 1
    # A shape that is asked for is seen as the source's own.
    info, _ = read(source, width=64, height=64)
    assert float(info.sample_aspect_ratio) == pytest.approx(float(Fraction(72, 48) * aspect), 0.01)
    with av.open(done(source, tmp_path / "o.mp4", width=64, height=64)) as clip:
        assert abs(clip.streams.video[0].sample_aspect_ratio - info.sample_aspect_ratio) < 0.02


def test_pixels_of_a_turned_recording_become_square(tmp_path):
    source = record(
        tmp_path / "a.mov", size=(64, 48), aspect=Fraction(3, 2), times=steady(5),
        matrix=(0, 1, -1, 0),
    )  # fmt: skip
    info, _ = read(source)
    assert (info.width, info.height) == (48, 96)


def test_absurd_pixels_are_not_believed(tmp_path):
    info, _ = read(record(tmp_path / "a.mkv", aspect=Fraction(500, 1), times=steady(3)))
    assert (info.width, info.height) == (64, 48)


def test_a_size_that_changes_is_scaled_to_the_first(tmp_path, caplog):
    caplog.set_level(logging.INFO, "vidream")
    parts = []
    for number, size in enumerate([(64, 48), (128, 96), (96, 48)]):
        path = tmp_path / f"{number}.ts"
        record(
            path, size=size, times=steady(25, 3600, 90_000 * number), base=TICKS, sound="mp2",
            sound_from=number,
        )  # fmt: skip
        parts.append(path.read_bytes())
    whole = tmp_path / "a.ts"
    whole.write_bytes(b"".join(parts))
    _, frames = read(whole)
    assert len(frames) == 75
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert np.abs(np.array(quarters(frames[30].image)) - UPRIGHT).max() <= 4
    wide = frames[60].image  # twice as wide as high: in a window of 64×32, with bars
    assert wide[:7].max() < 8 > wide[-7:].max()
    assert np.abs(np.array(quarters(wide[8:40])) - UPRIGHT).max() <= 4
    lines = [line for line in caplog.messages if "changes from" in line]
    assert len(lines) == 2
    assert "from 64×48 to 128×96: scaled to 64×48" in lines[0]
    assert len(read(whole, fps=5)[1]) in (14, 15)  # a frame or two lie over each other at a seam


def test_sound_that_changes_is_made_as_it_was(tmp_path, caplog):
    caplog.set_level(logging.INFO, "vidream")
    parts = []
    for number, layout in enumerate(["mono", "stereo", "mono"]):
        path = tmp_path / f"{number}.ts"
        record(
            path, times=steady(50, 3600, 180_000 * number), base=TICKS, sound="mp2",
            sound_from=2 * number, layout=layout, marks=[2 * number + 1],
        )  # fmt: skip
        parts.append(path.read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    target = done(tmp_path / "a.ts", tmp_path / "o.mp4")
    apart = np.subtract(flashes(target), clicks(target))
    assert len(apart) == 3
    assert np.abs(apart - apart[0]).max() < 0.001
    assert sum("sound changes to stereo" in line for line in caplog.messages) == 1


@pytest.mark.parametrize("settings", [{"start": 0.9}, {"start": 0.9, "duration": 1}])
def test_a_cut_is_in_step(tmp_path, settings):
    for make, name in ((ordered, "a.avi"), (phone, "a.mov"), (browser, "a.webm")):
        make(tmp_path / name)
        whole, cut = (
            done(tmp_path / name, tmp_path / f"{end}{name}.mp4", **how)
            for end, how in (("whole", {}), ("cut", settings))
        )
        apart = [np.subtract(flashes(path), clicks(path)) for path in (whole, cut)]
        assert len(apart[1]) == 1
        assert abs(apart[0][-1] - apart[1][0]) < 0.001


def moving(order, count=12):
    """A square that moves 3 pixels a field, 6 a frame: what each field shows, and their weave."""
    fields = []
    for number in range(2 * count):
        picture = np.full((64, 96, 3), 40, np.uint8)
        picture[16:48, 3 * number : 3 * number + 24] = 210
        fields.append(picture)
    frames = []
    for first, second in zip(fields[::2], fields[1::2], strict=True):
        woven = first.copy()
        woven[(1 if order == "tff" else 0) :: 2] = second[(1 if order == "tff" else 0) :: 2]
        frames.append(woven)
    return fields[::2], frames


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize(
    ("codec", "name"), [("mpeg2video", "a.mpg"), ("libx264", "a.mkv"), ("mpeg2video", "a.ts")]
)
def test_interlaced_frames_become_whole(tmp_path, order, codec, name):
    whole, frames = moving(order)
    source = record(
        tmp_path / name, size=(96, 64), codec=codec, fields=order, pictures=frames, sound=None,
        times=range(12), base=FRAMES,
        options={"flags": "+ildct+ilme"} | ({"b": "4M"} if codec == "mpeg2video" else {"crf": "4"}),
    )  # fmt: skip
    with av.open(source) as clip:
        decoded = list(clip.decode(video=0))
        assert all(frame.interlaced_frame for frame in decoded)
    found = read(source)[1]
    assert len(found) == len(decoded) == 12
    assert np.abs(np.diff(times(found)) - 0.04).max() < 1e-3
    for picture, frame, was in list(zip(whole, found, frames, strict=True))[2:-2]:
        error, before = (np.abs(p.astype(int) - picture).mean() for p in (frame.image, was))
        assert error < 1 < before / 2


@pytest.mark.parametrize(("order", "header"), [("tff", "tt"), ("bff", "bb")])
def test_the_header_counts_where_frames_are_not_marked(tmp_path, order, header):
    whole, frames = moving(order)
    errors = []
    for options in ({"field_order": header}, {}):
        source = record(
            tmp_path / "a.mov", size=(96, 64), codec="mjpeg", pixels="yuvj420p", pictures=frames,
            sound=None, times=range(12), base=FRAMES, tags=(2, 1, 1, 6),
            options={"flags": "+qscale", "global_quality": "118"} | options,
        )  # fmt: skip
        with av.open(source) as clip:
            assert not next(clip.decode(video=0)).interlaced_frame
        found = read(source)[1]
        apart = [np.abs(f.image.astype(int) - w).mean() for f, w in zip(found, whole, strict=True)]
        errors.append(max(apart[1:]))
    assert errors[0] < errors[1] / 2


def test_whole_frames_are_not_touched(tmp_path):
    """Also where others of the same clip are interlaced."""
    source = record(tmp_path / "a.mkv", options={"crf": "10"}, times=steady(5))
    with av.open(source) as clip:
        stored = next(clip.decode(video=0))
        plain = stored.to_ndarray(format="rgb24")
    assert not stored.interlaced_frame
    assert np.abs(read(source)[1][0].image.astype(int) - plain).max() <= 4


@pytest.mark.parametrize(
    ("codec", "pixels", "name"),
    [("prores_ks", "yuva444p10le", "a.mov"), ("ffv1", "yuva420p", "a.mkv"),
     ("qtrle", "argb", "a.mov"), ("png", "rgba", "a.mov")],
)  # fmt: skip
def test_transparency_is_shown_on_black(tmp_path, codec, pixels, name):
    picture = np.full((48, 64, 4), (200, 200, 200, 255), np.uint8)
    picture[24:, :, 3] = 0
    picture[24:, :32, 3] = 128
    source = record(
        tmp_path / name, codec=codec, pixels=pixels, pictures=[picture] * 2, times=steady(2),
        sound=None,
    )  # fmt: skip
    shown = read(source)[1][0].image.astype(int)
    assert np.abs(np.array(quarters(shown)) - [200, 200, 100, 0]).max() <= 4


@pytest.mark.parametrize(
    ("codec", "pixels", "full"),
    [("ffv1", "gray", True), ("ffv1", "gray10le", True), ("ffv1", "gray16le", True),
     ("mjpeg", "yuvj420p", True), ("libx264", "yuv420p", True), ("libx264", "yuv420p", False),
     ("ffv1", "yuv422p10le", False)],
)  # fmt: skip
def test_greys_and_full_range(tmp_path, codec, pixels, full):
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.broadcast_to(ramp[None, :, None], (48, 64, 3)).copy()
    source = record(
        tmp_path / "a.mkv", codec=codec, pixels=pixels, pictures=[picture] * 2, times=range(2),
        base=FRAMES, sound=None, tags=(2 if full else 1, 1, 1, 6 if codec == "mjpeg" else 1),
        options={"crf": "4"} if codec == "libx264" else {},
    )  # fmt: skip
    shown = read(source)[1][0].image.astype(int)
    assert np.abs(shown - picture).max() <= 5


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_comes_out_as_sdr(tmp_path, caplog, transfer):
    """Ten bits in HEVC, as phones record; white of SDR is where BT.2408 has it."""
    caplog.set_level(logging.INFO, "vidream")
    white = {16: 0.5807, 18: 0.75}[transfer]
    picture = np.zeros((48, 64, 3), np.uint16)
    picture[:24, :32] = round(65535 * white)
    picture[24:, :32] = round(65535 * white / 2)
    picture[:24, 32:] = 65535 * 3 // 4 if transfer == 16 else 65535
    source = record(
        tmp_path / "a.mov", codec="libx265", pixels="yuv420p10le", pictures=[picture] * 3,
        times=steady(3), sound=None, tags=(1, 9, transfer, 9), matrix=(0, 1, -1, 0),
        options={"crf": "4", "x265-params": "log-level=error"},
    )  # fmt: skip
    info, frames = read(source)
    assert (info.width, info.height) == (48, 64)
    _, upper_right, lower_left, _ = quarters(frames[1].image)
    assert (info.colour.primaries, info.colour.transfer, info.colour.matrix) == (1, 1, 1)
    # Turned clockwise: the white that was upper left is upper right, the highlight lower right.
    assert 220 < upper_right < 245
    assert quarters(frames[1].image)[3] > 250
    assert lower_left < 20
    with av.open(done(source, tmp_path / "o.mp4")) as clip:
        shown = next(clip.decode(video=0))
        assert (shown.format.name, shown.color_trc, shown.color_primaries) == ("yuv420p", 1, 1)
    assert "HDR is dreamed in SDR" in caplog.text


def hdr_ramp(path, transfer, size=(64, 48)):
    """A ramp over all of the signal, in ten bits, upright only when it is turned."""
    ramp = np.linspace(0, 65535, size[0]).astype(np.uint16)
    picture = np.broadcast_to(ramp[None, :, None], (size[1], size[0], 3)).copy()
    return record(
        path, size=size, codec="libx265", pixels="yuv420p10le", pictures=[picture] * 3,
        times=steady(3), tags=(1, 9, transfer, 9), matrix=(-1, 0, 0, -1),
        options={"crf": "1", "x265-params": "log-level=error"},
    )  # fmt: skip


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("o.mp4", None, "yuv420p10le"),
        ("o.mkv", None, "yuv420p10le"),
        ("o.webm", None, "yuv420p10le"),
        ("o.mp4", "av1", "yuv420p10le"),
        ("o.mov", "prores", "yuv422p10le"),
        ("o.mkv", "ffv1", "yuv420p10le"),
    ],
)
def test_hdr_is_kept(tmp_path, name, codec, pixels, transfer):
    source = hdr_ramp(tmp_path / "a.mov", transfer, (640, 48))
    target = done(source, tmp_path / name, keep_hdr=True, codec=codec)
    with av.open(target) as clip:
        stored = list(clip.decode(video=0))[1]
        usual = {".webm": "av1"}.get(Path(name).suffix, "hevc")
        assert clip.streams.video[0].codec_context.codec.canonical_name == (codec or usual)
    assert stored.format.name == pixels
    assert (stored.color_primaries, stored.color_trc, stored.colorspace) == (9, transfer, 9)
    info, frames = read(target, keep_hdr=True)
    assert info.is_hdr
    assert frames[1].image.dtype == np.uint16
    # What is stored is the signal of the source, turned by a half; in PQ up to its usual peak.
    row = stored.to_ndarray(format="rgb48le")[24, ::-1, 1].astype(int)
    ramp = np.linspace(0, 65535, 640)
    most = 0.7518 * 65535 if transfer == 16 else 65535
    assert np.abs(row - np.minimum(ramp, most)).mean() < 1.5 * 65535 / 1023
    assert len(np.unique(row)) > 300, "more levels than 8 bits have"


def test_hdr_of_odd_size_is_kept(tmp_path):
    source = hdr_ramp(tmp_path / "a.mov", 16)
    with av.open(done(source, tmp_path / "o.mp4", keep_hdr=True, width=63, height=47)) as clip:
        assert clip.streams.video[0].codec_context.pix_fmt == "yuv444p10le"


def test_where_hdr_cannot_be_kept(tmp_path, caplog):
    caplog.set_level(logging.INFO, "vidream")
    source = hdr_ramp(tmp_path / "a.mov", 18)
    for name, codec, says in [
        ("o.mp4", "h264", "h264 holds no HDR: use hevc"),
        ("o.gif", None, "holds no HDR: write .mp4"),
        ("o%d.png", None, "hold no HDR"),
    ]:
        with pytest.raises(OutputError, match=says):
            done(source, tmp_path / name, keep_hdr=True, codec=codec)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mov"]
    plain = record(tmp_path / "b.mp4", times=steady(3))
    info, frames = read(plain, keep_hdr=True)
    assert not info.is_hdr
    assert frames[0].image.dtype == np.uint8
    assert "no HDR: keep_hdr changes nothing" in caplog.text


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_long_recording_stays_in_step(tmp_path, suffix):
    """A minute of what benchmarks/recording.py does for an hour."""
    shown = [time for time in varied(1200) if time < 60_000]
    source = record(tmp_path / "a.mkv", times=shown, marks=range(3, 60, 6), rate=Fraction(30))
    memory = []

    def look(report):
        if report.index > 200 and report.index % 50 == 0:
            memory.append(int(Path("/proc/self/statm").read_text().split()[1]))

    target = tmp_path / f"o{suffix}"
    settings = Settings(effect="none").updated(codec_speed="fast")
    dream_video(
        source, target, settings, reporter=Reports(look if sys.platform == "linux" else None)
    )
    assert video_times(target) == video_times(source) == [Fraction(t, 1000) for t in shown]
    before, after = (np.subtract(flashes(str(p)), clicks(str(p))) for p in (source, target))
    assert len(before) == 10
    assert np.abs(after - before).max() < 0.001
    if memory:
        assert (max(memory) - memory[0]) * os.sysconf("SC_PAGE_SIZE") < 20 * 2**20
