"""The frame loop, from Python."""

from __future__ import annotations

import logging
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from conftest import Reports, textured
from PIL import Image

from vidream import DreamSettings, Frame, Settings, VidreamError, dream_frames, dream_video
from vidream.core.errors import SettingsError
from vidream.core.frames import to_eight_bits
from vidream.core.images import to_hdr_picture, to_picture, to_tensor
from vidream.core.queues import BackgroundConsumer, prefetch, queue_depth
from vidream.effects.registry import load_effect
from vidream.temporal.flow import NoFlow

SMALL = Settings(dream=DreamSettings(octaves=1, steps=2, refine_steps=1, jitter=4))


class Brighten:
    """An effect that adds a tenth of white to its start, so that propagation can be counted."""

    recurrent = True
    over_time = frozenset()

    def __init__(self):
        self.starts, self.states, self.contexts = [], [], []

    def step(self, init, frame, context, state):
        self.starts.append(init)
        self.states.append(state)
        self.contexts.append(context)
        number = torch.tensor(len(self.starts) - 1)
        return (init.image + 0.1).clamp(0, 1), {"number": number}


def pictures(count=3, size=(64, 96)):
    """A pan: no cuts, no duplicates."""
    return [np.roll(textured(*size), 3 * k, axis=1) for k in range(count)]


@pytest.mark.parametrize(
    ("width", "height", "depth"),
    [(640, 360, 4), (1920, 1080, 4), (3840, 2160, 2), (7680, 4320, 1)],
)
def test_large_frames_wait_in_smaller_numbers(width, height, depth):
    assert queue_depth(width, height) == depth


def test_a_dream_is_carried_as_floats_and_only_as_far_as_asked():
    flat = [np.full((4, 4, 3), level, np.uint8) for level in (0, 10, 20)]
    effect = Brighten()
    list(dream_frames(flat, SMALL.updated(coherence=0.5), effect=effect))
    starts = zip(effect.starts, flat, strict=True)
    values = [float((s.image - to_tensor(picture)).mean()) for s, picture in starts]
    # 8 bits would be off by a thousandth.
    assert values == pytest.approx([0, 0.05, 0.075], abs=1e-6)
    assert [s.new_mask is not None for s in effect.starts] == [False, True, True]


def test_without_coherence_every_frame_is_its_own_dream(dreamer):
    first, second = pictures(2)
    settings = SMALL.updated(coherence=0)
    both = [frame for frame, _ in dream_frames([first, second], settings)]
    alone = [frame for frame, _ in dream_frames([Frame(second, index=1)], settings)]
    assert np.array_equal(both[1].image, alone[0].image)


def test_a_frame_shown_twice_has_the_same_dream_at_no_cost():
    first, second = pictures(2)
    effect = Brighten()
    noisy = np.minimum(first, 254) + np.random.default_rng(0).integers(0, 2, first.shape, np.uint8)
    shown = [first, first, noisy, second, second]
    done = list(dream_frames(shown, SMALL, effect=effect))
    assert [r.duplicate for _, r in done] == [False, True, True, False, True]
    assert len(effect.starts) == 2
    assert all(np.array_equal(done[0][0].image, done[k][0].image) for k in (1, 2))
    assert [f.index for f, _ in done] == [0, 1, 2, 3, 4]


def test_an_effect_that_deepens_goes_on_from_a_frame_shown_twice():
    dark = np.full((48, 64, 3), 40, np.uint8)
    dark[:, ::2] = 60
    effect = Brighten()
    effect.deepens = True
    done = list(dream_frames([dark, dark, dark, dark + 5], SMALL, effect=effect))
    assert [r.duplicate for _, r in done] == [False, True, True, False]
    assert [r.propagated for _, r in done] == [False, True, True, True]
    added = [(f.image.astype(int) - 45).mean() for f, _ in done]
    assert added[0] < added[1] < added[2]
    # What comes after the repeated ones goes on from the last of them.
    assert added[3] > added[2]


def test_nothing_is_carried_across_a_cut():
    first, second = textured(64, 96, 1) // 2, 255 - textured(64, 96, 2) // 2
    effect = Brighten()
    done = list(dream_frames([first, second], SMALL, effect=effect))
    assert [r.cut for _, r in done] == [True, True]
    assert [r.propagated for _, r in done] == [False, False]
    assert torch.equal(effect.starts[1].image, to_tensor(second))


def test_the_state_that_an_effect_returns_is_found_at_the_next_frame():
    effect = Brighten()
    list(dream_frames(pictures(), SMALL, effect=effect))
    assert [s.get("number") for s in effect.states] == [None, 0, 1]
    assert [c.index for c in effect.contexts] == [0, 1, 2]


