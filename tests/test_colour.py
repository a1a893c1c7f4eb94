"""Brightness, colour kept, and colours made to match."""

from __future__ import annotations

import pytest
import torch
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st

from vidream.core.images import to_tensor
from vidream.postprocess.colour import Palette, keep_colour, luma, match_colour, palette, transfer

seeds = st.integers(0, 2**16)


def noise(seed, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    return ((torch.rand((1, 3, 12, 16), generator=generator) - 0.5) * spread + 0.5).clamp(0, 1)


def covariance(seed):
    root = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return root @ root.T * 0.02 + 1e-3 * torch.eye(3, dtype=torch.float64)


@given(st.floats(0, 1))
def test_the_brightness_of_grey_is_its_level(level):
    assert torch.allclose(luma(torch.full((1, 3, 2, 2), level)), torch.tensor(level), atol=1e-6)


@given(seeds, seeds, st.floats(0.1, 3))
def test_kept_colour_has_the_brightness_of_the_dream(one, other, spread):
    dream, source = noise(one, spread), noise(other, spread)
    shown = keep_colour(dream, source)
    assert torch.allclose(luma(shown), luma(dream), atol=1e-5)
    assert shown.min() >= 0
    assert shown.max() <= 1


@given(seeds, seeds, st.floats(0.1, 3))
def test_kept_colour_has_the_colour_of_the_source(one, other, spread):
    dream, source = noise(one, spread), noise(other, spread)
    tint = source - luma(source)
    shown = keep_colour(dream, source)
    kept = shown - luma(shown)
    # As much as there is, or paler, but never of another hue.
    share = (kept * tint).sum(1, keepdim=True) / tint.square().sum(1, keepdim=True).clamp_min(1e-9)
    assert torch.allclose(kept, share * tint, atol=1e-4)
    assert share.min() > -1e-3
    assert share.max() < 1 + 1e-3


def test_colour_is_paled_only_where_it_must():
    source = to_tensor(textured(32, 48)) * 0.3 + 0.35
    dream = source + 0.2 * (to_tensor(textured(32, 48, 1)) - 0.5)
    shown = keep_colour(dream, source)
    assert torch.allclose(shown - luma(shown), source - luma(source), atol=1e-5)


@given(seeds, st.floats(0.1, 3))
def test_a_picture_has_its_own_colour_already(seed, spread):
    image = noise(seed, spread)
    assert torch.allclose(keep_colour(image, image), image, atol=1e-5)
    assert torch.allclose(match_colour(image, palette(image)), image, atol=1e-4)


@given(seeds, seeds)
def test_the_transfer_moves_one_covariance_onto_the_other(one, other):
    own, wanted = covariance(one), covariance(other)
    turn = transfer(own, wanted)
    assert torch.allclose(turn, turn.T, atol=1e-8)
    assert (torch.linalg.eigvalsh(turn) > 0).all()
    least = 1e-4 * torch.eye(3, dtype=torch.float64)
    assert torch.allclose(turn @ (own + least) @ turn.T, wanted + least, atol=1e-8)


@given(seeds, seeds)
def test_matched_colours_have_the_mean_and_covariance_of_the_target(one, other):
    image, target = (0.25 + noise(k, 0.4) / 2 for k in (one, other))
    mix = torch.tensor([[0.8, 0.1, 0.1], [0.0, 0.7, 0.2], [0.2, 0.1, 0.6]])
    wanted = palette(torch.einsum("ij,bjhw->bihw", mix, target))
    got = palette(match_colour(image, wanted))
    assert torch.allclose(got.mean, wanted.mean, atol=1e-4)
    assert torch.allclose(got.covariance, wanted.covariance, atol=2e-4)


@pytest.mark.parametrize("image", [torch.full((1, 3, 8, 8), 0.3), torch.zeros(1, 3, 8, 8)])
def test_a_single_colour_becomes_the_mean_of_the_target(image):
    wanted = palette(to_tensor(textured(32, 48)))
    shown = match_colour(image, wanted)
    assert torch.allclose(shown[0, :, 0, 0].double(), wanted.mean, atol=1e-4)
    assert torch.allclose(shown, shown[..., :1, :1].expand_as(shown), atol=1e-6)


def test_a_grey_picture_is_not_blown_up():
    grey = to_tensor(textured(32, 48)).mean(1, keepdim=True).expand(1, 3, 32, 48)
    noisy = (grey + 1e-3 * torch.randn(1, 3, 32, 48)).clamp(0, 1)
    shown = match_colour(noisy, palette(to_tensor(textured(32, 48, 1))))
    tint = (shown - luma(shown)).std() / (noisy - luma(noisy)).std()
    assert tint < 50
    assert torch.isfinite(shown).all()


def test_a_target_of_one_colour_paints_everything_in_it():
    target = Palette(torch.tensor([0.2, 0.5, 0.7]).double(), torch.zeros(3, 3).double())
    shown = match_colour(to_tensor(textured(32, 48)), target)
    assert (shown[0].mean((1, 2)) - torch.tensor([0.2, 0.5, 0.7])).abs().max() < 1e-3
    assert shown.flatten(2).std(2).max() < 0.02
