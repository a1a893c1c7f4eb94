"""How loud each band of a sound is."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media import make_clip

from vidream.core.errors import InputError
from vidream.core.settings import BANDS
from vidream.timeline.audio import SETTINGS, analyze, band_levels, envelopes

RATE, HOP = SETTINGS.rate, SETTINGS.hop

TIMES = np.arange(3 * RATE) / RATE


def burst(hertz, begin=1.0, end=2.0, amplitude=0.5):
    """A tone that swells up within 50 ms and down again, without a click."""
    shape = np.clip(np.minimum(TIMES - begin, end - TIMES) / 0.05, 0, 1)
    shape = 0.5 - 0.5 * np.cos(np.pi * shape)
    return (amplitude * shape * np.sin(2 * np.pi * hertz * TIMES)).astype(np.float32)


def pieces(samples, size=1000):
    return [samples[k : k + size] for k in range(0, len(samples), size)]


def write_sound(path, samples, codec="pcm_s16le", rate=RATE):
    with av.open(str(path), "w") as out:
        track = out.add_stream(codec, rate=rate)
        track.layout = "mono"
        for k, piece in enumerate(pieces(samples, 1024)):
            data = (piece[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
            frame.rate, frame.pts = rate, k * 1024
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return str(path)


@pytest.mark.parametrize(
    ("hertz", "moves"), [(60, "bass"), (200, "bass"), (1000, "mid"), (8000, "treble")]
)
def test_a_burst_moves_its_own_band_and_no_other(hertz, moves):
    found = envelopes(band_levels(pieces(burst(hertz))))
    during, before = slice(120, 190), slice(0, 90)
    for band in BANDS:
        if band in (moves, "all"):
            assert found[band][during].min() > 0.9, band
        else:
            assert found[band].max() < 0.05, band
        assert found[band][before].max() < 0.01, band


@given(st.floats(40, 15000), st.floats(0.01, 1))
def test_levels_are_the_root_mean_square(hertz, amplitude):
    tone = (amplitude * np.sin(2 * np.pi * hertz * TIMES[:RATE])).astype(np.float32)
    levels = band_levels(pieces(tone))
    assert len(levels) == pytest.approx(RATE / HOP, abs=1)
    middle = levels[10:-10, list(BANDS).index("all")]
    assert middle == pytest.approx(amplitude / np.sqrt(2), rel=0.03)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30))
def test_the_way_it_is_cut_does_not_matter(sizes):
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    cuts = np.cumsum(sizes)
    parts = np.split(noise, cuts[cuts < len(noise)])
    assert np.allclose(band_levels(parts), band_levels([noise]), rtol=1e-5, atol=1e-7)


def test_envelopes_rise_fast_and_fall_slowly():
    bass = envelopes(band_levels(pieces(burst(60))))["bass"]
    rise = np.argmax(bass > 0.63) - np.argmax(bass > 0.05)
    fall = np.argmax(bass[200:] < 0.37)
    assert rise < 8  # hundredths of a second
    assert 15 < fall < 30
    assert bass.max() == 1


def test_quiet_sound_is_as_loud_as_loud_sound():
    """One odd bang does not make the rest quiet, and a quiet recording is not still."""
    loud = envelopes(band_levels(pieces(burst(60))))["bass"]
    quiet = envelopes(band_levels(pieces(burst(60, amplitude=0.01))))["bass"]
    assert np.allclose(loud, quiet, atol=0.02)
    beats = np.tile(burst(60, amplitude=0.1), 8)
    bang = beats + np.concatenate([burst(60, 0, 0.1, 0.9), 0 * beats[len(TIMES) :]])
    assert envelopes(band_levels(pieces(bang)))["bass"][450:500].max() > 0.9


def test_silence_is_silent():
    found = envelopes(band_levels(pieces(np.zeros(RATE, np.float32))))
    assert all(not envelope.any() for envelope in found.values())


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.m4a"])
def test_files_of_sound(tmp_path, name):
    codec = {"a.wav": "pcm_s16le", "a.flac": "flac", "a.mp3": "libmp3lame", "a.m4a": "aac"}[name]
    sound = analyze(write_sound(tmp_path / name, burst(60), codec))
    assert sound.at("bass", 1.5) > 0.9
    # What encoders delay is put back: the burst begins when it began.
    assert sound.at("bass", 0.9) < 0.05
    assert sound.at("bass", 1.1) > 0.8
    assert sound.at("treble", 1.5) < 0.1
    assert (sound.at("bass", -1), sound.at("bass", 1000)) == (0, 0)


def test_another_rate_is_the_same_sound(tmp_path):
    slow = burst(60)[::2]
    sound = analyze(write_sound(tmp_path / "a.wav", slow, rate=RATE // 2))
    assert sound.at("bass", 1.5) > 0.9
    assert sound.at("bass", 0.9) < 0.05


def test_a_pause_in_the_timestamps_is_silence(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        track = out.add_stream("flac", rate=RATE)
        track.layout = "mono"
        for begin in (0, 2 * RATE):
            tone = np.sin(2 * np.pi * 60 * TIMES[:RATE])
            frame = av.AudioFrame.from_ndarray(
                (tone[None] * 32767).astype(np.int16), format="s16", layout="mono"
            )
            frame.rate, frame.pts = RATE, begin
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    sound = analyze(path)
    assert sound.at("bass", 0.5) > 0.9
    assert sound.at("bass", 1.95) < 0.05
    assert sound.at("bass", 2.5) > 0.9


def test_what_cannot_be_heard(tmp_path):
    silent = make_clip(tmp_path / "silent.mp4")
    with pytest.raises(InputError, match=r"silent\.mp4 has no sound to follow.*`audio`"):
        analyze(silent)
    with pytest.raises(InputError, match="does not exist"):
        analyze(str(tmp_path / "none.mp3"))
    with pytest.raises(InputError, match="pipe"):
        analyze("-")
