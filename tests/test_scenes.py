"""Where a scene ends and another begins."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from conftest import textured

from vidream.temporal.scenes import may_begin_scene

HEIGHT, WIDTH = 64, 96


def scene(seed, height=HEIGHT, width=WIDTH):
    """A picture whose parts are as large as things in a film are."""
    small = textured(height // 4, width // 4, seed)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def muted(picture):
    """Warm and little saturated, as skin and wood and most rooms are."""
    grey = picture.mean(-1, keepdims=True)
    return (grey * [1.1, 0.9, 0.75] * 0.75 + picture * 0.05).clip(0, 255).astype(np.uint8)


def cuts(pictures):
    pairs = pairwise([None, *pictures])
    return [k for k, (previous, picture) in enumerate(pairs) if may_begin_scene(picture, previous)]


def faded(picture, share):
    return np.round(picture * share).astype(np.uint8)


def mixed(first, second, share):
    return np.round(first * (1 - share) + second * share).astype(np.uint8)


def test_the_first_frame_begins_a_scene_and_a_still_one_no_other():
    assert cuts([scene(0)] * 5) == [0]


@pytest.mark.parametrize("where", [1, 2, 7])
def test_a_cut_is_found_where_it_is(where):
    assert cuts([scene(0)] * where + [scene(1)] * 4) == [0, where]


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_in_black_and_white_is_found(seed):
    first, second = (scene(s).mean(-1, keepdims=True) for s in (seed, seed + 1))
    grey = [(g + np.zeros(3)).astype(np.uint8) for g in (first, second)]
    assert np.abs(grey[0].astype(int) - grey[1]).mean() > 20
    assert cuts([grey[0]] * 3 + [grey[1]] * 3) == [0, 3]


@pytest.mark.parametrize("other", [np.zeros, lambda shape: np.full(shape, 255)])
def test_a_cut_to_black_or_to_white_and_back(other):
    even = other((HEIGHT, WIDTH, 3)).astype(np.uint8)
    assert cuts([scene(0)] * 3 + [even] * 3 + [scene(1)] * 3) == [0, 3, 6]


def test_cuts_in_a_row_are_found_one_by_one():
    assert cuts([scene(0)] * 4 + [scene(1), scene(2), scene(3)] + [scene(4)] * 3) == [0, 4, 5, 6, 7]


def test_a_flash_does_not_hide_that_the_scene_is_left_and_found_again():
    assert cuts([scene(0)] * 3 + [scene(1)] + [scene(0)] * 3) == [0, 3, 4]


def test_two_scenes_of_the_same_moving_camera():
    wide, other = scene(5, width=WIDTH + 40), scene(6, width=WIDTH + 40)
    pictures = [w[:, k : k + WIDTH] for w in (wide, other) for k in range(0, 20, 2)]
    assert cuts(pictures) == [0, 10]


def fade(first, second, frames):
    down = [faded(first, 1 - k / frames) for k in range(frames + 1)]
    return down + [faded(second, k / frames) for k in range(frames + 1)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("frames", [12, 25])
def test_a_fade_to_black_and_up_again_is_no_cut(frames, seed):
    assert cuts(fade(muted(scene(seed)), muted(scene(seed + 1)), frames)) == [0]


@pytest.mark.parametrize("frames", [12, 25])
@pytest.mark.parametrize("colour", [(70, 110, 190), (60, 160, 150), None])
def test_a_colourful_fade_to_black_is_no_cut(frames, colour):
    picture = scene(0) if colour is None else np.full((HEIGHT, WIDTH, 3), colour, np.uint8)
    assert cuts(fade(picture, picture, frames)) == [0]


@pytest.mark.parametrize("seed", range(3))
def test_a_fade_from_white_is_no_cut(seed):
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    assert cuts(mixed(white, muted(scene(seed)), k / 25) for k in range(26)) == [0]


@pytest.mark.parametrize("seed", range(3))
def test_a_dissolve_is_no_cut(seed):
    assert cuts(mixed(scene(seed), scene(seed + 1), k / 25) for k in range(26)) == [0]


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_pan_is_no_cut(step):
    wide = scene(7, width=WIDTH + 20 * step)
    assert cuts(wide[:, k * step : k * step + WIDTH] for k in range(20)) == [0]


def test_noise_is_no_cut():
    random = np.random.default_rng(0)
    noise = random.integers(-12, 13, (10, HEIGHT, WIDTH, 3))
    assert cuts((scene(0) + n).clip(0, 255).astype(np.uint8) for n in noise) == [0]


@pytest.mark.parametrize("levels", [16, 17, 18])
def test_the_threshold_is_a_mean_change_of_levels(levels):
    picture = scene(0) // 2
    assert may_begin_scene(picture + levels, picture) == (levels >= 17)
    assert may_begin_scene(picture, picture + levels) == (levels >= 17)


def test_pictures_are_left_alone():
    picture = scene(0)
    before = picture.copy()
    may_begin_scene(picture, picture[::-1])
    assert np.array_equal(picture, before)
