"""Preconditioning against its definitions: a matrix, and an FFT."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidream import DreamSettings
from vidream.dream.precondition import (
    LEVELS,
    band_weights,
    color_matrix,
    decorrelate_color,
    precondition,
    weight_bands,
)

sides = st.integers(1, 40)
shares = st.floats(0, 1)


def noise(height, width, seed=0):
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


# --- color


def test_full_color_is_the_covariance_of_natural_images():
    """The square root that lucid uses, squared and scaled to trace 3."""
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    expected = root @ root.T * 3 / np.trace(root @ root.T)
    assert np.allclose(color_matrix(1.0).numpy(), expected, atol=1e-6)
    assert torch.equal(color_matrix(0.0), torch.eye(3))


@given(shares, st.integers(0, 100))
def test_colors_are_mixed_by_the_matrix(color, seed):
    gradient = noise(5, 7, seed)
    mixed = decorrelate_color(gradient, color)
    each = color_matrix(color).numpy() @ gradient[0].flatten(1).numpy()
    assert np.allclose(mixed[0].flatten(1).numpy(), each, atol=1e-5)


@given(shares)
def test_every_mix_still_goes_up(color):
    """Symmetric and positive definite: a step along it raises what the gradient raises."""
    values = torch.linalg.eigvalsh(color_matrix(color).double())
    assert torch.equal(color_matrix(color), color_matrix(color).T)
    assert float(values.min()) > 0
    assert float(values.sum()) == pytest.approx(3, abs=1e-5)


def test_natural_color_takes_opponent_colors_back():
    gradient = torch.zeros(1, 3, 4, 4)
    gradient[:, 0], gradient[:, 1] = 1, -1  # red against green
    grey = torch.ones(1, 3, 4, 4)
    assert decorrelate_color(gradient, 1.0).norm() < 0.2 * gradient.norm()
    assert decorrelate_color(grey, 1.0).norm() > grey.norm()


# --- bands


def response(frequency, detail, side=256):
    """Gain of a wave of that frequency, in cycles a pixel, away from the borders."""
    x = torch.arange(side, dtype=torch.float32)
    wave = torch.cos(2 * math.pi * frequency * x).expand(1, 1, side, side)
    weighted = weight_bands(wave, detail)
    # By the FFT: what comes out at the wave's own frequency, under a window against the borders.
    window = torch.hann_window(side, periodic=False)
    k = round(frequency * side)
    spectra = [
        torch.fft.rfft(image[0, 0, side // 2] * window).abs()[k] for image in (weighted, wave)
    ]
    return float(spectra[0] / spectra[1])


def expected(frequency, detail):
    """The same from the filters: [1, 3, 3, 1] / 8 passes cos³(πf), down and up again."""
    passed, gain, before = 1.0, 0.0, 0.0
    for level, weight in enumerate(band_weights(detail)):
        gain += (weight - before) * passed
        before = weight
        passed *= math.cos(math.pi * 2**level * frequency) ** 6
    return gain


@pytest.mark.parametrize("detail", [0.0, 0.25, 0.4, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("cycles", [3, 10, 20, 36, 50, 70, 90, 110])
def test_waves_are_weighted_as_an_fft_finds_them(cycles, detail):
    frequency = cycles / 256
    assert response(frequency, detail) == pytest.approx(expected(frequency, detail), rel=0.03)


@pytest.mark.parametrize("octave", [2, 3])
def test_between_its_levels_half_detail_is_one_over_f(octave):
    higher, lower = (expected(2.0 ** -(octave + k), 0.5) for k in (1, 2))
    assert lower / higher == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize("detail", [0.0, 0.5, 1.0])
def test_what_is_the_same_everywhere_has_the_last_weight(detail):
    flat = torch.full((1, 3, 48, 64), 0.5)
    assert torch.allclose(weight_bands(flat, detail), flat * band_weights(detail)[-1], rtol=1e-5)


def test_the_finest_waves_have_the_first_weight():
    checks = torch.ones(1, 1, 32, 32)
    checks[..., ::2, 1::2] = checks[..., 1::2, ::2] = -1
    inner = weight_bands(checks, 0.5)[..., 12:-12, 12:-12]
    assert torch.allclose(inner, checks[..., 12:-12, 12:-12], atol=0.01)


@given(sides, sides, st.floats(0, 0.99), st.integers(0, 20))
def test_bands_of_any_size_are_linear(height, width, detail, seed):
    one, other = noise(height, width, seed), noise(height, width, seed + 1)
    both = weight_bands(one + 2 * other, detail)
    apart = weight_bands(one, detail) + 2 * weight_bands(other, detail)
    assert both.shape == one.shape
    assert torch.allclose(both, apart, atol=1e-3, rtol=1e-3)


@given(st.integers(1, 4), st.integers(1, 4), shares, st.integers(0, 20))
def test_weighted_bands_still_go_up(height, width, detail, seed):
    one = noise(16 * height, 16 * width, seed)
    assert float((one * weight_bands(one, detail)).sum()) > 0


def test_weights_double_by_the_falloff():
    assert band_weights(1.0) == [1] * (LEVELS + 1)
    assert band_weights(0.5) == [1, 2, 4, 8, 16]
    assert band_weights(0.0) == [1, 4, 16, 64, 256]


# --- both


def test_plain_settings_leave_the_gradient_alone():
    gradient = noise(20, 30)
    plain = DreamSettings(color=0, detail=1, smoothing=0)
    assert torch.equal(precondition(gradient, plain), gradient)


def test_what_is_grey_stays_grey():
    gradient = noise(20, 30).mean(1, keepdim=True).expand(1, 3, 20, 30)
    grey = precondition(gradient, DreamSettings(grey=True))
    assert torch.allclose(grey, grey.mean(1, keepdim=True).expand_as(grey), atol=1e-6)
    assert not torch.equal(grey, gradient)
