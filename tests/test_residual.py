"""Light and colour of carried dreams are held, and nothing is touched that is in balance."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidream.dream.residual import ResidualStatistics, match_statistics

SOURCE = torch.full((1, 3, 24, 32), 0.5)


def residual(light: float, colour: float, seed: int = 0) -> torch.Tensor:
    """One whose spread is as told."""
    random = torch.randn(1, 3, 24, 32, generator=torch.Generator().manual_seed(seed))
    grey = random.mean(1, keepdim=True)
    rest = random - grey
    return light * grey / grey.abs().mean() + colour * rest / rest.abs().mean()


def test_the_spread_is_the_mean_departure():
    found = ResidualStatistics.of(residual(0.03, 0.01))
    assert (found.light, found.colour) == pytest.approx((0.03, 0.01), rel=1e-4)


def test_what_is_in_balance_is_given_bit_for_bit():
    image = SOURCE + residual(0.05, 0.02)
    assert match_statistics(image, SOURCE, ResidualStatistics(0.05, 0.02)) is image


@pytest.mark.parametrize(("light", "colour"), [(0, 0), (0.05, 0), (0, 0.02)])
def test_without_a_model_nothing_is_match_statistics(light, colour):
    image = SOURCE + residual(0.05, 0.02)
    assert match_statistics(image, SOURCE, ResidualStatistics(light, colour)) is image
    assert match_statistics(SOURCE, SOURCE, ResidualStatistics(0.05, 0.02)) is SOURCE


@given(st.floats(0.01, 0.06), st.floats(0.004, 0.03))
def test_from_frame_to_frame_it_comes_to_the_model(light, colour):
    image, to = SOURCE + residual(light, colour), ResidualStatistics(0.03, 0.01)
    for _ in range(400):
        before, image = image, match_statistics(image, SOURCE, to)
        # No frame differs much from the one before: a step of a few percent is not seen.
        assert (image - before).abs().max() <= 0.06 * (before - SOURCE).abs().max()
    found = ResidualStatistics.of(image - SOURCE)
    assert (found.light, found.colour) == pytest.approx((0.03, 0.01), rel=0.01)
