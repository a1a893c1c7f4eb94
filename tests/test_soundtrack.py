"""Another sound for a clip."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from conftest import textured
from media import make_clip, sound_packets, video_times
from PIL import Image
from test_audio import RATE, TIMES, burst, write_sound

from vidream import Settings, dream_video
from vidream.media.soundtrack import Soundtrack
from vidream.timeline.audio import analyze


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """Three seconds, the second of which hums."""
    return write_sound(tmp_path_factory.mktemp("song") / "song.m4a", burst(60), "aac")


def bass(path, time):
    return analyze(str(path)).at("bass", time)


def test_packets_come_once_and_in_order(song):
    with Soundtrack(song) as audio:
        before = [packet.time for packet in audio.until(Fraction(0))]
        parts = [[packet.time for packet in audio.until(Fraction(k, 10))] for k in range(1, 11)]
        rest = [packet.time for packet in audio.until(None)]
    assert all(time < 0 for time in before)
    assert all(part and part[-1] < Fraction(k, 10) for k, part in enumerate(parts, 1))
    times = [*before, *(time for part in parts for time in part), *rest]
    assert times == sorted(set(times))
    assert rest[0] >= 1
    assert 2.9 < times[-1] < 3


@pytest.mark.parametrize("first", [Fraction(0), Fraction(37, 10)])
def test_a_cut_takes_its_cut_of_the_sound(song, first):
    """Whether the clip's own times begin at 0 or anywhere: the first frame is at the start."""
    with Soundtrack(song, 1.5) as audio:
        assert list(audio.until(first)) == []
        times = [float(packet.time - first) for packet in audio.until(first + Fraction(1, 2))]
    assert 0 <= times[0] < 1024 / RATE
    assert 0.45 < times[-1] < 0.5


def test_a_clip_gets_the_sound_packet_for_packet(song, tmp_path):
    clip = make_clip(tmp_path / "c.mp4", rate=Fraction(5), sound="aac")
    dream_video(clip, str(tmp_path / "d.mp4"), Settings().updated(effect="none", audio=song))
    theirs = [data for data, _ in sound_packets(song)]
    ours = [data for data, _ in sound_packets(tmp_path / "d.mp4")]
    assert ours
    assert theirs[: len(ours)] == ours
    assert video_times(tmp_path / "d.mp4") == video_times(clip)
    assert bass(tmp_path / "d.mp4", 0.8) < 0.1


def test_a_film_of_a_still_gets_it_too(song, tmp_path):
    Image.fromarray(textured(48, 64)).save(tmp_path / "a.png")
    settings = Settings().updated(effect="none", zoom=1.01, fps=10, frames=20, audio=song)
    for name in ("z.mp4", "z.webm"):  # copied, and encoded anew
        dream_video(str(tmp_path / "a.png"), str(tmp_path / name), settings)
        assert bass(tmp_path / name, 0.8) < 0.1
        assert bass(tmp_path / name, 1.5) > 0.9
        with av.open(str(tmp_path / name)) as film:
            assert len(list(film.decode(video=0))) == 20


def test_sound_without_names_of_its_channels(tmp_path):
    """As WAV has it."""
    two = np.stack([burst(60), 0 * TIMES.astype(np.float32)])
    path = str(tmp_path / "s.wav")
    with av.open(path, "w") as out:
        track = out.add_stream("pcm_s16le", rate=RATE)
        track.layout = "stereo"
        data = (two.T.reshape(1, -1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(data, format="s16", layout="stereo")
        frame.rate, frame.pts = RATE, 0
        out.mux(track.encode(frame))
        out.mux(track.encode(None))
    clip = make_clip(tmp_path / "c.mp4", [textured(48, 64)] * 20, rate=Fraction(10))
    dream_video(clip, str(tmp_path / "d.mp4"), Settings().updated(effect="none", audio=path))
    assert bass(tmp_path / "d.mp4", 1.5) > 0.9
    assert bass(tmp_path / "d.mp4", 0.8) < 0.1
