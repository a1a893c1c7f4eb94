"""Writing: what is kept of the source in every kind of file, and what is never left behind."""

from __future__ import annotations

import io
import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import textured
from media import COLOURS, bars, leftovers, make_clip, middles, sound_packets, video_times
from PIL import Image

from vidream.core.errors import OutputError
from vidream.core.frames import Frame
from vidream.core.settings import ReadSettings, WriteSettings
from vidream.media import codecs
from vidream.media.encoder import open_encoder
from vidream.media.info import VideoInfo
from vidream.media.reader import open_reader


def copy(source, target, read=None, **write):
    """Pass a clip through reader and encoder."""
    with (
        open_reader(source, ReadSettings(**(read or {}))) as reader,
        open_encoder(target, reader.info, WriteSettings(**write), reader.tracks) as encoder,
    ):
        for frame in reader:
            encoder.write(frame)
        encoder.finish()
    return str(target)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("w") / "clip.mp4"
    return make_clip(path, rate=Fraction(30000, 1001), sound="aac", options={"bf": "2"})


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_rate_times_and_sound_stay(clip, tmp_path, suffix):
    dream = copy(clip, tmp_path / f"d{suffix}")
    with av.open(dream) as done:
        assert done.streams.video[0].average_rate == Fraction(30000, 1001)
    assert video_times(dream) == video_times(clip)
    assert sound_packets(dream) == sound_packets(clip)
    assert leftovers(tmp_path, f"d{suffix}") == []


def test_a_variable_rate_stays(tmp_path):
    times = [0, 40, 55, 210, 1000]
    base = Fraction(1, 1000)
    source = make_clip(tmp_path / "v.mkv", times=times, time_base=base, shift=120)
    assert video_times(source) == [(t + 120) * base for t in times]
    for suffix in (".mkv", ".mp4", ".mov"):
        assert video_times(copy(source, tmp_path / f"d{suffix}")) == video_times(source)


@pytest.mark.parametrize(
    ("suffix", "codec", "sound"),
    [
        (".mkv", None, "aac"), (".webm", None, "opus"), (".mp4", "hevc", "aac"),
        (".mp4", "vp9", "aac"), (".webm", "av1", "opus"), (".mov", "prores", "aac"),
        (".mkv", "ffv1", "aac"), (".nut", None, "aac"),
    ],
)  # fmt: skip
def test_containers_and_codecs(clip, tmp_path, suffix, codec, sound, caplog):
    caplog.set_level(logging.INFO)
    dream = copy(clip, tmp_path / f"d{suffix}", codec=codec, codec_speed="fast")
    with av.open(dream) as done:
        expected = codec or {".webm": "vp9", ".nut": "rawvideo"}.get(suffix, "h264")
        assert done.streams.video[0].codec_context.codec.canonical_name == expected
        assert done.streams.audio[0].codec_context.codec.canonical_name == sound
    assert len(video_times(dream)) == 5
    assert ("re-encoded" in caplog.text) == (sound == "opus")


def test_re_encoded_sound_keeps_its_length_and_place(clip, tmp_path):
    dream = copy(clip, tmp_path / "d.webm")
    packets = sound_packets(dream)
    assert float(packets[0][1]) == pytest.approx(0, abs=0.03)
    assert float(packets[-1][1]) == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".y4m"])
def test_sound_is_left_out_with_a_line(clip, tmp_path, suffix, caplog):
    caplog.set_level(logging.INFO)
    copy(clip, tmp_path / f"d{suffix}")
    assert "left out" in caplog.text


@pytest.mark.parametrize(
    ("full", "tags"), [(False, (1, 1, 1)), (True, (1, 1, 1)), (False, (6, 6, 6)), (False, (2,) * 3)]
)
def test_tags_and_colours_stay(tmp_path, full, tags):
    options = {"crf": "1"}
    source = make_clip(
        tmp_path / "a.mp4", [bars()] * 2, pixels="yuv444p", full=full, tags=tags, options=options
    )
    dream = copy(source, tmp_path / "d.mp4", crf=1)
    with av.open(dream) as done:
        frame = next(done.decode(video=0))
        assert (frame.color_primaries, frame.color_trc, frame.colorspace) == tags
        with av.open(source) as given:
            assert frame.color_range == next(given.decode(video=0)).color_range
    with open_reader(dream) as reader:
        picture = next(iter(reader)).image
    for seen, colour in zip(middles(picture), COLOURS, strict=True):
        assert np.abs(seen - colour).max() <= 8


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("d.mp4", "h264"),
        ("d.mp4", "hevc"),
        ("d.webm", "vp9"),
        ("d.mkv", "av1"),
        ("d.mov", "prores"),
    ],
)
def test_encoders_take_the_options_for_large_frames(clip, tmp_path, monkeypatch, name, codec):
    monkeypatch.setattr(codecs, "LARGE", 0)
    assert len(video_times(copy(clip, tmp_path / name, codec=codec))) == len(video_times(clip))


