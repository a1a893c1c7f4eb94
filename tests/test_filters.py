"""Means over windows, the guided filter and feathered masks, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st

from vidream.core.filters import box_mean, feather, gaussian_blur, guided_filter
from vidream.core.images import to_tensor

sides = st.integers(1, 12)
radii = st.integers(1, 9)
channels = st.sampled_from([1, 3])
seeds = st.integers(0, 2**16)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def windows(height, width, radius):
    """The rows and columns of every window, cut off at the borders."""
    for y in range(height):
        for x in range(width):
            yield (
                y,
                x,
                slice(max(0, y - radius), y + radius + 1),
                slice(max(0, x - radius), x + radius + 1),
            )


@given(sides, sides, radii, seeds)
def test_a_mean_is_of_what_the_window_holds(height, width, radius, seed):
    image = noise(1, 2, height, width, seed=seed)
    mean = box_mean(image, radius)
    for y, x, rows, columns in windows(height, width, radius):
        held = image[0, :, rows, columns].flatten(1).mean(1)
        assert torch.allclose(mean[0, :, y, x], held, atol=1e-5)


def by_definition(guide, image, radius, eps):
    """Fit every window by least squares, then average what the windows say of each pixel."""
    guide, image = guide[0].double().numpy(), image[0].double().numpy()
    (bands, height, width), count = guide.shape, np.zeros(guide.shape[1:])
    total = np.zeros_like(image)
    for _, _, rows, columns in windows(height, width, radius):
        inside = guide[:, rows, columns].reshape(bands, -1).T
        wanted = image[:, rows, columns].reshape(len(image), -1).T
        # The penalty as further equations: eps for each pixel of the window.
        design = np.hstack([inside, np.ones((len(inside), 1))])
        penalty = np.hstack([np.eye(bands) * np.sqrt(eps * len(inside)), np.zeros((bands, 1))])
        right = np.vstack([wanted, np.zeros((bands, len(image)))])
        line, *_ = np.linalg.lstsq(np.vstack([design, penalty]), right, rcond=None)
        said = (design @ line).T
        total[:, rows, columns] += said.reshape(total[:, rows, columns].shape)
        count[rows, columns] += 1
    return torch.from_numpy(total / count)[None]


@given(sides, sides, radii, channels, channels, st.floats(1e-4, 1), seeds)
def test_the_guided_filter_is_what_it_is_defined_to_be(
    height, width, radius, bands, parts, eps, seed
):
    guide = noise(1, bands, height, width, seed=seed)
    image = noise(1, parts, height, width, seed=seed + 1)
    expected = by_definition(guide, image, radius, eps)
    assert (guided_filter(guide, image, radius, eps) - expected).abs().max() < 1e-5


@given(sides, sides, radii, channels, st.floats(-3, 3), st.floats(-3, 3), seeds)
def test_the_guided_filter_is_linear_in_the_image(height, width, radius, bands, one, other, seed):
    guide = noise(1, bands, height, width, seed=seed)
    a, b = (noise(1, 3, height, width, seed=seed + k) for k in (1, 2))
    together = guided_filter(guide, one * a + other * b, radius, 0.01)
    apart = one * guided_filter(guide, a, radius, 0.01) + other * guided_filter(
        guide, b, radius, 0.01
    )
    assert torch.allclose(together, apart, atol=1e-4)


@given(sides, sides, radii, channels, st.floats(-2, 2), st.sampled_from([1, 2, 4]), seeds)
def test_constants_are_kept(height, width, radius, bands, level, subsample, seed):
    guide = noise(1, bands, height, width, seed=seed)
    image = torch.full((1, 2, height, width), level)
    filtered = guided_filter(guide, image, radius, 1e-3, subsample)
    assert torch.allclose(filtered, image, atol=1e-5)


@given(st.integers(4, 24), st.integers(4, 24), radii, channels, seeds)
def test_a_guide_that_is_the_image_keeps_it(height, width, radius, bands, seed):
    image = noise(1, bands, height, width, seed=seed)
    assert torch.allclose(guided_filter(image, image, radius, 1e-9), image, atol=1e-3)


def test_an_edge_of_the_guide_stays_and_another_goes():
    step = (torch.arange(40) >= 20).float().expand(1, 1, 40, 40)
    across = guided_filter(step, step.mT.contiguous(), 6, 1e-3)
    along = guided_filter(step, step.contiguous(), 6, 1e-3)
    assert (along - step).abs().max() < 0.01
    assert (across[..., 20, :] - across[..., 19, :]).abs().max() < 0.1


@pytest.mark.parametrize("subsample", [2, 4])
@pytest.mark.parametrize("bands", [1, 3])
def test_the_fast_form_is_near_the_exact_one(subsample, bands):
    guide = to_tensor(textured(120, 160))[:, :bands]
    image = to_tensor(textured(120, 160, 1)) * 0.5 + 0.02 * noise(1, 3, 120, 160)
    exact = guided_filter(guide, image, 16, 0.01)
    fast = guided_filter(guide, image, 16, 0.01, subsample)
    assert (fast - exact).abs().mean() < 1e-2
    assert (exact - image).abs().mean() > 1e-2  # it does something


def test_long_sums_do_not_blur_what_is_fitted():
    """On a large, bright, nearly even picture a variance is lost in single precision."""
    guide = 0.9 + 0.01 * noise(1, 3, 400, 600)
    image = noise(1, 1, 400, 600)
    corner = guided_filter(guide, image, 4, 1e-5)[..., -1, -1]
    small = guided_filter(guide[..., -20:, -20:], image[..., -20:, -20:], 4, 1e-5)[..., -1, -1]
    assert torch.allclose(corner, small, atol=1e-4)


def test_guides_that_do_not_fit():
    with pytest.raises(ValueError, match="guide"):
        guided_filter(torch.rand(1, 2, 8, 8), torch.rand(1, 3, 8, 8), 2, 0.1)
    with pytest.raises(ValueError, match="guide"):
        guided_filter(torch.rand(1, 3, 8, 9), torch.rand(1, 3, 8, 8), 2, 0.1)


@given(sides, sides, st.integers(0, 20), seeds)
def test_a_feathered_mask_is_nowhere_more_than_the_mask(height, width, feathered, seed):
    mask = (1.5 * noise(1, 1, height, width, seed=seed) - 0.2).clamp(0, 1)
    soft = feather(mask, feathered)
    assert (soft <= mask + 1e-5).all()
    assert (soft[mask == 0] == 0).all()
    assert (soft >= 0).all()


@given(sides, sides, st.integers(0, 20))
def test_what_is_shown_everywhere_has_no_edge(height, width, feathered):
    mask = torch.ones(1, 1, height, width)
    assert torch.equal(feather(mask, feathered), mask)


def test_a_ramp_is_as_wide_as_it_shall_be():
    mask = (torch.arange(60) >= 20).float().expand(1, 1, 9, 60)
    row = feather(mask, 8)[0, 0, 4]
    assert (row[:20] == 0).all()
    assert (row[28:] == 1).all()
    assert (row[20:28] > 0).all()
    assert (row[20:28] < 1).all()
    assert (row[20:29].diff() > 0).all()


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_the_blur_is_a_gaussian(sigma):
    impulse = torch.zeros(1, 3, 41, 41)
    impulse[:, :, 20, 20] = 1
    blurred = gaussian_blur(impulse, sigma)
    x = torch.arange(-20, 21.0)
    kernel = torch.exp(-(x[:, None] ** 2 + x[None] ** 2) / (2 * sigma**2))
    assert torch.allclose(blurred[0, 1], kernel / kernel.sum(), atol=2e-3)
    assert blurred.sum() == pytest.approx(3, abs=1e-4)


def test_the_blur_with_zero_and_on_a_tiny_image():
    image = torch.rand(1, 3, 2, 3)
    assert gaussian_blur(image, 0) is image
    assert gaussian_blur(image, 10).shape == image.shape
