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
from conftest import textured
from PIL import Image

from vidream import Dreamer, DreamSettings, FilmSettings, Settings, dream_video, film_frames
from vidream.cli import _Progress, cli
from vidream.errors import InputError, NetworkError, SettingsError
from vidream.films import plan_film, usual_preset
from vidream.films.films import grow
from vidream.films.noise import make_noise
from vidream.films.zoom import Look, sharpness, zoom
from vidream.frames import to_tensor
from vidream.images import Camera, resize
from vidream.images.filters import gaussian_blur
from vidream.presets import PRESETS, preset_settings
from vidream.processors import DreamProcessor
from vidream.settings import ReadSettings

PICTURE = textured(64, 96)
ZOOM = Settings().updated(zoom=1.03, rotate=1.0, frames=6)


@dataclass
class Added:
    """A processor that adds a known amount to its start."""

    amount: float = 0.0
    recurrent: bool = False
    starts: list = field(default_factory=list)

    def process(self, start, source, index):
        self.starts.append(start)
        assert torch.equal(start.image, source)
        return (start.image + self.amount).clamp(0, 1), (float(index),)


def zoomed(processor, settings=ZOOM, picture=PICTURE):
    plan = plan_film(picture, settings)
    back = round(plan.rate) if settings.film.loop else 0
    return list(zoom(to_tensor(picture), processor, plan.moves, plan.frames, back))


@pytest.mark.parametrize("amount", [0.0, 0.01])
def test_a_frame_is_the_one_before_moved_plus_the_dream(amount):
    processor = Added(amount)
    images = zoomed(processor)
    assert len(images) == 6
    assert torch.equal(images[0], (to_tensor(PICTURE) + amount).clamp(0, 1))
    for before, after in pairwise(images):
        moved = Camera(1.03, 1.0).move(before)
        assert torch.equal(after, (moved + amount).clamp(0, 1))
    assert [s.carried for s in processor.starts] == [False, *[True] * 5]
    assert [s.memo for s in processor.starts] == [(), (0.0,), (1.0,), (2.0,), (3.0,), (4.0,)]


def test_what_dreams_on_its_own_dreams_keeps_its_light():
    settings = ZOOM.updated(frames=120, zoom=1.01, rotate=0.0)
    left = zoomed(Added(0.002), settings)
    kept = zoomed(Added(0.002, recurrent=True), settings)
    assert float(left[-1].mean() - left[0].mean()) > 0.15
    assert abs(float(kept[-1].mean() - kept[0].mean())) < 0.1
    # The move itself is the same, up to what is held.
    assert float((kept[1] - Camera(1.01).move(kept[0]) - 0.002).abs().mean()) < 0.006


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
    moved = plan_film(textured(96, 128), settings).moves[-1].move(images[-1])
    assert apart(moved, images[0]) < 0.02


def test_a_dreamed_loop_ends_where_it_begins(dreamer):
    settings = Settings(dream=dreamer.settings).updated(zoom=1.03, loop=True, frames=24, fps=10.0)
    dreamer = Dreamer(settings.film.deepened(settings.dream), network=dreamer.network)
    images = zoomed(DreamProcessor(dreamer), settings, textured(96, 128))
    steps = [apart(a, b) for a, b in pairwise(images)]
    assert apart(images[-1], images[0]) <= max(steps)


def test_a_film_that_does_not_loop_goes_elsewhere():
    images = zoomed(Added(), Settings().updated(zoom=1.02, frames=40), textured(96, 128))
    assert apart(images[-1], images[0]) > 3 * apart(images[-1], images[-2])


def fake_dreamer(least=1, **settings):
    """A dreamer whose step adds a hundredth of white."""
    return SimpleNamespace(
        settings=DreamSettings(**settings),
        device="cpu",
        network=SimpleNamespace(minimum_side=least),
        ascend=lambda image, views, beside: (image + 0.01 * len(views)).clamp(0, 1),
    )


