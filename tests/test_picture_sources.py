"""Pictures as sources: told by their content, numbered ones as clips, and animations."""

from __future__ import annotations

import logging
from fractions import Fraction

import av
import numpy as np
import pytest
from conftest import textured
from heif import make_heic
from hypothesis import given, settings
from hypothesis import strategies as st
from media import delays
from PIL import Image
from test_cli import one_line, run

from vidream import Settings, dream_video
from vidream.core.errors import InputError, OutputError
from vidream.core.settings import ReadSettings
from vidream.media import pictures, stills
from vidream.media.places import AnimationFile, StillFile, VideoFile, parse_source
from vidream.media.reader import open_reader
from vidream.media.stills import read_still

COPY = Settings().updated(effect="none")


def picture(number=0):
    return textured(48, 64, number)


# --- pictures by their content


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("a.jfif", "JPEG", {}),
        ("a.jpe", "JPEG", {}),
        ("a.bmp", "BMP", {}),
        ("a.dib", "BMP", {}),
        ("a.tif", "TIFF", {}),
        ("a.tiff", "TIFF", {"compression": "tiff_lzw"}),
        ("a.avif", "AVIF", {}),
        ("a.gif", "GIF", {}),
        ("a", "PNG", {}),
        ("a.mp4", "JPEG", {}),
        ("a.jpg", "WEBP", {}),
        ("a.dat", "BMP", {}),
    ],
)
def test_a_picture_is_told_by_its_content(tmp_path, name, kind, options):
    Image.fromarray(picture()).save(tmp_path / name, kind, **options)
    assert type(parse_source(tmp_path / name)) is StillFile
    dream_video(tmp_path / name, tmp_path / "out.png", COPY)
    with Image.open(tmp_path / "out.png") as opened:
        made = np.array(opened)
    assert np.abs(made.astype(int) - picture()).mean() < 12


@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize("with_pillow", [False, True])
def test_heic_is_read_upright(tmp_path, monkeypatch, turn, with_pillow):
    if with_pillow:
        pytest.importorskip("pillow_heif")
    else:
        monkeypatch.setattr(stills, "opens_heic", lambda: False)
    make_heic(tmp_path / "a.heic", picture(), turn=turn)
    read = read_still(tmp_path / "a.heic", ReadSettings())
    assert np.abs(read.image.astype(int) - np.rot90(picture(), turn)).mean() < 12
    small = read_still(tmp_path / "a.heic", ReadSettings(max_side=32))
    assert max(small.image.shape) == 32


def test_a_heic_of_tiles_says_what_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr(stills, "opens_heic", lambda: False)
    make_heic(tmp_path / "a.heic", picture())
    data = (tmp_path / "a.heic").read_bytes().replace(b"hvc1", b"grid", 1)
    (tmp_path / "a.heic").write_bytes(data)
    with pytest.raises(InputError, match=r"made of tiles.*vidream\[heic\]"):
        read_still(tmp_path / "a.heic", ReadSettings())


def test_without_the_package_pillow_opens_no_heic(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    pictures.opens_heic.cache_clear()
    try:
        assert not pictures.opens_heic()
    finally:
        pictures.opens_heic.cache_clear()


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.full((8, 8), 0.5, np.float32), 128),
        (np.full((8, 8), 200, np.float32), 200),
        (np.full((8, 8), 0x8080, np.uint16), 128),
        (np.full((8, 8), np.nan, np.float32), 0),
    ],
)
def test_deep_tiff_is_scaled_and_not_clipped(tmp_path, levels, expected):
    Image.fromarray(levels).save(tmp_path / "a.tif")
    assert (read_still(tmp_path / "a.tif", ReadSettings()).image == expected).all()


