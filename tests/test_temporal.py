"""How a dream is propagated from one frame to the next."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidream.temporal.propagation import DreamState, Keyframe, inpaint, propagate, update_state
from vidream.temporal.tracking import FlowField, Motion

HEIGHT, WIDTH = 60, 80
sides = st.integers(1, 70)
shares = st.floats(0, 1, width=32)


def source(height=HEIGHT, width=WIDTH):
    """A picture so far from black and white that no dream of these tests is clipped."""
    return 0.4 + 0.2 * torch.rand(1, 3, height, width)


def residual(height=HEIGHT, width=WIDTH):
    return 0.2 * torch.rand(1, 3, height, width) - 0.1


def even(value, channels=3, height=HEIGHT, width=WIDTH):
    return torch.full((1, channels, height, width), float(value))


def field(index, right=0.0, down=0.0, confidence=1.0, height=HEIGHT, width=WIDTH):
    flow = (
        torch.tensor([right, down], dtype=torch.float32)
        .view(1, 2, 1, 1)
        .repeat(1, 1, height, width)
    )
    if not isinstance(confidence, torch.Tensor):
        confidence = even(confidence, 1, height, width)
    return FlowField(index, flow, confidence)


def motion(*fields, **flags):
    return Motion(cut=False, fields=fields, **flags)


def state(index=0, height=HEIGHT, width=WIDTH, **more):
    frame = source(height, width)
    return DreamState(index, frame, frame + residual(height, width), **more)


# --- where nothing is propagated


def test_without_a_past_a_frame_starts_from_itself():
    image = source()
    init = propagate(None, Motion(cut=True), image, 1)
    assert torch.equal(init.image, image)
    assert init.new_mask is None


def test_without_coherence_a_frame_starts_from_itself():
    image = source()
    init = propagate(state(), motion(field(0)), image, 0)
    assert torch.equal(init.image, image)
    assert init.new_mask is None


def test_a_frame_of_another_size_starts_from_itself():
    image = source(HEIGHT + 1, WIDTH)
    init = propagate(state(), motion(field(0, height=HEIGHT + 1)), image, 1)
    assert torch.equal(init.image, image)


# --- propagation


@settings(max_examples=30, deadline=None)
@given(sides, sides)
def test_where_nothing_moves_the_residual_stays_as_it_is(height, width):
    image, last = source(height, width), state(3, height, width)
    init = propagate(last, motion(field(3, height=height, width=width)), image, 1)
    assert torch.equal(init.image, image + last.residual)
    assert torch.equal(init.new_mask, torch.zeros(1, 1, height, width))


def test_a_map_of_the_previous_frame_is_carried_to_this_one():
    """By the flow, and at the frame's size, as the residual is."""
    image, last = source(), state()
    values = torch.rand(1, 1, HEIGHT, WIDTH)
    init = propagate(last, motion(field(0)), image, 0.5)
    assert torch.equal(init.carry(values), values)
    assert propagate(None, motion(field(0)), image, 1).carry is None


@given(st.floats(0.01, 1))
def test_coherence_is_the_share_that_is_propagated(coherence):
    image, last = source(), state()
    init = propagate(last, motion(field(0)), image, coherence)
    assert torch.allclose(init.image, image + coherence * last.residual, atol=1e-6)
    assert torch.allclose(init.new_mask, even(1 - coherence, 1), atol=1e-6)


def test_fading_out_leaves_the_source():
    image, last = source(), state()
    for _ in range(30):
        dream = propagate(last, motion(field(0)), image, 0.7).image
        last = DreamState(0, image, dream)
    assert torch.allclose(dream, image, atol=1e-4)


def test_the_source_moves_and_the_residual_follows():
    """Only the residual is propagated: the frame's own light is its own."""
    last = DreamState(0, even(0.2), even(0.3))
    init = propagate(last, motion(field(0, -4)), even(0.6), 1)
    assert torch.allclose(init.image, even(0.7), atol=1e-6)


@pytest.mark.parametrize("right, down", [(3, 0), (-2, 1), (0, -4)])
def test_a_pan_moves_the_dream_with_the_scene(right, down):
    """Whole pixels, several frames in a row: nothing is lost where the scene stays in sight."""
    frames = 6
    last, first = state(0), None
    first = last.residual
    for index in range(1, frames):
        image = source()
        init = propagate(last, motion(field(index - 1, right, down)), image, 1)
        last = DreamState(index, image, init.image)
    gone = right * (frames - 1), down * (frames - 1)
    followed = torch.roll(first, (-gone[1], -gone[0]), (-2, -1))
    # The last pixels before the border mix with what repeats it.
    away = max(map(abs, gone)) + 2 * frames
    inner = (..., slice(away, -away), slice(away, -away))
    assert torch.allclose(last.residual[inner], followed[inner], atol=1e-5)


