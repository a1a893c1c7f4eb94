"""Live pictures: a rate that is kept, a dream that deepens at rest, and nothing that queues."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
import torch
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st
from media import make_clip
from PIL import Image
from studio_server import VIDREAM
from test_cli import one_line, run

from vidream import DreamSettings, Settings
from vidream.core.effect import Context, InitImage, Resources
from vidream.core.errors import InputError, SettingsError
from vidream.core.images import to_tensor
from vidream.core.queues import Latest
from vidream.dream.dreamer import Dreamer
from vidream.effects.live import LiveDream
from vidream.media.places import parse_source
from vidream.render.live import POLICY, LiveSession, RateControl
from vidream.render.live_source import LiveSource

SMALL = Settings(dream=DreamSettings(octaves=1, steps=3, jitter=4, precision="float32"))


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


# --- what is chosen


def settled(cost, rate, *, still=False, frames=400, overhead=0.0):
    """Run a control on a machine that takes ``cost`` seconds for a step on 192 × 192 pixels."""
    control = RateControl(rate)
    loads = []
    for _ in range(frames):
        seconds = overhead + cost * control.steps * (control.side / 192) ** 2
        loads.append(seconds * rate)
        control.after(seconds, still=still)
    return control, loads


@given(st.floats(1e-4, 0.15), st.floats(2, 30))
def test_frames_keep_the_rate_where_the_smallest_size_can(cost, rate):
    if cost * POLICY.base_steps * rate > POLICY.wanted_load:
        return
    control, loads = settled(cost, rate)
    assert np.mean(loads[-100:]) <= POLICY.most_load
    assert control.steps == POLICY.base_steps


def test_a_faster_machine_dreams_larger():
    sides = [settled(cost, 10)[0].side for cost in (0.15, 0.05, 0.01, 0.0001)]
    assert sides == sorted(sides)
    assert sides[0] < sides[-1] == POLICY.sides[-1]


def test_the_size_does_not_swing():
    control = RateControl(10)
    sides = []
    for k in range(600):
        cost = 0.03 * (1 + 0.2 * np.sin(k))
        control.after(cost * control.steps * (control.side / 192) ** 2, still=False)
        sides.append(control.side)
    assert sum(a != b for a, b in pairwise(sides[300:])) <= 3


def test_a_size_that_becomes_too_slow_shrinks_soon():
    control, _ = settled(0.01, 10)
    before = control.side
    for _ in range(20):
        control.after(0.5 * (control.side / before) ** 2, still=False)
    assert control.side < before


def test_steps_are_taken_more_seldom_where_the_smallest_size_is_too_slow():
    control, _ = settled(0.4, 10)
    assert (control.side, control.steps) == (POLICY.sides[0], POLICY.least_steps)


def test_a_picture_at_rest_gets_more_steps_and_a_moving_one_the_usual_at_once():
    control, _ = settled(0.005, 10, still=True)
    assert control.steps == POLICY.most_steps
    control.after(0.05, still=False)
    assert control.steps == POLICY.base_steps


def test_the_size_may_be_limited():
    control = RateControl(10, 256)
    for _ in range(300):
        control.after(1e-4, still=False)
    assert control.side == max(s for s in POLICY.sides if s <= 256)


@pytest.mark.parametrize("rate", [0, -1, 2000])
def test_a_rate_is_refused(rate):
    with pytest.raises(SettingsError, match="rate"):
        LiveSession(SMALL, rate)


# --- what is shown


def test_a_live_picture_has_its_own_size_and_dreams():
    picture = textured(120, 320)
    with LiveSession(SMALL, 10) as live:
        frame = live.push(picture)
    assert frame.picture.shape == picture.shape
    assert frame.size == (72, 192)
    assert frame.began
    assert np.abs(frame.picture.astype(int) - picture).mean() > 2


def test_a_picture_at_rest_deepens_and_one_that_moves_does_not():
    rest, other = textured(96, 160), textured(96, 400, 1)
    with LiveSession(SMALL, 10) as live:
        still = [live.push(rest) for _ in range(8)]
        moving = [
            live.push(np.ascontiguousarray(other[:, 12 * k : 160 + 12 * k])) for k in range(8)
        ]
    assert [f.depth for f in still[1:]] == sorted(f.depth for f in still[1:])
    assert still[-1].depth > 1.1
    assert moving[-1].depth < still[-1].depth
    change = [np.abs(f.picture.astype(int) - rest).mean() for f in still]
    assert change[-1] > change[0]  # though every frame is the same
    assert sum(f.began for f in still) == 1


def test_a_dream_goes_on_when_its_size_changes():
    picture = textured(120, 320)
    with LiveSession(SMALL, 10) as live:
        live.push(picture)
        live._control.side = 224
        frame = live.push(picture)
    assert frame.size == (84, 224)
    assert frame.began  # its time says nothing of those that follow
    assert np.abs(frame.picture.astype(int) - picture).mean() > 2


def test_a_scene_that_follows_soon_is_dreamed_in_little_time(monkeypatch):
    clock, steps = Clock(), []
    real = Dreamer.compute_gradient

    def counted(self, *given, **how):
        steps[-1] += 1
        return real(self, *given, **how)

    monkeypatch.setattr(Dreamer, "compute_gradient", counted)
    effect = LiveDream(SMALL, Resources(), clock=clock)
    for k, now in enumerate((0.0, 1.0, 9.0)):
        clock.now = now
        steps.append(0)
        frame = to_tensor(textured(80, 80, k))
        effect.step(InitImage(frame), frame, Context(k, Fraction(0), SMALL), {})
    # The first from scratch; the next in one step; a later one is worth the time again.
    assert steps == [3, 1, 3]


def test_other_effects_are_live_too():
    settings = Settings().updated(effect="none")
    picture = textured(48, 64)
    with LiveSession(settings, 10) as live:
        assert np.array_equal(live.push(picture).picture, picture)


def test_live_works_under_inference_mode():
    with torch.inference_mode(), LiveSession(SMALL, 10) as live:
        for k in range(2):
            live.push(textured(80, 120, k))


# --- nothing queues


def test_the_latest_item_replaces_one_that_waits():
    latest = Latest()
    for k in range(5):
        latest.put(k)
    assert latest.take() == 4
    assert latest.dropped == 4
    latest.end()
    assert latest.take() is None


def test_a_consumer_that_waits_wakes_up():
    latest, got = Latest(), []
    thread = threading.Thread(target=lambda: got.append(latest.take()))
    thread.start()
    latest.put("a")
    thread.join(timeout=5)
    assert got == ["a"]


# --- a source


@pytest.fixture
def film(tmp_path):
    pictures = [np.roll(textured(64, 96), 2 * k, 1) for k in range(25)]
    return make_clip(tmp_path / "film.mp4", pictures)


def test_a_clip_plays_in_real_time(film):
    settings = Settings().updated(effect="none")
    began = time.monotonic()
    with LiveSource(parse_source(str(film)), settings, 10) as source:
        times = [came for came, _ in source]
    assert time.monotonic() - began > 0.85  # 25 frames at 25 a second
    assert times == sorted(times)
    assert len(times) + source.dropped == 25


def test_a_picture_is_not_live(tmp_path):
    Image.fromarray(textured(32, 32)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="camera or a clip"):
        LiveSource(parse_source(str(tmp_path / "a.png")), SMALL)


def test_the_command_writes_what_is_live(film, tmp_path):
    target = tmp_path / "live.mp4"
    result = run("live", film, "-o", target, "--octaves", 1, "--steps", 2)
    assert result.exit_code == 0, result.output
    assert "a second, dreamed at" in result.output
    with av.open(str(target)) as made:
        assert (made.streams.video[0].width, made.streams.video[0].height) == (96, 64)
        assert sum(1 for _ in made.decode(video=0)) >= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing.mp4", "-o", "a.mp4"], "does not exist"),
        (["FILM", "-o", "a.png"], "single picture"),
        (["FILM", "-o", "FILM"], "source"),
    ],
)
def test_the_command_refuses_in_one_line(film, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    result = run("live", *[str(film) if a == "FILM" else a for a in arguments])
    assert result.exit_code == 1
    assert says in one_line(result)
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_without_a_display_the_command_says_what_to_do(film, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    result = run("live", film, "--octaves", 1, "--steps", 1)
    assert result.exit_code == 1
    assert "ffplay" in one_line(result)


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="there is no Xvfb, a display for tests")
def test_a_window_shows_it(film):
    pytest.importorskip("tkinter")
    read, write = os.pipe()
    display = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    try:
        number = os.read(read, 16).decode().strip()
        done = subprocess.run(
            [sys.executable, "-m", "vidream", "live", str(film), "--effect", "none"],
            env={**os.environ, "DISPLAY": f":{number}"},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        display.kill()
        display.wait(timeout=10)
        os.close(read)
        os.close(write)
    assert done.returncode == 0, done.stderr
    assert "frames" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_ends_the_file(tmp_path):
    pictures = [np.roll(textured(64, 96), 2 * k, 1) for k in range(750)]
    film = make_clip(tmp_path / "long.mp4", pictures)
    target = tmp_path / "live.mkv"
    command = [*VIDREAM, "live", str(film), "-o", str(target)]
    process = subprocess.Popen(
        [*command, "--octaves", "1", "--steps", "1"], stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not any(p.suffix == ".mkv" or ".part" in p.name for p in tmp_path.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, said
    with av.open(str(target)) as made:
        assert sum(1 for _ in made.decode(video=0)) >= 1
