"""Live cameras: how they are named and opened, with a recording in place of the device."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import av
import pytest
from conftest import Reports
from media import video_times
from recordings import record, varied

from vidream import Settings, dream_video
from vidream.core.errors import InputError
from vidream.media import container
from vidream.media.cameras import device_input
from vidream.media.timeouts import ReadLimits, TimedWorker


@pytest.mark.parametrize(
    ("name", "system", "expected"),
    [
        ("/dev/video0", "linux", ("/dev/video0", "v4l2")),
        ("camera:2", "linux", ("/dev/video2", "v4l2")),
        ("camera:/dev/v4l/by-id/usb-cam", "linux", ("/dev/v4l/by-id/usb-cam", "v4l2")),
        ("camera:", "darwin", ("0:none", "avfoundation")),
        ("camera:FaceTime HD", "darwin", ("FaceTime HD:none", "avfoundation")),
        ("camera:USB Camera", "win32", ("video=USB Camera", "dshow")),
        ("/dev/video0", "darwin", None),
        ("/dev/video0.mp4", "linux", None),
        ("clip.mp4", "linux", None),
    ],
)
def test_names_of_cameras(name, system, expected):
    device = device_input(name, system)
    assert expected == (device and (device.url, device.format))


class Device:
    """A camera: it counts from when the machine was started, and often has nothing new."""

    def __init__(self, path):
        self._clip = av.open(path)
        self._packets = self._clip.demux(self._clip.streams.video[0])
        self.empty = 0

    def __getattr__(self, name):
        return getattr(self._clip, name)

    def demux(self, streams):
        while True:
            self.empty += 1
            if self.empty % 3:
                raise av.error.BlockingIOError(11, "not yet")
            yield next(self._packets)


@pytest.fixture
def device(tmp_path, monkeypatch):
    path = record(
        tmp_path / "camera.nut", codec="mjpeg", pixels="yuvj420p", sound=None,
        times=varied(100, 86_400_000), tags=(2, 1, 1, 6),
    )  # fmt: skip
    opened = []

    def open_device(place, kind, options):
        opened.append((place, kind))
        return Device(path)

    monkeypatch.setattr(container, "av_open", open_device)
    return opened


def test_a_camera_is_read_for_as_long_as_is_asked(tmp_path, device):
    target = tmp_path / "out.mkv"
    settings = Settings(effect="none").updated(duration=1.5)
    count = dream_video("camera:0", target, settings)
    assert device[0][1] in ("v4l2", "avfoundation", "dshow")
    found = video_times(target)
    wanted = [Fraction(t - 86_400_000, 1000) for t in varied(100, 86_400_000)]
    assert found == [t for t in wanted if t < Fraction(3, 2)]
    assert count == len(found) > 20


def test_ctrl_c_ends_a_camera_properly(tmp_path, device):
    def stop(report):
        if report.index == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dream_video("camera:0", tmp_path / "o.mp4", Settings(effect="none"), reporter=Reports(stop))
    assert len(video_times(tmp_path / "o.mp4")) == 10


def test_a_camera_that_stays_silent_is_given_up(tmp_path, device, monkeypatch):
    monkeypatch.setattr(TimedWorker, "limits", ReadLimits(camera=0))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(InputError, match="can be decoded"):
        dream_video("camera:0", tmp_path / "o.mp4", Settings(effect="none"))


def test_no_camera(tmp_path):
    with pytest.raises(InputError, match="camera camera:97 cannot be opened"):
        dream_video("camera:97", tmp_path / "o.mp4", Settings(effect="none"))


@pytest.mark.skipif(not Path("/dev/video0").exists(), reason="there is no camera here")
def test_a_real_camera(tmp_path):
    settings = Settings(effect="none").updated(duration=1)
    assert dream_video("/dev/video0", tmp_path / "o.mp4", settings) >= 2