def test_octaves_begin_from_a_blend_of_dream_and_still():
    film, steps = FilmSettings(blend=0.25), []
    sizes = ((32, 48), (64, 96), (96, 144))
    dreamer = fake_dreamer(steps=3)
    images = list(grow(PICTURE, dreamer, film, sizes, lambda *done: steps.append(done)))
    still, dream = to_tensor(PICTURE), None
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
    plan = plan_film(PICTURE, settings)
    assert plan.sizes == ((32, 48), (64, 96))
    images = list(grow(PICTURE, fake_dreamer(steps=5), settings.film, plan.sizes))
    assert len(images) == plan.frames == 1 + 2 * 3
    assert torch.equal(images[0], to_tensor(PICTURE))
    grown = [float(image.mean() - images[0].mean()) for image in images[1:]]
    assert grown == pytest.approx([0.02, 0.04, 0.05, 0.045, 0.065, 0.075], abs=0.002)


def test_the_octave_film_has_the_articles_numbers():
    settings = preset_settings("octave-film")
    plan = plan_film(textured(100, 200), settings)
    assert plan.sizes == tuple((round(100 * 1.3**n), round(200 * 1.3**n)) for n in range(-2, 3))
    assert (plan.frames, plan.info.rate) == (5, 10)
    assert (settings.dream.steps, settings.film.blend) == (200, 0.5)
    changed = settings.updated(octaves=3, first_octave=0, octave_scale=2.0, fps=4.0)
    assert plan_film(textured(32, 32), changed).sizes == ((32, 32), (64, 64), (128, 128))
    assert plan_film(textured(32, 32), changed).info.rate == 4


def test_too_small_a_still_for_the_network():
    with pytest.raises(NetworkError, match=r"60×40, is too small.*larger picture"):
        list(grow(PICTURE, fake_dreamer(75), FilmSettings(), ((40, 60),)))


def test_the_dreamer_dreams_the_octaves(dreamer):
    picture = textured(96, 128)
    settings = Settings().updated(octaves=2, first_octave=0, steps=4, octave_scale=1.2)
    frames = list(film_frames(picture, settings, processor=DreamProcessor(dreamer)))
    assert [frame.image.shape for frame in frames] == [picture.shape] * 2
    assert [frame.time for frame in frames] == [0, Fraction(1, 10)]
    before, *after = (float(dreamer.objective(to_tensor(p))) for p in
                      (picture, *(f.image for f in frames)))  # fmt: skip
    assert all(value > 1.5 * before for value in after)


def test_the_dreamer_keeps_a_zoom_sharp(dreamer):
    """Enlarging blurs, so that without the dream detail would be gone by the last frame."""
    settings = Settings(dream=dreamer.settings).updated(zoom=1.04, frames=24)
    dreamer = Dreamer(settings.film.deepened(settings.dream), network=dreamer.network)
    dreamed = zoomed(DreamProcessor(dreamer), settings, textured(96, 128))
    bare = zoomed(Added(), settings, dreamed[0][0].permute(1, 2, 0).mul(255).byte().numpy())
    assert sharpness(dreamed[-1]) > 0.9 * sharpness(dreamed[0])
    assert sharpness(bare[-1]) < 0.7 * sharpness(bare[0])


def test_what_moving_blurs_is_sharpened_and_no_more():
    image = to_tensor(textured(96, 128))
    look, blurred = Look.of(image), gaussian_blur(image, 1.0)
    sharpened = look.hold(blurred)
    assert sharpness(blurred) < sharpness(sharpened) <= sharpness(image)
    assert torch.equal(look.hold(image), image)


def test_a_zoom_has_steps_of_its_own():
    dream = DreamSettings(coherence=0, detail=0.2)
    zooming = FilmSettings(rotate=1.0, zoom_steps=5).deepened(dream)
    assert (zooming.carried_steps, zooming.detail, zooming.carried_share) == (5, 0.5, 1)
    assert FilmSettings(every=3).deepened(dream) == dream


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(PICTURE).save(path)
    return path


