"""How strong a dream is from place to place, and how far it has to grow."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidream.dream.strength import STRENGTH_POLICY, deficit, level, local_level, step_gain

DIAMETER, MOST = STRENGTH_POLICY.diameter, STRENGTH_POLICY.max_steps
grids = st.integers(1, 24)
values = st.floats(1e-6, 1e4)
SIZE = (10 * DIAMETER, 15 * DIAMETER)  # so large that each cell of a small grid stands for itself


def grid(height, width, value):
    return torch.full((1, 1, height, width), value)


# --- local level


@given(grids, grids, values, st.integers(8, 600), st.integers(8, 600))
def test_an_even_grid_stays_as_it_is(height, width, value, high, wide):
    cells = grid(height, width, value)
    assert torch.allclose(local_level(cells, (high, wide)), cells, rtol=1e-5)


@given(st.integers(6, 24), st.integers(6, 24), st.integers(0, 2**20))
def test_averaging_evens_out_and_never_overshoots(height, width, seed):
    torch.manual_seed(seed)
    cells = torch.rand(1, 1, height, width)
    size = (DIAMETER * height // 4, DIAMETER * width // 4)  # four cells to the diameter
    even = local_level(cells, size)
    assert even.shape == cells.shape
    assert even.std() < 0.8 * cells.std()
    assert cells.min() - 1e-6 <= even.min()
    assert even.max() <= cells.max() + 1e-6


def test_averaging_reaches_as_far_as_it_says():
    """One cell of 16 pixels: its energy is spread over the cells within half of the diameter."""
    cells = torch.zeros(1, 1, 41, 61)
    cells[..., 20, 30] = 1
    spread = local_level(cells, (41 * 16, 61 * 16))
    radius = round(DIAMETER / 16 / 2)
    touched = torch.zeros(1, 1, 41, 61, dtype=torch.bool)
    touched[..., 20 - radius : 21 + radius, 30 - radius : 31 + radius] = True
    assert torch.equal(spread > 0, touched)
    assert spread.sum() == pytest.approx(1, rel=1e-5)


def test_cells_larger_than_the_diameter_are_left_alone():
    cells = torch.rand(1, 1, 4, 5)
    assert torch.equal(local_level(cells, (4 * 3 * DIAMETER, 5 * 3 * DIAMETER)), cells)


def test_a_grid_of_one_row_is_averaged_along_it():
    cells = torch.rand(1, 1, 1, 20)
    even = local_level(cells, (16, 20 * 16))
    assert even.shape == cells.shape
    assert even.std() < cells.std()


# --- level


@given(grids, grids, values)
def test_the_level_of_an_even_grid_is_its_value(height, width, value):
    assert level(grid(height, width, value), (300, 400)) == pytest.approx(value, rel=1e-4)


def test_the_level_is_a_geometric_mean():
    cells = torch.tensor([[1.0, 100.0]]).view(1, 1, 1, 2)
    assert level(cells, SIZE) == pytest.approx(10, rel=1e-4)


@given(st.floats(0.01, 100))
def test_the_level_grows_with_the_energy(factor):
    cells = torch.rand(1, 1, 9, 12) + 0.1
    assert level(factor * cells, (144, 192)) == pytest.approx(
        factor * level(cells, (144, 192)), rel=1e-4
    )


def test_the_level_of_nothing_is_finite():
    assert 0 <= level(grid(5, 6, 0.0), (80, 96)) < 1e-6


# --- gain


@given(grids, grids, values, st.floats(1.001, 50))
def test_where_the_level_is_reached_nothing_is_done(height, width, target, above):
    cells = grid(height, width, above * target)
    assert torch.equal(step_gain(cells, target, (40, 50)), torch.zeros(1, 1, 40, 50))


def test_growth_does_not_end_before_the_level():
    assert step_gain(grid(5, 6, 0.999), 1.0, (80, 96)).min() > 0


@settings(max_examples=50)
@given(values, st.lists(st.floats(0.001, 2), min_size=2, max_size=6))
def test_the_weaker_the_region_the_more_is_done(target, shares):
    gains = [
        float(step_gain(grid(3, 4, share * target), target, (48, 64)).mean())
        for share in sorted(shares)
    ]
    assert all(weak >= strong - 1e-5 for weak, strong in pairwise(gains))
    assert all(0 <= g <= MOST for g in gains)


def test_the_gain_follows_from_how_many_efolds_are_missing():
    few = 0.5 * MOST / STRENGTH_POLICY.steps_per_efold  # half of the way to the ceiling
    cells = grid(5, 6, math.exp(-few))
    assert torch.allclose(step_gain(cells, 1.0, (80, 96)), torch.tensor(0.5 * MOST), atol=1e-4)


def test_no_more_than_the_most_is_done():
    assert torch.allclose(step_gain(grid(5, 6, 1e-9), 1.0, (80, 96)), torch.tensor(MOST))


def test_regions_that_hold_no_energy_at_all_are_no_trouble():
    cells = torch.ones(1, 1, 10, 15)
    cells[..., :5, :] = 0
    gained = step_gain(cells, 1.0, SIZE)
    assert gained.isfinite().all()
    assert gained[..., : SIZE[0] // 4, :].min() == pytest.approx(MOST)


def test_weak_regions_are_found_where_they_are():
    cells = torch.full((1, 1, 10, 15), 2.0)
    cells[..., 7:, :5] = 0.1
    gained = step_gain(cells, 1.0, SIZE)
    assert gained.shape == (1, 1, *SIZE)
    assert gained[..., 8 * DIAMETER :, : 4 * DIAMETER].min() > 0.9 * MOST
    assert not gained[..., : 5 * DIAMETER, :].any()
    assert not gained[..., 8 * DIAMETER :].any()


@given(st.floats(-1e3, 0), grids, grids)
def test_without_a_level_to_reach_every_step_is_taken_whole(target, height, width):
    cells = torch.randn(1, 1, height, width)  # a layer of negative weight has less than none
    assert torch.equal(step_gain(cells, target, (33, 21)), torch.ones(1, 1, 33, 21))


def test_each_place_may_have_a_level_of_its_own():
    cells = torch.full((1, 1, 10, 15), 1.0)
    target = torch.full((1, 1, *SIZE), 0.9)
    target[..., SIZE[1] // 2 :] = 1.2
    gained = step_gain(cells, target, SIZE)
    assert not gained[..., : SIZE[1] // 2 - DIAMETER].any()
    beyond = gained[..., SIZE[1] // 2 + DIAMETER :]
    assert torch.allclose(beyond, step_gain(cells, 1.2, SIZE)[..., SIZE[1] // 2 + DIAMETER :])


# --- deficit


def test_what_is_asked_for_more_has_a_larger_deficit():
    cells = torch.full((1, 1, 8, 8), 1.0)
    target = torch.full((1, 1, 64, 64), 0.9)
    target[..., 32:] = 3.0
    found = deficit(cells, target)
    assert not found[..., :3].any()
    assert torch.allclose(found[..., 5:], deficit(cells, 3.0)[..., 5:])


@given(grids, grids, values, st.floats(1.0, 50))
def test_there_is_no_deficit_where_the_level_is_reached(height, width, target, above):
    assert not deficit(grid(height, width, 1.001 * above * target), target).any()


def test_much_in_one_place_counts_more_than_a_little_everywhere():
    spot = grid(9, 9, 1.0)
    spot[..., 3:6, 3:6] = 0.1
    assert deficit(spot, 1.0).sum() > deficit(grid(9, 9, 0.8), 1.0).sum()
    assert deficit(spot, 1.0).argmax() == 4 * 9 + 4
