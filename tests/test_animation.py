"""Films made from a still: octaves, endless zooms, loops."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import Reports, textured
from PIL import Image

from vidream import (
    AnimationSettings,
    Dreamer,
    DreamSettings,
    Resources,
    Settings,
    dream_video,
)
from vidream.animate.animation import Animation
from vidream.animate.octaves import grow
from vidream.animate.plan import plan_animation
from vidream.animate.zoom import Appearance, sharpness, zoom
from vidream.cli import cli
from vidream.core.errors import InputError, NetworkError, SettingsError
from vidream.core.filters import gaussian_blur
from vidream.core.images import resize, to_tensor
from vidream.core.presets import PRESETS, preset_settings
from vidream.core.settings import ReadSettings
from vidream.core.view_transform import ViewTransform
from vidream.effects.dream import DreamEffect
from vidream.media.noise import make_noise
from vidream.media.places import Noise, parse_source, parse_target
from vidream.render.job import default_preset
from vidream.timeline.timeline import Timeline

PICTURE = textured(64, 96)
ZOOM = Settings().updated(zoom=1.03, rotate=1.0, frames=6)


@dataclass
class Added:
    """An effect that adds a known amount to its start."""

    amount: float = 0.0
    recurrent: bool = False
    starts: list = field(default_factory=list)
    states: list = field(default_factory=list)
    over_time = frozenset()

    def step(self, init, frame, context, state):
        self.starts.append(init)
        self.states.append(state)
        assert torch.equal(init.image, frame)
        return (init.image + self.amount).clamp(0, 1), {"index": torch.tensor(context.index)}


def planned(settings, picture=PICTURE):
    return plan_animation(picture.shape[:2], Timeline(settings))


def zoomed(effect, settings=ZOOM, picture=PICTURE):
    animation = Animation(picture, Timeline(settings))
    return list(zoom(to_tensor(picture), effect, animation.plan, animation._context))


def dreaming(dreamer):
    return DreamEffect(Settings(), Resources(), dreamer=dreamer)


@pytest.mark.parametrize("amount", [0.0, 0.01])
def test_a_frame_is_the_one_before_moved_plus_the_dream(amount):
    effect = Added(amount)
    images = zoomed(effect)
    assert len(images) == 6
    assert torch.equal(images[0], (to_tensor(PICTURE) + amount).clamp(0, 1))
    for before, after in pairwise(images):
        moved = ViewTransform(1.03, 1.0).move(before)
        assert torch.equal(after, (moved + amount).clamp(0, 1))
    assert [s.new_mask is not None for s in effect.starts] == [False, *[True] * 5]
    assert [s.get("index") for s in effect.states] == [None, 0, 1, 2, 3, 4]


def test_what_dreams_on_its_own_dreams_keeps_its_light():
    settings = ZOOM.updated(frames=120, zoom=1.01, rotate=0.0)
    left = zoomed(Added(0.002), settings)
    kept = zoomed(Added(0.002, recurrent=True), settings)
    assert float(left[-1].mean() - left[0].mean()) > 0.15
    assert abs(float(kept[-1].mean() - kept[0].mean())) < 0.1
    # The move itself is the same, up to what is held.
    assert float((kept[1] - ViewTransform(1.01).move(kept[0]) - 0.002).abs().mean()) < 0.006


def apart(one, other):
    return float((one - other).abs().mean())


@pytest.mark.parametrize(
    "move", [{"zoom": 1.02}, {"zoom": 1.02, "rotate": 0.5}, {"zoom": 1.1}, {"rotate": -2.0}]
)
@pytest.mark.parametrize("recurrent", [False, True])
def test_a_loop_ends_where_it_begins(move, recurrent):
    settings = Settings().updated(**move, loop=True, frames=40, fps=15.0)
    images = zoomed(Added(0.0, recurrent), settings, textured(96, 128))
    steps = [apart(a, b) for a, b in pairwise(images)]
    assert len(images) == 40
    # Without a dream what returns is sharper than what it returns from, which moves more.
    assert apart(images[-1], images[0]) <= 1.15 * max(steps)
    assert max(steps) <= 1.6 * max(steps[:5])
    # The first frame is the last one moved, but for what resampling it back and forth takes.
    moved = planned(settings, textured(96, 128)).transforms[-1].move(images[-1])
    assert apart(moved, images[0]) < 0.02


def test_a_dreamed_loop_ends_where_it_begins(dreamer):
    settings = Settings(dream=dreamer.settings).updated(zoom=1.03, loop=True, frames=24, fps=10.0)
    dreamer = Dreamer(settings.animation.adapted(settings.dream), network=dreamer.network)
    images = zoomed(dreaming(dreamer), settings, textured(96, 128))
    steps = [apart(a, b) for a, b in pairwise(images)]
    assert apart(images[-1], images[0]) <= max(steps)


def test_a_film_that_does_not_loop_goes_elsewhere():
    images = zoomed(Added(), Settings().updated(zoom=1.02, frames=40), textured(96, 128))
    assert apart(images[-1], images[0]) > 3 * apart(images[-1], images[-2])


def unheard(done, total):
    """Take a step's report."""


