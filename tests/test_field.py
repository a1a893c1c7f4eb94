"""What people report of recordings and files: covers, tags, time-lapses, talking encoders."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import delays
from PIL import Image

from vidream import Settings, dream_video
from vidream.core.errors import InputError, SettingsError, VidreamError
from vidream.core.settings import ReadSettings
from vidream.media import container
from vidream.media.checks import check_source
from vidream.media.places import parse_source
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


# --- files without timestamps


PAUSE = [40 * k for k in range(10)] + [3400 + 40 * k for k in range(10)]  # ms: one long pause


def paused(path, times=PAUSE, codec="libx264"):
    """Write a clip whose frames come at these times, in ms; the last one shows for 40."""
    with av.open(str(path), "w") as out:
        stream = track(out, codec, (64, 48))
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            picture = np.full((48, 64, 3), 20 + 11 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base, frame.duration = time, Fraction(1, 1000), 40
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def levels(path):
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        return stream.average_rate, [
            f.to_ndarray(format="gray").mean() for f in file.decode(stream)
        ]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("piped", [False, True])
def test_without_timestamps_frames_are_repeated_to_a_constant_rate(tmp_path, caplog, suffix, piped):
    source = paused(tmp_path / f"a.{suffix}")
    caplog.set_level(logging.INFO, "vidream")
    target = tmp_path / "out.y4m"
    if piped:
        with target.open("wb") as file:
            dream_video(source, file, COPY)
    else:
        dream_video(source, target, COPY)
    rate, found = levels(target)
    assert rate == 25
    assert len(found) == 95  # 3.8 s
    kept = levels(source)[1]
    assert np.abs(np.array(found[:10]) - kept[:10]).max() < 3
    assert np.ptp(found[9:85]) < 1
    assert np.abs(np.array(found[85:]) - kept[10:]).max() < 3
    (line,) = caplog.messages
    assert "no constant rate: 75 frames repeated" in line
    assert "NUT keep its times" in line


def test_a_constant_rate_is_written_as_it_is(tmp_path, caplog):
    for rate in (Fraction(24), Fraction(30000, 1001), Fraction(60), Fraction(120)):
        source = tmp_path / "a.mp4"
        with av.open(str(source), "w") as out:
            fill(out, track(out, "libx264", (64, 48), rate), 12)
        caplog.set_level(logging.INFO, "vidream")
        dream_video(source, tmp_path / "out.y4m", COPY.updated(overwrite=True))
        found, frames = levels(tmp_path / "out.y4m")
        assert (found, len(frames)) == (rate, 12)
    assert caplog.messages == []


@settings(max_examples=30)
@given(st.lists(st.integers(5, 400), min_size=1, max_size=12))
def test_a_file_without_timestamps_is_as_long_as_the_clip(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("steps")
    times = [0, *np.cumsum(steps).tolist()]
    source = paused(folder / "a.mkv", times, codec="ffv1")
    dream_video(source, folder / "out.y4m", COPY)
    rate, found = levels(folder / "out.y4m")
    assert rate <= 60
    assert abs(len(found) / rate - Fraction(times[-1] + 40, 1000)) <= 1 / rate + Fraction(1, 1000)


def test_a_damaged_time_does_not_fill_the_disk(tmp_path):
    source = paused(tmp_path / "a.mkv", [0, 40, 80, 3_600_000, 3_600_040])
    dream_video(source, tmp_path / "out.y4m", COPY)
    assert len(levels(tmp_path / "out.y4m")[1]) < 200


# --- transparency of a GIF, times of GIF and WebP: see test_picture_sources


def test_a_pause_keeps_its_length_in_a_gif_and_the_last_frame_its_own(tmp_path):
    source = paused(tmp_path / "a.mp4")
    for suffix in ("gif", "webp"):
        dream_video(source, tmp_path / f"out.{suffix}", COPY)
        assert delays(tmp_path / f"out.{suffix}") == [40] * 9 + [3040] + [40] * 10


# --- tracks that are left out


def test_other_films_are_named(tmp_path, caplog):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        tracks = [track(out, "libx264", size) for size in ((128, 96), (96, 64), (120, 90))]
        tracks[1].disposition = av.stream.Disposition.default
        for stream in tracks:
            fill(out, stream, 25)
    caplog.set_level(logging.INFO, "vidream")
    assert seen(path) == (96, 64)
    assert caplog.messages == [
        "left out: video track 1 (h264, 128×96), video track 3 (h264, 120×90)"
    ]


# --- batches


NAMES = ["it's a clip", 'a "quoted" one', "100% done", "50%done", "a  b", "$HOME", "über", "-dash"]


def small(path):
    with av.open(str(path), "w") as out:
        fill(out, track(out, "mpeg4", (32, 32)), 2)
    return path


def command(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "vidream", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("order", [("a.avi", "b.mp4", "a.mp4"), ("a.mp4", "a.avi", "z.mp4")])
@pytest.mark.parametrize("where", [["-o", "out/"], []])
def test_two_clips_of_one_stem_are_refused_by_name(tmp_path, order, where):
    for name in order:
        small(tmp_path / name)
    done = command(*order, "--effect", "none", *where, cwd=tmp_path)
    assert done.returncode == 2
    assert "a.avi" in done.stderr
    assert "a.mp4" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(order)


def test_make_renders_clips_of_any_name(tmp_path):
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    clips, out = tmp_path / 'it\'s 100% "mine"', tmp_path / "50%done it's"
    clips.mkdir()
    for name in NAMES:
        small(clips / f"{name}.mp4")
    made = [Image.new("RGB", (32, 32), (40 * k, 0, 0)) for k in range(3)]
    made[0].save(clips / "moving.webp", save_all=True, append_images=made[1:], duration=40)
    made[0].save(clips / "still.webp")
    project = Path(__file__).parents[1]
    fake = tmp_path / "Makefile"
    fake.write_text((project / "Makefile").read_text())
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".venv" / ".installed").touch()
    done = subprocess.run(
        [
            *("make", "dreams", f"CLIPS={clips.name}", f"OUT={out.name}"),
            *("OPTIONS=--effect none", f"VIDREAM={sys.executable} -m vidream"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [*(f"{name}.mp4" for name in NAMES), "moving.webp"]
    )


def test_make_knows_every_suffix_that_is_read():
    text = (Path(__file__).parents[1] / "Makefile").read_text()
    kinds = set(re.search(r"CLIP_KINDS := (.*?)\n\n", text, re.DOTALL)[1].replace("\\", "").split())
    read = set()
    for name in container._FORMATS.split(","):
        read |= av.ContainerFormat(name, "r").extensions
    sound = {"aac", "flac", "m2a", "m4a", "m4b", "mka", "mp2", "mp3", "mpa", "isma"}
    pictures = {"avif", "heic", "heif", "mpo"}
    assert read - sound - pictures - {"mks"} <= kinds


# --- names


@given(
    st.text(
        st.one_of(
            st.sampled_from("%%%d0123d.*?[]-~$'\" "),
            st.characters(blacklist_categories=("Cs",), blacklist_characters="/\0"),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([".mp4", ".gif", ".png", ".jpg", ".webp", ".y4m", "", ".xyz"]),
)
def test_any_name_is_a_target_or_a_line(tmp_path_factory, name, suffix):
    folder = tmp_path_factory.mktemp("names")
    picture = Image.new("RGB", (8, 8), (100, 50, 20))
    picture.save(folder / "in.png")
    target = folder / f"{name}{suffix}"
    try:
        dream_video(folder / "in.png", target, COPY)
    except VidreamError as error:
        assert len(error.rendered(str).splitlines()) == 1
        return
    numbered = len(re.findall(r"%(?:0\d{1,2}d|d(?![A-Za-z]))", target.name)) == 1
    if not (numbered and suffix in (".png", ".jpg", ".webp")):
        assert target.is_file()


@given(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=300))
def test_any_name_is_a_source_or_a_line(name):
    try:
        check_source(parse_source(name))
    except VidreamError as error:
        assert "Traceback" not in str(error)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("100%_%03d.png", ["100%_001.png", "100%_002.png"]),
        ("%d.png", ["1.png", "2.png"]),
        ("a%%%02d.jpg", ["a%%01.jpg", "a%%02.jpg"]),
        ("50%done.mp4", ["50%done.mp4"]),
        ("%d%d.mkv", ["%d%d.mkv"]),
        ("%03d.mp4", ["%03d.mp4"]),
        ("50%done.webp", ["50%done.webp"]),
    ],
)
def test_percent_signs_are_themselves_but_for_one_number(tmp_path, name, made):
    source = small(tmp_path / "in.mp4")
    (tmp_path / "out").mkdir()
    dream_video(source, tmp_path / "out" / name, COPY)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == made


def test_a_still_may_have_a_percent_sign_in_its_name(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "10%d one.png")
    dream_video(tmp_path / "10%d one.png", tmp_path / "50%done.jpg", COPY)
    assert (tmp_path / "50%done.jpg").is_file()


# --- rates


@pytest.mark.parametrize(
    ("said", "rate"),
    [
        ("30000/1001", Fraction(30000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("119.88", Fraction(120000, 1001)),
        ("25", Fraction(25)),
        ("12.5", Fraction(25, 2)),
        ("25/2", Fraction(25, 2)),
        ("30", Fraction(30)),
        ("24", Fraction(24)),
    ],
)
def test_frame_rates_are_those_that_were_meant(tmp_path, said, rate):
    source = paused(tmp_path / "a.mkv", [0, 40, 400], codec="ffv1")
    target = tmp_path / "out.nut"
    dream_video(source, target, COPY.updated(fps=said))
    with av.open(str(target)) as file:
        frames = [frame.pts * frame.time_base for frame in file.decode(video=0)]
    assert frames == [k / rate for k in range(len(frames))]
    assert len(frames) >= 5


@pytest.mark.parametrize("said", ["1/0", "a", "30/", "/1001", "0", "1e3/1"])
def test_what_is_no_rate_is_a_line(said):
    with pytest.raises(SettingsError):
        ReadSettings(fps=said)


# --- pipes, and small things


def test_a_reader_that_goes_away_ends_the_run_quietly(tmp_path):
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as out:
        fill(out, track(out, "libx264", (320, 240)), 100)
    running = subprocess.Popen(
        [sys.executable, "-m", "vidream", str(source), "-o", "-", "--effect", "none"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout.read(1000)
    running.stdout.close()
    assert running.stderr.read() == b""
    assert running.wait(60) == 141


def test_a_start_beyond_the_end_says_how_long_the_clip_is(tmp_path):
    for suffix in ("mp4", "mkv", "gif"):
        source = tmp_path / f"a.{suffix}"
        with av.open(str(source), "w") as out:
            stream = track(out, "gif" if suffix == "gif" else "libx264", (64, 48))
            stream.pix_fmt = "rgb8" if suffix == "gif" else "yuv420p"
            fill(out, stream, 25)
        with pytest.raises(InputError, match=r"is 1.0 s long: set a `start` before its end"):
            dream_video(source, tmp_path / "out.mp4", COPY.updated(start=99.0))


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_an_mp4_that_is_not_made_for_pipes_says_only_that(tmp_path, suffix):
    source = tmp_path / f"a.{suffix}"
    with av.open(str(source), "w") as out:
        stream = track(out, "libx264", (320, 240))
        random = np.random.default_rng(0)
        for index in range(60):
            picture = random.integers(0, 255, (240, 320, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE) as cat:
        done = subprocess.run(
            [sys.executable, "-m", "vidream", "-", "-o", tmp_path / "out.mp4", "--effect", "none"],
            stdin=cat.stdout,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        cat.stdout.close()
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "not made for pipes" in line


def test_the_head_of_a_nut_is_read_without_complaint(tmp_path, caplog):
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as out:
        out.metadata.update({"title": "T", "comment": "short\n" + "long " * 300})
        fill(out, track(out, "libx264", (64, 48)), 3)
    dream_video(source, tmp_path / "out.nut", COPY)
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as logs, av.open(str(tmp_path / "out.nut")) as file:
            assert file.metadata["title"] == "T"
            assert file.metadata["comment"] == "short"
    finally:
        av.logging.set_level(None)
    assert logs == []


def test_the_page_on_formats_says_what_is(tmp_path):
    """Its table is made by the script that checks it."""
    project = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, project / "benchmarks" / "roundtrip.py", "--check"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("suffix", "most"), [("gif", 655_350), ("webp", 16_777_215)])
def test_a_picture_shows_no_longer_than_the_file_can_say(tmp_path, caplog, suffix, most):
    source = paused(tmp_path / "a.mkv", [0, 40, 900_000_000, 900_000_040], codec="ffv1")
    caplog.set_level(logging.INFO, "vidream")
    dream_video(source, tmp_path / f"out.{suffix}", COPY)
    assert delays(tmp_path / f"out.{suffix}") == [40, most, 40, 40]
    assert "longer than this file can say" in caplog.text


def test_a_cover_without_a_size_is_left_out(tmp_path):
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as out:
        out.add_attachment("cover.jpg", "image/jpeg", b"\xff\xd8\xff no picture")
        fill(out, track(out, "libx264", (64, 48)), 3)
    dream_video(source, tmp_path / "out.mp4", COPY)
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert len(made.streams.video) == 1
