"""Objectives against independent computations of their values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidream.core.settings import LayerTerm
from vidream.dream.objective import Guide, GuidePolicy, Objective, energy, features, mean

sides = st.integers(1, 6)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matched(activation, guide):
    """The published definition, in NumPy: the product of each cell with its best match.

    Over the mean length of what a guide's cells hold.
    """
    batch, channels, height, width = activation.shape
    result = np.zeros((batch, 1, height, width))
    columns = guide.reshape(channels, -1)
    columns = columns / np.linalg.norm(columns, axis=0).mean()
    for b, y, x in np.ndindex(batch, height, width):
        result[b, 0, y, x] = (activation[b, :, y, x] @ columns).max() / channels
    return result


@given(sides, sides, sides, st.integers(0, 99))
def test_energy_and_mean(channels, height, width, seed):
    a = drawn(2, channels, height, width, seed=seed)
    plain = a.numpy()
    assert np.allclose(energy(a).numpy(), (plain**2).mean(1, keepdims=True), rtol=1e-5)
    assert np.allclose(mean(a).numpy(), plain.mean(1, keepdims=True), atol=1e-6)


@given(sides, sides, sides, sides, st.integers(0, 99))
def test_a_guide_multiplies_with_the_best_match(channels, height, width, wide, seed):
    a, g = drawn(2, channels, height, width, seed=seed), drawn(1, channels, 3, wide, seed=seed + 1)
    assert np.allclose(Guide.of(g)(a).numpy(), matched(a.numpy(), g.numpy()), atol=1e-5)


def test_many_cells_are_matched_in_parts():
    a, g = drawn(2, 5, 7, 9), drawn(1, 5, 4, 4, seed=1)
    assert torch.equal(Guide.of(g, GuidePolicy(batch=10))(a), Guide.of(g)(a))


def test_a_large_guide_is_thinned_out():
    guide = Guide.of(drawn(1, 5, 6, 8), GuidePolicy(max_cells=10))
    assert guide.features.shape == (5, 10)


@pytest.mark.parametrize("measure", [energy, mean, Guide.of(drawn(1, 6, 3, 4, seed=5))])
def test_gradients_are_those_of_finite_differences(measure):
    """In float32, as objectives add up: differences of a step that rounding does not drown."""
    a = drawn(1, 6, 3, 3, seed=2).requires_grad_(True)
    objective = Objective((LayerTerm("a", 0.7),), (measure,))
    (gradient,) = torch.autograd.grad(objective.value(objective.maps({"a": a})), a)
    step = 1e-2
    for index in range(0, a.numel(), 7):
        nudge = torch.zeros_like(a).flatten()
        nudge[index] = step
        with torch.no_grad():
            high, low = (
                objective.value(objective.maps({"a": a + sign * nudge.view_as(a)}))
                for sign in (1, -1)
            )
        slope = float(high - low) / (2 * step)
        assert float(gradient.flatten()[index]) == pytest.approx(slope, abs=2e-4)


def test_layers_channels_and_weights():
    activations = {"a": torch.randn(1, 4, 3, 3), "b": torch.randn(1, 2, 5, 5)}
    objective = Objective((LayerTerm("a", 2.0), LayerTerm("b", -0.5, channel=1)))
    expected = 2 * (activations["a"] ** 2).mean() - 0.5 * (activations["b"][:, 1] ** 2).mean()
    assert objective.value(objective.maps(activations)) == pytest.approx(float(expected), rel=1e-5)


def test_parts_add_up_to_the_whole():
    activations = {"a": torch.randn(2, 4, 6, 6), "b": torch.randn(2, 2, 3, 3)}
    objective = Objective((LayerTerm("a", 2.0), LayerTerm("b", -0.5)))
    whole = objective.maps(activations)
    cut = {"a": 4, "b": 2}
    parts = [
        {name: a[:, :, : cut[name]] for name, a in activations.items()},
        {name: a[:, :, cut[name] :] for name, a in activations.items()},
    ]
    total = sum(float(objective.value(objective.maps(part), {"a": 36, "b": 9})) for part in parts)
    assert total == pytest.approx(float(objective.value(whole)), rel=1e-5)


def test_what_has_no_grid_is_one_cell():
    objective = Objective((LayerTerm("classes", 2.0), LayerTerm("classes", 1.0, channel=1)))
    cells = objective.local_strength(
        objective.maps({"classes": torch.tensor([[1.0, 2.0], [3.0, 0.0]])})
    )
    assert cells.shape == (2, 1, 1, 1)
    assert cells.flatten().tolist() == [5 + 4, 9]


def test_a_channel_of_a_layer():
    a = drawn(1, 4, 2, 3)
    assert torch.equal(features(a, 2), a[:, 2:3])
    assert features(a[:, :, 0, 0], None).shape == (1, 4, 1, 1)