def fake_dreamer(least=1, **settings):
    """A dreamer whose step adds a hundredth of white."""
    return SimpleNamespace(
        settings=DreamSettings(**settings),
        device="cpu",
        network=SimpleNamespace(minimum_side=least),
        ascend=lambda image, views, content: (image + 0.01 * len(views)).clamp(0, 1),
    )


def test_octaves_begin_from_a_blend_of_dream_and_still():
    film, steps = AnimationSettings(blend=0.25), []
    sizes = ((32, 48), (64, 96), (96, 144))
    dreamer = fake_dreamer(steps=3)
    still, dream = to_tensor(PICTURE), None
    images = list(grow(still, dreamer, film, sizes, lambda *done: steps.append(done)))
    for size, image in zip(sizes, images, strict=True):
        ground = resize(still, size)
        start = ground if dream is None else 0.75 * ground + 0.25 * resize(dream, size)
        dream = (start + 0.03).clamp(0, 1)
        assert torch.allclose(image, resize(dream, (64, 96)), atol=1e-5)
    total = 3 * (32 * 48 + 64 * 96 + 96 * 144)
    assert len(steps) == 9
    assert steps[-1] == (total, total)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_a_film_can_grow_smoothly():
    settings = Settings().updated(every=2, octaves=2, octave_scale=2.0, steps=5)
    plan = planned(settings)
    assert plan.sizes == ((32, 48), (64, 96))
    images = list(
        grow(to_tensor(PICTURE), fake_dreamer(steps=5), settings.animation, plan.sizes, unheard)
    )
    assert len(images) == plan.frames == 1 + 2 * 3
    assert torch.equal(images[0], to_tensor(PICTURE))
    grown = [float(image.mean() - images[0].mean()) for image in images[1:]]
    assert grown == pytest.approx([0.02, 0.04, 0.05, 0.045, 0.065, 0.075], abs=0.002)


def test_the_octave_film_has_the_articles_numbers():
    settings = preset_settings("octaves")
    plan = planned(settings, textured(100, 200))
    assert plan.sizes == tuple((round(100 * 1.3**n), round(200 * 1.3**n)) for n in range(-2, 3))
    assert (plan.frames, plan.info.rate) == (5, 10)
    assert (settings.dream.steps, settings.animation.blend) == (200, 0.5)
    changed = settings.updated(octaves=3, first_octave=0, octave_scale=2.0, fps=4.0)
    assert planned(changed, textured(32, 32)).sizes == ((32, 32), (64, 64), (128, 128))
    assert planned(changed, textured(32, 32)).info.rate == 4


def test_too_small_a_still_for_the_network():
    with pytest.raises(NetworkError, match=r"60×40, is too small.*larger picture"):
        list(grow(to_tensor(PICTURE), fake_dreamer(75), AnimationSettings(), ((40, 60),), unheard))


def test_the_dreamer_dreams_the_octaves(dreamer):
    picture = textured(96, 128)
    settings = Settings().updated(octaves=2, first_octave=0, steps=4, octave_scale=1.2)
    frames = list(Animation(picture, Timeline(settings)).frames(dreaming(dreamer)))
    assert [frame.image.shape for frame in frames] == [picture.shape] * 2
    assert [frame.time for frame in frames] == [0, Fraction(1, 10)]
    before, *after = (float(dreamer.objective(to_tensor(p))) for p in
                      (picture, *(f.image for f in frames)))  # fmt: skip
    assert all(value > 1.5 * before for value in after)


def test_the_dreamer_keeps_a_zoom_sharp(dreamer):
    """Enlarging blurs, so that without the dream detail would be gone by the last frame."""
    settings = Settings(dream=dreamer.settings).updated(zoom=1.04, frames=24)
    dreamer = Dreamer(settings.animation.adapted(settings.dream), network=dreamer.network)
    dreamed = zoomed(dreaming(dreamer), settings, textured(96, 128))
    bare = zoomed(Added(), settings, dreamed[0][0].permute(1, 2, 0).mul(255).byte().numpy())
    assert sharpness(dreamed[-1]) > 0.9 * sharpness(dreamed[0])
    assert sharpness(bare[-1]) < 0.7 * sharpness(bare[0])


