"""Sources and targets: what a place means, and what is refused before anything is opened."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidream.core.errors import InputError, OutputError
from vidream.core.settings import WriteSettings
from vidream.media.checks import check_source, check_target
from vidream.media.codecs import CONTAINERS
from vidream.media.places import (
    CameraDevice,
    Fifo,
    Noise,
    PictureFiles,
    PipeIn,
    PipeTarget,
    SequenceTarget,
    StillFile,
    StillTarget,
    VideoFile,
    VideoTarget,
    parse_source,
    parse_target,
)


def test_sources(tmp_path):
    stream = io.BytesIO()
    os.mkfifo(tmp_path / "pipe.y4m")
    for place, expected, live in [
        ("-", PipeIn(), True),
        (stream, PipeIn(stream), True),
        ("camera:0", CameraDevice("camera:0"), True),
        (tmp_path / "pipe.y4m", Fifo(tmp_path / "pipe.y4m"), True),
        ("clip.mp4", VideoFile(Path("clip.mp4")), False),
        (Path("a.gif"), VideoFile(Path("a.gif")), False),
        ("a.JPG", StillFile(Path("a.JPG")), False),
        ("a.webp", StillFile(Path("a.webp")), False),
        ("a%05d.png", PictureFiles(Path("a%05d.png")), False),
        ("a/*.png", PictureFiles(Path("a/*.png")), False),
        ("*.mp4", VideoFile(Path("*.mp4")), False),
        ("a%05d.mp4", VideoFile(Path("a%05d.mp4")), False),
        (tmp_path, PictureFiles(tmp_path), False),
        ("noise:64x48", Noise(64, 48), False),
    ]:
        source = parse_source(place)
        assert (source, source.is_live) == (expected, live)
        assert type(source) is type(expected)
        assert source.is_pipe == isinstance(source, PipeIn)
        assert source.is_picture == isinstance(source, (StillFile, Noise))
        assert parse_source(source) is source
    for place in ("noise:64", "noise:x", "http://localhost/a.mp4"):
        with pytest.raises(InputError):
            parse_source(place)


def test_targets(tmp_path):
    stream, nut = io.BytesIO(), WriteSettings(format="nut")
    for place, moving, expected in [
        ("-", True, PipeTarget(None, CONTAINERS[".y4m"])),
        (stream, True, PipeTarget(stream, CONTAINERS[".y4m"])),
        ("a.MP4", True, VideoTarget(Path("a.MP4"), CONTAINERS[".mp4"])),
        ("a.mp4", False, VideoTarget(Path("a.mp4"), CONTAINERS[".mp4"])),
        ("a.webp", True, VideoTarget(Path("a.webp"), CONTAINERS[".webp"])),
        ("a.webp", False, StillTarget(Path("a.webp"))),
        ("a.png", False, StillTarget(Path("a.png"))),
        ("frames/%05d.png", True, SequenceTarget(Path("frames/%05d.png"))),
    ]:
        target = parse_target(place, moving=moving)
        assert target == expected
        assert parse_target(target) is target
    assert parse_target("-", nut) == PipeTarget(None, CONTAINERS[".nut"])
    for place, says in [
        ("a.png", "single picture"),
        ("a.xyz", "unknown suffix"),
        ("frames%05d/a", "unknown suffix"),
        (tmp_path, "folder"),
    ]:
        with pytest.raises(OutputError, match=says):
            parse_target(place)


def test_pictures_of_a_pattern(tmp_path):
    for name in ("a0001.png", "a00012.png", "a1.png", "b0001.png", "a0001.jpg"):
        (tmp_path / name).touch()
    target = SequenceTarget(tmp_path / "a%04d.png")
    found = [path.name for path in target.existing(overwrite=True)]
    assert found == ["a0001.png", "a00012.png"]
    assert target.numbered(7) == "a0007.png"
    with pytest.raises(OutputError, match="already exists"):
        target.existing(overwrite=False)
    assert SequenceTarget(tmp_path / "none" / "%d.png").existing(overwrite=False) == []


def test_sources_that_cannot_be(tmp_path):
    (tmp_path / "empty.mp4").touch()
    for name, says in [("none.mp4", "does not exist"), (".", "folder"), ("empty.mp4", "empty")]:
        with pytest.raises(InputError, match=says):
            check_source(parse_source(tmp_path / name))
    for place in ("-", "camera:0", "noise:64x48"):
        check_source(parse_source(place))


def test_names_are_checked_without_anything_slow(tmp_path):
    (tmp_path / "a.mp4").write_text("a clip")
    code = (
        "import sys; from vidream.media.places import *; from vidream.core.settings import *;"
        "from vidream.media.checks import *;"
        "source, settings = parse_source('a.mp4'), WriteSettings(codec='hevc');"
        "check_source(source); check_target(parse_target('b.mp4', settings), source, settings);"
        "print(sorted({'torch', 'av', 'PIL', 'numpy'} & set(sys.modules)))"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def check(target, source, settings):
    check_target(parse_target(target, settings), parse_source(source), settings)


def test_targets_that_cannot_be(tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.touch()
    (tmp_path / "link.mp4").symlink_to(clip)
    (tmp_path / "there.mp4").touch()
    (tmp_path / "001.png").touch()
    for name, says, settings in [
        ("d.xyz", "unknown suffix", {}),
        ("d", "unknown suffix", {}),
        ("d.png", "pattern", {}),
        (".", "folder", {}),
        ("none/d.mp4", "output folder .* does not exist", {}),
        ("link.mp4", "source itself", {"overwrite": True}),
        ("there.mp4", "already exists .set `overwrite`", {}),
        ("%03d.png", "already exists .set `overwrite`", {}),
        ("d.webm", "cannot hold h264", {"codec": "h264"}),
        ("d.mkv", "no `crf`", {"codec": "ffv1", "crf": 5}),
        ("d.gif", "no `crf`", {"crf": 5}),
    ]:
        with pytest.raises(OutputError, match=says):
            check(tmp_path / name, clip, WriteSettings(**settings))
    check(tmp_path / "fine.mp4", clip, WriteSettings())
    check("-", clip, WriteSettings())
