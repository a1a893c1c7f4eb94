"""Settings that change from frame to frame, through the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import textured
from media import make_clip
from PIL import Image
from test_audio import RATE, burst, write_sound

from vidream import Frame, Resources, Settings, dream_frames, dream_video
from vidream.animate.animation import Animation
from vidream.cli import cli
from vidream.core.errors import InputError, SettingsError
from vidream.core.images import to_tensor
from vidream.core.settings import OVER_TIME
from vidream.effects.dream import DreamEffect
from vidream.effects.passthrough import PassThrough
from vidream.effects.registry import check_over_time
from vidream.postprocess.postprocess import blend
from vidream.render.setup import make_session
from vidream.timeline.timeline import Clock, Timeline, at_peak, open_timeline

QUICK = {"octaves": 1, "steps": 2, "refine_steps": 1, "weak_steps": 0, "precision": "float32"}


def changed(*keys, **values):
    return Settings().updated(keys=keys, **values)


@dataclass(frozen=True)
class Recorder:
    """An effect that writes down what it is given, and adds a fifth of white."""

    seen: list = field(default_factory=list)
    recurrent: bool = True
    over_time = frozenset(OVER_TIME)

    def step(self, init, frame, context, state):
        self.seen.append((context.settings, init))
        return (frame + 0.2).clamp(0, 1), {}


def dreamed(frames, settings, effect=None):
    return [frame.image for frame, _ in dream_frames(frames, settings, effect=effect or Recorder())]


def animation_of(still, settings):
    return Animation(still, open_timeline(settings))


def pan(count, size=(48, 64)):
    return [np.roll(textured(*size), 3 * k, axis=1) for k in range(count)]


def test_each_frame_is_dreamed_by_the_settings_of_its_time():
    """Times of a clip at a variable rate, which begin anywhere."""
    at = [Fraction(0), Fraction(1, 30), Fraction(3, 10), Fraction(1)]
    base = Fraction(1, 300)
    frames = [
        Frame(picture, k, round((t + 7) / base), base)
        for k, (picture, t) in enumerate(zip(pan(4), at, strict=True))
    ]
    settings = changed("step-size: 0=0.01 linear, 1=0.03", "steps: 0=1 linear, 1=11")
    effect = Recorder()
    dreamed(frames, settings, effect)
    dreams = [now.dream for now, _ in effect.seen]
    assert [d.step_size for d in dreams] == pytest.approx([0.01 + 0.02 * float(t) for t in at])
    assert [d.steps for d in dreams] == [1, 1, 4, 11]


def test_a_cut_keeps_the_clips_own_time(tmp_path, monkeypatch):
    """A key stays at its moment, whichever part of the clip is rendered."""
    monkeypatch.setattr("vidream.render.setup.load_effect", lambda *_: Recorder())
    flat = [np.full((48, 64, 3), 100, np.uint8)] * 10
    clip = make_clip(tmp_path / "c.mkv", flat, rate=Fraction(10), codec="ffv1")
    settings = changed("strength: 0=0 linear, 0.9=1", codec="ffv1")
    light = {}
    for name, cut in {"whole": {}, "part": {"start": 0.5}}.items():
        target = str(tmp_path / f"{name}.mkv")
        dream_video(clip, target, settings.updated(**cut))
        light[name] = [picture.mean() for picture in decoded(target)]
    assert light["whole"][0] < 102
    assert light["whole"][9] > 145
    assert np.diff(light["whole"]).min() > 3
    assert light["part"] == pytest.approx(light["whole"][5:])


def test_a_clock_tells_the_clips_own_time():
    frame = Frame(textured(8, 8), 0, 2, Fraction(1, 10))
    assert Clock(0.5)(frame) == Fraction(7, 10)
    assert Clock()(frame) == 0
    # Of a clip that is gone on with, the first frame was another.
    assert Clock(None, Fraction(-1, 10))(frame) == Fraction(3, 10)


def test_how_much_is_carried_changes_too():
    flat = [np.full((8, 8, 3), level, np.uint8) for level in (50, 60, 70, 80)]
    frames = [Frame(p, k, k, Fraction(1)) for k, p in enumerate(flat)]
    effect = Recorder()
    dreamed(frames, changed("coherence: 0=0 hold, 2=0.5"), effect)
    seen = zip(effect.seen, flat, strict=True)
    carried = [float((init.image - to_tensor(p)).mean()) for (_, init), p in seen]
    assert carried == pytest.approx([0, 0, 0.1, 0.1], abs=1e-6)


def test_strength_is_of_what_is_shown_and_the_carried_dream_stays_whole():
    pictures = pan(5)
    frames = [Frame(p, k, k, Fraction(1)) for k, p in enumerate(pictures)]
    effect = Recorder()
    shown = dreamed(frames, changed("strength: 0=0 linear, 4=2"), effect)
    assert np.array_equal(shown[0], pictures[0])
    for strength, got, picture in zip(np.linspace(0, 2, 5), shown, pictures, strict=True):
        source = picture / 255
        wanted = source + strength * (np.clip(source + 0.2, 0, 1) - source)
        assert np.abs(got / 255 - wanted.clip(0, 1)).max() <= 0.5 / 255 + 1e-6
    known = [float((1 - init.new_mask).mean()) for _, init in effect.seen[1:]]
    assert min(known) > 0.5


def test_strength_is_exact_at_nothing_and_at_one():
    dream, source = torch.rand(2, 1, 3, 8, 8)
    assert torch.equal(blend(dream, source, 0), source)
    assert blend(dream, source, 1) is dream
    assert blend(dream, source, 2).amax() <= 1


def test_a_frame_shown_twice_is_dreamed_once_and_shown_as_its_time_wants():
    frames = [Frame(textured(48, 64), k, k, Fraction(1)) for k in range(3)]
    effect = Recorder()
    shown = dreamed(frames, changed("strength: 0=0 linear, 2=1"), effect)
    assert len(effect.seen) == 1
    assert shown[0].mean() < shown[1].mean() < shown[2].mean()


def test_longer_steps_deepen_more(dreamer):
    """The dreamer itself, frame by frame: a step of 0 adds nothing."""
    frames = [Frame(p, k, k, Fraction(1)) for k, p in enumerate(pan(3, (96, 96)))]
    settings = changed("step-size: 0=0 linear, 2=0.02", **QUICK, coherence=0)
    shown = dreamed(frames, settings, DreamEffect(settings, Resources(), dreamer=dreamer))
    added = [np.abs(s.astype(int) - f.image).mean() for s, f in zip(shown, frames, strict=True)]
    assert added[0] == 0
    assert 1.5 < added[2] / added[1] < 2.5
    assert dreamer.settings.octaves == 2, "tuning makes another dreamer"


def test_what_is_decided_once_is_decided_by_the_largest_value():
    settings = at_peak(changed("coherence: 0=0, 1=0.7, 2=0", "rotate: 0=0, 1=-2"))
    assert settings.dream.coherence == 0.7
    assert settings.animation.rotate == -2
    assert settings.animation.zooms
    assert at_peak(Settings()) == Settings()


@pytest.mark.parametrize("name", sorted(OVER_TIME))
def test_every_setting_that_can_change_does(name):
    most = OVER_TIME[name].option.maximum
    first, last = (0.5, 0.75) if most == 1 else (1, 1.2)
    timeline = open_timeline(changed(f"{name}: 0={first} linear, 2={last}"))
    for time, value in ((0, first), (2, last)):
        now = timeline.at(Fraction(time))
        parts = (now.dream, now.style, now.postprocess, now.animation)
        (found,) = [getattr(part, name) for part in parts if hasattr(part, name)]
        assert found == (round(value) if isinstance(found, int) else value)


def test_a_zoom_that_quickens_and_turns():
    still = textured(64, 64)
    settings = changed("zoom: 0=1 linear, 1=1.1", "rotate: 0=0", fps=10, frames=10)
    animation, effect = animation_of(still, settings), Recorder()
    zooms = [transform.zoom for transform in animation.plan.transforms]
    assert zooms == pytest.approx([1 + 0.01 * k for k in range(1, 11)])
    assert len(list(animation.frames(effect))) == 10
    assert [now.dream.coherence for now, _ in effect.seen] == [1.0] * 10


def test_a_zoom_that_turns_covers_its_corners_at_every_moment():
    settings = changed("rotate: 0=0 linear, 1=3", fps=10, frames=10)
    moves = animation_of(textured(64, 96), settings).plan.transforms
    assert all(move.zoom > 1 for move in moves)
    assert moves[-1].zoom > moves[0].zoom
    with pytest.raises(SettingsError, match="does not cover"):
        wrong = changed("rotate: 0=0 linear, 1=3", zoom=1.01, fps=10, frames=10)
        animation_of(textured(64, 96), wrong)


def test_a_changing_loop_ends_where_it_begins():
    """Each frame is the one before, moved: the last move leads back to the first frame."""
    settings = changed(
        "zoom: 0=1.02 linear, 2=1.08 linear, 4=1.02", "rotate: 0=0", loop=True, fps=12, duration=4
    )
    still = textured(96, 96)
    animation = animation_of(still, settings)
    same = PassThrough(settings, Resources())
    film = [to_tensor(frame.image) for frame in animation.frames(same)]
    again = animation.plan.transforms[-1].move(film[-1])
    inner = (..., slice(16, 80), slice(16, 80))
    assert (again - film[0])[inner].abs().mean() < 0.03
    assert (film[30] - film[0])[inner].abs().mean() > 0.05


def test_the_sound_moves_the_dream(tmp_path):
    """A burst of bass in the second second; what follows treble stays where it is."""
    sound = write_sound(tmp_path / "s.wav", burst(60))
    settings = Settings().updated(
        audio_reactive=("strength=bass:0..1.5", "keep-edges=treble:0.1..0.9"), audio=sound
    )
    timeline = open_timeline(settings)
    quiet, loud = (timeline.at(Fraction(t)).postprocess for t in (0.5, 1.5))
    assert (quiet.strength, quiet.keep_edges) == pytest.approx((0, 0.1), abs=0.01)
    assert (loud.strength, loud.keep_edges) == pytest.approx((1.5, 0.1), abs=0.05)


def test_the_clips_own_sound_is_followed_in_the_file(tmp_path):
    clip = str(tmp_path / "c.mkv")
    dark = np.full((48, 64, 3), 40, np.uint8)
    with av.open(clip, "w") as out:
        video = out.add_stream("ffv1", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        track = out.add_stream("flac", rate=RATE)
        track.layout = "mono"
        for _ in range(30):
            out.mux(video.encode(av.VideoFrame.from_ndarray(dark, format="rgb24")))
        out.mux(video.encode(None))
        data = (burst(60)[None] * 32767).astype(np.int16)
        for k in range(0, 3 * RATE, RATE):
            frame = av.AudioFrame.from_ndarray(data[:, k : k + RATE], format="s16", layout="mono")
            frame.rate, frame.pts = RATE, k
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    settings = Settings().updated(audio_reactive=("strength=bass:0..1",), start=0.5)
    timeline = open_timeline(settings, clip)
    frames = [Frame(dark, k, k, Fraction(1, 10)) for k in range(25)]  # as a reader gives the cut
    with make_session(timeline, Resources(), effect=Recorder()) as session:
        shown = [session.push(frame).image.mean() for frame in frames]
    assert max(shown[:4]) < 41
    assert min(shown[7:14]) > 80
    assert shown[-1] < 45


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def decoded(path):
    with av.open(str(path)) as video:
        return [f.to_ndarray(format="rgb24").astype(int) for f in video.decode(video=0)]


def test_the_command_and_twice_the_same_bytes(tmp_path):
    clip = make_clip(tmp_path / "c.mp4", pan(6, (96, 96)), rate=Fraction(6), sound="aac")
    quick = ["--octaves", 1, "--steps", 1, "--refine-steps", 1, "--precision", "float32"]
    for name in ("a.mkv", "b.mkv"):
        done = run(
            clip, "-o", tmp_path / name, *quick, "--codec", "ffv1",
            "--key", "strength: 0s=0, 1s=1", "--audio-reactive", "step-size=all:0.01..0.02",
        )  # fmt: skip
        assert done.exit_code == 0, done.output
    pictures = zip(decoded(clip), decoded(tmp_path / "a.mkv"), strict=True)
    added = [np.abs(dream - source).mean() for source, dream in pictures]
    assert added[0] < 1.5  # what the pixel formats round
    assert added[1] < added[2] < added[3] < added[4] < added[5]
    assert added[-1] > 3 * added[0]
    assert decoded(tmp_path / "a.mkv")[3].tolist() == decoded(tmp_path / "b.mkv")[3].tolist()


def test_a_keyed_zoom_makes_a_film_of_a_still(tmp_path):
    Image.fromarray(textured(48, 64)).save(tmp_path / "a.png")
    sound = write_sound(tmp_path / "s.wav", burst(60))
    done = run(
        tmp_path / "a.png", "-o", tmp_path / "z.mp4", "--effect", "none", "--frames", 5,
        "--key", "zoom: 0s=1, 5s=1.1", "--audio-reactive", "rotate=bass:0..1", "--audio", sound,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert len(decoded(tmp_path / "z.mp4")) == 5


@pytest.mark.parametrize(
    ("source", "target", "arguments", "status", "says"),
    [
        ("c.mp4", "d.mp4", ["--key", "octaves: 0=1"], 2, "can change over time are"),
        ("c.mp4", "d.mp4", ["--key", "strength: 0=7"], 2, "from 0 to 2"),
        ("c.mp4", "d.mp4", ["--config", "none.toml"], 2, "cannot read none.toml"),
        ("c.mp4", "d.mp4", ["--audio-reactive", "strength=bass"], 1, "has no sound to follow"),
        ("c.mp4", "d.mp4", ["--audio-reactive", "zoom=bass:1..1.1"], 2, "animates a still"),
        ("c.mp4", "d.mp4", ["--audio-reactive", "keep-edges=bass"], 1, "range"),
        ("c.mp4", "d.mp4", ["--effect", "none", "--key", "steps: 0=1"], 1, "none cannot change"),
        ("a.png", "d.png", ["--key", "strength: 0=1"], 2, "no time"),
        ("a.png", "d.png", ["--audio", "s.wav"], 2, "a picture has no sound"),
        ("c.mp4", "d.mp4", ["--audio", "c.mp4"], 1, "audio: c.mp4 has no sound"),
        ("c.mp4", "d.mp4", ["--audio", "s.wav"], 1, "audio: s.wav does not exist"),
        ("a.png", "d.mp4", ["--key", "steps: 0=1"], 1, "animation of octaves"),
        ("a.png", "d.mp4", ["--key", "zoom: 0=1.1", "--strength", "0.5"], 1, "strength"),
        ("a.png", "d.mp4", ["--audio-reactive", "zoom=bass:1..1.1"], 1, "give some with --audio"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    tmp_path, monkeypatch, source, target, arguments, status, says
):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(textured(48, 64)).save("a.png")
    make_clip("c.mp4")
    done = run(source, "-o", target, *arguments)
    assert done.exit_code == status, done.output
    assert says in done.output.replace("\n", " ")
    assert done.output.count("\n") == 1 or status == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "c.mp4"]


def test_what_a_plugin_can_follow():
    effect = PassThrough(Settings(), Resources())
    check_over_time(effect, "none", ("strength", "coherence"))
    with pytest.raises(SettingsError, match="none cannot change `step_size`"):
        check_over_time(effect, "none", ("strength", "step_size"))


@pytest.mark.parametrize("source", ["-", "camera:0"])
def test_what_is_live_cannot_be_heard_beforehand(source):
    with pytest.raises(InputError, match="give its sound with `audio`"):
        open_timeline(Settings().updated(audio_reactive=("strength=bass",)), source)
    assert Timeline(Settings()).names == frozenset()