def test_flow_of_a_smaller_grid_is_scaled_to_the_frame():
    last = state()
    half = field(0, 2, 1, height=HEIGHT // 2, width=WIDTH // 2)
    init = propagate(last, motion(half), even(0.5), 1)
    rolled = torch.roll(last.residual, (-2, -4), (-2, -1))
    assert torch.allclose((init.image - 0.5)[..., :-8, :-8], rolled[..., :-8, :-8], atol=1e-5)


def test_where_nothing_is_known_the_region_is_new():
    known = even(1, 1)
    known[..., 50:] = 0
    image, last = source(), state()
    init = propagate(last, motion(field(0, confidence=known)), image, 1)
    assert torch.equal(init.new_mask, 1 - known)
    assert torch.equal(init.image[..., :50], (image + last.residual)[..., :50])


@pytest.mark.parametrize("fields", [(), (field(7),)])
def test_without_flow_all_is_new(fields):
    """No flow, or only to a frame whose residual was not kept."""
    image = source()
    init = propagate(state(3), motion(*fields), image, 1)
    assert torch.equal(init.image, image)
    assert torch.equal(init.new_mask, even(1, 1))


@settings(max_examples=50)
@given(sides, sides, st.integers(0, 2**20), st.floats(0.01, 1), st.floats(0, 30))
def test_a_start_is_a_picture(height, width, seed, coherence, reach):
    torch.manual_seed(seed)
    last = DreamState(0, *torch.rand(2, 1, 3, height, width))
    way = FlowField(0, reach * torch.randn(1, 2, height, width), torch.rand(1, 1, height, width))
    image = torch.rand(1, 3, height, width)
    before = [t.clone() for t in (image, last.frame, last.image, way.flow, way.confidence)]
    init = propagate(last, motion(way), image, coherence)
    assert init.image.shape == image.shape
    assert init.new_mask.shape == (1, 1, height, width)
    assert 0 <= init.image.min() <= init.image.max() <= 1
    assert -1e-6 <= init.new_mask.min() <= init.new_mask.max() <= 1 + 1e-6
    after = (image, last.frame, last.image, way.flow, way.confidence)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


# --- keyframes


def with_keyframes(*values):
    """A state at frame 20 with a residual of the first value, and older ones of the others."""
    older = tuple(Keyframe(20 - 8 * k, even(v).half()) for k, v in enumerate(values) if k)
    return DreamState(20, even(0.5), even(0.5 + values[0]), older)


@given(shares, shares, shares)
def test_the_closest_frame_comes_first(near, middle, far):
    last = with_keyframes(0.25, -0.25, 0.125)
    ways = field(20, confidence=near), field(12, confidence=middle), field(4, confidence=far)
    init = propagate(last, motion(*ways), even(0.5), 1)
    left = (1 - near) * (1 - middle)
    expected = near * 0.25 - (1 - near) * middle * 0.25 + left * far * 0.125
    inpainted = left * (1 - far) * 0.25  # with what the way to the last frame leads to
    assert torch.allclose(init.image, even(0.5 + expected + inpainted), atol=1e-5)
    assert torch.allclose(init.new_mask, even(left * (1 - far), 1), atol=1e-5)


def test_an_older_dream_fills_what_the_last_frame_does_not_show():
    hidden = even(1, 1)
    hidden[..., 30:50] = 0
    last = with_keyframes(0.25, -0.25)
    init = propagate(last, motion(field(20, confidence=hidden), field(12)), even(0.5), 1)
    assert torch.equal(init.image, even(0.5) + torch.where(hidden > 0, 0.25, -0.25))
    assert not init.new_mask.any()


def test_a_frame_that_was_forgotten_is_passed_over():
    last = with_keyframes(0.25, -0.25)
    ways = field(20, confidence=0.5), field(16), field(12)
    init = propagate(last, motion(*ways), even(0.5), 1)
    assert torch.allclose(init.image, even(0.5), atol=1e-6)


# --- inpainting


@settings(max_examples=50)
@given(st.integers(1, 120), st.integers(1, 260))
def test_what_is_known_is_left_alone(height, width):
    carried = residual(height, width)
    assert torch.equal(inpaint(carried, even(1, 1, height, width)), carried)


@settings(max_examples=50)
@given(st.integers(1, 120), st.integers(1, 260))
def test_where_nothing_is_known_nothing_is_inpainted(height, width):
    nothing = torch.zeros(1, 3, height, width)
    assert torch.equal(inpaint(nothing, torch.zeros(1, 1, height, width)), nothing)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_strip_is_inpainted_with_the_dream_beside_it(side):
    """Each piece of the strip comes from one place, as far away everywhere."""
    tall, broad = 300, 420
    known = even(1, 1, tall, broad)
    strip = {
        "left": (..., slice(0, 20)),
        "right": (..., slice(-20, None)),
        "top": (..., slice(0, 20), slice(None)),
        "bottom": (..., slice(-20, None), slice(None)),
    }[side]
    known[strip] = 0
    whole = residual(tall, broad)
    inpainted = inpaint(whole * known, known)
    assert torch.equal(inpainted * known, whole * known)
    by = {"left": (0, -192), "right": (0, 192), "top": (-192, 0), "bottom": (192, 0)}[side]
    assert torch.equal(inpainted[strip], torch.roll(whole, by, (-2, -1))[strip])


def test_a_region_known_by_half_is_not_inpainted():
    known = even(1, 1)
    known[..., 40:60] = 0.5
    carried = residual() * known
    assert torch.equal(inpaint(carried, known), carried)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 130), st.integers(1, 130), st.data())
