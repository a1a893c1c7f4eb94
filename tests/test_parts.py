"""Renders that are divided into scenes: where those begin, and the same bytes whoever renders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from conftest import Reports, textured
from hypothesis import given
from hypothesis import strategies as st
from media import make_clip, video_times
from scenes import DREAM, SCENES, digest, hidden, job_of, scenes_clip
from studio_server import VIDREAM

from vidream import VidreamError
from vidream.core.errors import InputError, OutputError, SettingsError
from vidream.core.frames import Frame
from vidream.core.reporting import CancelledError, CancelToken
from vidream.media.reader import open_reader
from vidream.render.blending import blend
from vidream.render.cost import Cost, TimeModel, measure_cost, useful_workers
from vidream.render.division import Division
from vidream.render.part_array import run_parts
from vidream.render.part_renderer import PartRenderer
from vidream.render.parts import JOINT, Part, Scene, find_parts
from vidream.render.run import run
from vidream.render.segments import Segmentation, SegmentFormat
from vidream.temporal.flow import NoFlow
from vidream.temporal.tracking import MotionTracker

NONE = {"effect": "none"}
FLOW = {"flow": "dis", "octaves": 1, "steps": 1, "jitter": 0, "layers": ("Conv2d_2b_3x3",)}
"""Settings of a dream that follows motion and costs next to nothing."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """98 frames in ten scenes, with sound."""
    return scenes_clip(tmp_path_factory.mktemp("scenes") / "scenes.mp4", sound="aac")


@pytest.fixture(scope="module")
def whole(clip, tmp_path_factory):
    """Its dream, made in one run."""
    target = tmp_path_factory.mktemp("whole") / "dream.mp4"
    run(job_of(clip, target, **FLOW))
    return target


def plan(clip, folder, **values) -> list[Part]:
    with Division(job_of(clip, folder / "planned.mp4", **values)) as division:
        return list(division.plan())


# ---- segments


@given(st.lists(st.booleans(), max_size=200), st.integers(16, 40))
def test_segments_begin_with_scenes_and_are_never_long_nor_cut_short_by_a_flash(cuts, length):
    segmentation, lengths, begins = Segmentation(length), [], []
    for index, cut in enumerate(cuts):
        if segmentation.put(begins_scene=cut):
            lengths.append(0)
            begins.append(index)
        lengths[-1] += 1
    assert all(frames <= length for frames in lengths)
    for frames, start, end in zip(lengths, begins, begins[1:], strict=False):
        assert frames == length or (frames >= 8 and cuts[end]), (start, end)
    # Nothing but the number of frames in the open segment is carried over.
    middle = len(cuts) // 2
    first = Segmentation(length)
    head = [first.put(begins_scene=cut) for cut in cuts[:middle]]
    second = Segmentation(length, first.frames)
    assert begins == [
        k for k, b in enumerate(head + [second.put(begins_scene=c) for c in cuts[middle:]]) if b
    ]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.mov"])
def test_what_is_encoded_does_not_depend_on_the_number_of_cores(tmp_path, name):
    code = (
        "import os, sys\n"
        "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])\n"
        "from vidream import dream_video, Settings, WriteSettings\n"
        "codec = 'hevc' if sys.argv[3].endswith('.mov') else None\n"
        "write = WriteSettings(codec=codec)\n"
        "dream_video(sys.argv[2], sys.argv[3], Settings(effect='none', write=write))\n"
    )
    source = scenes_clip(tmp_path / "clip.mp4", (20, 20), (96, 128))
    for cores in (1, 2):
        target = tmp_path / f"{cores}{name}"
        subprocess.run([sys.executable, "-c", code, str(cores), source, target], check=True)
    assert digest(tmp_path / f"1{name}") == digest(tmp_path / f"2{name}")


# ---- the plan


def test_a_plan_finds_the_cuts_of_the_render(clip, tmp_path):
    reports = Reports()
    run(job_of(clip, tmp_path / "dream.mp4", reports, **FLOW))
    rendered = [report.index for report in reports.frames if report.cut]
    parts = plan(clip, tmp_path, **FLOW)
    assert [scene.first for part in parts for scene in part.scenes] == rendered
    assert rendered == [sum(SCENES[:k]) for k in range(len(SCENES))]
    assert [scene.frames for part in parts for scene in part.scenes] == list(SCENES)
    assert sum(part.frames for part in parts) == sum(SCENES)


def test_scenes_that_are_too_short_for_a_segment_share_a_part(clip, tmp_path):
    parts = plan(clip, tmp_path, **FLOW)
    assert [len(part.scenes) for part in parts] == [1, 3, 1, 1, 1, 1, 1, 1]
    assert [part.segments for part in parts][:3] == [(10,), (20,), (8,)]
    assert [part.segment for part in parts] == list(range(8))


def test_a_plan_knows_duplicates(tmp_path):
    still = textured(48, 64)
    make_clip(tmp_path / "clip.mp4", [still] * 10 + [255 - still // 2] * 9)
    (first, second) = plan(tmp_path / "clip.mp4", tmp_path, **FLOW)
    assert (first.scenes[0].duplicates, second.scenes[0].duplicates) == (9, 8)


def test_without_motion_every_segment_is_a_part(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("vidream.render.segments._PIXEL_BYTES", 0)  # 16 frames each
    parts = plan(clip, tmp_path, **NONE)
    assert [part.frames for part in parts] == [16] * 6 + [2]
    target = tmp_path / "dream.mp4"
    run(job_of(clip, target, **NONE))
    run_parts(job_of(clip, tmp_path / "parts.mp4", **NONE))
    assert digest(target) == digest(tmp_path / "parts.mp4")


def test_parts_survive_json(clip, tmp_path):
    for part in plan(clip, tmp_path, **FLOW, split=1.0):
        assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    split=st.none() | st.floats(1, 3),
    rate=st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(5)]),
)
def test_parts_cover_a_clip_once(lengths, split, rate):
    """Whatever the scenes are: no frame twice, none missing, segments numbered through."""
    frames, index = [], 0
    for number, count in enumerate(lengths):
        level = 40 if number % 2 else 200
        for k in range(count):
            picture = np.full((16, 16, 3), level, np.uint8)
            picture[k % 16] += 20
            frames.append(Frame(picture, index, index, 1 / rate, 1))
            index += 1
    info = _info(rate)
    tracker = MotionTracker(NoFlow("cpu"), 0)
    parts = list(find_parts(frames, tracker, info, split))
    assert [part.number for part in parts] == list(range(len(parts)))
    covered = [f for part in parts for f in range(part.first, part.first + part.frames)]
    assert covered == list(range(index))
    segments = [part.segment for part in parts]
    assert segments == [sum(len(p.segments) for p in parts[:k]) for k in range(len(parts))]
    assert all(sum(scene.frames for scene in part.scenes) == part.frames for part in parts)
    for before, after in pairwise(parts):
        assert before.fade_out == after.fade_in
        assert before.first + before.frames == after.first
        assert after.fade_in <= after.frames
        assert after.last == after.first - 1
        if after.fade_in:  # the run-up is of the same scene
            assert after.run_up <= before.frames
    if split is None:
        assert not any(part.fade_in for part in parts)


def _info(rate) -> SegmentFormat:
    from vidream.core.settings import WriteSettings  # noqa: PLC0415
    from vidream.media.info import VideoInfo  # noqa: PLC0415
    from vidream.media.places import parse_target  # noqa: PLC0415

    info = VideoInfo(width=16, height=16, rate=rate, time_base=1 / rate)
    return SegmentFormat.of(parse_target("a.mp4", WriteSettings()), info, WriteSettings())


# ---- the same bytes


@pytest.mark.parametrize("name", ["dream.mp4", "dream.mkv", "dream.gif", "dream.webm"])
def test_parts_in_turn_make_the_bytes_of_one_run(clip, tmp_path, name):
    run(job_of(clip, tmp_path / f"one-{name}", **FLOW))
    run_parts(job_of(clip, tmp_path / f"parts-{name}", **FLOW))
    assert digest(tmp_path / f"one-{name}") == digest(tmp_path / f"parts-{name}")
    assert not hidden(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {"start": 0.5, "duration": 2.0},
        {"fps": 10.0},
        {"max_side": 32, "keys": ("strength: 0s=0.2, 3s=1",)},
        {"audio_reactive": ("strength=bass:0.2..1",)},
    ],
    ids=lambda values: next(iter(values)),
)
def test_parts_of_a_cut_or_changing_clip_make_the_bytes_of_one_run(clip, tmp_path, values):
    run(job_of(clip, tmp_path / "one.mp4", **FLOW, **values))
    run_parts(job_of(clip, tmp_path / "parts.mp4", **FLOW, **values))
    assert digest(tmp_path / "one.mp4") == digest(tmp_path / "parts.mp4")


def test_parts_of_a_clip_without_a_rate_make_the_bytes_of_one_run(tmp_path):
    pictures = [textured(48, 64, k // 9) // (1 + k // 9 % 2) for k in range(36)]
    times = np.cumsum(np.random.default_rng(0).integers(1, 90, 36)).tolist()
    clip = tmp_path / "clip.mkv"
    make_clip(clip, pictures, times=times, time_base=Fraction(1, 1000))
    for name in ("dream.mp4", "dream.gif"):
        run(job_of(clip, tmp_path / f"one-{name}", **FLOW))
        run_parts(job_of(clip, tmp_path / f"parts-{name}", **FLOW))
        assert digest(tmp_path / f"one-{name}") == digest(tmp_path / f"parts-{name}")


def test_parts_of_pictures_into_pictures_make_the_bytes_of_one_run(clip, tmp_path):
    for folder in ("frames", "one", "parts"):
        (tmp_path / folder).mkdir()
    run(job_of(clip, tmp_path / "frames/%03d.png", **NONE))
    run(job_of(tmp_path / "frames/%03d.png", tmp_path / "one/%03d.png", **FLOW))
    run_parts(job_of(tmp_path / "frames/%03d.png", tmp_path / "parts/%03d.png", **FLOW))
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == sum(SCENES)
    assert names == sorted(path.name for path in (tmp_path / "parts").iterdir())
    assert all(digest(tmp_path / "one" / n) == digest(tmp_path / "parts" / n) for n in names)


def test_the_dream_itself_divided(clip, tmp_path):
    """With the default network, and what it carries from frame to frame."""
    run(job_of(clip, tmp_path / "one.mp4", **DREAM))
    run_parts(job_of(clip, tmp_path / "parts.mp4", **DREAM))
    assert digest(tmp_path / "one.mp4") == digest(tmp_path / "parts.mp4")


def test_a_part_is_found_by_seeking(clip, tmp_path, monkeypatch):
    part = plan(clip, tmp_path, **FLOW)[-1]
    with open_reader(clip) as reader:
        reader.seek(part.first, part.time)
        decoded = []
        stored = type(reader._decoder).items

        def counted(self):
            for item in stored(self):
                decoded.append(item)
                yield item

        monkeypatch.setattr(type(reader._decoder), "items", counted)
        with open_reader(clip) as plain:
            frames = [frame for frame in plain if frame.index >= part.first]
        sought = list(reader)
    assert [frame.index for frame in sought] == [frame.index for frame in frames]
    assert [frame.pts for frame in sought] == [frame.pts for frame in frames]
    assert all(map(np.array_equal, (f.image for f in sought), (f.image for f in frames)))


def test_where_seeking_leads_elsewhere_the_clip_is_read_from_its_beginning(
    clip, whole, tmp_path, monkeypatch, caplog
):
    from vidream.media.container_decoder import ContainerDecoder  # noqa: PLC0415

    wrong = ContainerDecoder.seek
    monkeypatch.setattr(
        ContainerDecoder, "seek", lambda self, time: wrong(self, time + Fraction(2))
    )
    with caplog.at_level("INFO", "vidream"):
        run_parts(job_of(clip, tmp_path / "dream.mp4", **FLOW))
    assert "reading from the beginning" in caplog.text
    assert digest(tmp_path / "dream.mp4") == digest(whole)


def test_a_source_that_changes_after_the_plan_is_an_error(clip, tmp_path):
    job = job_of(clip, tmp_path / "dream.mp4", **FLOW)
    (tmp_path / "draft").mkdir()
    part = plan(clip, tmp_path, **FLOW)[2]
    with pytest.raises(InputError, match=r"other frames than were planned come from 0:0.*source"):
        PartRenderer(job).render(
            replace(part, checksum=1), tmp_path / "draft", Reports(), CancelToken()
        )


# ---- failures, and going on


class Stop(Reports):
    """Cancels once so many parts are done."""

    def __init__(self, token, parts):
        super().__init__()
        self._token, self._parts = token, parts

    def parts(self, report):
        if report.parts >= self._parts:
            self._token.cancel()


def test_parts_that_are_done_are_never_rendered_again(clip, whole, tmp_path, monkeypatch):
    target, token = tmp_path / "dream.mp4", CancelToken()
    with pytest.raises(CancelledError, match="stopped; 3 scenes are kept: go on with"):
        run_parts(job_of(clip, target, Stop(token, 3), token, **FLOW))
    rendered = []
    render = PartRenderer.render
    monkeypatch.setattr(
        PartRenderer,
        "render",
        lambda self, part, *rest: (rendered.append(part.number), render(self, part, *rest))[1],
    )
    with pytest.raises(OutputError, match="3 scenes of an interrupted run: set `resume`"):
        run_parts(job_of(clip, target, **FLOW))
    with pytest.raises(OutputError, match="begun otherwise: octaves was 1 and is 2"):
        run_parts(job_of(clip, target, resume=True, **{**FLOW, "octaves": 2}))
    run_parts(job_of(clip, target, resume=True, **FLOW))
    assert rendered == [3, 4, 5, 6, 7]
    assert digest(target) == digest(whole)


def test_a_divided_run_and_one_that_is_not_do_not_mix(clip, tmp_path):
    target, token = tmp_path / "dream.mp4", CancelToken()
    with pytest.raises(CancelledError):
        run_parts(job_of(clip, target, Stop(token, 2), token, **FLOW))
    with pytest.raises(OutputError, match="scenes of a render that was divided: go on as it was"):
        run(job_of(clip, target, resume=True, **FLOW))
    with Division(job_of(clip, target, resume=True, **FLOW)) as division:
        assert len(division.done()) == 2
    run(job_of(clip, target, overwrite=True, **FLOW))
    assert not hidden(tmp_path)


def test_another_kind_of_machine_is_refused(clip, tmp_path, monkeypatch):
    target, token = tmp_path / "dream.mp4", CancelToken()
    with pytest.raises(CancelledError):
        run_parts(job_of(clip, target, Stop(token, 1), token, **FLOW))
    monkeypatch.setattr("vidream.render.fingerprint.describe_device", lambda _: "cpu OTHER")
    with pytest.raises(OutputError, match=r"rendered otherwise: device was cpu .* is cpu OTHER"):
        run_parts(job_of(clip, target, resume=True, **FLOW))


def test_a_damaged_part_is_said(clip, tmp_path):
    target, token = tmp_path / "dream.mp4", CancelToken()
    with pytest.raises(CancelledError):
        run_parts(job_of(clip, target, Stop(token, 7), token, **FLOW))
    (tmp_path / ".dream.mp4.vidream/part-00002/part.json").write_text("{")
    with pytest.raises(OutputError, match=r"part-00002 is damaged: remove it"):
        run_parts(job_of(clip, target, resume=True, **FLOW))
    assert not target.exists()


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("camera:0", "dream.mp4", "a pipe or a camera cannot be divided into scenes: give files"),
        ("CLIP", "-", "a pipe or a camera cannot be divided into scenes: give files"),
        ("noise:64x64", "dream.png", "a picture has no scenes: render it by itself"),
    ],
)
def test_what_has_no_scenes_is_refused(clip, tmp_path, source, target, message):
    source = str(clip) if source == "CLIP" else source
    with pytest.raises(SettingsError, match=message):
        run_parts(job_of(source, target if target == "-" else tmp_path / target, **NONE))
    assert not hidden(tmp_path)


# ---- arrays of jobs


def command(clip, target, part, *options):
    flags = ["--octaves", "1", "--steps", "1", "--jitter", "0", "--layer", "Conv2d_2b_3x3"]
    return [*VIDREAM, str(clip), "-o", str(target), "--part", part, *flags, *options]


def test_three_processes_of_which_one_dies_make_the_bytes_of_one_run(clip, whole, tmp_path):
    target = tmp_path / "dream.mp4"
    work = tmp_path / ".dream.mp4.vidream"
    environment = {**os.environ, "OMP_NUM_THREADS": str(_threads())}
    how = {"env": environment, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command(clip, target, "1/3"), **how)
    _wait(lambda: list(work.glob(".part-*.part")))  # in the middle of a scene
    first.send_signal(signal.SIGKILL)
    first.communicate()
    others = [subprocess.Popen(command(clip, target, f"{k}/3"), **how) for k in (2, 3, 1)]
    said = [other.communicate(timeout=300)[1] for other in others]
    assert [other.returncode for other in others] == [0, 0, 0], said
    assert digest(target) == digest(whole)
    assert not hidden(tmp_path)
    again = subprocess.run(command(clip, target, "2/3"), **how, check=False)
    assert (again.returncode, again.stderr) == (0, f"vidream: {target} is made already\n")


def _threads() -> int:
    import torch  # noqa: PLC0415

    return torch.get_num_threads()


def _wait(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("part", ["0/3", "4/3", "3", "a/b"])
def test_a_share_that_is_none(clip, tmp_path, part):
    ran = subprocess.run(
        command(clip, tmp_path / "dream.mp4", part), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert f"--part: {part!r} is no share: write 3/8 for the third of eight" in ran.stderr


def test_what_an_array_leaves_when_it_fails_at_once(clip, tmp_path):
    with pytest.raises(VidreamError):
        run_parts(job_of(clip, tmp_path / "dream.mp4", weights="/none.pt", **FLOW), (1, 2))
    assert not hidden(tmp_path)


# ---- long scenes


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """A scene of 90 frames, and one of 20."""
    return scenes_clip(tmp_path_factory.mktemp("long") / "long.mp4", (90, 20), sound="aac")


def test_a_long_scene_is_cut_into_pieces_of_the_same_length(long_clip, tmp_path):
    parts = plan(long_clip, tmp_path, **FLOW, split=1.3)
    assert [(part.first, part.frames) for part in parts] == [(0, 30), (30, 30), (60, 30), (90, 20)]
    assert [part.fade_in for part in parts] == [0, JOINT.fade, JOINT.fade, 0]
    assert [part.run_up for part in parts] == [0, JOINT.run_up, JOINT.run_up, 0]
    assert parts[1].segments == (JOINT.fade, 30 - JOINT.fade)


def test_pieces_are_blended_and_what_is_between_stays(long_clip, tmp_path):
    values = {**DREAM, "codec": "ffv1"}
    run(job_of(long_clip, tmp_path / "whole.mkv", **values))
    assert run(job_of(long_clip, tmp_path / "split.mkv", split=1.3, **values)) == 110
    whole, split = (
        [f.image for f in open_reader(tmp_path / n)] for n in ("whole.mkv", "split.mkv")
    )
    differs = [not np.array_equal(a, b) for a, b in zip(whole, split, strict=True)]
    assert not any(differs[:30])
    assert not any(differs[90:])
    assert all(differs[45:90])
    # What goes over differs from the one dream first little, then more.
    far = [np.abs(a.astype(int) - b).mean() for a, b in zip(whole, split, strict=True)]
    assert far[30] < 0.25 * far[41]
    assert video_times(tmp_path / "whole.mkv") == video_times(tmp_path / "split.mkv")
    assert not hidden(tmp_path)


@given(st.floats(0, 1), st.sampled_from([np.uint8, np.uint16]))
def test_a_blend_lies_between(share, kind):
    most = np.iinfo(kind).max
    before, after = (np.array(v, kind).reshape(1, 1, 3) for v in ([0, 10, most], [most, 10, 0]))
    mixed = blend(before, after, share)
    assert mixed.dtype == kind
    assert mixed[0, 0, 1] == 10
    assert abs(int(mixed[0, 0, 0]) + int(mixed[0, 0, 2]) - most) <= 1
    assert np.array_equal(blend(before, after, 0.0), before)
    assert np.array_equal(blend(before, after, 1.0), after)


# ---- what it costs


def scene_parts(lengths):
    first, parts = 0, []
    for number, frames in enumerate(lengths):
        at = Fraction(first, 25)
        scene = Scene(first, at, Fraction(frames, 25), frames, 0)
        begin = Fraction(0)
        parts.append(Part(number, begin, (scene,), number, (frames,), None, 0, 0, 0, at, 0, 0))
        first += frames
    return parts


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(1, 64))
def test_predicted_times_are_possible(lengths, workers):
    model = TimeModel(begin=0, overhead=0, keep=0, scan=1e9, join=1e9)
    parts, seconds = scene_parts(lengths), [n / 10 for n in lengths]
    took = model.predict(parts, seconds, workers)
    least = max(*seconds, sum(seconds) / workers)
    assert least - 1e-3 <= took <= 2 * least + 1e-3  # whoever is free takes what is left
    assert abs(model.predict(parts, seconds, 1) - sum(seconds)) < 1e-3
    assert 1 <= useful_workers(model, parts, seconds) <= len(parts)


def test_what_a_frame_costs_is_measured(clip):
    cost = measure_cost(job_of(clip, "dream.mp4", octaves=4, steps=6, layers=("Mixed_5b",)))
    assert 0 < cost.carried < cost.scratch
    scene = Scene(0, Fraction(0), Fraction(1), 25, 5)
    assert Cost(2.0, 0.5).of_scene(scene) == 2 + 19 * 0.5


def test_the_command_prints_the_plan(clip):
    flags = ["--octaves", "1", "--steps", "1", "--layer", "Conv2d_2b_3x3"]
    ran = subprocess.run(
        [*VIDREAM, "plan", clip, "--json", *flags], capture_output=True, text=True, check=True
    )
    found = json.loads(ran.stdout)
    assert [scene["frames"] for scene in found["scenes"]] == list(SCENES)
    assert found["scenes"][3] == {
        **found["scenes"][3],
        "first": 16,
        "time": 0.64,
        "length": 0.56,
        "duplicates": 0,
        "part": 1,
    }
    assert (found["frames"], found["parts"]) == (98, 8)
    assert found["workers"]["8"] < found["workers"]["1"]
    text = subprocess.run(
        [*VIDREAM, "plan", clip, *flags], capture_output=True, text=True, check=True
    )
    lines = text.stdout.splitlines()
    assert lines[0].split() == ["scene", "frame", "time", "length", "frames", "part", "takes"]
    assert lines[4].split()[:6] == ["4", "16", "0:00.6", "0:00.6", "14", "2"]
    assert "more than" in lines[-1]


@pytest.mark.parametrize(
    ("source", "status", "message"),
    [
        ("nothing.mp4", 1, "does not exist"),
        ("noise:64x64", 2, "a picture has no scenes: give a video"),
        ("-", 2, "a pipe or a camera has no plan: give a file"),
    ],
)
def test_what_has_no_plan(source, status, message):
    ran = subprocess.run([*VIDREAM, "plan", source], capture_output=True, text=True, check=False)
    assert ran.returncode == status
    assert message in ran.stderr
