"""A run that is cut short, and one with --resume after it: the same bytes as without a stop."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from conftest import Reports, textured
from media import leftovers, make_clip, sound_packets, video_times

from vidream import (
    DreamSettings,
    PostprocessSettings,
    ReadSettings,
    Settings,
    VidreamError,
    dream_video,
)
from vidream.core.errors import OutputError, SettingsError
from vidream.media.encoder import VideoEncoder, open_encoder
from vidream.media.reader import open_reader
from vidream.render.work_folder import WorkFolder

NONE = Settings(effect="none")
DREAM = Settings(dream=DreamSettings(octaves=2, steps=2, jitter=4, recall=2))


class Gone(BaseException):
    """As near to being killed as a test can come without dying: nothing is put in order."""


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch):
    """Segments of four frames, and a save after each frame."""
    monkeypatch.setattr("vidream.render.segments._LEAST", 4)
    monkeypatch.setattr("vidream.render.segments._PIXEL_BYTES", 0)
    monkeypatch.setattr("vidream.render.sinks.AT_RISK", 0)
    monkeypatch.setattr("vidream.render.sinks._WORTH", 0)


@pytest.fixture(scope="session")
def moving(tmp_path_factory) -> str:
    """14 frames with sound: a pan, a frame that is shown three times, a cut and another pan."""
    pan = [np.roll(textured(64, 96), 3 * k, axis=1) for k in range(7)]
    other = [255 - np.roll(textured(64, 96, 5) // 2, 2 * k, axis=0) for k in range(5)]
    pictures = [*pan, pan[-1], pan[-1], *other]
    path = tmp_path_factory.mktemp("resume") / "moving.mp4"
    return make_clip(path, pictures, rate=Fraction(30000, 1001), sound="aac")


def resumed(settings):
    return replace(settings, write=replace(settings.write, resume=True))


def cut_short(source, target, settings, index, error=Gone):
    """Run until the frame of that number is done."""

    def stop(report):
        if report.index == index:
            raise error

    with pytest.raises(error):
        dream_video(source, target, settings, reporter=Reports(stop))


def same_after(source, folder, name, settings, *stops):
    """Whether a run that stops there and there gives what one without a stop does."""
    whole, pieces = folder / f"whole{name}", folder / f"pieces{name}"
    count = dream_video(source, whole, settings)
    for number, index in enumerate(stops):
        cut_short(source, pieces, resumed(settings) if number else settings, index)
        assert not pieces.exists()
    seen = Reports()
    assert dream_video(source, pieces, resumed(settings), reporter=seen) == count
    assert not leftovers(folder, whole.name, pieces.name)
    assert [r.index for r in seen.frames] == list(range(stops[-1] + 1, count))
    return whole.read_bytes() == pieces.read_bytes()


@pytest.mark.parametrize("stops", [(1,), (3,), (7,), (2, 5, 9), (13,)])
def test_a_dream_goes_on_to_the_same_bytes(moving, tmp_path, stops):
    assert same_after(moving, tmp_path, ".mp4", DREAM, *stops)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        (".mp4", None),
        (".mp4", "hevc"),
        (".webm", "vp9"),
        (".mkv", "av1"),
        (".mkv", "ffv1"),
        (".mov", "prores"),
        (".gif", None),
        (".webp", None),
        (".y4m", None),
    ],
)
def test_every_kind_of_file_goes_on_to_the_same_bytes(moving, tmp_path, name, codec):
    settings = NONE.updated(codec=codec)
    assert same_after(moving, tmp_path, name, settings, 5, 10)


@pytest.mark.parametrize(
    "read",
    [
        ReadSettings(frames=9),
        ReadSettings(start=0.1, end=0.4),
        ReadSettings(fps=17),
        ReadSettings(width=50, height=35),
    ],
)
def test_cuts_rates_and_sizes_go_on_to_the_same_bytes(moving, tmp_path, read):
    assert same_after(moving, tmp_path, ".mp4", replace(NONE, read=read), 2, 5)


def test_a_mask_that_moves_keeps_step(moving, tmp_path):
    ramp = [np.full((64, 96, 3), 18 * k, np.uint8) for k in range(14)]
    mask = make_clip(tmp_path / "mask.mkv", ramp, rate=Fraction(30000, 1001), codec="ffv1")
    (tmp_path / "out").mkdir()
    settings = replace(DREAM, postprocess=PostprocessSettings(mask=mask, feather=0))
    assert same_after(moving, tmp_path / "out", ".mp4", settings, 6)


def test_keys_and_another_sound_keep_step(moving, tmp_path):
    other = make_clip(tmp_path / "tone.mp4", [textured(64, 96)] * 14, sound="aac")
    (tmp_path / "out").mkdir()
    settings = DREAM.updated(keys=("strength: 0s=0.1, 0.4s=1",), audio=other, start=0.1)
    assert same_after(moving, tmp_path / "out", ".mp4", settings, 5)
    assert sound_packets(tmp_path / "out" / "pieces.mp4")


def test_numbered_pictures_go_on(moving, tmp_path):
    dream_video(moving, tmp_path / "a" / "%03d.png", NONE)
    cut_short(moving, tmp_path / "b" / "%03d.png", NONE, 6)
    assert leftovers(tmp_path / "b") == [".%03d.png.vidream"]
    dream_video(moving, tmp_path / "b" / "%03d.png", resumed(NONE))
    names = leftovers(tmp_path / "a")
    assert names == leftovers(tmp_path / "b") == [f"{k:03d}.png" for k in range(1, 15)]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("effect", ["none", "dream"])
def test_killed_at_any_moment(moving, tmp_path, effect):
    """For good: by a signal that nobody can catch, in the middle of a frame."""
    script = (
        "import os, signal, sys, threading, time\n"
        "import vidream.cli, vidream.render.sinks, vidream.render.segments\n"
        "vidream.render.segments._LEAST, vidream.render.segments._PIXEL_BYTES = 4, 0\n"
        "vidream.render.sinks.AT_RISK = vidream.render.sinks._WORTH = 0\n"
        "def kill():\n"
        "    time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "from vidream.cli.terminal import ProgressBar\n"
        "real = ProgressBar.frame\n"
        "def call(self, report):\n"
        "    real(self, report)\n"
        "    if report.index == 6: threading.Thread(target=kill).start()\n"
        "ProgressBar.frame = call\n"
        "vidream.cli.main()\n"
    )
    settings = replace(DREAM, effect=effect)
    dream_video(moving, tmp_path / "whole.mp4", settings)
    options = ["--octaves", "2", "--steps", "2", "--jitter", "4", "--recall", "2", "--effect"]
    command = [sys.executable, "-c", script, moving, "-o", str(tmp_path / "pieces.mp4")]
    done = subprocess.run([*command, *options, effect], check=False, capture_output=True)
    if effect == "dream":
        assert done.returncode == -signal.SIGKILL
        assert (tmp_path / ".pieces.mp4.vidream" / "state.pt").exists()
        assert not (tmp_path / "pieces.mp4").exists()
    if done.returncode:
        dream_video(moving, tmp_path / "pieces.mp4", resumed(settings))
    assert (tmp_path / "whole.mp4").read_bytes() == (tmp_path / "pieces.mp4").read_bytes()


def test_an_interrupt_leaves_what_can_be_watched_and_gone_on_with(moving, tmp_path):
    target = tmp_path / "d.mp4"

    def stop(report):
        if report.index == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        dream_video(moving, target, NONE, reporter=Reports(stop))
    assert "`resume`" in stopped.value.__notes__[0]
    assert leftovers(tmp_path) == [".d.mp4.vidream"]
    work = tmp_path / ".d.mp4.vidream"
    assert len(video_times(work / "00001.mp4")) == 4
    assert video_times(work / "so-far.mp4") == video_times(moving)[:6]
    assert sound_packets(work / "so-far.mp4")
    dream_video(moving, tmp_path / "whole.mp4", NONE)
    dream_video(moving, target, resumed(NONE))
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_what_is_joined_is_what_would_be_encoded_at_once(tmp_path):
    """Times of an uneven clip and its sound, beside a writer that knows no segments."""
    times = [0, 3, 4, 9, 10, 12, 20, 21, 22, 30, 31, 33, 34]
    pictures = [np.roll(textured(64, 96), 3 * k, axis=1) for k in range(len(times))]
    source = make_clip(
        tmp_path / "a.mp4", pictures, times=times, time_base=Fraction(1, 90), sound="aac", shift=7
    )
    dream_video(source, tmp_path / "joined.mp4", NONE)
    with (
        open_reader(source) as reader,
        open_encoder(tmp_path / "once.mp4", reader.info, tracks=reader.tracks) as encoder,
    ):
        for item in reader:
            encoder.write(item)
        encoder.finish()
    joined, once = str(tmp_path / "joined.mp4"), str(tmp_path / "once.mp4")
    assert video_times(joined) == video_times(once)
    since = [time - video_times(joined)[0] for time in video_times(joined)]
    assert since == [Fraction(time, 90) for time in times]
    assert sound_packets(joined) == sound_packets(once) == sound_packets(source)
    with av.open(joined) as a, av.open(once) as b:
        one, other = (clip.streams.video[0] for clip in (a, b))
        for name in ("time_base", "start_time"):
            assert getattr(one, name) == getattr(other, name)
        for name in ("color_range", "colorspace", "color_primaries", "color_trc", "pix_fmt"):
            assert getattr(one.codec_context, name) == getattr(other.codec_context, name)
        packets = [p for p in a.demux(one) if p.dts is not None]
        assert all(p.dts <= p.pts for p in packets)
        assert all(p.dts < q.dts for p, q in pairwise(packets))


def test_another_source_or_setting_is_refused(moving, clip, tmp_path):
    target = tmp_path / "d.mp4"
    cut_short(moving, target, DREAM, 5)
    for source, settings, says in [
        (clip, DREAM, "the source has changed"),
        (moving, DREAM.updated(steps=3), "steps was 2 and is 3"),
        (moving, DREAM.updated(luma_only=True), "luma-only was off and is on"),
        (moving, DREAM.updated(crf=30), "crf was unset and is 30"),
    ]:
        with pytest.raises(OutputError, match=says):
            dream_video(source, target, resumed(settings))
    dream_video(moving, target, resumed(DREAM))


def test_work_is_not_thrown_away_unasked(moving, tmp_path):
    target = tmp_path / "d.mp4"
    cut_short(moving, target, NONE, 9)
    with pytest.raises(OutputError, match=r"holds \d+ frames .* `resume` .* `overwrite`"):
        dream_video(moving, target, NONE)
    seen = Reports()
    dream_video(moving, target, NONE.updated(overwrite=True), reporter=seen)
    assert seen.frames[0].index == 0
    assert leftovers(tmp_path) == ["d.mp4"]


def test_with_nothing_to_go_on_with_it_begins(moving, tmp_path):
    assert dream_video(moving, tmp_path / "d.mp4", resumed(NONE)) == 14


def test_the_work_folder_is_kept_if_asked(moving, tmp_path):
    dream_video(moving, tmp_path / "d.mp4", NONE.updated(keep_work=True))
    kept = sorted(p.name for p in (tmp_path / ".d.mp4.vidream").glob("*.mp4"))
    assert kept == [f"0000{k}.mp4" for k in (1, 2, 3, 4)]
    content = (tmp_path / "d.mp4").read_bytes()
    (tmp_path / "d.mp4").unlink()
    seen = Reports()
    dream_video(moving, tmp_path / "d.mp4", resumed(NONE), reporter=seen)
    assert not seen.frames
    assert (tmp_path / "d.mp4").read_bytes() == content


def test_two_runs_on_one_target(moving, tmp_path):
    target = tmp_path / "d.mp4"
    with WorkFolder(target):
        with pytest.raises(OutputError, match="another run is making"):
            dream_video(moving, target, NONE)
        assert leftovers(tmp_path) == [".d.mp4.vidream"]
    dream_video(moving, target, NONE)


def test_a_full_disk_is_said_and_gone_on_from(moving, tmp_path, monkeypatch):
    target = tmp_path / "d.mp4"
    dream_video(moving, tmp_path / "whole.mp4", NONE)
    real, room = VideoEncoder.write, [6]

    def write(self, frame):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, frame)

    monkeypatch.setattr(VideoEncoder, "write", write)
    with pytest.raises(OutputError, match=r"No space left .* \d+ frames are kept: .* `resume`"):
        dream_video(moving, target, NONE)
    assert not target.exists()
    monkeypatch.setattr(VideoEncoder, "write", real)
    seen = Reports()
    dream_video(moving, target, resumed(NONE), reporter=seen)
    assert seen.frames[0].index >= 4
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_disk_without_room_for_pictures_is_enough(moving, tmp_path, monkeypatch):
    """What is encoded takes less: where nothing relies on the pictures it goes on without them."""

    def full(self, frame):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("vidream.render.spool.Spool.append", full)
    assert same_after(moving, tmp_path, ".mp4", NONE, 7)


def test_an_error_in_the_middle_keeps_what_is_done(moving, tmp_path, monkeypatch):
    real = "vidream.effects.passthrough.PassThrough.step"

    def fail(self, init, frame, context, state):
        if context.index == 8:
            raise VidreamError("no more")
        return frame, {}

    with monkeypatch.context() as patch:
        patch.setattr(real, fail)
        with pytest.raises(VidreamError, match="no more; 8 frames are kept"):
            dream_video(moving, tmp_path / "d.mp4", NONE)
    seen = Reports()
    dream_video(moving, tmp_path / "d.mp4", resumed(NONE), reporter=seen)
    assert seen.frames[0].index == 8


def test_an_animation_of_a_still_is_made_in_one_go(tmp_path):
    with pytest.raises(SettingsError, match="animation"):
        dream_video("noise:64x64", tmp_path / "d.mp4", resumed(NONE))


def test_sound_that_is_damaged_costs_no_pictures(tmp_path, monkeypatch, caplog):
    """What it is damaged in shows when the file is completed: then there is a file without it."""
    clip = make_clip(tmp_path / "clip.mp4", [textured(48, 64, k) for k in range(5)], sound="aac")
    close = av.container.OutputContainer.close

    class Spoiled:
        """An output whose end is refused while there is sound in it."""

        def __init__(self, out):
            self._out = out

        def __getattr__(self, name):
            return getattr(self._out, name)

        def close(self):
            sound = list(self._out.streams.audio)
            close(self._out)
            if sound:
                raise av.error.InvalidDataError(1094995529, "Invalid data found")

    opened = av.open
    monkeypatch.setattr(
        "vidream.media.encoder.av.open",
        lambda *a, **k: Spoiled(opened(*a, **k)) if "w" in a else opened(*a, **k),
    )
    dream_video(clip, tmp_path / "o.mp4", Settings(effect="none"))
    assert len(video_times(tmp_path / "o.mp4")) == 5
    with opened(str(tmp_path / "o.mp4")) as made:
        assert not made.streams.audio
    assert "the sound cannot be copied, for it is damaged: it is left out" in caplog.messages
    assert leftovers(tmp_path, "clip.mp4", "o.mp4") == []