def test_only_known_regions_are_copied(height, width, data):
    """What is known is 1, all else poisoned: had any of it been copied, it would show."""
    cells = torch.zeros(-(-height // 20), -(-width // 20))
    for _ in range(data.draw(st.integers(0, 6))):
        row = data.draw(st.integers(0, cells.shape[0] - 1))
        cells[row, data.draw(st.integers(0, cells.shape[1] - 1))] = 1
    known = cells.repeat_interleave(20, 0).repeat_interleave(20, 1)[:height, :width][None, None]
    carried = torch.where(known > 0, 1.0, -100.0).expand(1, 3, -1, -1)
    before = carried.clone()
    inpainted = inpaint(carried, known)
    assert torch.equal(carried, before)
    assert inpainted.shape == carried.shape
    assert torch.equal(inpainted * known, carried * known)
    # What is poisoned stays as it was, or got one whole known piece on top.
    filled = (inpainted + 100) * (1 - known)
    assert ((filled == 0) | (filled == 1 - known)).all()


@settings(max_examples=50)
@given(st.integers(1, 130), st.integers(1, 130), st.integers(0, 2**20))
def test_inpainting_makes_no_dream_stronger(height, width, seed):
    torch.manual_seed(seed)
    known = (torch.rand(1, 1, height, width) * 1.5).clamp(0, 1)
    carried = residual(height, width) * known
    inpainted = inpaint(carried, known)
    assert inpainted.isfinite().all()
    assert inpainted.abs().max() <= 2 * 0.1 + 1e-6


def test_a_new_region_is_inpainted_along_the_flow_and_stays_new():
    """What is disoccluded has nothing that can be relied on, but a dream from nearby."""
    known = even(1, 1, 80, 120)
    known[..., 40:60] = 0
    last, image = state(0, 80, 120), source(80, 120)
    init = propagate(last, motion(field(0, 3, 0, known, 80, 120)), image, 1)
    expected = torch.roll(last.residual, -3, -1)[..., 40:60]
    assert torch.allclose((init.image - image)[..., 40:60], expected, atol=1e-5)
    assert (init.new_mask[..., 40:60] == 1).all()


def test_what_comes_in_from_outside_is_inpainted_from_beside_it():
    known = even(1, 1, 80, 120)
    known[..., 100:] = 0
    last, image = state(0, 80, 120), source(80, 120)
    flow = torch.zeros(1, 2, 80, 120)
    flow[:, 0, :, 100:] = 60  # out of the frame
    init = propagate(last, motion(FlowField(0, flow, known)), image, 1)
    expected = torch.roll(last.residual, 96, -1)[..., 100:]
    assert torch.allclose((init.image - image)[..., 100:], expected, atol=1e-6)
    assert (init.new_mask[..., 100:] == 1).all()


# --- what a frame leaves


def left(before, flags, index, recall=3, image=None):
    frame = source()
    new = DreamState(index, frame, frame if image is None else frame + image)
    return update_state(before, new, flags, recall)


def test_a_state_refuses_tensors_that_do_not_belong_together():
    with pytest.raises(ValueError, match=r"60, 80.*60, 81"):
        DreamState(0, source(60, 80), source(60, 81))


def test_the_residual_is_what_the_dream_adds():
    assert torch.allclose(DreamState(0, even(0.25), even(0.75)).residual, even(0.5))


def test_a_frame_leaves_its_own_dream_unrounded():
    frame = source()
    new = DreamState(7, frame, frame + residual(), effect={"strength": torch.ones(3)})
    after = update_state(None, new, Motion(cut=True), 3)
    assert after.index == 7
    assert after.image is new.image
    assert after.image.dtype == torch.float32
    assert after.effect == new.effect
    assert after.keyframes == ()


def test_what_is_kept_is_kept_small_and_close():
    dreamt = residual()
    (kept,) = left(None, Motion(cut=True, keep=True), 7, image=dreamt).keyframes
    assert kept.index == 7
    assert kept.residual.dtype == torch.float16
    assert torch.allclose(kept.residual.float(), dreamt, atol=1e-3)


@pytest.mark.parametrize("recall", [0, 1, 3])
def test_the_newest_are_kept_and_come_first(recall):
    last = None
    for index in range(10):
        last = left(last, Motion(cut=index == 0, keep=index % 2 == 0), index, recall)
        kept = list(range(0, index + 1, 2))[::-1][:recall]
        assert [k.index for k in last.keyframes] == kept


def test_after_a_cut_nothing_is_left_of_the_scene_before():
    before = left(None, Motion(cut=True, keep=True), 0)
    assert before.keyframes
    assert left(before, Motion(cut=True), 1).keyframes == ()
    (kept,) = left(before, Motion(cut=True, keep=True), 1).keyframes
    assert kept.index == 1
    image = source()
    init = propagate(before, Motion(cut=True), image, 1)
    assert init.image is image
    assert init.new_mask is None
