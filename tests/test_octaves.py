"""Sizes and normalisation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidream.core.images import resize
from vidream.dream.ascent import normalize
from vidream.dream.dreamer import octave_sizes

sides = st.integers(1, 300)


@given(sides, sides, st.integers(1, 8), st.floats(1.05, 3), st.integers(1, 90))
def test_octaves_grow_to_the_frame_and_never_under_the_minimum(height, width, count, scale, least):
    sizes = octave_sizes((height, width), count, scale, least)
    assert 1 <= len(sizes) <= count
    assert all(min(size) >= least for size in sizes)
    assert sizes == sorted(sizes)
    if min(height, width) >= least:
        assert sizes[-1] == (height, width)
    else:  # a tiny frame is dreamed larger, in its own proportions
        assert sizes[0][0] / sizes[0][1] == pytest.approx(height / width, rel=1 / least + 0.01)


def test_normalisation():
    gradient = torch.randn(1, 3, 20, 20) * 1e-4
    assert normalize(gradient, "mean").abs().mean() == pytest.approx(1, rel=1e-3)
    assert normalize(gradient, "std").std() == pytest.approx(1, rel=1e-3)
    assert torch.equal(normalize(torch.zeros(1, 3, 4, 4), "mean"), torch.zeros(1, 3, 4, 4))


def test_resize_keeps_a_flat_image_and_the_same_size():
    image = torch.full((1, 3, 30, 40), 0.25)
    assert resize(image, (30, 40)) is image
    assert torch.allclose(resize(image, (13, 17)), torch.full((1, 3, 13, 17), 0.25))
