"""How the network sees an image at a step, and how gradients come back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import room_for, textured
from hypothesis import given
from hypothesis import strategies as st

from vidream import Dreamer, DreamSettings
from vidream.core.effect import InitImage
from vidream.core.images import to_tensor
from vidream.dream.refinement import Refiner
from vidream.dream.views import View, draw_views, view_at_rest

PADDINGS = ("wrap", "reflect", "replicate", "zero")

views = st.builds(
    View,
    shift=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    angle=st.one_of(st.just(0.0), st.floats(-180, 180)),
    scale=st.one_of(st.just(1.0), st.floats(0.5, 2)),
    grey=st.booleans(),
    padding=st.sampled_from(PADDINGS),
    rim=st.integers(0, 9),
)
sizes = st.tuples(st.integers(1, 17), st.integers(1, 17))


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9), st.integers(0, 40))
def test_views_depend_on_seed_frame_and_step_alone(seed, frame, reach):
    settings = DreamSettings(seed=seed, jitter=reach, jitter_rotation=20, jitter_scale=0.2)
    first = draw_views(settings, frame, 5)
    torch.rand(7)
    assert draw_views(settings, frame, 30)[:5] == first
    for view in first:
        assert max(map(abs, view.shift)) <= reach
        assert abs(view.angle) <= 20
        assert 1 / 1.2001 <= view.scale <= 1.2001


def test_views_differ_between_frames_seeds_and_steps():
    settings = DreamSettings(jitter_rotation=5, jitter_scale=0.1, jitter_noise=0.1)
    found = [
        view
        for seed in range(4)
        for frame in range(4)
        for view in draw_views(replace(settings, seed=seed), frame, 6)
    ]
    for told in ("angle", "scale", "seed"):
        assert len({getattr(view, told) for view in found}) == len(found)


def test_jitter_alone_is_what_it_has_always_been():
    """The numbers that every dream so far was made with."""
    views = draw_views(DreamSettings(seed=0, jitter=8), 0, 3)
    assert [view.shift for view in views] == [(-1, -5), (4, 8), (-6, -8)]
    image = drawn(1, 3, 6, 9)
    view = draw_views(DreamSettings(seed=7), 3, 1)[0]
    assert torch.equal(view.apply(image), torch.roll(image, view.shift, (-2, -1)))
    assert torch.equal(view.restore(view.apply(image)), image)
    assert torch.equal(view.locate(view.apply(image)), image)


@given(views, sizes)
def test_restoring_is_the_adjoint_of_applying(view, size):
    image, said = drawn(2, 3, *size), drawn(2, 3, *view.size(size), seed=1)
    seen = view.apply(image)
    assert seen.shape == said.shape
    restored = view.restore(said)
    assert restored.shape == image.shape
    there, back = ((a.double() * b.double()).sum() for a, b in ((seen, said), (image, restored)))
    assert float(there) == pytest.approx(float(back), rel=1e-4, abs=1e-4)


def reference(image, view):
    """The same pixel by pixel: where each comes from, and what lies there."""
    channels, height, width = image.shape
    seen_height, seen_width = height + 2 * view.rim, width + 2 * view.rim
    seen = np.zeros((channels, seen_height, seen_width))
    angle = math.radians(view.angle)
    for i in range(seen_height):
        for j in range(seen_width):
            down, right = i - (seen_height - 1) / 2, j - (seen_width - 1) / 2
            y = (math.cos(angle) * down - math.sin(angle) * right) / view.scale
            x = (math.cos(angle) * right + math.sin(angle) * down) / view.scale
            y += (height - 1) / 2 - view.shift[0]
            x += (width - 1) / 2 - view.shift[1]
            for row in (math.floor(y), math.floor(y) + 1):
                for column in (math.floor(x), math.floor(x) + 1):
                    share = (1 - abs(y - row)) * (1 - abs(x - column))
                    seen[:, i, j] += share * there(image, row, column, view.padding)
    return np.broadcast_to(seen.mean(0), seen.shape) if view.grey else seen


def there(image, row, column, padding):
    _, height, width = image.shape
    if padding == "zero":
        inside = 0 <= row < height and 0 <= column < width
        return image[:, row, column] if inside else 0
    modes = {"wrap": "wrap", "reflect": "reflect", "replicate": "edge"}
    line = [np.pad(np.arange(n), 500, mode=modes[padding]) for n in (height, width)]
    return image[:, line[0][row + 500], line[1][column + 500]]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    "moved",
    [
        {"shift": (3, -5)},
        {"angle": 30.0},
        {"scale": 0.7, "grey": True},
        {"shift": (-4, 2), "angle": -100.0, "scale": 1.3},
    ],
    ids=str,
)
@pytest.mark.parametrize("rim", [0, 4])
def test_what_is_seen_is_that_of_a_loop_over_pixels(padding, moved, rim):
    view = View(**moved, padding=padding, rim=rim)
    image = drawn(1, 3, 7, 11)
    expected = reference(image[0].double().numpy(), view)
    assert np.abs(view.apply(image)[0].numpy() - expected).max() < 1e-4


def test_turning_is_clockwise_and_scaling_enlarges():
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 6] = 1  # right of the middle
    assert View(angle=90.0).apply(image)[0, 0, 6, 4] == pytest.approx(1, abs=1e-4)
    assert View(scale=2.0).apply(image)[0, 0, 4, 8] == pytest.approx(1, abs=1e-4)


@given(views, st.integers(0, 5))
def test_a_flat_map_stays_flat_where_it_is_brought_back(view, value):
    size = (14, 23)
    seen = torch.full((1, 1, *view.size(size)), float(value))
    located = view.locate(seen)
    assert located.shape == (1, 1, *size)
    assert torch.allclose(located, torch.full_like(located, value), atol=1e-4)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("rim", [0, 8])
def test_a_map_comes_back_to_where_it_belongs(padding, rim):
    smooth = to_tensor(textured(64, 96))
    view = View((5, -3), 7.0, 1.1, padding=padding, rim=rim)
    located = view.locate(view.apply(smooth))
    assert (located - smooth)[..., 16:-16, 16:-16].abs().mean() < 0.01


def test_cells_come_back_on_the_images_own_grid():
    view = View((0, 0), 90.0, 1.0, padding="reflect", rim=16)
    cells = torch.zeros(1, 1, 10, 10)
    cells[..., 5, 8] = 1  # right of the middle of what is seen, so above that of the image
    located = view.locate_cells(cells, (128, 128))
    assert located.shape == (1, 1, 8, 8)
    row, column = divmod(int(located.argmax()), 8)
    assert row < 2
    assert 3 <= column <= 4


def test_noise_is_seeded_and_of_its_strength():
    image = torch.full((1, 3, 200, 200), 0.5)
    noisy = View(noise=0.2, seed=3).apply(image)
    assert float((noisy - image).std()) == pytest.approx(0.2, rel=0.02)
    assert torch.equal(noisy, View(noise=0.2, seed=3).apply(image))
    assert not torch.equal(noisy, View(noise=0.2, seed=4).apply(image))


@pytest.fixture(scope="module")
def image():
    return to_tensor(textured(96, 128))


VARIED = {"jitter_rotation": 10.0, "jitter_scale": 0.15, "jitter_noise": 0.05, "jitter": 8}


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("grey", [False, True])
def test_the_gradient_is_that_of_the_image_itself(dreamer, image, padding, grey):
    """Finite differences through the view and the network, along the gradient."""
    view = draw_views(DreamSettings(**VARIED, padding=padding, grey=grey), 1, 1)[0]
    found = dreamer.compute_gradient(image, view=view)
    along = found.gradient / found.gradient.norm()
    reach = 0.02
    ahead, behind = (
        float(dreamer.compute_gradient(image + sign * reach * along, view=view).objective)
        for sign in (1, -1)
    )
    assert (ahead - behind) / (2 * reach) == pytest.approx(float(found.gradient.norm()), rel=0.02)


CHOICES = [
    {"jitter_rotation": 10.0},
    {"jitter_scale": 0.2},
    {"jitter_noise": 0.1},
    {"grey": True},
    {"padding": "reflect"},
    {"padding": "zero", **VARIED, "grey": True},
]


@pytest.mark.parametrize("values", CHOICES, ids=str)
def test_a_dream_deepens_however_it_is_seen(dreamer, image, values):
    deep = replace(dreamer.settings, steps=10, **values)
    seen = Dreamer(deep, network=dreamer.network)
    dream = seen.dream(image, frame=2)
    assert torch.equal(dream, seen.dream(image, frame=2))
    assert not torch.equal(dream, dreamer.dream(image, frame=2))
    # As the steps see it: noise hides much of what so few of them bring.
    assert seen.objective(dream) > 1.3 * seen.objective(image)


@pytest.mark.parametrize("values", CHOICES, ids=str)
def test_a_propagated_dream_holds_its_level_however_it_is_seen(dreamer, image, values):
    """It comes to rest, neither sunk nor burnt in; and a strip of bare frame catches up."""
    seen = Dreamer(replace(dreamer.settings, **values), network=dreamer.network)
    refiner = Refiner(seen)
    dream = seen.dream(image)
    target = refiner.measure(dream, image)
    found = [float(seen.objective(dream))]
    new = torch.zeros(1, 1, 96, 128)
    dream[..., 96:] = image[..., 96:]
    new[..., 96:] = 1
    for frame in range(1, 9):
        dream, target = refiner.refine(InitImage(dream, new), image, target, frame)
        new = torch.zeros_like(new)
        found.append(float(seen.objective(dream)))
    assert found[-1] > 0.93 * found[0]
    assert found[-1] == pytest.approx(found[-4], rel=0.05)


def test_what_grows_in_grey_is_grey(dreamer, image):
    seen = Dreamer(replace(dreamer.settings, grey=True, step_size=0.002), network=dreamer.network)
    middling = 0.3 + 0.4 * image  # so that nothing is cut off at black or white
    added = seen.dream(middling) - middling
    assert (added - added.mean(1, keepdim=True)).abs().max() < 1e-5
    assert added.abs().mean() > 0.002


def test_views_go_with_tiles(dreamer):
    """The gradient in tiles, seen turned and with a rim, is that of the whole."""
    wide = to_tensor(textured(200, 420))
    settings = replace(dreamer.settings, layers=("Mixed_5b",), padding="reflect", **VARIED)
    view = draw_views(settings, 0, 1)[0]
    whole = Dreamer(settings)
    tiled = Dreamer(settings, network=whole.network, budget=room_for(200 * 250))
    found = [d.compute_gradient(wide, view=view) for d in (whole, tiled)]
    assert len(tiled._planner.tiles(1, view.size((200, 420)))) > 1
    difference = (found[0].gradient - found[1].gradient).norm() / found[0].gradient.norm()
    assert difference < 1e-4


def test_at_rest_nothing_is_done_by_default():
    image = drawn(1, 3, 20, 30)
    assert torch.equal(view_at_rest(DreamSettings()).apply(image), image)
