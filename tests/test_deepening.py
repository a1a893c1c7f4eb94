"""Deepening carried dreams, with the default network's real weights, on small pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st

from vidream import Dreamer
from vidream.dreamer import Deepener, Depth
from vidream.dreamer.balance import Spread
from vidream.dreamer.deepening import POLICY, Measurement
from vidream.dreamer.strength import level
from vidream.dreamer.transforms import draw_views
from vidream.frames import to_tensor

SIZE = (128, 160)
WIDE = (128, 448)
STRIP = 64  # pixels of new ground at the right of the wide picture


def fresh(size, value):
    return torch.full((1, 1, *size), float(value))


def deepen(deepener, image, mask, levels, frame=1):
    """Deepen by a controller that has nothing to make up for yet; give the image alone."""
    return deepener.deepen(image, image, mask, Depth(tuple(levels)), frame=frame)[0]


def changed(dreamer, **values):
    """The same network with other settings."""
    return Deepener(Dreamer(replace(dreamer.settings, **values), network=dreamer.network))


@pytest.fixture(scope="module")
def deepener(dreamer):
    return Deepener(dreamer)


@pytest.fixture(scope="module")
def image():
    return to_tensor(textured(*SIZE))


@pytest.fixture(scope="module")
def dream(dreamer, image):
    return dreamer.dream(image)


@pytest.fixture(scope="module")
def levels(deepener, dream):
    return deepener.depth(dream, dream).levels


@pytest.fixture(scope="module")
def wide():
    return to_tensor(textured(*WIDE))


@pytest.fixture(scope="module")
def wide_dream(dreamer, wide):
    return dreamer.dream(wide)


@pytest.fixture(scope="module")
def wide_levels(deepener, wide_dream):
    return deepener.depth(wide_dream, wide_dream).levels


@pytest.fixture(scope="module")
def entering(wide, wide_dream):
    """A start image: a carried dream, and raw source in a strip at the right; and its mask."""
    mask = fresh(WIDE, 0)
    mask[..., -STRIP:] = 1
    return torch.where(mask > 0, wide, wide_dream), mask


def strip_level(dreamer, image):
    """Energy of the cells that lie over the strip."""
    cells = dreamer.cells(image)
    return float(cells[..., -round(STRIP / WIDE[1] * cells.shape[-1]) :].mean())


# --- levels


@pytest.mark.parametrize("octaves", [1, 2, 3])
def test_there_is_a_level_for_each_octave(dreamer, image, octaves):
    deepener = changed(dreamer, octaves=octaves)
    levels = deepener.depth(image, image).levels
    assert len(levels) == len(deepener.dreamer.octave_sizes(SIZE)) == octaves
    assert all(isinstance(v, float) and v > 0 for v in levels)
    # The mean over several views: as the last step of a dream saw it, it is stronger.
    views = draw_views(deepener.dreamer.settings, 0, 4)
    seen = [level(dreamer.cells(image, view), SIZE) for view in views]
    assert levels[-1] == pytest.approx(sum(seen) / 4)


def test_a_dream_has_higher_levels_than_its_source(deepener, image, levels):
    assert all(
        d > 1.3 * s for d, s in zip(levels, deepener.depth(image, image).levels, strict=True)
    )


# --- the result


def test_the_result_is_a_picture_and_the_start_is_left_alone(deepener, entering, wide_levels):
    start, mask = entering
    before = start.clone(), mask.clone()
    result = deepen(deepener, start, mask, wide_levels, frame=1)
    assert result.shape == start.shape
    assert result.dtype == torch.float32
    assert 0 <= result.min() <= result.max() <= 1
    assert not result.requires_grad
    assert torch.equal(start, before[0])
    assert torch.equal(mask, before[1])


def test_the_same_frame_comes_out_the_same_and_another_does_not(deepener, image, levels):
    def deepened(frame):
        return deepen(deepener, image, fresh(SIZE, 0), levels, frame=frame)

    assert torch.equal(deepened(3), deepened(3))
    assert not torch.equal(deepened(3), deepened(4))


# --- how deep


def test_raw_ground_is_brought_towards_the_level(dreamer, deepener, image, dream, levels):
    bare, full = float(dreamer.objective(image)), float(dreamer.objective(dream))
    result = deepen(deepener, image, fresh(SIZE, 1), levels, frame=1)
    once = float(dreamer.objective(result))
    assert once > bare + 0.1 * (full - bare)
    for frame in range(2, 8):
        result = deepen(deepener, result, fresh(SIZE, 0), levels, frame=frame)
    assert float(dreamer.objective(result)) > 0.8 * full


def test_all_new_ground_gets_more_than_carried_ground(dreamer, deepener, image, levels):
    new = deepen(deepener, image, fresh(SIZE, 1), levels, frame=1)
    carried = deepen(changed(dreamer, weak_steps=0), image, fresh(SIZE, 0), levels, frame=1)
    assert dreamer.objective(new) > 1.02 * dreamer.objective(carried) > dreamer.objective(image)


def test_what_is_above_its_level_is_not_changed_at_all(deepener, dream, levels):
    low = tuple(0.01 * v for v in levels)
    for new in (0, 1):
        assert torch.equal(deepen(deepener, dream, fresh(SIZE, new), low, frame=1), dream)


def test_strong_ground_stays_while_weak_ground_beside_it_grows(dreamer, deepener, wide):
    strong = wide.clone()
    strong[..., : WIDE[1] // 2] = dreamer.dream(wide, steps=12)[..., : WIDE[1] // 2]
    # Between what raw ground has and what so many steps give.
    between = tuple(1.2 * v for v in deepener.depth(wide, wide).levels)
    far = changed(
        dreamer, jitter=120, carried_steps=1
    )  # whatever the views are moved by, it is found in place
    for frame in range(1, 4):
        change = (deepen(far, strong, fresh(WIDE, 0), between, frame=frame) - strong).abs()
        assert not change[..., 100:130].any()
        assert change[..., 300:-80].mean() > 0.002


def test_a_still_shot_converges_and_does_not_burn_in(dreamer, deepener, dream, levels):
    result, depth, changes, objectives = dream, Depth(levels), [], []
    for frame in range(1, 31):
        before = result
        result, depth = deepener.deepen(before, before, fresh(SIZE, 0), depth, frame=frame)
        changes.append(float((result - before).abs().mean()))
        objectives.append(float(dreamer.objective(result)))
    assert sum(changes[-12:]) < min(12 * 0.1 / 255, sum(changes[:12]))  # a tenth of a level a frame
    late = objectives[-10:]
    assert max(late) < 1.05 * min(late)
    # A place is raised if any of the jittered views finds it weak, windows raise what is around
    # it, and nothing is ever lowered: the whole comes out above the level.
    assert level(dreamer.cells(result), SIZE) < 1.5 * levels[-1]
    assert level(dreamer.cells(result), SIZE) > 0.95 * levels[-1]


def test_no_margin_is_no_reason_to_fade(dreamer, deepener, dream, levels):
    """What is carried is never made weaker."""
    result = deepen(deepener, dream, fresh(SIZE, 0), levels, frame=1)
    assert dreamer.objective(result) > 0.98 * dreamer.objective(dream)


# --- fresh ground


def test_fresh_ground_is_deepened_in_the_frame_it_enters(dreamer, deepener, entering, wide_levels):
    start, mask = entering
    without = deepen(changed(dreamer, weak_steps=0), start, mask, wide_levels, frame=1)
    result = deepen(deepener, start, mask, wide_levels, frame=1)
    bare = strip_level(dreamer, start)
    gained = strip_level(dreamer, result) - bare
    assert gained > 1.3 * (strip_level(dreamer, without) - bare) > 0


def test_weak_ground_grows_faster_where_it_is_new(deepener, entering, wide_levels):
    start, mask = entering
    known = deepen(deepener, start, 0 * mask, wide_levels)
    new = deepen(deepener, start, mask, wide_levels)
    moved = [(dream - start)[..., -STRIP:].abs().mean() for dream in (known, new)]
    assert moved[1] > 1.2 * moved[0]


def test_ground_far_from_what_is_fresh_is_not_changed(deepener, entering, wide_levels):
    start, mask = entering
    reached = [0.6 * v for v in wide_levels]  # by the dream, not by the raw strip
    for frame in range(1, 4):
        change = (deepen(deepener, start, mask, reached, frame=frame) - start).abs()
        assert not change[..., 100:200].any()  # a part sees its other side beyond its border
        assert change[..., -STRIP:].mean() > 0.002


def test_new_ground_everywhere_is_dreamed_as_a_whole(dreamer, deepener, image, levels):
    """Ground that is new needs every octave."""
    sizes = []

    class Watched(Dreamer):
        def slope(self, image, beside=None, view=None):
            sizes.append(tuple(image.shape[-2:]))
            return super().slope(image, beside, view)

    watched = Deepener(Watched(dreamer.settings, network=dreamer.network))
    deepen(watched, image, fresh(SIZE, 1), levels, frame=1)
    assert set(dreamer.octave_sizes(SIZE)) <= set(sizes)
    steps = round(2 * POLICY.anew * dreamer.settings.steps)  # new everywhere, and carried nowhere
    assert sizes.count(dreamer.octave_sizes(SIZE)[0]) == steps


def test_carried_frames_cost_few_steps(dreamer, wide_dream, entering, wide_levels):
    """Fresh ground in a strip costs as much as a few steps on the whole frame."""
    work = []

    class Watched(Dreamer):
        def slope(self, image, beside=None, view=None):
            work.append(math.prod(image.shape[-2:]) / math.prod(WIDE))
            return super().slope(image, beside, view)

    start, mask = entering
    watched = Deepener(Watched(dreamer.settings, network=dreamer.network))
    reached = [0.6 * v for v in wide_levels]
    whole = torch.where(mask > 0, wide_dream, start)
    deepen(watched, whole, fresh(WIDE, 0), reached, frame=1)
    still = sum(work)
    work.clear()
    deepen(watched, start, mask, reached, frame=1)
    assert still < 2
    assert still < sum(work) < still + 3


@pytest.mark.parametrize("new", [slice(None, STRIP), slice(-STRIP, None)])
def test_of_two_weak_places_the_new_one_comes_first(dreamer, wide, wide_dream, wide_levels, new):
    """There is one window to give, and both strips are raw."""
    start = wide_dream.clone()
    for strip in (slice(None, STRIP), slice(-STRIP, None)):
        start[..., strip] = wide[..., strip]
    mask = fresh(WIDE, 0)
    mask[..., new] = 1
    without = deepen(changed(dreamer, weak_steps=0), start, mask, wide_levels)
    further = (deepen(changed(dreamer), start, mask, wide_levels) - without).abs()
    other = slice(-STRIP, None) if new.stop else slice(None, STRIP)
    assert further[..., new].mean() > 0.01
    assert not further[..., other].any()


def test_coarser_octaves_have_their_turn_every_fourth_frame(dreamer, image, levels):
    turns = []

    class Watched(Dreamer):
        def slope(self, image, beside=None, view=None):
            turns.append(tuple(image.shape[-2:]))
            return super().slope(image, beside, view)

    settings = replace(dreamer.settings, weak_steps=0, carried_steps=1)
    watched = Deepener(Watched(settings, network=dreamer.network))
    for frame in range(1, 9):
        deepen(watched, image, fresh(SIZE, 0), levels, frame=frame)
    coarse = [size for size in turns if size != SIZE]
    assert turns.count(SIZE) == 8
    assert len(coarse) == 2
    assert set(coarse) == set(dreamer.octave_sizes(SIZE)[:-1])


def test_more_carried_steps_go_deeper(dreamer, image, levels):
    def deepened(steps):
        settings = {"carried_steps": steps, "weak_steps": 0}
        result = deepen(changed(dreamer, **settings), image, fresh(SIZE, 0), levels)
        return float(dreamer.objective(result))

    assert deepened(0) < deepened(1) < deepened(3)


def test_a_level_of_nought_lets_every_step_be_taken(dreamer, deepener, dream):
    """Layers of negative weight have no level; their steps are taken as they are."""
    result = deepen(changed(dreamer, carried_steps=2), dream, fresh(SIZE, 0), (0.0, 0.0), frame=1)
    assert dreamer.objective(result) > 1.03 * dreamer.objective(dream)


@pytest.mark.parametrize("size", [(20, 30), (40, 200)])
def test_a_frame_smaller_than_the_network_takes_is_deepened(deepener, size):
    tiny = to_tensor(textured(*size))
    levels = tuple(2 * v for v in deepener.depth(tiny, tiny).levels)
    result = deepen(deepener, tiny, fresh(size, 0), levels)
    assert result.shape == tiny.shape
    assert (result - tiny).abs().mean() > 0.002


# --- the controllers


def measured(level, mean=0.0, part=0, parts=1):
    return Measurement(level, mean, part, parts)


@given(st.floats(0.01, 100), st.floats(0.01, 0.7))
def test_a_lack_is_made_up_for_within_bounds(wanted, share):
    depth, pushes = Depth((3.0, wanted)), [1.0]
    for _ in range(100):
        depth = depth.after(measured(share * wanted))
        pushes.append(depth.push)
    assert pushes == sorted(pushes)
    assert pushes[0] < pushes[1]
    assert 1 < pushes[-2] <= pushes[-1] < pushes[-2] + 1e-6  # it has come to its bound
    assert pushes[-1] <= POLICY.most_push
    for _ in range(100):
        depth = depth.after(measured(wanted / share))
    assert depth.push == pytest.approx(1)


@given(st.floats(-1, 0))
def test_what_has_no_level_is_not_pushed(level):
    assert Depth((1.0, level), push=1.25).after(measured(0.5)) == Depth((1.0, level), push=1.25)
    assert Depth((1.0, 2.0), push=1.25).after(measured(level)) == Depth((1.0, 2.0), push=1.25)


def test_what_is_pushed_grows_further(dreamer, deepener, dream, levels):
    def deepened(push):
        result = dream
        for frame in range(8):
            result, _ = deepener.deepen(
                result, result, fresh(SIZE, 0), Depth(levels, push=push), frame=frame
            )
        return dreamer.objective(result)

    assert deepened(1.5) > 1.1 * deepened(1.0)


def test_a_dream_that_loses_on_its_way_is_held_up(dreamer, deepener, image, dream, levels):
    """Whatever is lost between the frames, strength settles near the level; more so by pushing."""

    def settled(pushing):
        result, depth = dream, Depth(levels)
        for frame in range(1, 21):
            start = image + 0.6 * (result - image)
            result, after = deepener.deepen(start, image, fresh(SIZE, 0), depth, frame=frame)
            depth = after if pushing else depth
        return level(dreamer.cells(result), SIZE) / levels[-1], depth.push

    with_push, push = settled(True)
    without, _ = settled(False)
    assert push > 1
    assert without < with_push < 1.5


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_what_is_carried_in_part_is_brought_back_to_the_level(dreamer, image, share):
    """As under a coherence of less than 1: all of the frame has lost that much."""
    deep = changed(dreamer, steps=10)
    whole = deep.dreamer.dream(image)
    depth = deep.depth(whole, image)
    found = image + share * (whole - image)
    result, _ = deep.deepen(found, image, fresh(SIZE, 1 - share), depth, frame=1)
    objective = dreamer.objective
    assert objective(found) < 0.8 * objective(whole)
    assert objective(result) > 0.9 * objective(whole)


# --- parts in turn


def test_each_part_of_a_frame_has_its_turn(dreamer, wide, wide_levels):
    """Half a step refines one half, and the other at the next frame; the seam is in neither."""
    halves = changed(dreamer, carried_steps=0.5, weak_steps=0, octaves=1)
    changes = [
        (deepen(halves, wide, fresh(WIDE, 0), wide_levels[-1:], frame=frame) - wide).abs()
        for frame in (1, 2, 3)
    ]
    left, right = slice(None, WIDE[1] // 2 - 40), slice(WIDE[1] // 2 + 40, None)
    assert not changes[1][..., right].any()
    assert changes[1][..., left].mean() > 0.001
    assert not changes[0][..., left].any()
    assert changes[0][..., right].mean() > 0.001
    assert not changes[2][..., left].any()
    middle = [change[..., WIDE[1] // 2 - 20 : WIDE[1] // 2 + 20].mean() for change in changes[:2]]
    assert min(middle) > 0


def test_half_a_step_costs_half(dreamer, wide, wide_levels):
    work = []

    class Watched(Dreamer):
        def slope(self, image, beside=None, view=None):
            work.append(math.prod(image.shape[-2:]) / math.prod(WIDE))
            return super().slope(image, beside, view)

    settings = replace(dreamer.settings, weak_steps=0, octaves=1)
    watched = Deepener(Watched(settings, network=dreamer.network))
    deepen(watched, wide, fresh(WIDE, 0), wide_levels[-1:])
    assert sum(work) < 0.6


def test_places_above_their_level_are_held_where_the_whole_loses(dreamer, deepener, dream, levels):
    """What stands out is kept by a step of its own, and left alone while nothing is lost."""
    low = tuple(0.3 * value for value in levels)
    held = changed(dreamer, carried_steps=1, weak_steps=0)
    still = deepen(held, dream, fresh(SIZE, 0), low)
    assert torch.equal(still, dream)
    depth = Depth(low, hold=0.5)
    moved, _ = held.deepen(dream, dream, fresh(SIZE, 0), depth, frame=1)
    assert dreamer.objective(moved) > 1.01 * dreamer.objective(dream)


@given(st.floats(0.1, 10), st.integers(1, 3))
def test_a_loss_of_energy_is_made_up_for_by_holding(mean, parts):
    depth = Depth((1.0,), mean=mean)
    for turn in range(40):
        depth = depth.after(measured(1.0, 0.5 * mean, turn % parts, parts))
    assert depth.hold == POLICY.most_hold
    assert len(depth.found) == parts
    for turn in range(40):
        depth = depth.after(measured(1.0, 2 * mean, turn % parts, parts))
    assert depth.hold == 0


@given(st.lists(st.floats(0, 5), min_size=1, max_size=5), st.lists(st.floats(0, 5), max_size=4))
def test_a_depth_is_recalled_from_plain_numbers(levels, found):
    depth = Depth(tuple(levels), Spread(0.1, 0.2), 3.0, 1.2, 0.3, tuple(found))
    assert Depth.recall(depth.memo) == depth