def test_what_moving_blurs_is_sharpened_and_no_more():
    image = to_tensor(textured(96, 128))
    look, blurred = Appearance.of(image), gaussian_blur(image, 1.0)
    sharpened = look.hold(blurred)
    assert sharpness(blurred) < sharpness(sharpened) <= sharpness(image)
    assert torch.equal(look.hold(image), image)


def test_a_zoom_has_steps_of_its_own():
    dream = DreamSettings(coherence=0, detail=0.2)
    zooming = AnimationSettings(rotate=1.0, zoom_steps=5).adapted(dream)
    assert (zooming.refine_steps, zooming.detail, zooming.coherence) == (5, 0.5, 1)
    assert AnimationSettings(every=3).adapted(dream) == dream


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(PICTURE).save(path)
    return path


@pytest.mark.parametrize("target", ["d.mp4", "d.gif", "d.webp", "d.webm", "d/%03d.png"])
def test_films_in_every_kind_of_file(photo, tmp_path, target):
    (tmp_path / "out").mkdir()
    settings = Settings(effect="none").updated(zoom=1.05, frames=5, fps=20.0)
    reports = Reports()
    target = tmp_path / "out" / target
    assert dream_video(photo, target, settings, reporter=reports) == 5
    assert [r.index for r in reports.frames] == list(range(5))
    assert {r.expected for r in reports.frames} == {5}
    if target.suffix == ".png":
        assert len(list(target.parent.iterdir())) == 5
        with Image.open(target.parent / "001.png") as first:
            assert np.array_equal(np.asarray(first), PICTURE)
    elif target.suffix == ".webp":
        with Image.open(target) as film:
            assert (film.n_frames, film.size) == (5, (96, 64))
    else:
        with av.open(str(target)) as film:
            times = [float(f.pts * f.time_base) for f in film.decode(video=0)]
        assert times == pytest.approx([0, 0.05, 0.1, 0.15, 0.2], abs=0.001)
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_still_into_a_gif_is_the_film_of_its_octaves(photo, tmp_path):
    made = []
    settings = preset_settings("octaves", steps=1, first_octave=1, octaves=3)
    reports = Reports(on_step=lambda *done: made.append(done))
    assert dream_video(photo, tmp_path / "d.gif", settings, reporter=reports) == len(made) == 3
    with Image.open(tmp_path / "d.gif") as film:
        assert (film.n_frames, film.size, film.info["duration"]) == (3, (96, 64), 100)
        assert film.info["loop"] == 0


@pytest.mark.parametrize(
    ("source", "target", "values", "preset"),
    [
        ("a.jpg", "d.gif", {}, "octaves"),
        ("a.jpg", "d.mp4", {}, "octaves"),
        ("noise:64x64", "d.mp4", {}, "octaves"),
        ("a.jpg", "-", {"every": 3}, "octaves"),
        ("a.jpg", "d.webp", {"animate": "octaves"}, "octaves"),
        ("a.jpg", "d.webp", {}, "creatures"),
        ("a.jpg", "d.png", {}, "creatures"),
        ("a.jpg", "d.mp4", {"zoom": 1.02, "steps": 3}, "creatures"),
        ("a.mp4", "d.gif", {}, "creatures"),
        ("-", "d.gif", {}, "creatures"),
    ],
)
def test_who_names_no_preset_gets_the_usual_one(source, target, values, preset):
    moving = "animate" in values or target != "d.webp"
    parsed = parse_source(source), parse_target(target, moving=moving and target != "d.png")
    assert default_preset(*parsed, values) == preset
    assert preset in PRESETS


