"""Measuring dreams, on clips of which the truth is known."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import textured
from hypothesis import given, settings
from hypothesis import strategies as st
from media import make_clip
from PIL import Image

from vidream import (
    ClassTerm,
    Dreamer,
    DreamSettings,
    ReadSettings,
    StyleSettings,
    VidreamError,
)
from vidream.cli import cli
from vidream.cli.table import lines
from vidream.core.errors import InputError, OutputError, SettingsError
from vidream.core.images import to_picture, to_tensor
from vidream.core.settings import LayerTerm
from vidream.measure import NOTHING, ClipPair, FrameMeasure, Report, Summary, measure_clip
from vidream.measure.plot import check_plot, plot
from vidream.measure.quantities import ColourStatistics, Residual, new_cells, trend
from vidream.media.reader import open_reader
from vidream.networks.registry import find_network
from vidream.temporal.flow import load_flow

HEIGHT, WIDTH, CELL = 64, 96, 8


class Squares:
    """A network whose activations are the means of squares of 8 × 8 pixels."""

    spec = find_network("inception")
    layers = ("squares",)
    default_layers = (LayerTerm("squares"),)
    minimum_side = CELL

    def canonical(self, layer):
        return layer

    def check(self, term):
        pass

    def activations(self, image):
        return {"squares": torch.nn.functional.avg_pool2d(image, CELL)}


@pytest.fixture(scope="module")
def plain() -> Dreamer:
    """A dreamer whose objective can be reckoned by hand: the mean square of the cells."""
    return Dreamer(DreamSettings(octaves=1, steps=3, jitter=0), network=Squares())


class Pan:
    """The exact flow of a clip that moves by so many pixels a frame."""

    def __init__(self, frames, right, down=0):
        self._index = {frame.tobytes(): k for k, frame in enumerate(frames)}
        assert len(self._index) == len(frames)
        self._by = np.array([right, down], np.float32)

    def __call__(self, picture, other):
        apart = self._index[other.tobytes()] - self._index[picture.tobytes()]
        return np.broadcast_to(self._by * apart, (*picture.shape[:2], 2)).astype(np.float32)


def panned(picture, count, right, down=0):
    return [np.roll(picture, (k * down, k * right), (0, 1)) for k in range(count)]


def marked(picture, count):
    """The same picture, told apart by a corner."""
    frames = [picture.copy() for _ in range(count)]
    for k, frame in enumerate(frames):
        frame[0, 0] = k
    return frames


def noise(seed=0, height=HEIGHT, width=WIDTH):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def errors(report):
    return {error.lag: error for error in report.summary.errors}


# --- warping error


@settings(max_examples=25, deadline=None)
@given(
    right=st.integers(-9, 9),
    down=st.integers(-9, 9),
    lags=st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True),
)
def test_what_moves_with_the_source_has_no_error(right, down, lags):
    sources = panned(noise(0), 7, right, down) if right or down else marked(noise(0), 7)
    dreams = panned(noise(1), 7, right, down)
    flow = Pan(sources, right, down)
    dreamer = Dreamer(DreamSettings(), network=Squares())
    report = measure_clip(zip(sources, dreams, strict=True), dreamer, flow=flow, lags=lags)
    for lag in lags:
        assert errors(report)[lag].dream < 1e-6
        assert errors(report)[lag].frames == 7 - lag


def test_a_texture_that_stays_behind_is_an_error(plain):
    sources = panned(noise(0), 4, 3)
    report = measure_clip([(s, noise(1)) for s in sources], plain, flow=Pan(sources, 3), lags=[1])
    # Independent values, uniform from 0 to 1: twice their variance, 1/12.
    assert errors(report)[1].dream == pytest.approx(2 / 12, rel=0.03)
    assert errors(report)[1].source < 1e-6
    assert errors(report)[1].ratio is None


@pytest.mark.parametrize("sigma", [4, 16])
def test_independent_noise_gives_twice_its_variance(plain, sigma):
    random = np.random.default_rng(0)
    ground = np.full((HEIGHT, WIDTH, 3), 128)
    dreams = [
        np.rint(ground + random.normal(0, sigma, ground.shape)).clip(0, 255).astype(np.uint8)
        for _ in range(8)
    ]
    source = ground.astype(np.uint8)
    report = measure_clip([(source, d) for d in dreams], plain, lags=[1, 3])
    for lag, count in ((1, 7), (3, 5)):
        # Rounding to whole levels adds the variance of a level, 1/12.
        truth = 2 * (sigma**2 + 1 / 12) / 255**2
        assert errors(report)[lag].dream == pytest.approx(truth, rel=0.03)
        assert errors(report)[lag].frames == count
        assert errors(report)[lag].source < NOTHING


def test_frames_are_not_compared_across_a_cut(plain):
    one, other = textured(HEIGHT, WIDTH, 1), 255 - textured(HEIGHT, WIDTH, 5)
    sources = [*marked(one, 4), *marked(other, 3)]
    dreams = [noise(1)] * 4 + [noise(2)] * 3
    pairs = list(zip(sources, dreams, strict=True))
    report = measure_clip(pairs, plain, flow=Pan(sources, 0), lags=[1, 3])
    assert [[e.lag for e in f.errors] for f in report.frames] == [
        [],
        [1],
        [1],
        [1, 3],
        [],
        [1],
        [1],
    ]
    assert errors(report)[1].dream < 1e-6


def test_a_flash_every_fifth_frame_is_seen_at_the_other_lags_only(plain):
    source = textured(HEIGHT, WIDTH) // 2
    dreams = [source + (20 if k % 5 == 0 else 0) for k in range(12)]
    report = measure_clip(
        [(source, d) for d in dreams], plain, flow=load_flow("none"), lags=[1, 5, 20]
    )
    # Of the frames 1 to 11, five differ from the one before: 1, 5, 6, 10 and 11, by 20 levels.
    assert errors(report)[1].dream == pytest.approx(5 / 11 * (20 / 255) ** 2, rel=1e-5)
    assert errors(report)[5].dream < NOTHING
    assert (errors(report)[20].dream, errors(report)[20].frames) == (None, 0)


def test_only_reliable_pixels_count(plain):
    """What comes in at the border is the dream's to make: it is left out of the error."""
    sources = panned(noise(0), 4, 24)
    dreams = [noise(1)]
    for k in range(3):
        dreams.append(np.roll(dreams[-1], 24, 1))
        dreams[-1][:, :24] = noise(10 + k)[:, :24]
    report = measure_clip(zip(sources, dreams, strict=True), plain, flow=Pan(sources, 24), lags=[1])
    (error,) = report.frames[1].errors
    assert error.dream < 1e-6
    assert error.reliable == pytest.approx(72 / 96, abs=0.02)


