"""Windows lie inside the image, over the largest deficit, and join without a border."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidream.dream.windows import WindowLimits, feather, strips, windows

SIZE, SIDE, MARGIN = (240, 320), 96, 24


def placed(deficit, count, least, size=SIZE):
    return windows(deficit, size, WindowLimits(SIDE, MARGIN, count, least))


def deficit_at(top, left, bottom, right, size=SIZE, value=1.0):
    deficit = torch.zeros(1, 1, *size)
    deficit[..., top:bottom, left:right] = value
    return deficit


def test_a_window_lies_over_a_deficit_with_its_margin_around():
    (window,) = placed(deficit_at(100, 150, 130, 180), 4, 10)
    assert window.size == (SIDE, SIDE)
    assert window.top + MARGIN <= 100 < 130 <= window.top + SIDE - MARGIN
    assert window.left + MARGIN <= 150 < 180 <= window.left + SIDE - MARGIN


def test_at_the_images_border_there_is_no_margin():
    (window,) = placed(deficit_at(0, 300, 20, 320), 4, 10)
    assert (window.top, window.left) == (0, 320 - SIDE)
    weight = feather(window, SIZE, MARGIN, "cpu")
    assert weight[0, 0, 0, -1] == 1
    assert weight[0, 0, -1, 0] < 0.01


def test_the_largest_deficit_comes_first_and_little_is_left_alone():
    deficit = (
        deficit_at(10, 10, 40, 40) + deficit_at(180, 250, 220, 290) + deficit_at(10, 280, 13, 283)
    )
    found = placed(deficit, 4, 50)
    assert len(found) == 2
    assert found[0].top > found[1].top
    assert len(placed(deficit, 1, 50)) == 1
    assert placed(torch.zeros(1, 1, *SIZE), 4, 0) == []


@given(
    st.tuples(st.integers(16, 300), st.integers(16, 300)),
    st.integers(0, 2**31),
    st.integers(0, 6),
)
def test_windows_are_inside_of_one_size_and_no_more_than_asked(size, seed, most):
    deficit = torch.rand(1, 1, 7, 9, generator=torch.Generator().manual_seed(seed))
    found = placed(deficit, most, 1, size)
    assert len(found) <= most
    assert len({(w.top, w.left) for w in found}) == len(found)
    image = torch.zeros(1, 1, *size)
    for window in found:
        assert window.size == (min(SIDE, size[0]), min(SIDE, size[1]))
        assert image[window.of].shape[-2:] == window.size
        weight = feather(window, size, MARGIN, "cpu")
        assert weight.shape[-2:] == window.size
        assert 0 <= weight.min() <= weight.max() <= 1


@pytest.mark.parametrize("size", [(50, 60), (96, 96), (50, 400)])
def test_a_small_image_is_its_own_window(size):
    (window, *_) = placed(torch.ones(1, 1, 5, 5), 9, 1, size)
    assert window.size == (min(size[0], SIDE), min(size[1], SIDE))
    if size[1] <= SIDE:
        assert feather(window, size, MARGIN, "cpu").min() == 1


def test_enough_windows_cover_everything():
    found = placed(torch.ones(1, 1, 30, 40), 100, 1)
    total = torch.zeros(1, 1, *SIZE)
    for window in found:
        total[window.of] += feather(window, SIZE, MARGIN, "cpu")
    assert total.min() > 0


@given(st.tuples(st.integers(16, 300), st.integers(16, 300)), st.integers(1, 4), st.integers(0, 16))
def test_strips_cover_the_image_and_overlap(size, count, overlap):
    cover = torch.zeros(1, 1, *size)
    found = strips(size, count, overlap)
    assert len(found) == count
    for strip in found:
        assert cover[strip.of].shape[-2:] == strip.size
        cover[strip.of] += 1
    assert cover.min() >= 1
    if overlap == 0:
        assert cover.max() == 1
