"""Warping by flow, and the mask that tells where it can be relied on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import textured
from hypothesis import given, settings
from hypothesis import strategies as st

from vidream.core.images import to_tensor
from vidream.temporal.flow import load_flow
from vidream.temporal.warp import (
    feather_binary,
    forward_backward_mask,
    inside_mask,
    resize_flow,
    to_flow,
    warp,
)

sides = st.integers(1, 60)
modes = st.sampled_from(["bicubic", "bilinear"])


def constant(height, width, right, down):
    return (
        torch.tensor([right, down], dtype=torch.float32)
        .view(1, 2, 1, 1)
        .repeat(1, 1, height, width)
    )


def picture(height, width, seed=0):
    return to_tensor(textured(height, width, seed))


# --- fields


@given(sides, sides)
def test_a_field_becomes_a_tensor(height, width):
    field = np.random.default_rng(0).random((height, width, 2), np.float32)
    flow = to_flow(field)
    assert flow.shape == (1, 2, height, width)
    assert torch.equal(flow[0, 0], torch.from_numpy(field[..., 0]))  # to the right
    assert torch.equal(flow[0, 1], torch.from_numpy(field[..., 1]))  # down


@given(sides, sides, sides, sides, st.floats(-50, 50), st.floats(-50, 50))
def test_another_grid_has_other_pixels(height, width, high, wide, right, down):
    resized = resize_flow(constant(height, width, right, down), (high, wide))
    assert resized.shape == (1, 2, high, wide)
    expected = constant(high, wide, right * wide / width, down * high / height)
    assert torch.allclose(resized, expected, rtol=1e-4, atol=1e-4)


def test_the_same_grid_is_left_alone():
    flow = torch.randn(1, 2, 9, 7)
    assert resize_flow(flow, (9, 7)) is flow


def test_a_resized_field_leads_to_the_same_places():
    """Zooming by a tenth about the centre, at two sizes."""

    def zoom(height, width):
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        return torch.stack((x - width / 2, y - height / 2))[None] / 10

    resized = resize_flow(zoom(60, 80), (30, 120))
    assert torch.allclose(resized[..., 2:-2, 2:-2], zoom(30, 120)[..., 2:-2, 2:-2], atol=1e-4)


# --- warp


@given(sides, sides, modes, st.integers(1, 4))
def test_a_field_of_zeros_changes_nothing(height, width, mode, channels):
    image = torch.rand(1, channels, height, width)
    assert torch.allclose(warp(image, torch.zeros(1, 2, height, width), mode), image, atol=1e-5)


# The coordinates are rounded to float32, of which the size of the picture makes more or less.
@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size, close", [((64, 128), 1e-6), ((90, 100), 1e-5), ((720, 1280), 1e-4)])
def test_a_field_of_zeros_changes_no_picture(mode, size, close):
    image = picture(*size)
    assert torch.allclose(warp(image, torch.zeros(1, 2, *size), mode), image, rtol=0, atol=close)


@given(modes, st.integers(-9, 9), st.integers(-9, 9))
def test_whole_pixels_are_a_roll(mode, right, down):
    image = torch.rand(1, 3, 40, 50)
    warped = warp(image, constant(40, 50, right, down), mode)
    rolled = torch.roll(image, (-down, -right), (-2, -1))
    assert torch.allclose(warped[..., 11:-11, 11:-11], rolled[..., 11:-11, 11:-11], atol=2e-5)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_what_lies_outside_repeats_the_border(mode):
    image = torch.rand(1, 3, 12, 15)
    left = warp(image, constant(12, 15, -30, 0), mode)
    below = warp(image, constant(12, 15, 0, 30), mode)
    assert torch.allclose(left, image[..., :1].expand_as(image), atol=1e-5)
    assert torch.allclose(below, image[..., -1:, :].expand_as(image), atol=1e-5)


@pytest.mark.parametrize("name", ["dis", "farneback"])
def test_an_earlier_frame_comes_to_where_the_current_one_is(name):
    """The fields of the estimators lead the way that warp goes."""
    earlier = textured(96, 128)
    current = np.roll(earlier, (2, 5), (0, 1))  # everything has moved right and down since
    flow = to_flow(load_flow(name)(current, earlier))
    assert torch.allclose(
        flow[..., 20:-20, 20:-20].median(-1)[0].median(-1)[0], torch.tensor([-5.0, -2.0]), atol=0.2
    )

    def apart(a, b):
        return (a - b)[..., 20:-20, 20:-20].abs().mean()

    earlier, current = to_tensor(earlier), to_tensor(current)
    assert apart(warp(earlier, flow), current) < apart(earlier, current) / 20


@settings(max_examples=50)
@given(st.integers(0, 2**20), st.floats(0, 20))
def test_bilinear_never_overshoots(seed, reach):
    torch.manual_seed(seed)
    image = torch.rand(1, 1, 15, 18)
    warped = warp(image, torch.randn(1, 2, 15, 18) * reach, "bilinear")
    assert image.min() - 1e-6 <= warped.min()
    assert warped.max() <= image.max() + 1e-6


def test_bicubic_keeps_more_detail_than_bilinear():
    image = to_tensor(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8))
    image = F.avg_pool2d(image, 3, 1, 1)

    def detail(mode):
        there = constant(60, 60, 0.5, 0.5)
        moved = image
        for _ in range(5):
            moved = warp(warp(moved, there, mode), -there, mode)
        return moved[..., 15:-15, 15:-15].std()

    assert detail("bicubic") > 1.3 * detail("bilinear")


# --- inside


@given(st.integers(-30, 30), st.integers(-30, 30))
def test_inside_is_where_whole_pixels_come_from(right, down):
    height, width = 21, 26
    x, y = np.arange(width) + right, np.arange(height) + down
    expected = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
    mask = inside_mask(constant(height, width, right, down))
    assert mask.shape == (1, 1, height, width)
    assert np.array_equal(mask[0, 0].numpy(), expected.astype(np.float32))


def test_inside_ends_half_a_pixel_beyond_the_border():
    assert inside_mask(constant(8, 8, 0.49, -0.49)).all()
    assert not inside_mask(constant(8, 8, 0.51, 0))[..., -1].any()
    assert not inside_mask(constant(8, 8, 0, -0.51))[..., 0, :].any()


# --- the forward-backward mask


HEIGHT, WIDTH, TOP, LEFT, SIDE = 64, 96, 22, 30, 20


def square(left, right):
    """A field over a still background: what is in a square with that left side moves."""
    flow = torch.zeros(1, 2, HEIGHT, WIDTH)
    flow[:, 0, TOP : TOP + SIDE, left : left + SIDE] = right
    return flow


def box(top, bottom, left, right):
    mask = torch.zeros(1, 1, HEIGHT, WIDTH, dtype=torch.bool)
    mask[..., top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize("step", [2, 5, 9, -4])
def test_what_was_uncovered_is_not_relied_on(step):
    """The square moves; behind it comes to light what the earlier frame does not show."""
    current, earlier = square(LEFT + step, -step), square(LEFT, step)
    mask = forward_backward_mask(current, earlier, boundaries=False)
    start, end = (LEFT, LEFT + step) if step > 0 else (LEFT + SIDE + step, LEFT + SIDE)
    assert torch.equal(mask, (~box(TOP, TOP + SIDE, start, end)).float())


def test_boundaries_of_motion_are_not_relied_on():
    current, earlier = square(LEFT + 5, -5), square(LEFT, 5)
    mask = forward_backward_mask(current, earlier)
    bare = forward_backward_mask(current, earlier, boundaries=False)
    left, right, bottom = LEFT + 5, LEFT + 5 + SIDE, TOP + SIDE
    within = box(TOP + 1, bottom - 1, left + 1, right - 1)
    sides = box(TOP, bottom, left - 1, right + 1) | box(TOP - 1, bottom + 1, left, right)
    boundary = sides & ~within
    assert not mask[boundary].any()
    assert torch.equal(mask[~boundary], bare[~boundary])
    assert mask[within].all()
    assert bare[within].all()


def test_a_smooth_motion_has_no_boundaries():
    x = torch.arange(96.0).expand(1, 1, 64, 96)
    flow = torch.cat((2 + x * 0.01, torch.zeros_like(x)), 1)
    assert forward_backward_mask(flow, -flow)[..., :90].all()


@settings(max_examples=40)
@given(st.integers(-12, 12), st.integers(-12, 12), st.booleans())
def test_a_pan_is_relied_on_wherever_it_stays_inside(right, down, boundaries):
    flow = constant(40, 50, right, down)
    assert torch.equal(forward_backward_mask(flow, -flow, boundaries=boundaries), inside_mask(flow))


def test_out_of_frame_is_not_relied_on():
    mask = forward_backward_mask(constant(20, 30, 7, 0), constant(20, 30, -7, 0))
    assert mask[..., :23].all()
    assert not mask[..., 23:].any()
    away = constant(20, 30, 500, -500)
    assert not forward_backward_mask(away, -away).any()


def test_half_a_pixel_astray_is_tolerated_and_a_whole_one_is_not():
    still = torch.zeros(1, 2, 16, 16)
    assert forward_backward_mask(still, constant(16, 16, 0.5, 0.4)).all()
    assert not forward_backward_mask(still, constant(16, 16, 1, 0)).any()


@settings(max_examples=50)
@given(sides, sides, st.integers(0, 2**20), st.floats(0, 30), st.booleans())
def test_the_mask_is_no_or_yes_at_every_size(height, width, seed, reach, boundaries):
    torch.manual_seed(seed)
    flow, back = torch.randn(2, 1, 2, height, width) * reach
    mask = forward_backward_mask(flow, back, boundaries=boundaries)
    assert mask.shape == (1, 1, height, width)
    assert ((mask == 0) | (mask == 1)).all()
    assert (mask <= inside_mask(flow)).all()
    assert (
        forward_backward_mask(flow, back, boundaries=True)
        <= forward_backward_mask(flow, back, boundaries=False)
    ).all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_not_relied_on(bad):
    still = torch.zeros(1, 2, 12, 12)
    flow = still.clone()
    flow[..., 4, 5] = bad
    mask = forward_backward_mask(flow, still, boundaries=False)
    assert mask[0, 0, 4, 5] == 0
    assert mask.sum() == 12 * 12 - 1


# --- feathering


def grown(zeros, radius):
    """Where something is 0 within ``radius`` pixels, as a square."""
    return F.max_pool2d(zeros.float(), 2 * radius + 1, 1, radius).bool()


@settings(max_examples=100)
@given(sides, sides, st.integers(0, 2**20), st.integers(0, 8), st.sampled_from([0.5, 0.9, 0.99]))
def test_feathering_only_takes_away(height, width, seed, radius, share):
    torch.manual_seed(seed)
    mask = (torch.rand(1, 1, height, width) < share).float()
    soft = feather_binary(mask, radius)
    assert soft.shape == mask.shape
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert not soft[mask == 0].any()
    assert (soft[~grown(mask == 0, 2 * radius)] == 1).all()


def test_no_radius_changes_nothing():
    mask = torch.rand(1, 1, 9, 9)
    assert feather_binary(mask, 0) is mask


@pytest.mark.parametrize("radius", [1, 3, 6])
def test_the_ramp_is_even(radius):
    mask = torch.zeros(1, 1, 40, 60)
    mask[..., 20:] = 1
    row = feather_binary(mask, radius)[0, 0, 17]
    assert (feather_binary(mask, radius)[0, 0] == row).all()
    ramp = row[20 : 20 + 2 * radius + 1]
    assert not row[:20].any()
    assert (row[20 + 2 * radius :] == 1).all()
    assert torch.allclose(ramp, torch.arange(1, 2 * radius + 2) / (2 * radius + 1), atol=1e-6)


@settings(max_examples=50)
@given(st.integers(0, 2**20), st.integers(1, 6))
def test_a_smaller_mask_gives_a_smaller_feathered_one(seed, radius):
    torch.manual_seed(seed)
    large = torch.rand(1, 1, 30, 33)
    small = large * torch.rand(1, 1, 30, 33)
    assert (feather_binary(small, radius) <= feather_binary(large, radius) + 1e-6).all()


def test_all_and_nothing_stay():
    for value in (0.0, 1.0):
        mask = torch.full((1, 1, 12, 9), value)
        assert torch.equal(feather_binary(mask, 4), mask)