def test_a_frame_of_which_nothing_is_reliable_is_left_out(plain):
    sources = panned(noise(0), 3, WIDTH + 5)
    report = measure_clip([(s, s) for s in sources], plain, flow=Pan(sources, WIDTH + 5), lags=[1])
    assert all(frame.errors == () for frame in report.frames)
    assert errors(report)[1].dream is None


def test_a_dream_that_is_its_source(dreamer):
    frames = panned(textured(HEIGHT, WIDTH), 4, 2)
    frames = [np.where(noise(k) < 2, noise(k + 9), frame) for k, frame in enumerate(frames)]
    report = measure_clip([(f, f) for f in frames], dreamer, lags=[1, 2])
    assert errors(report)[1].ratio == errors(report)[2].ratio == 1
    spread = report.summary.strength
    assert spread.mean == spread.minimum == spread.maximum == 1
    assert report.summary.drift.dream == report.summary.drift.source
    assert report.summary.scratch is None


# --- strength and drift


def test_strength_is_the_objective_over_the_sources(plain):
    source = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    report = measure_clip([(source, source * 2), (source, source * 3)], plain)
    assert [frame.strength for frame in report.frames] == pytest.approx([4, 9], rel=1e-5)
    spread = report.summary.strength
    assert (spread.mean, spread.minimum, spread.maximum) == pytest.approx((6.5, 4, 9), rel=1e-5)


def test_a_black_source_has_no_strength_to_be_compared_with(plain):
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    report = measure_clip([(black, black + 9)] * 2, plain)
    assert report.summary.strength.mean is None
    assert report.summary.drift.strength is None
    assert report.summary.drift.source.brightness is None


