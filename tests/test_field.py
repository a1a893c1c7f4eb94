"""What people report of recordings and files: covers, tags, time-lapses, talking encoders."""

from __future__ import annotations

import logging
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from vidream import Settings, dream_video
from vidream.media.reader import open_reader

COPY = Settings().updated(effect="none")


def track(out, codec, size, rate=25, **options):
    stream = out.add_stream(codec, rate=rate, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return stream


def fill(out, stream, count):
    for index in range(count):
        level = 60 + 10 * (index % 10)
        picture = np.full((stream.height, stream.width, 3), level, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = index, 1 / Fraction(stream.average_rate)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def seen(path):
    with open_reader(str(path)) as reader:
        return reader.info.width, reader.info.height


# --- which track is the film


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("cover", ["mjpeg", "libx264"])
def test_a_cover_that_is_not_marked_as_one_is_never_the_film(tmp_path, suffix, cover):
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as out:
        film = track(out, "libx264", (64, 48))
        picture = track(out, cover, (320, 320))
        film.disposition = av.stream.Disposition.default
        fill(out, picture, 1)
        fill(out, film, 25)
    assert seen(path) == (64, 48)


def test_a_short_preview_is_never_the_film(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        film, preview = track(out, "libx264", (64, 48)), track(out, "libx264", (128, 96))
        fill(out, film, 50)
        fill(out, preview, 5)
    assert seen(path) == (64, 48)


def test_of_several_films_the_default_one_is_read_and_then_the_largest(tmp_path):
    for default, size in (((0, 1), (96, 64)), ((1, 0), (128, 96)), ((1, 1), (128, 96))):
        path = tmp_path / "a.mkv"
        with av.open(str(path), "w") as out:
            tracks = track(out, "libx264", (128, 96)), track(out, "libx264", (96, 64))
            for stream, wanted in zip(tracks, default, strict=True):
                if wanted:
                    stream.disposition = av.stream.Disposition.default
            for stream in tracks:
                fill(out, stream, 25)
        assert seen(path) == size


# --- tags


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_tags_in_capitals_are_kept(tmp_path, suffix):
    tags = {"title": "T", "ARTIST": "A", "Date": "2020", "DESCRIPTION": "D", "COMMENT": "C"}
    source, target = tmp_path / "a.mkv", tmp_path / f"out.{suffix}"
    with av.open(str(source), "w") as out:
        out.metadata.update(tags)
        fill(out, track(out, "libx264", (64, 48)), 3)
    dream_video(source, target, COPY)
    with av.open(str(target)) as made:
        found = {name.lower(): value for name, value in made.metadata.items()}
    assert found["comment"].startswith("C\n")
    assert [found[name] for name in ("title", "artist", "date")] == ["T", "A", "2020"]
    if suffix != "mov":  # which has no place for it
        assert found["description"] == "D"


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_when_and_where_a_clip_was_taken_is_kept(tmp_path, suffix):
    source, target = tmp_path / f"a.{suffix}", tmp_path / f"out.{suffix}"
    with av.open(str(source), "w") as out:
        out.metadata.update(
            {"creation_time": "2021-05-04T10:00:00.000000Z", "location": "+48.1000-011.5000/"}
        )
        fill(out, track(out, "libx264", (64, 48)), 3)
    dream_video(source, target, COPY)
    with av.open(str(target)) as made:
        assert made.metadata["creation_time"] == "2021-05-04T10:00:00.000000Z"
        assert made.metadata["location"] == "+48.1000-011.5000/"


# --- time-lapses


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("reordered", ["0", "2"])
def test_a_whole_time_lapse_is_not_said_to_end_early(tmp_path, caplog, suffix, reordered):
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as out:
        fill(out, track(out, "libx264", (64, 48), 1, bf=reordered), 20)
    caplog.set_level(logging.INFO, "vidream")
    with open_reader(str(path)) as reader:
        assert len(list(reader)) == 20
    assert not [line for line in caplog.messages if "ends after" in line]


# --- encoders that talk


def test_an_encoder_that_talks_keeps_quiet(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "out.mp4"
    with av.open(str(source), "w") as out:
        fill(out, track(out, "libx264", (64, 64)), 3)
    command = [
        "vidream",
        str(source),
        "-o",
        str(target),
        "--codec",
        "av1",
        "--effect",
        "none",
        "-q",
    ]
    ran = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout + ran.stderr == ""
