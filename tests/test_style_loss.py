"""Style losses against independent computations of values and gradients, and in parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidream.core.settings import LayerTerm
from vidream.dream.objective import Objective
from vidream.dream.style_loss import GRAM, MOMENTS, StyleLoss, total_variation

sides = st.integers(1, 6)
seeds = st.integers(0, 99)
LAYER = LayerTerm("a")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gram(activation):
    """The published definition, pair by pair of channels, as a mean over the cells."""
    columns = activation.reshape(len(activation), -1)
    return np.array([[(a * b).mean() for b in columns] for a in columns])


def moments(activation):
    """What AdaIN matches: each channel's mean, and its deviation."""
    columns = activation.reshape(len(activation), -1)
    return np.stack((columns.mean(1), np.sqrt(columns.var(1) + 1e-5)))


PUBLISHED = [(GRAM, gram), (MOMENTS, moments)]


@pytest.mark.parametrize(("statistic", "published"), PUBLISHED)
@given(channels=sides, height=sides, width=sides, wide=sides, seed=seeds)
def test_a_loss_is_the_published_distance(
    statistic, published, channels, height, width, wide, seed
):
    a, s = drawn(2, channels, height, width, seed=seed), drawn(1, channels, 3, wide, seed=seed + 1)
    loss = StyleLoss.to(LAYER, statistic, [s], [1.0])
    target = published(s[0].numpy())
    expected = [((published(x) - target) ** 2).sum() / (target**2).sum() for x in a.numpy()]
    assert np.allclose(loss.losses(loss.sums(a), height * width), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("statistic", "published"), PUBLISHED)
def test_pictures_are_mixed_by_their_shares(statistic, published):
    one, two = drawn(1, 3, 4, 5), drawn(1, 3, 2, 6, seed=1)
    loss = StyleLoss.to(LAYER, statistic, [one, two], [3.0, 1.0])
    mixed = 0.75 * published(one[0].numpy()) + 0.25 * published(two[0].numpy())
    assert np.allclose(loss.target[0], mixed, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("statistic", [GRAM, MOMENTS])
def test_what_is_alike_has_no_loss(statistic):
    picture = drawn(1, 5, 4, 4)
    loss = StyleLoss.to(LAYER, statistic, [picture], [1.0])
    assert float(loss.losses(loss.sums(picture), 16)) < 1e-9
    assert float(loss.losses(loss.sums(picture.flip(-1)), 16)) < 1e-9  # wherever it is


@pytest.mark.parametrize("statistic", [GRAM, MOMENTS])
def test_parts_add_up_to_the_whole(statistic):
    picture = drawn(2, 5, 4, 6)
    loss = StyleLoss.to(LAYER, statistic, [drawn(1, 5, 3, 3, seed=1)], [1.0])
    parts = loss.sums(picture[..., :2]) + loss.sums(picture[..., 2:])
    assert torch.allclose(loss.losses(parts, 24), loss.losses(loss.sums(picture), 24), rtol=1e-5)


@given(height=sides, width=sides, seed=seeds)
def test_total_variation(height, width, seed):
    image = drawn(2, 3, height, width, seed=seed)
    expected = np.zeros(2)
    for b, c, y, x in np.ndindex(2, 3, height, width):
        here = image[b, c, y, x]
        for down, right in ((1, 0), (0, 1)):
            if y + down < height and x + right < width:
                expected[b] += (image[b, c, y + down, x + right] - here) ** 2
    assert np.allclose(total_variation(image), expected / (3 * height * width))


def slopes(function, at):
    """The gradient by finite differences, at every seventh place, and by autograd."""
    at = at.requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(at), at)
    step = 1e-2  # rounding to float32 does not drown it
    for index in range(0, at.numel(), 7):
        nudge = torch.zeros_like(at).flatten()
        nudge[index] = step
        with torch.no_grad():
            high, low = (function(at + sign * nudge.view_as(at)) for sign in (1, -1))
        yield float(gradient.flatten()[index]), float(high - low) / (2 * step)


@pytest.mark.parametrize("statistic", [GRAM, MOMENTS])
def test_gradients_of_style_losses_are_those_of_finite_differences(statistic):
    loss = StyleLoss.to(LayerTerm("a", 0.7), statistic, [drawn(1, 4, 3, 3, seed=1)], [1.0])
    objective = Objective((), style_losses=(loss,))

    def value(a):
        return objective.style_value(objective.style_sums({"a": a}), {"a": 9}).mean()

    found = list(slopes(value, drawn(2, 4, 3, 3, seed=2)))
    assert max(abs(gradient) for gradient, _ in found) > 1e-2
    for gradient, slope in found:
        assert gradient == pytest.approx(slope, abs=3e-4)


def test_gradients_of_content_and_variation_are_those_of_finite_differences():
    objective = Objective((), content=(LayerTerm("a", 0.7),))
    reference = {"a": drawn(1, 4, 3, 3, seed=1)}
    for function in (
        lambda a: objective.value(objective.maps({"a": a}, reference)),
        lambda a: total_variation(a)[0],
    ):
        for gradient, slope in slopes(function, drawn(1, 4, 3, 3, seed=2)):
            assert gradient == pytest.approx(slope, abs=2e-4)


def test_content_is_the_mean_square_of_changes():
    objective = Objective((LayerTerm("a"),), content=(LayerTerm("b", 0.5), LayerTerm("c", 2.0, 1)))
    now = {name: torch.randn(2, 3, 4, 4) for name in "abc"}
    then = {name: torch.randn(2, 3, 4, 4) for name in "abc"}
    expected = (
        now["a"].square().mean()
        - 0.5 * (now["b"] - then["b"]).square().mean()
        - 2 * (now["c"] - then["c"])[:, 1].square().mean()
    )
    assert float(objective.value(objective.maps(now, then))) == pytest.approx(
        float(expected), rel=1e-5
    )
    # Content is no strength, and without a reference there is none.
    assert torch.equal(
        objective.local_strength(objective.maps(now, then)),
        objective.local_strength(objective.maps(now)),
    )
    assert objective.value(objective.maps(now)) == pytest.approx(
        float(now["a"].square().mean()), rel=1e-5
    )


def test_the_strength_of_a_style_is_one_over_its_loss():
    loss = StyleLoss.to(LAYER, GRAM, [drawn(1, 4, 3, 3, seed=1)], [1.0])
    objective = Objective((), style_losses=(loss,))
    images = {"a": drawn(2, 4, 3, 3)}
    style = objective.style_value(objective.style_sums(images), {"a": 9})
    cells = objective.local_strength((), style)
    assert cells.shape == (2, 1, 1, 1)
    assert torch.allclose(cells.flatten(), -1 / style, rtol=1e-4)