def test_of_several_pages_the_first_is_taken_with_a_line(tmp_path, caplog):
    pages = [Image.fromarray(picture(k)) for k in range(2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    caplog.set_level(logging.INFO, "vidream")
    assert np.array_equal(read_still(tmp_path / "a.tif", ReadSettings()).image, picture())
    assert "several pictures" in caplog.text


def test_a_film_by_the_name_of_a_picture_is_one(clip, tmp_path):
    (tmp_path / "a.jpg").write_bytes(open(clip, "rb").read())  # noqa: PTH123, SIM115
    assert type(parse_source(tmp_path / "a.jpg")) is VideoFile
    with open_reader(tmp_path / "a.jpg") as reader:
        assert len(list(reader)) == 6


def test_the_source_is_looked_at_before_the_target_is_blamed(tmp_path):
    (tmp_path / "a.mp4").write_text("no film, but a text")
    for name in ("none.mp4", "a.mp4"):
        result = run(str(tmp_path / name), "-o", str(tmp_path / "out.png"))
        assert result.exit_code == 1
        assert name in one_line(result)


def test_of_a_still_of_another_kind_a_dream_is_named_that_can_be_written(tmp_path):
    for name in ("a.bmp", "b.jfif", "c.tiff"):
        Image.fromarray(picture()).save(tmp_path / name, None if name != "b.jfif" else "JPEG")
    sources = [str(path) for path in sorted(tmp_path.iterdir())]
    result = run(*sources, "--effect", "none", "-q")
    assert result.exit_code == 0, result.output
    made = {path.name for path in tmp_path.glob("*.dream.*")}
    assert made == {"a.dream.png", "b.dream.png", "c.dream.png"}


# --- numbered pictures


def numbered(folder, names):
    for k, name in enumerate(names):
        Image.fromarray(picture(k)).save(folder / name)


def check(source, target, count, **values):
    """Render pictures, and look whether they come out in their order."""
    dream_video(source, target, COPY.updated(**values))
    with open_reader(target) as reader:
        frames = list(reader)
    assert len(frames) == count
    for k, frame in enumerate(frames):
        assert np.abs(frame.image.astype(int) - picture(k)).mean() < 12
    return frames


@pytest.mark.parametrize("place", ["f%03d.png", "*.png", "f*.png", "f???.png", ""])
@pytest.mark.parametrize(
    ("fps", "rate"),
    [(None, Fraction(25)), (24.0, Fraction(24)), (23.976, Fraction(24000, 1001))],
)
def test_numbered_pictures_are_a_clip(tmp_path, place, fps, rate):
    (tmp_path / "in").mkdir()
    numbered(tmp_path / "in", [f"f{k:03d}.png" for k in range(5, 11)])
    frames = check(str(tmp_path / "in" / place), tmp_path / "out.mp4", 6, fps=fps)
    assert [frame.time for frame in frames] == [k / rate for k in range(6)]


def test_numbers_are_sorted_by_their_size_and_may_have_gaps(tmp_path):
    (tmp_path / "in").mkdir()
    numbered(tmp_path / "in", ["f2.png", "f10.png", "f11.png", "f100.png"])
    for place in ("f%d.png", "*.png"):
        check(str(tmp_path / "in" / place), tmp_path / f"{place[1]}.mp4", 4)


def test_pictures_of_any_kind_may_follow_each_other(tmp_path):
    (tmp_path / "in").mkdir()
    numbered(tmp_path / "in", ["1.png", "2.jpg", "3.webp", "4.bmp", "5.tif"])
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    (tmp_path / "in" / ".hidden.png").write_bytes((tmp_path / "in" / "1.png").read_bytes())
    check(str(tmp_path / "in"), tmp_path / "out.mkv", 5)


def test_a_part_of_numbered_pictures(tmp_path):
    (tmp_path / "in").mkdir()
    numbered(tmp_path / "in", [f"{k}.png" for k in range(10)])
    settings = COPY.updated(fps=10.0, start=0.2, duration=0.5)
    dream_video(str(tmp_path / "in" / "%d.png"), tmp_path / "out.mkv", settings)
    with open_reader(tmp_path / "out.mkv") as reader:
        frames = list(reader)
    assert [round(float(f.time), 2) for f in frames] == [0, 0.1, 0.2, 0.3, 0.4]
    assert np.abs(frames[0].image.astype(int) - picture(2)).mean() < 12


def test_numbered_pictures_can_be_resumed_until_they_change(tmp_path):
    (tmp_path / "in").mkdir()
    numbered(tmp_path / "in", ["1.png", "2.png"])
    target = tmp_path / "out"
    target.mkdir()
    for said in ("is done", "is up to date", "is up to date", "is done"):
        if said == "is done" and any(target.iterdir()):
            numbered(tmp_path / "in", ["3.png"])
        result = run(str(tmp_path / "in"), "-o", f"{target}/", "--effect", "none", "--overwrite")
        assert said in result.output, result.output


def test_numbered_pictures_are_never_written_over_themselves(tmp_path):
    numbered(tmp_path, ["1.png", "2.png"])
    before = (tmp_path / "1.png").read_bytes()
    place = str(tmp_path / "%d.png")
    with pytest.raises(OutputError, match="the source itself"):
        dream_video(place, place, COPY.updated(overwrite=True))
    with pytest.raises(OutputError, match="the source itself"):
        dream_video(str(tmp_path), tmp_path / "%d.png", COPY.updated(overwrite=True))
    assert (tmp_path / "1.png").read_bytes() == before


@pytest.mark.parametrize("place", ["f%03d.png", "*.jpg", "in"])
def test_no_pictures_are_a_line(tmp_path, place):
    (tmp_path / "in").mkdir()
    result = run(str(tmp_path / place), "-o", str(tmp_path / "out.mp4"))
    assert result.exit_code == 1
    assert "picture" in one_line(result)


def test_a_damaged_picture_among_them_is_named(tmp_path):
    numbered(tmp_path, ["1.png", "2.png"])
    data = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"2\.png is not a picture"):
        dream_video(str(tmp_path / "%d.png"), tmp_path / "out.mp4", COPY)
    assert not (tmp_path / "out.mp4").exists()


# --- animations

DELAYS = [100, 40, 500, 20, 2000]


def animate(path, shown=DELAYS, **options):
    """Write an animation, transparent in part."""
    made = [Image.fromarray(picture(k)) for k in range(len(shown))]
    if path.suffix == ".webp":
        options = {"lossless": True, **options}
    made[0].save(path, save_all=True, append_images=made[1:], duration=shown, loop=0, **options)
    return path


@pytest.mark.parametrize("name", ["a.webp", "a.gif", "a.png", "a.apng", "gif named.png"])
def test_an_animation_is_a_clip_where_the_target_moves(tmp_path, name):
    path = tmp_path / name
    if name.startswith("gif"):
        animate(tmp_path / "a.gif").rename(path)
    else:
        animate(path)
    assert type(parse_source(path)) is AnimationFile
    frames = check(path, tmp_path / "out.mkv", 5)
    assert [round(float(f.time) * 1000) for f in frames] == [0, 100, 140, 640, 660]
    with av.open(str(tmp_path / "out.mkv")) as made:
        assert abs(made.duration / 1000 - 2660) <= 1


@pytest.mark.parametrize("name", ["a.webp", "a.gif", "a.png"])
@pytest.mark.parametrize("target", ["out.png", "out.jpg"])
def test_it_is_its_first_picture_where_the_target_does_not(tmp_path, caplog, name, target):
    animate(tmp_path / name)
    caplog.set_level(logging.INFO, "vidream")
    dream_video(tmp_path / name, tmp_path / target, COPY)
    with Image.open(tmp_path / target) as opened:
        assert np.abs(np.array(opened).astype(int) - picture()).mean() < 12
    assert "several pictures" in caplog.text


@pytest.mark.parametrize("source", ["gif", "webp"])
@pytest.mark.parametrize("target", ["gif", "webp"])
@settings(max_examples=15)
@given(
    shown=st.lists(st.sampled_from([20, 30, 40, 100, 370, 2000]), min_size=2, max_size=6),
    disposal=st.sampled_from([1, 2]),
)
def test_every_delay_is_kept_the_last_one_too(tmp_path_factory, source, target, shown, disposal):
    folder = tmp_path_factory.mktemp("delays")
    options = {"disposal": disposal} if source == "gif" else {}
    animate(folder / f"a.{source}", shown, **options)
    dream_video(folder / f"a.{source}", folder / f"out.{target}", COPY)
    assert delays(folder / f"out.{target}") == shown


def test_an_animation_masks_and_guides_as_a_video_does(tmp_path, clip):
    made = [Image.fromarray(np.full((8, 8), 255 * (k == 1), np.uint8)) for k in range(3)]
    made[0].save(tmp_path / "m.webp", save_all=True, append_images=made[1:], duration=40)
    settings = COPY.updated(mask=str(tmp_path / "m.webp"))
    assert dream_video(clip, tmp_path / "out.mp4", settings) == 6


def test_a_damaged_animation_is_a_line(tmp_path):
    data = animate(tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(data[: len(data) // 2])
    result = run(str(tmp_path / "a.webp"), "-o", str(tmp_path / "out.mp4"), "--effect", "none")
    assert result.exit_code == 1
    assert one_line(result)