def test_drift_that_was_burned_in_is_found(plain):
    """Brighter by a level a frame; the wild beginning of the clip does not count."""
    source = (textured(HEIGHT, WIDTH) // 4 + 40).astype(np.uint8)
    dreams = [source + 20 + k if k >= 30 else noise(k) for k in range(70)]
    report = measure_clip([(source, d) for d in dreams], plain, flow=load_flow("none"), lags=[1])
    drift = report.summary.drift
    assert drift.since == 30
    middle = dreams[50].mean() - 0.5  # the frames that count are 30 to 69
    assert drift.dream.brightness == pytest.approx(100 / middle, rel=1e-3)
    assert drift.dream.contrast == pytest.approx(0, abs=1e-9)
    assert drift.dream.saturation == pytest.approx(0, abs=1e-9)
    assert drift.source == type(drift.source)(0, 0, 0)
    assert drift.strength > 100 / middle  # it is a square


def test_drift_of_strength_and_of_a_short_clip():
    colour = ColourStatistics(0.5, 0.2, 0.1)
    frames = [FrameMeasure(k, 4 + 0.02 * k, colour, colour) for k in range(40)]
    drift = Summary.of(frames, [1]).drift
    assert drift.since == 0
    assert drift.strength == pytest.approx(2 / (4 + 0.02 * 19.5))
    longer = [FrameMeasure(k, 1 if k < 30 else 3 - 0.01 * k, colour, colour) for k in range(60)]
    assert Summary.of(longer, [1]).drift.strength == pytest.approx(-1 / (3 - 0.01 * 44.5))


@given(
    slope=st.floats(-1, 1),
    level=st.floats(1, 100),
    first=st.integers(0, 1000),
    count=st.integers(2, 50),
)
def test_the_slope_of_a_line_is_found(slope, level, first, count):
    indices = range(first, first + count)
    values = [level + slope * (k - first - (count - 1) / 2) for k in indices]
    assert trend(indices, values) == pytest.approx(100 * slope / level, abs=1e-6)


def test_no_slope_without_two_values_or_a_mean():
    assert trend([0], [1.0]) is None
    assert trend([0, 1], [0.0, 0.0]) is None


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_looks(seed, height, width):
    picture = noise(seed, height, width)
    values = picture / 255
    found = ColourStatistics.of(picture)
    assert found.brightness == pytest.approx(values.mean())
    assert found.contrast == pytest.approx(values.std(), abs=1e-9)
    assert found.saturation == pytest.approx(np.ptp(values, axis=2).mean(), abs=1e-12)


# --- what the dream adds


@pytest.fixture(scope="module")
def grid():
    """Pixels of a picture whose sides are whole numbers of periods of 16 and of 4 pixels."""
    return np.mgrid[0:64, 0:96]


def added(*channels):
    """An image and one that has that much more of each channel."""
    more = torch.stack([torch.as_tensor(c, dtype=torch.float32) for c in channels])[None]
    base = torch.full_like(more, 0.4)
    return base + more, base


def test_colour_over_brightness(grid):
    wave = 0.1 * np.sin(2 * np.pi * grid[1] / 16)
    assert Residual.of(*added(wave, wave, wave)).chroma == pytest.approx(0, abs=1e-8)
    red = Residual.of(*added(wave, 0 * wave, 0 * wave))
    # Y' is 0.299 of it: RGB less that is 0.701, -0.299 and -0.299 of it.
    assert red.chroma == pytest.approx((0.701**2 + 2 * 0.299**2) / 3 / 0.299**2, rel=1e-5)
    opponent = Residual.of(*added(wave, -wave * 0.299 / 0.587, 0 * wave))
    assert opponent.chroma > 1e9


@pytest.mark.parametrize(("across", "down"), [(True, False), (False, True), (True, True)])
def test_how_fine_it_is(grid, across, down):
    """Waves of 16 pixels are broad and of 4 fine, whichever way they run; a level is nothing."""
    y, x = grid
    place = across * x + down * y
    broad, fine = (np.sin(2 * np.pi * place / period) for period in (16, 4))
    found = Residual.of(*added(*[0.05 + 0.03 * broad + 0.04 * fine] * 3))
    assert found.fine == pytest.approx(4**2 / (3**2 + 4**2), rel=1e-3)
    assert found.rms == pytest.approx(np.sqrt((0.03**2 + 0.04**2) / 2), rel=1e-3)
    both = Residual.of(*added(0.03 * broad, 0 * broad, 0.04 * fine))
    assert both.fine == pytest.approx(4**2 / (3**2 + 4**2), rel=1e-3)


def test_waves_up_and_down_count_as_those_across(grid):
    y, x = grid
    wave = np.sin(2 * np.pi * x / 4) + np.sin(2 * np.pi * y / 16)
    assert Residual.of(*added(wave, wave, wave)).fine == pytest.approx(1 / 2, rel=1e-4)


def test_a_dream_that_adds_nothing():
    image = torch.rand(1, 3, 32, 48)
    assert Residual.of(image, image) == Residual(None, None, 0)


def test_the_residual_over_the_clip(plain):
    source = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    dreams = [source + (noise(k) >> (5 - k)) for k in range(2)]
    report = measure_clip([(source, dream) for dream in dreams], plain)
    for name in ("chroma", "fine", "rms"):
        spread = getattr(report.summary.residual, name)
        values = [getattr(frame.residual, name) for frame in report.frames]
        assert (spread.minimum, spread.maximum) == (min(values), max(values))
    assert report.frames[1].residual.rms == pytest.approx((dreams[1] / 255).std(), rel=1e-5)
    assert "above 1/8 cycle a pixel" in "\n".join(lines(report.summary))


# --- strength of what was dreamed


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A picture to be guided by, or to take the style of."""
    path = tmp_path_factory.mktemp("pictures") / "picture.png"
    Image.fromarray(textured(90, 120, seed=7)).save(path)
    return str(path)


def strengths(dreamer, clip, **how):
    return [frame.strength for frame in measure_clip(clip, dreamer, lags=[1], **how).frames]


def test_the_strength_of_a_style_is_one_over_its_loss(pictures, dreamer):
    """By the published definition, from activations."""
    style = StyleSettings(styles=(pictures,), style_layers=("Mixed_5b",), style_size=90)
    own = Dreamer(DreamSettings(objective="none", precision="float32"), style=style)
    clip = [(textured(HEIGHT, WIDTH, k), textured(HEIGHT, WIDTH, k + 3)) for k in range(2)]

    def loss(picture):
        (seen,) = own.network.activations(to_tensor(picture)).values()
        columns = seen[0].flatten(1).double()
        gram = columns @ columns.T / columns.shape[1]
        with Image.open(pictures) as image:
            (target,) = own.network.activations(to_tensor(np.asarray(image))).values()
        columns = target[0].flatten(1).double()
        wanted = columns @ columns.T / columns.shape[1]
        return float((gram - wanted).square().sum() / wanted.square().sum())

    expected = [loss(source) / loss(dream) for source, dream in clip]
    assert strengths(own, clip) == pytest.approx(expected, rel=1e-3)
    scratch = measure_clip(clip, own, lags=[1], scratch_every=1).summary.scratch
    assert scratch.strength.mean > 0
    assert (scratch.evenness, scratch.low) == (None, None)  # a style has no places


def test_the_strength_of_a_class_is_that_of_its_softplus():
    dreamer = Dreamer(DreamSettings(network="efficientnet_lite2", classes=("tabby",)))
    clip = [(textured(HEIGHT, WIDTH, k), textured(HEIGHT, WIDTH, k + 3)) for k in range(2)]

    def seen(picture):
        said = dreamer.network.activations(to_tensor(picture))["classes"][:, 281].float()
        return float(torch.nn.functional.softplus(said).mean())

    expected = [seen(dream) / seen(source) for source, dream in clip]
    assert strengths(dreamer, clip) == pytest.approx(expected, rel=1e-4)


def test_a_guide_that_moves(tmp_path, dreamer):
    """Each frame's strength is that by the picture that the guide shows then."""
    shots = [textured(90, 120, seed=7), 255 - textured(90, 120, seed=8)]
    guide = make_clip(tmp_path / "guide.mp4", shots)
    clip = [np.roll(textured(96, 96, 1), 3 * k, 1) for k in range(3)]
    source = make_clip(tmp_path / "clip.mp4", clip)
    dream = make_clip(tmp_path / "dream.mp4", [frame ^ (noise(1, 96, 96) >> 4) for frame in clip])
    result = run(source, dream, "--guide", guide, "--guide-by", "statistics", "--json", "-q")
    assert result.exit_code == 0, result.output
    found = [frame["strength"] for frame in json.loads(result.stdout)["frames"]]
    with open_reader(guide) as reader:
        shown = [item.image for item in reader]
    own = Dreamer(DreamSettings(guide_by="statistics"))
    by_shot = []
    with ClipPair(source, dream) as pairs:
        for k, pair in enumerate(pairs):
            by_shot.append([strengths(own.at(guide=shot), [pair] * 2)[0] for shot in shown])
            assert float(pairs.time) == pytest.approx(k / 25)
    # The guide's last frame holds.
    (first, _), (other, second), (_, third) = by_shot
    assert found == pytest.approx([first, second, third], rel=1e-4)
    assert other != pytest.approx(second, rel=1e-2)


# --- evenness

STEP = 4 * CELL
"""How far the clip moves in a frame: the cells of a third of it are new."""


def alone(dreamer, source, index):
    return to_picture(dreamer.dream(to_tensor(source), frame=index))


def test_a_new_region_is_what_comes_in():
    flow = torch.zeros(1, 2, HEIGHT, WIDTH)
    flow[:, 0] = -STEP
    new = new_cells(flow, -flow, (HEIGHT // CELL, WIDTH // CELL))
    assert new[..., :4].all()
    assert not new[..., 4:].any()


def test_a_dream_as_deep_as_one_from_scratch(dreamer):
    sources = panned(textured(HEIGHT, WIDTH), 3, STEP)
    dreams = [alone(dreamer, s, k) for k, s in enumerate(sources)]
    report = measure_clip(
        zip(sources, dreams, strict=True), dreamer, flow=Pan(sources, STEP), scratch_every=1
    )
    scratch = report.summary.scratch
    assert scratch.frames == 3
    assert scratch.new_cells > 0
    assert scratch.evenness == scratch.low == scratch.strength.mean == scratch.strength.minimum == 1


def test_raw_new_regions_are_uneven(dreamer):
    sources = panned(textured(HEIGHT, WIDTH), 3, STEP)
    dreams = [alone(dreamer, s, k) for k, s in enumerate(sources)]
    for source, dream in zip(sources, dreams, strict=True):
        dream[:, :STEP] = source[:, :STEP]
    report = measure_clip(
        zip(sources, dreams, strict=True), dreamer, flow=Pan(sources, STEP), scratch_every=1
    )
    scratch = report.summary.scratch
    assert scratch.evenness < 0.8
    assert scratch.evenness < scratch.strength.mean < 1
    assert scratch.low < 1


def test_evenness_is_pooled_over_the_new_cells(plain):
    """Known exactly: in new regions the dream is the source, whose energy can be reckoned."""
    wide = textured(HEIGHT, WIDTH + 3 * STEP) // 2
    sources = [wide[:, (3 - k) * STEP :][:, :WIDTH] for k in range(4)]
    dreams = [alone(plain, s, k) for k, s in enumerate(sources)]
    above = below = 0.0
    for k, (source, dream) in enumerate(zip(sources, dreams, strict=True)):
        if k in (1, 3):  # the second and the fourth
            above += plain.objective(to_tensor(source[:, :STEP])).item()
            below += plain.objective(to_tensor(dream[:, :STEP])).item()
        dream[:, :STEP] = source[:, :STEP]
    report = measure_clip(
        zip(sources, dreams, strict=True), plain, flow=Pan(sources, STEP), lags=[2], scratch_every=2
    )
    scratch = report.summary.scratch
    assert [f.index for f in report.frames if f.scratch] == [1, 3]
    assert scratch.new_cells == 2 * (HEIGHT // CELL) * (STEP // CELL)
    assert scratch.evenness == pytest.approx(above / below, rel=1e-5)
    assert scratch.evenness < 0.98


def test_a_still_clip_has_no_new_regions(plain):
    source = textured(HEIGHT, WIDTH)
    report = measure_clip([(source, source)] * 3, plain, scratch_every=2)
    assert report.summary.scratch.evenness is None
    assert report.summary.scratch.new_cells == 0
    assert report.summary.scratch.low is not None
    assert any("–" in line for line in lines(report.summary) if "new regions" in line)


# --- what cannot be measured


def pair(height=HEIGHT, width=WIDTH, other=None):
    source = textured(height, width)
    return source, source if other is None else textured(*other)


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([], "at least two frames"),
        ([pair()], "at least two frames"),
        ([pair(other=(48, 64))] * 2, "source is 96×64 and of the dream 64×48: scale"),
        ([pair(), pair(48, 64)], "size changes at frame 1 to 64×48"),
    ],
)
def test_frames_that_cannot_be_measured(plain, pairs, says):
    with pytest.raises(InputError, match=says) as caught:
        measure_clip(pairs, plain)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"lags": []}, {"lags": [0, 1]}, {"scratch_every": -1}])
