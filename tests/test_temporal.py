"""How a dream is carried from one frame to the next."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidream.temporal import DreamState, Memory, Motion, MotionCarrier, Track, remember
from vidream.temporal.carrier import inpaint

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


def track(index, right=0.0, down=0.0, trust=1.0, height=HEIGHT, width=WIDTH):
    flow = (
        torch.tensor([right, down], dtype=torch.float32)
        .view(1, 2, 1, 1)
        .repeat(1, 1, height, width)
    )
    known = trust if isinstance(trust, torch.Tensor) else even(trust, 1, height, width)
    return Track(index, flow, known)


def motion(*tracks, **flags):
    return Motion(cut=False, tracks=tracks, **flags)


def state(index=0, height=HEIGHT, width=WIDTH, **more):
    ground = source(height, width)
    return DreamState(index, ground, ground + residual(height, width), **more)


# --- where nothing is carried


def test_without_a_past_a_frame_starts_from_its_source():
    image = source()
    start = MotionCarrier().start(image, None, Motion(cut=True))
    assert torch.equal(start.image, image)
    assert start.fresh is None
    assert not start.carried
    assert start.memo == ()


def test_carrying_nothing_is_starting_from_the_source():
    image = source()
    start = MotionCarrier(0).start(image, state(memo=(1.0,)), motion(track(0)))
    assert torch.equal(start.image, image)
    assert start.fresh is None
    assert start.memo == ()


def test_a_frame_of_another_size_starts_from_its_source():
    image = source(HEIGHT + 1, WIDTH)
    start = MotionCarrier().start(image, state(), motion(track(0, height=HEIGHT + 1)))
    assert torch.equal(start.image, image)
    assert not start.carried


# --- carrying


@settings(max_examples=30, deadline=None)
@given(sides, sides)
def test_where_nothing_moves_the_residual_stays_as_it_is(height, width):
    image, last = source(height, width), state(3, height, width, memo=(0.5, 2.0))
    start = MotionCarrier().start(image, last, motion(track(3, height=height, width=width)))
    assert torch.equal(start.image, image + last.residual)
    assert torch.equal(start.fresh, torch.zeros(1, 1, height, width))
    assert start.carried
    assert start.memo == (0.5, 2.0)


@given(st.floats(0.01, 1))
def test_carry_is_the_share_that_is_taken_over(carry):
    image, last = source(), state()
    start = MotionCarrier(carry).start(image, last, motion(track(0)))
    assert torch.allclose(start.image, image + carry * last.residual, atol=1e-6)
    assert torch.allclose(start.fresh, even(1 - carry, 1), atol=1e-6)


def test_fading_out_leaves_the_source():
    image, last = source(), state()
    for _ in range(30):
        dream = MotionCarrier(0.7).start(image, last, motion(track(0))).image
        last = DreamState(0, image, dream)
    assert torch.allclose(dream, image, atol=1e-4)


def test_the_source_moves_and_the_residual_follows():
    """Only the residual is carried: the frame's own light is that of its source."""
    last = DreamState(0, even(0.2), even(0.3))
    start = MotionCarrier().start(even(0.6), last, motion(track(0, -4)))
    assert torch.allclose(start.image, even(0.7), atol=1e-6)


@pytest.mark.parametrize("right, down", [(3, 0), (-2, 1), (0, -4)])
def test_a_pan_carries_the_dream_with_the_scene(right, down):
    """Whole pixels, several frames in a row: nothing is lost where the scene stays in sight."""
    frames = 6
    last, first = state(0), None
    first = last.residual
    for index in range(1, frames):
        image = source()
        start = MotionCarrier().start(image, last, motion(track(index - 1, right, down)))
        last = DreamState(index, image, start.image)
    gone = right * (frames - 1), down * (frames - 1)
    followed = torch.roll(first, (-gone[1], -gone[0]), (-2, -1))
    # The last pixels before the border mix with what repeats it.
    away = max(map(abs, gone)) + 2 * frames
    inner = (..., slice(away, -away), slice(away, -away))
    assert torch.allclose(last.residual[inner], followed[inner], atol=1e-5)