@pytest.mark.parametrize("target", ["d.mp4", "d.gif", "d.webp", "d.webm", "d/%03d.png"])
def test_films_in_every_kind_of_file(photo, tmp_path, target):
    (tmp_path / "out").mkdir()
    settings = Settings(effect="none").updated(zoom=1.05, frames=5, fps=20.0)
    reports = []
    target = tmp_path / "out" / target
    assert dream_video(photo, target, settings, progress=reports.append) == 5
    assert [r.index for r in reports] == list(range(5))
    assert {r.expected for r in reports} == {5}
    assert [r.carried for r in reports] == [False, *[True] * 4]
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
    settings = preset_settings("octave-film", steps=1, first_octave=1, octaves=3)
    count = dream_video(photo, tmp_path / "d.gif", settings, on_step=lambda *d: made.append(d))
    assert count == len(made) == 3
    with Image.open(tmp_path / "d.gif") as film:
        assert (film.n_frames, film.size, film.info["duration"]) == (3, (96, 64), 100)
        assert film.info["loop"] == 0


@pytest.mark.parametrize(
    ("source", "target", "values", "preset"),
    [
        ("a.jpg", "d.gif", {}, "octave-film"),
        ("a.jpg", "d.mp4", {}, "octave-film"),
        ("noise:64x64", "d.mp4", {}, "octave-film"),
        ("a.jpg", "-", {"every": 3}, "octave-film"),
        ("a.jpg", "d.webp", {"animate": True}, "octave-film"),
        ("a.jpg", "d.webp", {}, "creatures"),
        ("a.jpg", "d.png", {}, "creatures"),
        ("a.jpg", "d.mp4", {"zoom": 1.02, "steps": 3}, "creatures"),
        ("a.mp4", "d.gif", {}, "creatures"),
        ("-", "d.gif", {}, "creatures"),
    ],
)
def test_who_names_no_preset_gets_the_usual_one(source, target, values, preset):
    assert usual_preset(source, target, **values) == preset
    assert preset in PRESETS


def test_an_interrupt_leaves_what_was_made(photo, tmp_path):
    def stop(report):
        if report.index == 2:
            raise KeyboardInterrupt

    target = tmp_path / "d.mp4"
    settings = Settings(effect="none").updated(zoom=1.02)
    with pytest.raises(KeyboardInterrupt):
        dream_video(photo, target, settings, progress=stop)
    with av.open(str(target)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.mp4", "photo.png"]


def test_an_interrupt_in_the_first_octave_leaves_nothing(photo, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    settings = preset_settings("octave-film", first_octave=1)
    with pytest.raises(KeyboardInterrupt):
        dream_video(photo, tmp_path / "d.mp4", settings, on_step=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"loop": True}, "give zoom or rotate"),
        ({"zoom": 1.02, "every": 3}, "leave them out"),
        ({"zoom": 3.0}, "zoom is a number from 1 to 1.25"),
        ({"zoom": 0.98}, "zoom is a number from 1 to 1.25"),
        ({"rotate": 90.0}, "rotate is a number from -10 to 10"),
        ({"zoom": 1.01, "rotate": 2.0}, "unless zoom is 1.0518 or more"),
        ({"zoom": 1.02, "start": 1.0}, "has no start and end"),
        ({"zoom": 1.02, "loop": True, "duration": 1.5}, "duration 2 or more"),
        ({"zoom": 1.02, "loop": True, "frames": 49}, "50 frames"),
        ({"duration": 3.0}, "leave duration out"),
        ({"steps": 0}, "shows nothing"),
        ({"effect": "none"}, "has no octaves"),
    ],
)
def test_wishes_that_make_no_film(values, says):
    with pytest.raises(SettingsError, match=says):
        plan_film(PICTURE, Settings().updated(**values))


def test_too_much_of_a_turn_for_a_wide_picture():
    with pytest.raises(SettingsError, match="give a smaller rotate"):
        plan_film(textured(32, 96), Settings().updated(rotate=10.0))


