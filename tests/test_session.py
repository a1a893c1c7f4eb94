"""Frames that are pushed one by one, and runs that are cancelled."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import Reports, textured
from media import leftovers, make_clip, video_times

from vidream import (
    CancelledError,
    CancelToken,
    Dreamer,
    DreamSettings,
    Frame,
    Job,
    Settings,
    dream_frames,
    dream_video,
    open_session,
    run,
)
from vidream.core.images import to_tensor
from vidream.media.places import parse_source, parse_target

SMALL = Settings(dream=DreamSettings(octaves=1, steps=2, jitter=4, precision="float32"))
NONE = Settings(effect="none")


def pan(count=3):
    return [np.roll(textured(64, 96), 3 * k, axis=1) for k in range(count)]


@pytest.fixture(scope="module")
def expected():
    return [frame.image for frame, _ in dream_frames(pan(), SMALL)]


def pushed():
    with open_session(SMALL) as session:
        return [session.push(picture).image for picture in pan()]


def test_what_is_pushed_is_what_is_iterated(expected):
    assert all(map(np.array_equal, pushed(), expected))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_caller_without_gradients_gets_the_same(expected, mode):
    with mode():
        assert all(map(np.array_equal, pushed(), expected))


def test_a_session_may_go_from_one_mode_into_another(expected):
    with open_session(SMALL) as session:
        with torch.inference_mode():
            first = session.push(pan()[0]).image
        rest = [session.push(picture).image for picture in pan()[1:]]
    assert all(map(np.array_equal, [first, *rest], expected))


def test_a_dreamer_dreams_under_inference_mode(dreamer):
    image = to_tensor(textured(64, 96))
    with torch.inference_mode():
        inside = dreamer.dream(image.clone())
    assert torch.equal(inside, dreamer.dream(image))


def test_a_dreamer_that_is_loaded_under_inference_mode(dreamer):
    image = to_tensor(textured(64, 96))
    with torch.inference_mode():
        loaded = Dreamer(dreamer.settings)
    assert torch.equal(loaded.dream(image), dreamer.dream(image))


def test_each_frame_may_come_from_another_thread(expected):
    found = []
    with open_session(SMALL) as session:
        for picture in pan():
            with ThreadPoolExecutor(1) as pool:
                found.append(pool.submit(session.push, picture).result().image)
    assert all(map(np.array_equal, found, expected))


def test_after_a_flush_a_scene_begins():
    with open_session(SMALL) as session:
        first = session.push(Frame(pan()[0], index=0)).image
        session.push(Frame(pan()[1], index=1))
        assert session.flush() == []
        again = session.push(Frame(pan()[0], index=0)).image
    assert np.array_equal(first, again)


def job(source, target, settings=NONE, on_frame=None):
    """A job whose frames are reported to a function that is given its token."""
    cancel = CancelToken()
    reporter = Reports(None if on_frame is None else lambda report: on_frame(cancel, report))
    return Job(
        parse_source(source), parse_target(target, settings.write), settings, reporter, cancel
    )


def cancel_at(index):
    def on_frame(cancel, report):
        if report.index == index:
            cancel.cancel()

    return on_frame


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4", pan(9))


def test_a_cancelled_run_keeps_its_frames_and_goes_on(clip, tmp_path):
    target = tmp_path / "d.mp4"
    with pytest.raises(CancelledError, match=r"stopped after 5 of 9 frames; 5 frames are kept"):
        run(job(clip, target, on_frame=cancel_at(4)))
    work = tmp_path / ".d.mp4.vidream"
    assert leftovers(tmp_path, "clip.mp4") == [work.name]
    assert len(video_times(work / "so-far.mp4")) == 5
    reports = Reports()
    dream_video(clip, target, NONE.updated(resume=True), reporter=reports)
    assert reports.frames[0].index == 5
    dream_video(clip, tmp_path / "whole.mp4", NONE)
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_cancelled_animation_is_completed_as_far_as_it_came(tmp_path):
    target = tmp_path / "z.mp4"
    settings = NONE.updated(zoom=1.02, frames=9)
    with pytest.raises(CancelledError, match=r"z\.mp4 holds what was dreamed so far"):
        run(job("noise:64x48", target, settings, cancel_at(3)))
    assert len(video_times(target)) == 4


def test_what_is_cancelled_before_it_begins_leaves_nothing(clip, tmp_path):
    cancelled = job(clip, tmp_path / "d.mp4")
    cancelled.cancel.cancel()
    with pytest.raises(CancelledError, match=r"1 of 9 frames|before the first frame"):
        run(cancelled)
    assert not (tmp_path / "d.mp4").exists()


def test_a_pipe_that_brings_nothing_more_can_be_cancelled(tmp_path):
    """From another thread, while the run waits for a frame."""
    pipe = tmp_path / "pipe.y4m"
    os.mkfifo(pipe)
    header = b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n"
    frames = header + (b"FRAME\n" + bytes(64 * 48 * 3 // 2)) * 30
    cancel = CancelToken()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(dream_video, pipe, tmp_path / "o.mp4", NONE, cancel=cancel)
        with pipe.open("wb", buffering=0) as file:
            file.write(frames)
            threading.Event().wait(1)
            cancel.cancel()
            with pytest.raises(CancelledError, match="stopped"):
                done.result(timeout=30)