def test_settings_that_make_no_sense(plain, wrong):
    with pytest.raises(SettingsError):
        measure_clip([pair()] * 2, plain, **wrong)


def test_a_layer_without_cells(monkeypatch, plain):
    monkeypatch.setattr(Squares, "activations", lambda _, image: {"squares": image.mean((2, 3))})
    assert measure_clip([pair()] * 2, plain).summary.strength.mean == 1
    with pytest.raises(SettingsError, match="no grid of cells"):
        measure_clip([pair()] * 2, plain, scratch_every=1)


def test_memory_holds_the_last_frames_only(plain):
    """Pictures are let go of when no lag reaches back to them."""
    alive, most = set(), 0

    class Watched(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    def pairs():
        nonlocal most
        for k in range(30):
            picture = np.full((32, 32, 3), k, np.uint8).view(Watched)
            alive.add(id(picture))
            yield picture, picture
            most = max(most, len(alive))

    told = []
    measure_clip(
        pairs(), plain, flow=load_flow("none"), lags=[1, 4],
        progress=lambda frame: told.append(frame.index),
    )  # fmt: skip
    assert most <= 4 + 2
    assert told == list(range(30))


# --- files


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> tuple[str, str]:
    """A source of 6 frames, 128×96, and something like its dream, 96×72."""
    folder = tmp_path_factory.mktemp("measured")
    sources = panned(textured(96, 128), 6, 4)
    dreams = [
        np.asarray(Image.fromarray(s).resize((96, 72))) ^ (noise(k, 72, 96) >> 4)
        for k, s in enumerate(sources)
    ]
    return (
        make_clip(folder / "clip.mp4", sources, sound="aac"),
        make_clip(folder / "dream.mp4", dreams, options={"crf": "10"}),
    )


def test_the_source_is_read_at_the_dreams_size(clips):
    with ClipPair(*clips) as pairs:
        assert pairs.expected == 6
        shapes = [(source.shape, dream.shape) for source, dream in pairs]
    assert shapes == [((72, 96, 3),) * 2] * 6


def test_a_dream_of_a_cut(clips, tmp_path, caplog):
    source, _ = clips
    with ClipPair(source, source) as pairs:
        wanted = [frame for frame, _ in pairs][2:5]
    cut = make_clip(tmp_path / "cut.mp4", wanted, options={"crf": "1"})
    with ClipPair(source, cut, ReadSettings(start=2 / 25)) as pairs, caplog.at_level(logging.INFO):
        apart = [abs(a.astype(int) - b).mean() for a, b in pairs]
    with ClipPair(source, cut, ReadSettings(frames=3)) as pairs:
        uncut = [abs(a.astype(int) - b).mean() for a, b in pairs]
    assert max(apart) < 2  # but for the coding of colours
    assert min(uncut) > 3 * max(apart)
    assert "ends after 3 frames" in caplog.text


def test_frames_limit_both(clips, caplog):
    with ClipPair(*clips, ReadSettings(frames=2)) as pairs, caplog.at_level(logging.INFO):
        assert len(list(pairs)) == 2
    assert not caplog.text


def test_a_dream_that_is_longer_than_its_source(clips):
    source, dream = clips
    with (
        ClipPair(source, dream, ReadSettings(start=0.1)) as pairs,
        pytest.raises(InputError, match=r"after the source's 3 frames: .*`start`"),
    ):
        list(pairs)


def test_files_that_are_not_there(clips, tmp_path):
    source, dream = clips
    for wrong in [(source, tmp_path / "no.mp4"), (tmp_path / "no.mp4", dream)]:
        with pytest.raises(InputError, match="does not exist"):
            ClipPair(*wrong)


# --- the command


def run(*arguments):
    return CliRunner().invoke(cli, ["measure", *map(str, arguments)])


@pytest.fixture
def loaded(monkeypatch, dreamer):
    """Spare the command the loading of the network, which test_cli.py sees done."""
    asked = []

    def make(settings, **_):
        asked.append(settings)
        return dreamer

    monkeypatch.setattr("vidream.dream.dreamer.Dreamer", make)
    return asked


def test_the_table_and_the_plot(clips, tmp_path):
    target = tmp_path / "plot.png"
    result = run(*clips, "--plot", target)
    assert result.exit_code == 0, result.output
    said = result.stdout
    for word in ("6 frames", "Warping error", "1 frame apart", "Strength", "Drift", "saturation"):
        assert word in said
    assert "Evenness" not in said
    assert max(map(len, said.splitlines())) <= 88
    with Image.open(target) as picture:
        assert picture.format == "PNG"
        assert len(set(picture.convert("L").resize((200, 200)).tobytes())) > 10
    assert [p.name for p in tmp_path.iterdir()] == ["plot.png"]


def test_json(clips, loaded):
    result = run(*clips, "--json", "--scratch-every", 3, "--steps", 2, "--preset", "beasts", "-q")
    assert result.exit_code == 0, result.output
    given = json.loads(result.stdout)
    assert given["summary"]["frames"] == len(given["frames"]) == 6
    assert [e["lag"] for e in given["summary"]["errors"]] == [1, 5, 20]
    assert given["summary"]["errors"][0]["ratio"] > 1
    assert given["summary"]["scratch"]["frames"] == 2
    assert given["frames"][2]["scratch"]["strength"] > 0
    assert given["frames"][0]["dream"].keys() == {"brightness", "contrast", "saturation"}
    assert (loaded[0].steps, loaded[0].layers) == (2, (LayerTerm("Mixed_6c"),))


def test_the_table_tells_of_evenness(clips, loaded):
    result = run(*clips, "--scratch-every", 2, "--frames", 4)
    assert "2 frames dreamed from scratch" in result.output
    assert "over dreams from scratch" in result.output


def test_what_was_dreamed_can_be_said(clips, pictures, loaded):
    made = ("--guide", pictures, "--guide-by", "statistics", "--objective", "mean")
    kept = ("--content-weight", 0.5, "--content-layer", "Mixed_5b", "--total-variation", 0.1)
    result = run(*clips, *made, *kept, "--until", 0.01, "--anneal", 0.5)
    assert result.exit_code == 0, result.output
    (asked,) = loaded
    assert (asked.guide, asked.guide_by, asked.objective) == (pictures, "statistics", "mean")
    assert (asked.content_weight, asked.total_variation) == (0.5, 0.1)
    assert asked.content_layers == (LayerTerm("Mixed_5b"),)
    assert (asked.until, asked.anneal) == (0.01, 0.5)


def test_a_class_that_was_dreamed_brings_its_preset(clips, loaded):
    assert run(*clips, "--class", "volcano").exit_code == 0
    assert run(*clips, "--class", "volcano", "--network", "resnet50").exit_code == 0
    assert [asked.network for asked in loaded] == ["efficientnet_lite2", "resnet50"]
    assert loaded[0].classes == (ClassTerm("volcano"),)


def test_a_style_that_was_dreamed(clips, pictures):
    style = ("--objective", "none", "--style", pictures, "--style-layer", "Mixed_5b")
    found = [run(*clips, *style, *more) for more in ((), ("--style-match", "adain"))]
    for result in found:
        assert result.exit_code == 0, result.output
    assert found[0].stdout != found[1].stdout


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--scratch-every", "-1"], 2, "--scratch-every"),
        (["--guide", "none.png"], 1, "guide: "),
        (["--guide", "none.mp4"], 1, "guide: "),
        (["--style", "none.png", "--style-layer", "Mixed_5b"], 1, "style: "),
        (["--class", "tabbie"], 1, "unknown class"),
        (["--objective", "none"], 1, "nothing is there to grow"),
        (["--scratch-every", "often"], 2, "not a valid integer"),
        (["--preset", "nothing"], 2, "Invalid value"),
        (["--start", "1", "--end", "1"], 2, "--end is not after --start"),
        (["--start", "9"], 1, "0.2 s long"),
        (["--plot", "plot.jpg"], 1, "a plot is a .png"),
        (["--plot", "none/plot.png"], 1, "does not exist"),
        (["--network", "incepton"], 1, "did you mean inception"),
    ],
)
def test_command_lines_that_are_wrong(clips, tmp_path, monkeypatch, arguments, status, says):
    monkeypatch.chdir(tmp_path)
    result = run(*clips, *arguments)
    assert result.exit_code == status, result.output
    assert says in result.output
    assert "Traceback" not in result.output
    assert status == 2 or len(result.output.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_older_plot_is_kept(clips, tmp_path, loaded):
    there = tmp_path / "plot.png"
    there.write_bytes(b"precious")
    result = run(*clips, "--plot", there)
    assert result.exit_code == 1
    assert "--overwrite" in result.output
    assert there.read_bytes() == b"precious"
    assert not loaded  # it is said before the work
    assert run(*clips, "--plot", there, "--overwrite").exit_code == 0
    assert there.read_bytes().startswith(b"\x89PNG")


def test_ctrl_c(clips, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vidream.dream.dreamer.Dreamer", interrupted)
    result = run(*clips)
    assert result.exit_code == 130
    assert "stopped" in result.output


def test_the_help():
    text = " ".join(run("--help").output.split())
    options = ("--class CLASS", "--classify GROUP", "--true-motion FILE.json", "--style FILE")
    for words in ("measure SOURCE DREAM", "--scratch-every N", *options):
        assert words in text
    assert "measure" in CliRunner().invoke(cli, ["--help"]).output


def test_a_clip_named_measure(tmp_path, monkeypatch):
    clip = Path(make_clip(tmp_path / "a.mp4", panned(textured(48, 64), 2, 2)))
    clip.rename(tmp_path / "measure")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["./measure", "-o", "d.mp4", "--effect", "none"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "d.mp4").exists()


# --- the plot


@pytest.fixture(scope="module")
def report(plain) -> Report:
    sources = panned(textured(HEIGHT, WIDTH), 8, 2)
    flow = Pan(sources, 2)
    return measure_clip([(s, s ^ (noise(1) >> 5)) for s in sources], plain, flow=flow)


def test_a_plot_of_what_has_gaps(report, tmp_path):
    """Frames without strength, lags without frames, errors of 0: all are left out of the lines."""
    frames = tuple(replace(frame, strength=None) for frame in report.frames)
    plot(Report(Summary.of(frames, [1, 5, 20]), frames), tmp_path / "gaps.png")
    source = textured(HEIGHT, WIDTH)
    dreamer = Dreamer(DreamSettings(steps=1, octaves=1), network=Squares())
    calm = measure_clip([(source, source)] * 2, dreamer, scratch_every=1)
    plot(calm, tmp_path / "calm.png")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_plot_appears_whole_or_not_at_all(report, tmp_path, monkeypatch):
    target = tmp_path / "plot.png"
    plot(report, target)
    before = target.read_bytes()
    with pytest.raises(OutputError, match="`overwrite`"):
        plot(report, target)
    assert target.read_bytes() == before

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(OutputError, match="No space left"):
        plot(report, target, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["plot.png"]
    assert target.read_bytes() == before


def test_without_matplotlib(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for call in (
        lambda: check_plot(tmp_path / "plot.png"),
        lambda: plot(report, tmp_path / "plot.png"),
    ):
        with pytest.raises(VidreamError, match=r"pip install 'vidream\[plot\]'"):
            call()
    assert not list(tmp_path.iterdir())