def test_an_estimator_of_ones_own():
    class Counted(NoFlow):
        calls = 0

        def __call__(self, picture, other):
            self.calls += 1
            return super().__call__(picture, other)

    flow = Counted(torch.device("cpu"))
    panned = [100 + picture // 8 for picture in pictures()]  # too faint to be taken for cuts
    list(dream_frames(panned, SMALL.updated(recall=0), effect=Brighten(), flow=flow))
    assert flow.calls == 2


def test_frames_keep_their_times_and_are_reported():
    frames = [Frame(p, k, 40 * k, Fraction(1, 1000), 40) for k, p in enumerate(pictures())]
    done = list(dream_frames(iter(frames), SMALL))
    assert [(f.index, f.pts, f.time_base, f.duration) for f, _ in done] == [
        (k, 40 * k, Fraction(1, 1000), 40) for k in range(3)
    ]
    assert [r.propagated for _, r in done] == [False, True, True]
    assert all(not np.array_equal(f.image, s.image) for (f, _), s in zip(done, frames, strict=True))


def test_pictures_of_16_bits_stay_of_16_bits():
    deep = [picture.astype(np.uint16) * 257 + 100 for picture in pictures()]
    effect = Brighten()
    done = [frame for frame, _ in dream_frames(deep, SMALL, effect=effect)]
    assert all(frame.image.dtype == np.uint16 for frame in done)
    brighter = np.minimum(deep[0] / 65535 + 0.1, 1) * 65535
    assert np.abs(done[0].image - brighter).max() <= 1
    assert [s.new_mask is not None for s in effect.starts] == [False, True, True]
    settled = dream_frames(deep[:1] * 2, SMALL, effect=effect)
    assert [report.duplicate for _, report in settled] == [False, True]


def test_a_clip_is_dreamed_whole(clip, tmp_path):
    target = tmp_path / "dream.mp4"
    reports = Reports()
    assert dream_video(clip, target, SMALL, reporter=reports) == 6
    assert [r.index for r in reports.frames] == list(range(6))
    assert reports.frames[0].expected == 6
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
    assert dream_video(tmp_path / "a.png", tmp_path / "b.jpg", SMALL) == 1
    with Image.open(tmp_path / "b.jpg") as dream:
        assert (dream.format, dream.size) == ("JPEG", (80, 64))


def test_an_interrupt_before_the_first_frame_leaves_nothing(clip, tmp_path, monkeypatch):
    def interrupted(self, init, frame, context, state):
        raise KeyboardInterrupt

    monkeypatch.setattr("vidream.effects.passthrough.PassThrough.step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dream_video(clip, tmp_path / "d.mp4", Settings(effect="none"))
    assert not list(tmp_path.iterdir())


def test_a_failing_effect_leaves_nothing(clip, tmp_path, monkeypatch):
    def fail(self, init, frame, context, state):
        raise SettingsError("no")

    monkeypatch.setattr("vidream.effects.passthrough.PassThrough.step", fail)
    with pytest.raises(SettingsError):
        dream_video(clip, tmp_path / "d.mp4", Settings(effect="none"))
    assert not list(tmp_path.iterdir())


def test_a_failing_writer_is_heard(clip, tmp_path, monkeypatch):
    def fail(self, frame):
        raise VidreamError("disk full")

    monkeypatch.setattr("vidream.media.encoder.VideoEncoder.write", fail)
    with pytest.raises(VidreamError, match="disk full"):
        dream_video(clip, tmp_path / "d.mp4", Settings(effect="none"))
    assert not list(tmp_path.iterdir())


def test_unknown_effect():
    with pytest.raises(SettingsError, match="did you mean none"):
        load_effect(SMALL.updated(effect="nonee"))


def test_ahead_gives_everything_and_raises_in_place():
    with prefetch(iter(range(50)), depth=2) as items:
        assert list(items) == list(range(50))

    def broken():
        yield 1
        raise OSError("gone")

    with prefetch(broken()) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="gone"):
            next(items)


def test_ahead_stays_within_its_depth_and_stops():
    taken = []
    endless = (taken.append(k) or k for k in iter(int, 1))
    with prefetch(endless, depth=3) as items:
        next(items)
    assert len(taken) <= 6


def test_behind_raises_and_never_blocks():
    def consume(item):
        raise OSError("full")

    def fill():
        with BackgroundConsumer(consume, depth=1) as output:
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
    deep = np.random.default_rng(0).integers(0, 65536, (16, 16, 3)).astype(np.uint16)
    assert np.array_equal(to_hdr_picture(to_tensor(deep)), deep)
    assert np.array_equal(to_eight_bits(deep), deep // 256)
    assert np.array_equal(to_eight_bits(picture), picture)
    assert to_picture(torch.full((1, 3, 1, 1), 99.6 / 255)).max() == 100
    assert to_picture(torch.full((1, 3, 1, 1), 1.5)).max() == 255


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.INFO, "vidream")
