"""Refining propagated dreams, with the default network's real weights, on small pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st

from vidream import Dreamer
from vidream.core.effect import InitImage
from vidream.core.images import to_tensor
from vidream.core.settings import LayerTerm
from vidream.dream.refinement import Refiner
from vidream.dream.refinement_policy import REFINEMENT_POLICY
from vidream.dream.residual import ResidualStatistics
from vidream.dream.strength import level
from vidream.dream.target_strength import CONTROL_POLICY, Measurement, TargetStrength
from vidream.dream.views import draw_views

SIZE = (128, 160)
WIDE = (128, 448)
STRIP = 64  # pixels of a new region at the right of the wide picture


def new(size, value):
    return torch.full((1, 1, *size), float(value))


def refine(refiner, image, mask, levels, frame=1):
    """Refine by a controller that has nothing to make up for yet; return the image alone."""
    target = TargetStrength(tuple(levels))
    return refiner.refine(InitImage(image, mask), image, target, frame)[0]


def changed(dreamer, **values):
    """The same network with other settings."""
    return Refiner(Dreamer(replace(dreamer.settings, **values), network=dreamer.network))


@pytest.fixture(scope="module")
def refiner(dreamer):
    return Refiner(dreamer)


@pytest.fixture(scope="module")
def image():
    return to_tensor(textured(*SIZE))


@pytest.fixture(scope="module")
def dream(dreamer, image):
    return dreamer.dream(image)


@pytest.fixture(scope="module")
def levels(refiner, dream):
    return refiner.measure(dream, dream).levels


@pytest.fixture(scope="module")
def wide():
    return to_tensor(textured(*WIDE))


@pytest.fixture(scope="module")
def wide_dream(dreamer, wide):
    return dreamer.dream(wide)


@pytest.fixture(scope="module")
def wide_levels(refiner, wide_dream):
    return refiner.measure(wide_dream, wide_dream).levels


@pytest.fixture(scope="module")
def entering(wide, wide_dream):
    """A start image: a carried dream, and raw source in a strip at the right; and its mask."""
    mask = new(WIDE, 0)
    mask[..., -STRIP:] = 1
    return torch.where(mask > 0, wide, wide_dream), mask


def strip_level(dreamer, image):
    """Energy of the cells that lie over the strip."""
    cells = dreamer.cells(image)
    return float(cells[..., -round(STRIP / WIDE[1] * cells.shape[-1]) :].mean())


# --- levels


@pytest.mark.parametrize("octaves", [1, 2, 3])
def test_there_is_a_level_for_each_octave(dreamer, image, octaves):
    refiner = changed(dreamer, octaves=octaves)
    levels = refiner.measure(image, image).levels
    assert len(levels) == len(refiner.dreamer.octave_sizes(SIZE)) == octaves
    assert all(isinstance(v, float) and v > 0 for v in levels)
    # The mean over several views: as the last step of a dream saw it, it is stronger.
    views = draw_views(refiner.dreamer.settings, 0, 4)
    seen = [level(dreamer.cells(image, view), SIZE) for view in views]
    assert levels[-1] == pytest.approx(sum(seen) / 4)


def test_a_dream_has_higher_levels_than_its_source(refiner, image, levels):
    assert all(
        d > 1.3 * s for d, s in zip(levels, refiner.measure(image, image).levels, strict=True)
    )


# --- the result


def test_the_result_is_a_picture_and_the_start_is_left_alone(refiner, entering, wide_levels):
    start, mask = entering
    before = start.clone(), mask.clone()
    result = refine(refiner, start, mask, wide_levels, frame=1)
    assert result.shape == start.shape
    assert result.dtype == torch.float32
    assert 0 <= result.min() <= result.max() <= 1
    assert not result.requires_grad
    assert torch.equal(start, before[0])
    assert torch.equal(mask, before[1])


def test_the_same_frame_comes_out_the_same_and_another_does_not(refiner, image, levels):
    def refined(frame):
        return refine(refiner, image, new(SIZE, 0), levels, frame=frame)

    assert torch.equal(refined(3), refined(3))
    assert not torch.equal(refined(3), refined(4))


# --- how deep


def test_raw_regions_are_brought_towards_the_level(dreamer, refiner, image, dream, levels):
    bare, full = float(dreamer.objective(image)), float(dreamer.objective(dream))
    result = refine(refiner, image, new(SIZE, 1), levels, frame=1)
    once = float(dreamer.objective(result))
    assert once > bare + 0.1 * (full - bare)
    for frame in range(2, 8):
        result = refine(refiner, result, new(SIZE, 0), levels, frame=frame)
    assert float(dreamer.objective(result)) > 0.8 * full


def test_all_new_regions_get_more_than_propagated_ones(dreamer, refiner, image, levels):
    fresh = refine(refiner, image, new(SIZE, 1), levels, frame=1)
    propagated = refine(changed(dreamer, weak_steps=0), image, new(SIZE, 0), levels, frame=1)
    values = [float(dreamer.objective(x)) for x in (fresh, propagated, image)]
    assert values[0] > 1.02 * values[1] > values[2]


def test_what_is_above_its_level_is_not_changed_at_all(refiner, dream, levels):
    low = tuple(0.01 * v for v in levels)
    for share in (0, 1):
        assert torch.equal(refine(refiner, dream, new(SIZE, share), low, frame=1), dream)


def test_strong_regions_stay_while_weak_ones_beside_them_grow(dreamer, refiner, wide):
    strong = wide.clone()
    strong[..., : WIDE[1] // 2] = dreamer.dream(wide, steps=12)[..., : WIDE[1] // 2]
    # Between what raw ground has and what so many steps give.
    between = tuple(1.2 * v for v in refiner.measure(wide, wide).levels)
    far = changed(
        dreamer, jitter=120, refine_steps=1
    )  # whatever the views are moved by, it is found in place
    for frame in range(1, 4):
        change = (refine(far, strong, new(WIDE, 0), between, frame=frame) - strong).abs()
        assert not change[..., 100:130].any()
        assert change[..., 300:-80].mean() > 0.002


def test_a_still_shot_converges_and_does_not_burn_in(dreamer, refiner, dream, levels):
    result, target, changes, objectives = dream, TargetStrength(levels), [], []
    for frame in range(1, 31):
        before = result
        result, target = refiner.refine(InitImage(before, new(SIZE, 0)), before, target, frame)
        changes.append(float((result - before).abs().mean()))
        objectives.append(float(dreamer.objective(result)))
    assert sum(changes[-12:]) < min(12 * 0.1 / 255, sum(changes[:12]))  # a tenth of a level a frame
    late = objectives[-10:]
    assert max(late) < 1.05 * min(late)
    # A place is raised if any of the jittered views finds it weak, windows raise what is around
    # it, and nothing is ever lowered: the whole comes out above the level.
    assert level(dreamer.cells(result), SIZE) < 1.5 * levels[-1]
    assert level(dreamer.cells(result), SIZE) > 0.95 * levels[-1]


def test_no_margin_is_no_reason_to_fade(dreamer, refiner, dream, levels):
    """What is carried is never made weaker."""
    result = refine(refiner, dream, new(SIZE, 0), levels, frame=1)
    assert dreamer.objective(result) > 0.98 * dreamer.objective(dream)


# --- new regions


def test_new_regions_are_refined_in_the_frame_they_enter(dreamer, refiner, entering, wide_levels):
    start, mask = entering
    without = refine(changed(dreamer, weak_steps=0), start, mask, wide_levels, frame=1)
    result = refine(refiner, start, mask, wide_levels, frame=1)
    bare = strip_level(dreamer, start)
    gained = strip_level(dreamer, result) - bare
    assert gained > 1.3 * (strip_level(dreamer, without) - bare) > 0


def test_weak_regions_grow_faster_where_they_are_new(refiner, entering, wide_levels):
    start, mask = entering
    known = refine(refiner, start, 0 * mask, wide_levels)
    new = refine(refiner, start, mask, wide_levels)
    moved = [(dream - start)[..., -STRIP:].abs().mean() for dream in (known, new)]
    assert moved[1] > 1.2 * moved[0]


def test_regions_far_from_what_is_new_are_not_changed(refiner, entering, wide_levels):
    start, mask = entering
    reached = [0.6 * v for v in wide_levels]  # by the dream, not by the raw strip
    for frame in range(1, 4):
        change = (refine(refiner, start, mask, reached, frame=frame) - start).abs()
        assert not change[..., 100:200].any()  # a part sees its other side beyond its border
        assert change[..., -STRIP:].mean() > 0.002


def test_a_frame_that_is_new_everywhere_is_dreamed_as_a_whole(dreamer, refiner, image, levels):
    """Regions that are new need every octave."""
    sizes = []

    class Watched(Dreamer):
        def compute_gradient(self, image, content_reference=None, view=None):
            sizes.append(tuple(image.shape[-2:]))
            return super().compute_gradient(image, content_reference, view)

    watched = Refiner(Watched(dreamer.settings, network=dreamer.network))
    refine(watched, image, new(SIZE, 1), levels, frame=1)
    assert set(dreamer.octave_sizes(SIZE)) <= set(sizes)
    steps = round(
        2 * REFINEMENT_POLICY.scratch_share * dreamer.settings.steps
    )  # new everywhere, and carried nowhere
    assert sizes.count(dreamer.octave_sizes(SIZE)[0]) == steps


def test_carried_frames_cost_few_steps(dreamer, wide_dream, entering, wide_levels):
    """A new region in a strip costs as much as a few steps on the whole frame."""
    work = []

    class Watched(Dreamer):
        def compute_gradient(self, image, content_reference=None, view=None):
            work.append(math.prod(image.shape[-2:]) / math.prod(WIDE))
            return super().compute_gradient(image, content_reference, view)

    start, mask = entering
    watched = Refiner(Watched(dreamer.settings, network=dreamer.network))
    reached = [0.6 * v for v in wide_levels]
    whole = torch.where(mask > 0, wide_dream, start)
    refine(watched, whole, new(WIDE, 0), reached, frame=1)
    still = sum(work)
    work.clear()
    refine(watched, start, mask, reached, frame=1)
    assert still < 2
    assert still < sum(work) < still + 3


@pytest.mark.parametrize("entered", [slice(None, STRIP), slice(-STRIP, None)])
def test_of_two_weak_places_the_new_one_comes_first(
    dreamer, wide, wide_dream, wide_levels, entered
):
    """There is one window to give, and both strips are raw."""
    start = wide_dream.clone()
    for strip in (slice(None, STRIP), slice(-STRIP, None)):
        start[..., strip] = wide[..., strip]
    mask = new(WIDE, 0)
    mask[..., entered] = 1
    without = refine(changed(dreamer, weak_steps=0), start, mask, wide_levels)
    further = (refine(changed(dreamer), start, mask, wide_levels) - without).abs()
    other = slice(-STRIP, None) if entered.stop else slice(None, STRIP)
    assert further[..., entered].mean() > 0.01
    assert not further[..., other].any()


def test_coarser_octaves_have_their_turn_every_fourth_frame(dreamer, image, levels):
    turns = []

    class Watched(Dreamer):
        def compute_gradient(self, image, content_reference=None, view=None):
            turns.append(tuple(image.shape[-2:]))
            return super().compute_gradient(image, content_reference, view)

    settings = replace(dreamer.settings, weak_steps=0, refine_steps=1)
    watched = Refiner(Watched(settings, network=dreamer.network))
    for frame in range(1, 9):
        refine(watched, image, new(SIZE, 0), levels, frame=frame)
    coarse = [size for size in turns if size != SIZE]
    assert turns.count(SIZE) == 8
    assert len(coarse) == 2
    assert set(coarse) == set(dreamer.octave_sizes(SIZE)[:-1])


def test_more_refine_steps_go_deeper(dreamer, image, levels):
    def refined(steps):
        settings = {"refine_steps": steps, "weak_steps": 0}
        result = refine(changed(dreamer, **settings), image, new(SIZE, 0), levels)
        return float(dreamer.objective(result))

    assert refined(0) < refined(1) < refined(3)


def test_a_level_of_nought_lets_every_step_be_taken(dreamer, refiner, dream):
    """Layers of negative weight have no level; their steps are taken as they are."""
    result = refine(changed(dreamer, refine_steps=2), dream, new(SIZE, 0), (0.0, 0.0), frame=1)
    assert dreamer.objective(result) > 1.03 * dreamer.objective(dream)


def test_a_dream_of_negative_weight_is_kept_as_it_is_carried(dreamer, image):
    against = changed(dreamer, layers=(LayerTerm("Mixed_6b", -1.0),))
    result = dream = against.dreamer.dream(image)
    target = against.measure(dream, image)
    assert not any(target.levels)
    for index in range(1, 9):
        init = InitImage(image + 0.9 * (result - image), new(SIZE, 0), lambda values: values)
        result, target = against.refine(init, image, target, index)
    objective = against.dreamer.objective
    assert objective(image) < 1.3 * objective(dream) < 0  # it has made the layer respond less
    assert objective(result) > 1.1 * objective(dream)


@pytest.mark.parametrize("size", [(20, 30), (40, 200)])
def test_a_frame_smaller_than_the_network_takes_is_deepened(refiner, size):
    tiny = to_tensor(textured(*size))
    levels = tuple(2 * v for v in refiner.measure(tiny, tiny).levels)
    result = refine(refiner, tiny, new(size, 0), levels)
    assert result.shape == tiny.shape
    assert (result - tiny).abs().mean() > 0.002


# --- the controllers


def measured(level, mean=0.0, part=0, parts=1):
    return Measurement(level, mean, part, parts)


@given(st.floats(0.01, 100), st.floats(0.01, 0.7))
def test_a_deficit_is_made_up_for_within_bounds(wanted, share):
    target, boosts = TargetStrength((3.0, wanted)), [1.0]
    for _ in range(100):
        target = target.after(measured(share * wanted))
        boosts.append(target.boost)
    assert boosts == sorted(boosts)
    assert boosts[0] < boosts[1]
    assert 1 < boosts[-2] <= boosts[-1] < boosts[-2] + 1e-6  # it has come to its bound
    assert boosts[-1] <= CONTROL_POLICY.max_boost
    for _ in range(100):
        target = target.after(measured(wanted))
    assert target.boost == pytest.approx(1)
    for _ in range(100):
        target = target.after(measured(wanted / share))
    assert CONTROL_POLICY.min_boost - 1e-9 <= target.boost < 1


@given(st.floats(-1, 0))
def test_what_has_no_level_is_not_boosted(level):
    for target, found in ((level, 0.5), (2.0, level)):
        before = TargetStrength((1.0, target), boost=1.25)
        assert before.after(measured(found)) == before


def test_what_is_boosted_grows_further(dreamer, refiner, dream, levels):
    def refined(boost):
        result = dream
        for frame in range(8):
            target = TargetStrength(levels, boost=boost)
            result, _ = refiner.refine(InitImage(result, new(SIZE, 0)), result, target, frame)
        return dreamer.objective(result)

    assert refined(1.5) > 1.1 * refined(1.0)


def test_a_dream_that_loses_on_its_way_is_held_up(dreamer, refiner, image, dream, levels):
    """Whatever is lost between the frames, strength settles near the level; more so by a boost."""

    def settled(boosting):
        result, target = dream, TargetStrength(levels)
        for frame in range(1, 21):
            start = image + 0.6 * (result - image)
            result, after = refiner.refine(InitImage(start, new(SIZE, 0)), image, target, frame)
            target = after if boosting else target
        return level(dreamer.cells(result), SIZE) / levels[-1], target.boost

    boosted, boost = settled(True)
    without, _ = settled(False)
    assert boost > 1
    assert without < boosted < 1.5


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_what_is_carried_in_part_is_brought_back_to_the_level(dreamer, image, share):
    """As under a coherence of less than 1: all of the frame has lost that much."""
    deep = changed(dreamer, steps=10)
    whole = deep.dreamer.dream(image)
    target = deep.measure(whole, image)
    found = image + share * (whole - image)
    result, _ = deep.refine(InitImage(found, new(SIZE, 1 - share)), image, target, 1)
    objective = dreamer.objective
    assert objective(found) < 0.8 * objective(whole)
    assert objective(result) > 0.9 * objective(whole)


# --- the target of each place


def test_a_still_with_noise_keeps_the_strength_of_its_first_dream(dreamer, refiner, image, dream):
    """Each view differs, and steps only add: did the target not give way, strength would creep."""
    generator = torch.Generator().manual_seed(0)
    result, target, found = dream, refiner.measure(dream, image), []
    for index in range(1, 41):
        noisy = (image + torch.randn(image.shape, generator=generator) * 0.008).clamp(0, 1)
        init = InitImage((result - image + noisy).clamp(0, 1), new(SIZE, 0), lambda a: a)
        result, target = refiner.refine(init, noisy, target, index)
        found.append(float(dreamer.objective(result) / dreamer.objective(dream)))
    assert max(found) < 1.05
    assert sum(found[20:]) / 20 > 0.75


def test_the_target_of_a_place_moves_with_it(refiner, image, dream):
    def carry(values):
        return values.roll(16, -1)

    target = refiner.measure(dream, image)
    assert target.local.shape == (1, 1, *SIZE)
    assert float(target.local.log().mean().exp()) == pytest.approx(1, abs=0.05)
    mask = new(SIZE, 0)
    mask[..., :16] = 1
    _, after = refiner.refine(InitImage(dream, mask, carry), image, target, 1)
    assert torch.equal(after.local[..., 16:], carry(target.local)[..., 16:])
    assert (after.local[..., :16] == 1).all()


def test_where_the_motion_is_not_known_all_places_have_the_level(refiner, image, dream):
    target = refiner.measure(dream, image)
    _, after = refiner.refine(InitImage(dream, new(SIZE, 0)), image, target, 1)
    assert (after.local == 1).all()


# --- parts in turn


def test_each_part_of_a_frame_has_its_turn(dreamer, wide, wide_levels):
    """Half a step refines one half, and the other at the next frame; the seam is in neither."""
    halves = changed(dreamer, refine_steps=0.5, weak_steps=0, octaves=1)
    changes = [
        (refine(halves, wide, new(WIDE, 0), wide_levels[-1:], frame=frame) - wide).abs()
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
        def compute_gradient(self, image, content_reference=None, view=None):
            work.append(math.prod(image.shape[-2:]) / math.prod(WIDE))
            return super().compute_gradient(image, content_reference, view)

    settings = replace(dreamer.settings, weak_steps=0, octaves=1)
    watched = Refiner(Watched(settings, network=dreamer.network))
    refine(watched, wide, new(WIDE, 0), wide_levels[-1:])
    assert sum(work) < 0.6


def test_places_above_their_level_are_held_where_the_whole_loses(dreamer, refiner, dream, levels):
    """What stands out is kept by a step of its own, and left alone while nothing is lost."""
    low = tuple(0.3 * value for value in levels)
    held = changed(dreamer, refine_steps=1, weak_steps=0)
    still = refine(held, dream, new(SIZE, 0), low)
    assert torch.equal(still, dream)
    target = TargetStrength(low, hold=0.5)
    moved, _ = held.refine(InitImage(dream, new(SIZE, 0)), dream, target, 1)
    assert dreamer.objective(moved) > 1.01 * dreamer.objective(dream)


@given(st.floats(0.1, 10), st.integers(1, 3))
def test_a_loss_of_energy_is_made_up_for_by_holding(mean, parts):
    target = TargetStrength((1.0,), mean=mean)
    for turn in range(40):
        target = target.after(measured(1.0, 0.5 * mean, turn % parts, parts))
    assert target.hold == CONTROL_POLICY.max_hold
    assert len(target.part_means) == parts
    for turn in range(40):
        target = target.after(measured(1.0, 2 * mean, turn % parts, parts))
    assert target.hold == 0


@given(st.lists(st.floats(0, 5), min_size=1, max_size=5), st.lists(st.floats(0, 5), max_size=4))
def test_a_target_is_read_back_from_its_state_bit_for_bit(levels, means):
    residual = ResidualStatistics(0.1, 0.2)
    target = TargetStrength(tuple(levels), residual, 3.0, 1.2, 0.3, tuple(means))
    assert all(tensor.dtype == torch.float64 for tensor in target.state.values())
    assert TargetStrength.from_state(target.state) == target
    local = torch.rand(1, 1, 3, 4)
    assert TargetStrength.from_state(replace(target, local=local).state).local is local