def test_an_interrupt_leaves_what_was_made(photo, tmp_path):
    def stop(report):
        if report.index == 2:
            raise KeyboardInterrupt

    target = tmp_path / "d.mp4"
    settings = Settings(effect="none").updated(zoom=1.02)
    with pytest.raises(KeyboardInterrupt):
        dream_video(photo, target, settings, reporter=Reports(stop))
    with av.open(str(target)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.mp4", "photo.png"]


def test_an_interrupt_in_the_first_octave_leaves_nothing(photo, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    settings = preset_settings("octaves", first_octave=1)
    with pytest.raises(KeyboardInterrupt):
        dream_video(photo, tmp_path / "d.mp4", settings, reporter=Reports(on_step=stop))
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"loop": True}, "set `zoom` or `rotate`"),
        ({"zoom": 1.02, "every": 3}, "leave them out"),
        ({"zoom": 3.0}, "`zoom` is a number from 1 to 1.25"),
        ({"zoom": 0.98}, "`zoom` is a number from 1 to 1.25"),
        ({"rotate": 90.0}, "`rotate` is a number from -10 to 10"),
        ({"zoom": 1.01, "rotate": 2.0}, "unless `zoom` is 1.0518 or more"),
        ({"zoom": 1.02, "start": 1.0}, "has no `start` and `end`"),
        ({"zoom": 1.02, "loop": True, "duration": 1.5}, "`duration` to 2 or more"),
        ({"zoom": 1.02, "loop": True, "frames": 49}, "50 frames"),
        ({"duration": 3.0}, "leave out `duration`"),
        ({"steps": 0}, "shows nothing"),
        ({"effect": "none"}, "has no octaves"),
    ],
)
def test_wishes_that_make_no_film(values, says):
    with pytest.raises(SettingsError, match=says):
        planned(Settings().updated(**values))


def test_too_much_of_a_turn_for_a_wide_picture():
    with pytest.raises(SettingsError, match="set a smaller `rotate`"):
        planned(Settings().updated(rotate=10.0), textured(32, 96))


def test_how_long_a_zoom_is():
    def frames(**values):
        return planned(Settings().updated(zoom=1.02, **values)).frames

    assert frames() == 250
    assert planned(Settings().updated(rotate=2.0)).transforms[0] == ViewTransform(1.0518, 2.0)
    assert frames(duration=2.0) == 50
    assert frames(duration=2.0, fps=30.0) == 60
    assert frames(frames=300) == 300
    assert frames(duration=2.0, frames=7) == 7


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.mark.parametrize(
    ("source", "target", "options", "status", "says"),
    [
        ("clip", "d.mp4", ["zoom"], 2, "is no picture"),
        ("clip", "d.mp4", ["--preset", "octaves"], 2, "is no picture"),
        ("photo", "d.png", ["zoom"], 1, "frames/%05d.png"),
        ("photo", "d.mp4", ["zoom", "--zoom", "9"], 2, "from 1 to 1.25"),
        ("photo", "d.mp4", ["zoom", "--loop", "--duration", "1"], 1, "too short"),
        ("photo", "d.mp4", ["octaves", "--zoom", "1.1"], 2, "No such option"),
        ("photo", "d.mp4", [], 1, "too small for the network"),
        ("noise:big", "d.mp4", [], 1, "noise:640x360"),
        ("noise:4x4", "d.mp4", [], 1, "from 16"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    clip, photo, tmp_path, source, target, options, status, says
):
    source = {"clip": clip, "photo": photo}.get(source, source)
    command = options[:1] if options[:1] in (["zoom"], ["octaves"]) else []
    result = run(*command, source, "-o", tmp_path / target, *options[len(command) :])
    assert result.exit_code == status
    assert says in " ".join(result.output.split())
    if status == 1:
        assert len(result.output.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


def test_the_command_makes_films(photo, tmp_path):
    zoomed = run("zoom", photo, "-o", tmp_path / "z.mp4", "--frames", 3, "--effect", "none")
    assert (zoomed.exit_code, zoomed.output) == (0, "")
    octaves = run("octaves", photo, "-o", tmp_path / "o.gif", "--steps", 1, "--first-octave", 1)
    assert (octaves.exit_code, octaves.output) == (0, "")
    with Image.open(tmp_path / "o.gif") as film:
        assert film.n_frames == 5


def test_noise_is_a_source_like_any_other(tmp_path):
    one, same, other = (make_noise(Noise(64, 48), ReadSettings(), s).image for s in (0, 0, 1))
    assert one.shape == (48, 64, 3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert make_noise(Noise(64, 48), ReadSettings(width=32), 0).image.shape == (24, 32, 3)
    assert 100 < one.mean() < 156
    with pytest.raises(InputError, match="noise:640x360"):
        parse_source("noise:64")
    settings = replace(ZOOM, effect="none")
    assert dream_video("noise:64x48", tmp_path / "n.mp4", settings) == 6
    small = Settings().updated(octaves=1, steps=1)
    assert dream_video("noise:96x80", tmp_path / "n.png", small) == 1


def test_a_film_is_not_finished(tmp_path):
    target = tmp_path / "zoom.mp4"
    settings = Settings().updated(zoom=1.02, luma_only=True, effect="none", frames=4)
    with pytest.raises(SettingsError, match="luma_only"):
        dream_video("noise:64x48", target, settings)
    assert not list(tmp_path.iterdir())
