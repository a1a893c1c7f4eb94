"""The camera of an endless zoom."""

from __future__ import annotations

import pytest
import torch
from conftest import textured

from vidream.core.images import to_tensor
from vidream.core.view_transform import ViewTransform, covering


def test_no_move_changes_nothing():
    image = to_tensor(textured(48, 64))
    assert torch.equal(ViewTransform().move(image), image)
    assert torch.equal(ViewTransform(1.1, 3).move(image, 0), image)


def test_a_quarter_turn_is_clockwise():
    image = torch.arange(9.0).reshape(1, 1, 3, 3) / 9
    turned = ViewTransform(degrees=90).move(image)
    assert torch.allclose(turned, torch.rot90(image, -1, (-2, -1)), atol=1e-6)


@pytest.mark.parametrize("zoom", [0.8, 0.98, 1.02, 1.25])
def test_a_zoom_is_about_the_centre(zoom):
    """A ramp stays a ramp, its middle where it was, as much flatter as things are larger."""
    ramp = 0.5 + (torch.arange(64) - 31.5) / 200
    moved = ViewTransform(zoom).move(ramp.expand(1, 1, 40, 64))[0, 0, 20]
    wanted = 0.5 + (ramp - 0.5) / zoom
    assert torch.allclose(moved[10:-10], wanted[10:-10], atol=5e-4)


def test_moves_add_up_and_can_be_undone():
    image = to_tensor(textured(96, 128))
    camera = ViewTransform(1.03, 2)
    inner = (..., slice(24, -24), slice(24, -24))
    twice = camera.move(camera.move(image))
    assert (camera.move(image, 2) - twice)[inner].abs().mean() < 0.01
    assert (camera.move(twice, -2) - image)[inner].abs().mean() < 0.01


def test_what_lies_outside_is_the_reflection():
    image = to_tensor(textured(40, 40))
    mirrored = torch.cat([image.flip(-1), image, image.flip(-1)], -1)
    mirrored = torch.cat([mirrored.flip(-2), mirrored, mirrored.flip(-2)], -2)
    wide = ViewTransform(0.8).move(mirrored)[..., 40:80, 40:80]
    assert torch.allclose(ViewTransform(0.8).move(image), wide, atol=1e-5)


def test_where_the_picture_is_shown():
    size = (40, 60)
    here = ViewTransform(1.02).depth_inside(size, 0, "cpu")
    assert (here[0, 0, 0, 0], here[0, 0, 20, 0], here.max()) == (0.5, 0.5, 19.5)
    far = ViewTransform(1.25).depth_inside(size, -2, "cpu")
    assert float((far > 0).float().mean()) == pytest.approx(1.25**-4, abs=0.02)


@pytest.mark.parametrize("size", [(180, 320), (320, 180), (100, 100)])
@pytest.mark.parametrize("degrees", [0.0, 0.5, -4.0])
def test_the_least_zoom_shows_the_corners_and_no_more(size, degrees):
    least = covering(degrees, size)
    assert (least == 1) == (degrees == 0)
    assert ViewTransform(least + 1e-5, degrees).depth_inside(size, 1, "cpu").min() >= 0
    if degrees:
        # A frame's outermost centres lie half a pixel inside it.
        assert ViewTransform(0.98 * least, degrees).depth_inside(size, 1, "cpu").min() < 0