def test_flow_of_a_smaller_grid_is_scaled_to_the_frame():
    last = state()
    half = track(0, 2, 1, height=HEIGHT // 2, width=WIDTH // 2)
    start = MotionCarrier().start(even(0.5), last, motion(half))
    rolled = torch.roll(last.residual, (-2, -4), (-2, -1))
    assert torch.allclose((start.image - 0.5)[..., :-8, :-8], rolled[..., :-8, :-8], atol=1e-5)


def test_where_nothing_is_known_the_ground_is_fresh():
    known = even(1, 1)
    known[..., 50:] = 0
    image, last = source(), state()
    start = MotionCarrier().start(image, last, motion(track(0, trust=known)))
    assert torch.equal(start.fresh, 1 - known)
    assert torch.equal(start.image[..., :50], (image + last.residual)[..., :50])


@pytest.mark.parametrize("tracks", [(), (track(7),)])
def test_without_a_way_back_all_is_fresh(tracks):
    """No tracks, or only to a frame whose dream was not kept."""
    image = source()
    start = MotionCarrier().start(image, state(3), motion(*tracks))
    assert torch.equal(start.image, image)
    assert torch.equal(start.fresh, even(1, 1))


@settings(max_examples=50)
@given(sides, sides, st.integers(0, 2**20), st.floats(0.01, 1), st.floats(0, 30))
def test_a_start_is_a_picture(height, width, seed, carry, reach):
    torch.manual_seed(seed)
    last = DreamState(0, *torch.rand(2, 1, 3, height, width))
    way = Track(0, reach * torch.randn(1, 2, height, width), torch.rand(1, 1, height, width))
    image = torch.rand(1, 3, height, width)
    before = [t.clone() for t in (image, last.source, last.dream, way.flow, way.trust)]
    start = MotionCarrier(carry).start(image, last, motion(way))
    assert start.image.shape == image.shape
    assert start.fresh.shape == (1, 1, height, width)
    assert 0 <= start.image.min() <= start.image.max() <= 1
    assert -1e-6 <= start.fresh.min() <= start.fresh.max() <= 1 + 1e-6
    after = (image, last.source, last.dream, way.flow, way.trust)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


# --- memory


def remembering(*values):
    """A state at frame 20 with a residual of the first value, and older ones of the others."""
    older = tuple(Memory(20 - 8 * k, even(v).half()) for k, v in enumerate(values) if k)
    return DreamState(20, even(0.5), even(0.5 + values[0]), older)


@given(shares, shares, shares)
def test_the_closest_frame_comes_first(near, middle, far):
    last = remembering(0.25, -0.25, 0.125)
    ways = track(20, trust=near), track(12, trust=middle), track(4, trust=far)
    start = MotionCarrier().start(even(0.5), last, motion(*ways))
    left = (1 - near) * (1 - middle)
    expected = near * 0.25 - (1 - near) * middle * 0.25 + left * far * 0.125
    inpainted = left * (1 - far) * 0.25  # with what the way to the last frame leads to
    assert torch.allclose(start.image, even(0.5 + expected + inpainted), atol=1e-5)
    assert torch.allclose(start.fresh, even(left * (1 - far), 1), atol=1e-5)


def test_an_older_dream_fills_what_the_last_frame_does_not_show():
    hidden = even(1, 1)
    hidden[..., 30:50] = 0
    last = remembering(0.25, -0.25)
    start = MotionCarrier().start(even(0.5), last, motion(track(20, trust=hidden), track(12)))
    assert torch.equal(start.image, even(0.5) + torch.where(hidden > 0, 0.25, -0.25))
    assert not start.fresh.any()


def test_a_frame_that_was_forgotten_is_passed_over():
    last = remembering(0.25, -0.25)
    ways = track(20, trust=0.5), track(16), track(12)
    start = MotionCarrier().start(even(0.5), last, motion(*ways))
    assert torch.allclose(start.image, even(0.5), atol=1e-6)


# --- inpainting


@settings(max_examples=50)
@given(st.integers(1, 120), st.integers(1, 260))
def test_what_is_known_is_left_alone(height, width):
    carried = residual(height, width)
    assert torch.equal(inpaint(carried, even(1, 1, height, width)), carried)


@settings(max_examples=50)
@given(st.integers(1, 120), st.integers(1, 260))
def test_where_nothing_is_known_there_is_nothing_to_sow(height, width):
    nothing = torch.zeros(1, 3, height, width)
    assert torch.equal(inpaint(nothing, torch.zeros(1, 1, height, width)), nothing)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_strip_is_sown_with_the_dream_beside_it(side):
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
    sown = inpaint(whole * known, known)
    assert torch.equal(sown * known, whole * known)
    by = {"left": (0, -192), "right": (0, 192), "top": (-192, 0), "bottom": (192, 0)}[side]
    assert torch.equal(sown[strip], torch.roll(whole, by, (-2, -1))[strip])


def test_ground_known_by_half_is_not_sown():
    known = even(1, 1)
    known[..., 40:60] = 0.5
    carried = residual() * known
    assert torch.equal(inpaint(carried, known), carried)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 130), st.integers(1, 130), st.data())
