"""Reading: times, cuts, sizes, colours, orientation, and what is refused."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st
from media import COLOURS, bars, make_clip, middles, sound_packets, video_times

from vidream.core.errors import InputError
from vidream.core.settings import ReadSettings
from vidream.media.info import fit
from vidream.media.reader import open_reader
from vidream.media.timeouts import ReadLimits, TimedWorker


def read(source, **settings):
    with open_reader(source, ReadSettings(**settings)) as reader:
        audio = reader.tracks
        return reader.info, list(reader), list(audio.until(None))


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """Two seconds, 25 a second, sound of 0.2 s, a picture that tells its number."""
    pictures = [np.full((48, 64, 3), 5 * k, np.uint8) for k in range(50)]
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return make_clip(path, pictures, sound="aac", options={"bf": "2"})


def test_frames_and_sound_come_as_they_are(long_clip):
    info, frames, sound = read(long_clip)
    assert (info.width, info.height, info.rate, info.frames) == (64, 48, 25, 50)
    assert [f.time for f in frames] == [Fraction(k, 25) for k in range(50)]
    assert [f.index for f in frames] == list(range(50))
    assert [bytes(a.packet) for a in sound] == [b for b, _ in sound_packets(long_clip)]


@pytest.mark.parametrize(
    ("cut", "first", "count"),
    [
        ({"start": 0.4}, 10, 40),
        ({"end": 0.4}, 0, 10),
        ({"start": 0.4, "duration": 0.2}, 10, 5),
        ({"start": 1.0, "end": 1.2}, 25, 5),
        ({"frames": 3}, 0, 3),
        ({"start": 0.4, "frames": 2}, 10, 2),
    ],
)
def test_cuts(long_clip, cut, first, count):
    info, frames, _ = read(long_clip, **cut)
    assert len(frames) == count == info.frames
    assert abs(int(frames[0].image.mean()) - 5 * first) <= 2
    assert frames[0].time == 0
    assert frames[-1].time == Fraction(count - 1, 25)


def test_a_cut_takes_its_sound_along(long_clip):
    _, _, sound = read(long_clip, start=0.1, duration=0.05)
    times = [float(s.packet.pts * s.packet.time_base) for s in sound]
    assert times
    assert 0 <= min(times) < 0.022
    assert max(times) < 0.05


def test_a_start_behind_the_end(long_clip):
    with pytest.raises(InputError, match=r"is 2.0 s long: set a `start` before its end"):
        read(long_clip, start=100.0)


def test_fps(long_clip):
    info, frames, _ = read(long_clip, fps=5)
    assert info.rate == 5
    assert [f.time for f in frames] == [Fraction(k, 5) for k in range(10)]


@given(st.integers(16, 4000), st.integers(16, 4000), st.integers(16, 4000))
def test_fit_keeps_the_shape_and_what_was_asked(width, height, wish):
    assert fit(width, height, ReadSettings()) == (width, height)
    assert fit(width, height, ReadSettings(width=wish))[0] == wish
    follows = fit(width, height, ReadSettings(width=wish))[1]
    assert follows % 2 == 0
    assert abs(follows - height * wish / width) <= 2
    assert fit(width, height, ReadSettings(width=wish, height=18)) == (wish, 18)
    w, h = fit(width, height, ReadSettings(max_side=wish))
    assert max(w, h) <= max(wish + 1, 2)
    assert (w, h) == (width, height) or max(width, height) > wish


def test_sizes(long_clip):
    _, frames, _ = read(long_clip, width=32, frames=1)
    assert frames[0].image.shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("full", "tags"), [(False, (1, 1, 1)), (True, (1, 1, 1)), (False, (6, 6, 6)), (False, (2,) * 3)]
)
def test_known_colours(tmp_path, full, tags):
    path = make_clip(
        tmp_path / "a.mp4", [bars()], pixels="yuv444p", full=full, tags=tags, options={"crf": "1"}
    )
    info, frames, _ = read(path)
    for seen, colour in zip(middles(frames[0].image), COLOURS, strict=True):
        assert np.abs(seen - colour).max() <= 4
    assert info.colour.matrix == tags[2]
    assert (info.colour.range == 2) == full


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_turned_upright(tmp_path, rotation):
    """A display matrix of +90 turns the stored picture counter-clockwise."""
    stored = np.full((48, 64, 3), 60, np.uint8)
    stored[:24, :32] = (250, 250, 250)
    path = make_clip(tmp_path / "a.mp4", [stored] * 2, rotation=rotation)
    info, frames, _ = read(path)
    expected = np.rot90(stored, rotation // 90)
    assert (info.height, info.width) == expected.shape[:2]
    assert np.abs(frames[0].image.astype(int) - expected).mean() < 12


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [("libx264", "yuv420p10le"), ("libx264", "yuv444p"), ("ffv1", "gray"), ("libx264rgb", "rgb24")],
)
def test_other_pixels(tmp_path, codec, pixels):
    grey = [np.full((48, 64, 3), 120, np.uint8)] * 2
    path = tmp_path / "a.mkv"
    make_clip(path, grey, codec=codec, pixels=pixels)
    _, frames, _ = read(path)
    assert abs(frames[0].image.mean() - 120) < 3


def test_odd_sizes_and_first_timestamps_are_kept(tmp_path):
    pictures = [textured(49, 65, k) for k in range(4)]
    path = make_clip(
        tmp_path / "a.mkv", pictures, pixels="yuv444p", times=[0, 40, 95, 120], shift=1000,
        time_base=Fraction(1, 1000),
    )  # fmt: skip
    info, frames, _ = read(path)
    assert (info.width, info.height) == (65, 49)
    assert [f.time for f in frames] == video_times(path)
    assert frames[0].time == 1


def test_from_a_stream():
    out = io.BytesIO()
    with av.open(out, "w", format="nut") as nut:
        video = nut.add_stream("rawvideo", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for k in range(3):
            nut.mux(video.encode(av.VideoFrame.from_ndarray(textured(48, 64, k), format="rgb24")))
        nut.mux(video.encode(None))
    out.seek(0)
    assert len(read(out)[1]) == 3


def test_what_cannot_be_read(tmp_path, long_clip):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("Dear diary,\n" * 100)
    with av.open(str(tmp_path / "sound.mp4"), "w") as out:
        track = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        frame.rate = 48000
        out.mux(track.encode(frame))
        out.mux(track.encode(None))
    for name, says in [
        ("none.mp4", "does not exist"),
        (".", "folder"),
        ("empty.mp4", "empty"),
        ("text.mp4", "not a video"),
        ("sound.mp4", "no video"),
    ]:
        with pytest.raises(InputError, match=says):
            open_reader(tmp_path / name)
    with pytest.raises(InputError, match="address"):
        open_reader("http://localhost/a.mp4")


def test_playlists_are_not_followed(tmp_path, long_clip):
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{long_clip}\n#EXT-X-ENDLIST\n",
        "b.m3u8": "#EXTM3U\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "c.mp4": f"ffconcat version 1.0\nfile '{long_clip}'\n",
        "d.mpd": "<?xml version='1.0'?><MPD><Period></Period></MPD>",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="not a video"):
            open_reader(tmp_path / name)


def test_a_name_with_a_colon_is_a_name(tmp_path, monkeypatch):
    make_clip(tmp_path / "concat:a.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(read("concat:a.mp4")[1]) == 5


def test_absurd_sizes(tmp_path):
    header = b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1000)
    (tmp_path / "bomb.y4m").write_bytes(header)
    with pytest.raises(InputError, match=r"60000×60000|cannot|not a video"):
        read(tmp_path / "bomb.y4m")


def test_a_damaged_middle_is_passed_over(tmp_path):
    pictures = [textured(48, 64, k) for k in range(30)]
    path = make_clip(tmp_path / "a.mkv", pictures, options={"g": "5", "bf": "0"})
    data = bytearray(Path(path).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    (tmp_path / "damaged.mkv").write_bytes(data)
    assert 15 <= len(read(tmp_path / "damaged.mkv")[1]) <= 30


def test_sound_of_a_stream_does_not_fill_the_memory(long_clip, monkeypatch, caplog):
    whole = read(long_clip)[2]
    limit = sum(packet.packet.size for packet in whole[:4])
    monkeypatch.setattr(TimedWorker, "limits", ReadLimits(audio_between_frames=limit))
    with Path(long_clip).open("rb") as stream:
        _, frames, heard = read(stream)  # which takes all frames first
    assert len(frames) == 50
    assert [bytes(p.packet) for p in heard][:4] == [bytes(p.packet) for p in whole[:4]]
    assert sum(p.packet.size for p in heard) <= limit
    assert caplog.text.count("of sound without a frame: lost") == 1