def test_the_same_frames_give_the_same_bytes(tmp_path):
    """Whatever lies in memory: x264 with AVX-512 reads what nobody has written."""
    ground, random = textured(200, 300), np.random.default_rng(0)
    pan = [ground[2 * k : 2 * k + 90, 3 * k : 3 * k + 160].copy() for k in range(16)]
    info = VideoInfo(width=160, height=90, rate=Fraction(25))
    found = set()
    for _ in range(8):
        litter = [random.integers(0, 255, size, np.uint8) for size in random.integers(1, 2**21, 12)]
        del litter
        path = tmp_path / "d.mp4"
        with open_encoder(path, info, WriteSettings(overwrite=True)) as out:
            for k, picture in enumerate(pan):
                out.write(Frame(picture, k, k))
            out.finish()
        found.add(path.read_bytes())
    assert len(found) == 1


def test_odd_sizes(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    source = make_clip(tmp_path / "a.mkv", [textured(49, 65)] * 2, codec="ffv1")
    for suffix in (".mp4", ".webm", ".mkv", ".gif", ".y4m"):
        with av.open(copy(source, tmp_path / f"d{suffix}")) as done:
            assert (done.streams.video[0].width, done.streams.video[0].height) == (65, 49)
    assert "65×49 is odd" in caplog.text


def test_gif(clip, tmp_path):
    with Image.open(copy(clip, tmp_path / "d.gif")) as gif:
        assert gif.n_frames == 5
        assert gif.info["loop"] == 0
        assert {gif.info["duration"]} <= {30, 40}
        gif.seek(0)
        with open_reader(clip) as reader:
            first = next(iter(reader)).image
        assert np.abs(np.asarray(gif.convert("RGB"), int) - first).mean() < 12


def test_webp(clip, tmp_path):
    with Image.open(copy(clip, tmp_path / "d.webp")) as webp:
        assert webp.n_frames == 5
        assert webp.info["loop"] == 0


def test_y4m_has_the_clips_rate(clip, tmp_path):
    dream = copy(clip, tmp_path / "d.y4m")
    assert Path(dream).read_bytes().startswith(b"YUV4MPEG2 W64 H48 F30000:1001")
    assert len(video_times(dream)) == 5


@pytest.mark.parametrize("kind", ["y4m", "nut"])
def test_into_a_stream(clip, kind):
    out = io.BytesIO()
    copy(clip, out, format=kind)
    out.seek(0)
    with open_reader(out) as reader:
        assert len(list(reader)) == 5


def test_an_unfinished_encoder_leaves_nothing(clip, tmp_path):
    for name in ("d.mp4", "d.gif"):
        with open_reader(clip) as reader, open_encoder(tmp_path / name, reader.info) as encoder:
            encoder.write(next(iter(reader)))
        assert leftovers(tmp_path) == []


def test_sound_of_a_source_that_is_closed_is_refused(clip, tmp_path):
    with open_reader(clip) as reader:
        info, audio = reader.info, reader.tracks
    with pytest.raises(OutputError, match="while its reader is open"):
        open_encoder(tmp_path / "out.mp4", info, tracks=audio)
    assert leftovers(tmp_path) == []


def test_a_name_taken_meanwhile_is_not_overwritten(clip, tmp_path):
    with open_reader(clip) as reader, open_encoder(tmp_path / "d.mp4", reader.info) as encoder:
        encoder.write(next(iter(reader)))
        (tmp_path / "d.mp4").write_text("precious")
        with pytest.raises(OutputError, match="already exists"):
            encoder.finish()
    assert (tmp_path / "d.mp4").read_text() == "precious"
    assert leftovers(tmp_path, "d.mp4") == []


def test_title_stays(tmp_path):
    source = make_clip(tmp_path / "a.mkv", title="Clouds")
    with av.open(copy(source, tmp_path / "d.mp4")) as done:
        assert done.metadata["title"] == "Clouds"
