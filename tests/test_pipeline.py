"""The frame loop, from Python."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from conftest import textured
from PIL import Image

from vidream import DreamSettings, Frame, Settings, VidreamError, dream_frames, dream_video
from vidream.errors import SettingsError
from vidream.frames import to_picture, to_tensor
from vidream.pipeline import Behind, ahead
from vidream.processors import DreamProcessor, load_processor
from vidream.temporal import Blend, DreamState, Start

SMALL = DreamSettings(octaves=1, steps=2, carried_steps=1, jitter=4)


class Brighten:
    """A processor that adds a tenth of white to its start, so that carrying can be counted."""

    recurrent = True

    def __init__(self):
        self.starts = []

    def process(self, start, source, index):
        self.starts.append(start)
        return (start.image + 0.1).clamp(0, 1)


def pictures(count=3, size=(64, 96)):
    return [textured(*size, seed=k) for k in range(count)]


def test_a_dream_is_carried_as_floats_and_only_as_far_as_asked():
    flat = np.zeros((4, 4, 3), np.uint8)
    processor = Brighten()
    list(dream_frames([flat] * 3, replace(SMALL, carry=0.5), processor=processor))
    values = [float(s.image.mean()) for s in processor.starts]
    assert values == pytest.approx([0, 0.05, 0.075])  # 8 bits would give 0.0509 and 0.0765
    assert [s.carried for s in processor.starts] == [False, True, True]


def test_without_carry_every_frame_is_its_own_dream(dreamer):
    first, second = pictures(2)
    settings = replace(SMALL, carry=0)
    processor = DreamProcessor(dreamer)
    both = [f for f, _ in dream_frames([first, second], settings, processor=processor)]
    alone = [f for f, _ in dream_frames([Frame(second, index=1)], settings, processor=processor)]
    assert np.array_equal(both[1].image, alone[0].image)


def test_blend():
    source, dream = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    state = DreamState(0, source, dream)
    start = Blend(0.25).start(source, state)
    assert start.carried
    assert torch.allclose(start.image, 0.75 * source + 0.25 * dream)
    assert Blend(0.25).start(source, None) == Start(source, carried=False)
    assert not Blend(0.25).start(torch.rand(1, 3, 5, 4), state).carried
    with pytest.raises(ValueError, match="dream"):
        DreamState(0, source, torch.rand(1, 3, 5, 4))


def test_frames_keep_their_times_and_are_reported():
    frames = [Frame(p, k, 40 * k, Fraction(1, 1000), 40) for k, p in enumerate(pictures())]
    done = list(dream_frames(iter(frames), SMALL))
    assert [(f.index, f.pts, f.time_base, f.duration) for f, _ in done] == [
        (k, 40 * k, Fraction(1, 1000), 40) for k in range(3)
    ]
    assert [r.carried for _, r in done] == [False, True, True]
    assert all(not np.array_equal(f.image, s.image) for (f, _), s in zip(done, frames, strict=True))


def test_a_clip_is_dreamed_whole(clip, tmp_path):
    target = tmp_path / "dream.mp4"
    reports = []
    count = dream_video(clip, target, Settings(dream=SMALL), progress=reports.append)
    assert count == 6
    assert [r.index for r in reports] == list(range(6))
    assert reports[0].expected == 6
    with av.open(clip) as a, av.open(str(target)) as b:
        assert b.streams.video[0].average_rate == Fraction(30000, 1001)
        times = [[f.pts * f.time_base for f in c.decode(video=0)] for c in (a, b)]
    assert times[0] == times[1]
    with av.open(clip) as a, av.open(str(target)) as b:
        sound = [[bytes(p) for p in c.demux(audio=0)] for c in (a, b)]
    assert sound[0] == sound[1]
    assert [p.name for p in tmp_path.iterdir()] == ["dream.mp4"]


def test_a_still_is_dreamed(tmp_path):
    Image.fromarray(textured(64, 80)).save(tmp_path / "a.png")
    assert dream_video(tmp_path / "a.png", tmp_path / "b.jpg", Settings(dream=SMALL)) == 1
    with Image.open(tmp_path / "b.jpg") as dream:
        assert (dream.format, dream.size) == ("JPEG", (80, 64))


def test_an_interrupt_leaves_what_was_dreamed(clip, tmp_path):
    def stop(report):
        if report.index == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dream_video(clip, tmp_path / "d.mp4", Settings(effect="none"), progress=stop)
    with av.open(str(tmp_path / "d.mp4")) as done:
        assert sum(1 for _ in done.decode(video=0)) == 3
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupt_before_the_first_frame_leaves_nothing(clip, tmp_path, monkeypatch):
    def interrupted(self, start, source, index):
        raise KeyboardInterrupt

    monkeypatch.setattr("vidream.effects.none.PassThrough.process", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dream_video(clip, tmp_path / "d.mp4", Settings(effect="none"))
    assert not list(tmp_path.iterdir())


def test_a_failing_processor_leaves_nothing(clip, tmp_path, monkeypatch):
    def fail(self, start, source, index):
        raise SettingsError("no")

    monkeypatch.setattr("vidream.effects.none.PassThrough.process", fail)
    with pytest.raises(SettingsError):
        dream_video(clip, tmp_path / "d.mp4", Settings(effect="none"))
    assert not list(tmp_path.iterdir())


def test_a_failing_writer_is_heard(clip, tmp_path, monkeypatch):
    def fail(self, frame):
        raise VidreamError("disk full")

    monkeypatch.setattr("vidream.writer.VideoWriter.write", fail)
    with pytest.raises(VidreamError, match="disk full"):
        dream_video(clip, tmp_path / "d.mp4", Settings(effect="none"))
    assert not list(tmp_path.iterdir())


def test_unknown_effect():
    with pytest.raises(SettingsError, match="did you mean none"):
        load_processor("nonee", SMALL)


def test_ahead_gives_everything_and_raises_in_place():
    with ahead(iter(range(50)), depth=2) as items:
        assert list(items) == list(range(50))

    def broken():
        yield 1
        raise OSError("gone")

    with ahead(broken()) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="gone"):
            next(items)


def test_ahead_stays_within_its_depth_and_stops():
    taken = []
    endless = (taken.append(k) or k for k in iter(int, 1))
    with ahead(endless, depth=3) as items:
        next(items)
    assert len(taken) <= 6


def test_behind_raises_and_never_blocks():
    def consume(item):
        raise OSError("full")

    def fill():
        with Behind(consume, depth=1) as output:
            for k in range(100):
                output.put(k)

    with pytest.raises(OSError, match="full"):
        fill()


def test_frames_refuse_what_is_no_picture():
    with pytest.raises(ValueError, match="RGB"):
        Frame(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="float"):
        Frame(np.zeros((4, 4, 3)))
    assert repr(Frame(textured(48, 64), index=2, pts=50)) == "Frame(2, 64×48, 2.000 s)"


def test_pictures_and_tensors_round_trip_and_round():
    picture = textured(16, 16)
    assert np.array_equal(to_picture(to_tensor(picture)), picture)
    assert to_picture(torch.full((1, 3, 1, 1), 99.6 / 255)).max() == 100
    assert to_picture(torch.full((1, 3, 1, 1), 1.5)).max() == 255


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.INFO, "vidream")