def test_only_known_ground_is_inpainted(height, width, data):
    """Known ground is 1, all else poisoned: had any of it been moved, it would show."""
    cells = torch.zeros(-(-height // 20), -(-width // 20))
    for _ in range(data.draw(st.integers(0, 6))):
        row = data.draw(st.integers(0, cells.shape[0] - 1))
        cells[row, data.draw(st.integers(0, cells.shape[1] - 1))] = 1
    known = cells.repeat_interleave(20, 0).repeat_interleave(20, 1)[:height, :width][None, None]
    carried = torch.where(known > 0, 1.0, -100.0).expand(1, 3, -1, -1)
    before = carried.clone()
    sown = inpaint(carried, known)
    assert torch.equal(carried, before)
    assert sown.shape == carried.shape
    assert torch.equal(sown * known, carried * known)
    # Poisoned ground either stays as it was or got one whole piece of known ground on top.
    filled = (sown + 100) * (1 - known)
    assert ((filled == 0) | (filled == 1 - known)).all()


@settings(max_examples=50)
@given(st.integers(1, 130), st.integers(1, 130), st.integers(0, 2**20))
def test_inpainting_makes_no_dream_stronger(height, width, seed):
    torch.manual_seed(seed)
    known = (torch.rand(1, 1, height, width) * 1.5).clamp(0, 1)
    carried = residual(height, width) * known
    sown = inpaint(carried, known)
    assert sown.isfinite().all()
    assert sown.abs().max() <= 2 * 0.1 + 1e-6


def test_a_new_region_is_inpainted_along_the_flow_and_stays_new():
    """What is disoccluded has nothing that can be relied on, but a dream from nearby."""
    known = even(1, 1, 80, 120)
    known[..., 40:60] = 0
    last, image = state(0, 80, 120), source(80, 120)
    start = MotionCarrier().start(image, last, motion(track(0, 3, 0, known, 80, 120)))
    expected = torch.roll(last.residual, -3, -1)[..., 40:60]
    assert torch.allclose((start.image - image)[..., 40:60], expected, atol=1e-5)
    assert (start.fresh[..., 40:60] == 1).all()


def test_what_comes_in_from_outside_is_inpainted_from_beside_it():
    known = even(1, 1, 80, 120)
    known[..., 100:] = 0
    last, image = state(0, 80, 120), source(80, 120)
    flow = torch.zeros(1, 2, 80, 120)
    flow[:, 0, :, 100:] = 60  # out of the frame
    start = MotionCarrier().start(image, last, motion(Track(0, flow, known)))
    expected = torch.roll(last.residual, 96, -1)[..., 100:]
    assert torch.allclose((start.image - image)[..., 100:], expected, atol=1e-6)
    assert (start.fresh[..., 100:] == 1).all()


# --- what a frame leaves


def test_a_state_refuses_tensors_that_do_not_belong_together():
    with pytest.raises(ValueError, match=r"60, 80.*60, 81"):
        DreamState(0, source(60, 80), source(60, 81))


def test_the_residual_is_what_the_dream_adds():
    assert torch.allclose(DreamState(0, even(0.25), even(0.75)).residual, even(0.5))


def test_a_frame_leaves_its_own_dream_unrounded():
    ground = source()
    dream = ground + residual()
    left = remember(None, Motion(cut=True), 7, ground, dream, (1.5,), 3)
    assert left.index == 7
    assert torch.equal(left.dream, dream)
    assert left.dream.dtype == torch.float32
    assert left.memo == (1.5,)
    assert left.memory == ()


def test_what_is_kept_is_kept_small_and_close():
    ground, dreamt = source(), residual()
    left = remember(None, Motion(cut=True, keep=True), 7, ground, ground + dreamt, (), 3)
    (kept,) = left.memory
    assert kept.index == 7
    assert kept.residual.dtype == torch.float16
    assert torch.allclose(kept.residual.float(), dreamt, atol=1e-3)


@pytest.mark.parametrize("slots", [0, 1, 3])
def test_the_newest_are_kept_and_come_first(slots):
    left = None
    for index in range(10):
        flags = Motion(cut=index == 0, keep=index % 2 == 0)
        left = remember(left, flags, index, source(), source(), (), slots)
        kept = list(range(0, index + 1, 2))[::-1][:slots]
        assert [m.index for m in left.memory] == kept


def test_remembering_after_a_cut_starts_anew():
    before = remember(None, Motion(cut=True, keep=True), 0, source(), source(), (), 3)
    assert before.memory
    after = remember(None, Motion(cut=True), 1, source(), source(), (), 3)
    assert after.memory == ()