def test_how_long_a_zoom_is():
    def frames(**values):
        return plan_film(PICTURE, Settings().updated(zoom=1.02, **values)).frames

    assert frames() == 250
    assert plan_film(PICTURE, Settings().updated(rotate=2.0)).moves[0] == Camera(1.0518, 2.0)
    assert frames(duration=2.0) == 50
    assert frames(duration=2.0, fps=30.0) == 60
    assert frames(frames=300) == 300
    assert frames(duration=2.0, frames=7) == 7


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.mark.parametrize(
    ("source", "target", "options", "status", "says"),
    [
        ("clip", "d.mp4", ["--zoom", "1.02"], 1, "--zoom (or its preset) makes a film of a still"),
        ("clip", "d.mp4", ["--preset", "octave-film"], 1, "is no picture"),
        ("photo", "d.png", ["--zoom", "1.02"], 1, "frames/%05d.png"),
        ("photo", "d.mp4", ["--loop"], 2, "give zoom or rotate"),
        ("photo", "d.mp4", ["--zoom", "9"], 2, "from 1 to 1.25"),
        ("photo", "d.mp4", ["--zoom", "1.1", "--loop", "--duration", "1"], 1, "too short"),
        ("photo", "d.mp4", [], 1, "too small for the network"),
        ("noise:big", "d.mp4", [], 1, "noise:640x360"),
        ("noise:4x4", "d.mp4", [], 1, "from 16"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    clip, photo, tmp_path, source, target, options, status, says
):
    source = {"clip": clip, "photo": photo}.get(source, source)
    result = run(source, "-o", tmp_path / target, *options)
    assert result.exit_code == status
    assert says in " ".join(result.output.split())
    if status == 1:
        assert len(result.output.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


def test_the_command_makes_films(photo, tmp_path):
    zoomed = run(photo, "-o", tmp_path / "z.mp4", "--zoom", 1.02, "--frames", 3, "--effect", "none")
    assert (zoomed.exit_code, zoomed.output) == (0, "")
    octaves = run(photo, "-o", tmp_path / "o.gif", "--steps", 1, "--first-octave", 1)
    assert (octaves.exit_code, octaves.output) == (0, "")
    with Image.open(tmp_path / "o.gif") as film:
        assert film.n_frames == 5


def test_progress_shows_while_a_single_picture_takes_long(monkeypatch):
    class Bar:
        def __init__(self, total, **_):
            self.total, self.n, self.desc, self.closed = total, 0, "", False
            bars.append(self)

        def update(self, by):
            self.n += by

        def set_description_str(self, text, refresh):
            self.desc = text

        def close(self):
            self.closed = True

    bars = []
    monkeypatch.setattr("vidream.cli.terminal.tqdm", Bar)
    with _Progress(hidden=False) as progress:
        for so_far in (10, 20, 30):
            progress.step(so_far, 100)
        progress(SimpleNamespace(expected=5))
        (bar,) = bars
        assert (bar.n, bar.total, bar.desc, bar.closed) == (30, 100, "frame 1 of 5 ", False)
        assert "stopped after 1 of 5 frames" in progress.how_far("d.gif")
    assert bar.closed


def test_noise_is_a_source_like_any_other(tmp_path):
    one, same, other = (make_noise("noise:64x48", ReadSettings(), s).image for s in (0, 0, 1))
    assert one.shape == (48, 64, 3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert make_noise("noise:64x48", ReadSettings(width=32), 0).image.shape == (24, 32, 3)
    assert 100 < one.mean() < 156
    with pytest.raises(InputError, match="noise:640x360"):
        make_noise("noise:64", ReadSettings(), 0)
    settings = replace(ZOOM, effect="none")
    assert dream_video("noise:64x48", tmp_path / "n.mp4", settings) == 6
    small = Settings().updated(octaves=1, steps=1)
    assert dream_video("noise:96x80", tmp_path / "n.png", small) == 1


def test_a_film_is_not_finished(tmp_path):
    target = tmp_path / "zoom.mp4"
    settings = Settings().updated(zoom=1.02, keep_color=True, effect="none", frames=4)
    with pytest.raises(SettingsError, match="keep-color"):
        dream_video("noise:64x48", target, settings)
    assert not list(tmp_path.iterdir())
