"""The motion of the source: cuts, duplicates, and flow to earlier frames."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st

from vidream.core.images import resize, to_picture, to_tensor
from vidream.temporal.flow import load_flow
from vidream.temporal.tracking import SETTINGS, MotionTracker, flow_size

HEIGHT, WIDTH = 96, 128
INTERVAL = SETTINGS.keyframe_interval
SIDE = 48  # of the square that moves over a still background
TOP = 24
EDGE = 14  # pixels over which masks of static flow and feathering reach


def scene(height, width, seed=0):
    """A picture whose parts are as large as things in a film are."""
    small = textured(height // 2, width // 2, seed)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def halved(picture):
    """What is asked of older frames."""
    return to_picture(resize(to_tensor(picture), (picture.shape[0] // 2, picture.shape[1] // 2)))


class Exact:
    """An estimator that knows the answer: a function of the two pictures' numbers."""

    def __init__(self, pictures, field):
        self.numbers = {p.tobytes(): k for k, p in enumerate(pictures)}
        self.numbers |= {halved(p).tobytes(): k for k, p in enumerate(pictures)}
        self.field, self.calls = field, []

    def __call__(self, picture, other):
        assert picture.shape == other.shape
        pair = self.numbers[picture.tobytes()], self.numbers[other.tobytes()]
        self.calls.append(pair)
        field = self.field(*pair)
        return field if picture.shape[:2] == field.shape[:2] else field[::2, ::2].copy() / 2


def forbidden(picture, other):
    raise AssertionError("there is nothing to estimate here")


def follow(pictures, estimator, recall=4):
    tracker = MotionTracker(estimator, recall)
    return [tracker.track(picture, index) for index, picture in enumerate(pictures)]


def panned(step, frames, seed=0):
    """The camera goes right by ``step`` pixels a frame (left, if negative)."""
    wide = scene(HEIGHT, WIDTH + abs(step) * (frames - 1), seed)
    offsets = [abs(step) * (k if step > 0 else frames - 1 - k) for k in range(frames)]
    pictures = [wide[:, o : o + WIDTH].copy() for o in offsets]

    def field(current, earlier):
        flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        flow[..., 0] = offsets[current] - offsets[earlier]
        return flow

    return pictures, field


def crossing(step, frames, side=SIDE, start=0):
    """A square goes right over a still background."""
    background, thing = scene(HEIGHT, WIDTH, 3), scene(side, side, 8)
    lefts = [start + step * k for k in range(frames)]
    top = (HEIGHT - side) // 2
    pictures = []
    for left in lefts:
        picture = background.copy()
        seen = picture[top : top + side, max(0, left) : max(0, left + side)]
        seen[:] = thing[:, max(0, -left) : max(0, -left) + seen.shape[1]]
        pictures.append(picture)

    def field(current, earlier):
        flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        left = lefts[current]
        flow[top : top + side, max(0, left) : max(0, left + side), 0] = lefts[earlier] - left
        return flow

    return pictures, field


def estimator(name, pictures, field):
    return Exact(pictures, field) if name == "exact" else load_flow(name)


names = pytest.mark.parametrize("name", ["exact", "dis"])


# --- what a frame is


def test_the_first_frame_has_no_past():
    (motion,) = follow([scene(HEIGHT, WIDTH)], forbidden)
    assert motion.cut
    assert not motion.duplicate
    assert motion.fields == ()


def test_a_cut_forgets_all_that_was_before():
    first, one = panned(5, 3, 0)
    second, _ = panned(5, 3, 1)
    pictures = first + second
    motions = follow(pictures, Exact(pictures, lambda a, b: one(a % 3, b % 3)))
    assert [m.cut for m in motions] == [True, False, False, True, False, False]
    assert motions[3].fields == ()
    assert [t.index for t in motions[4].fields] == [3]
    assert {t.index for t in motions[5].fields} <= {3, 4}


def test_another_size_is_a_cut():
    pictures, field = panned(3, 4)
    shown = [p if k in (1, 2) else p[:80, :100].copy() for k, p in enumerate(pictures)]
    motions = follow(shown, Exact(shown, field))
    assert [m.cut for m in motions] == [True, True, False, True]
    assert [[t.index for t in m.fields] for m in motions] == [[], [], [1], []]


# --- duplicates


def test_an_identical_frame_is_a_duplicate():
    picture = scene(HEIGHT, WIDTH)
    motions = follow([picture, picture.copy(), picture.copy()], forbidden)
    assert [m.duplicate for m in motions] == [False, True, True]
    assert not any(m.cut or m.fields for m in motions[1:])


def test_what_encoding_adds_is_no_difference():
    random = np.random.default_rng(0)
    picture = scene(HEIGHT, WIDTH).clip(2, 253)
    noisy = [(picture + random.integers(-1, 2, picture.shape)).astype(np.uint8) for _ in range(6)]
    motions = follow(noisy, forbidden)
    assert [m.duplicate for m in motions] == [False] + [True] * 5


def test_a_small_thing_that_moves_is_a_difference():
    pictures, field = crossing(4, 2, side=8, start=40)
    motions = follow(pictures, Exact(pictures, field))
    assert not motions[1].duplicate
    assert len(motions[1].fields) == 1


def test_slow_changes_add_up():
    """Growing brighter by less than a level a frame is not taken for standing still for ever."""
    base = scene(HEIGHT, WIDTH) * 0.5
    pictures = [np.round(base + 0.4 * k).astype(np.uint8) for k in range(31)]
    motions = follow(pictures, lambda a, b: np.zeros((HEIGHT, WIDTH, 2), np.float32))
    new = [k for k, m in enumerate(motions) if not m.duplicate]
    assert len(new) < len(motions)
    apart = [after - before for before, after in zip(new, [*new[1:], 31], strict=True)]
    assert max(apart) <= 10
    for before, after in pairwise(new):
        # The flow is to the last frame that was dreamed, not to a duplicate.
        assert motions[after].fields[0].index == before
        assert np.abs(pictures[after].astype(int) - pictures[before]).max() > 2


def test_duplicates_are_no_keyframes():
    pictures, field = panned(6, 3)
    shown = [p for p in pictures for _ in range(4)]
    motions = follow(shown, Exact(pictures, field))
    assert [k for k, m in enumerate(motions) if not m.duplicate] == [0, 4, 8]
    assert [m.keep for m in motions] == [True] + [False] * 11
    assert [t.index for t in motions[8].fields] == [4, 0][: len(motions[8].fields)]


# --- pans


@names
@pytest.mark.parametrize("step", [5, -3])
def test_a_pan_is_followed(name, step):
    pictures, field = panned(step, 2)
    _, motion = follow(pictures, estimator(name, pictures, field))
    (field_,) = motion.fields
    assert field_.index == 0
    assert field_.flow.shape == (1, 2, HEIGHT, WIDTH)
    assert field_.confidence.shape == (1, 1, HEIGHT, WIDTH)
    assert 0 <= field_.confidence.min() <= field_.confidence.max() <= 1
    inner = (..., slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    known = torch.from_numpy(field(1, 0)).permute(2, 0, 1)[None]
    assert (field_.flow - known)[inner].abs().mean() < (1e-3 if name == "exact" else 0.15)
    assert field_.confidence[inner].mean() > (0.999 if name == "exact" else 0.97)
    entered = field_.confidence[..., -step:] if step > 0 else field_.confidence[..., :-step]
    assert entered.max() < (1e-6 if name == "exact" else 0.05)


def test_what_leads_out_of_the_frame_has_no_confidence():
    pictures, field = panned(20, 2)
    (field_,) = follow(pictures, Exact(pictures, field))[1].fields
    assert not field_.confidence[..., -20:].any()
    assert (field_.confidence[..., : -20 - EDGE] > 0.999).all()


def test_an_estimate_that_explains_nothing_moves_nothing():
    """A dream that cannot be followed is given up, and does not swim."""
    pictures = [100 + picture // 8 for picture in panned(4, 2)[0]]  # too faint for a cut
    random = np.random.default_rng(0)

    def field(current, earlier):
        return random.uniform(-15, 15, (HEIGHT, WIDTH, 2)).astype(np.float32)

    (field_,) = follow(pictures, Exact(pictures, field))[1].fields
    assert not field_.flow.any()
    assert field_.confidence.mean() < 0.85  # the faintest places look the same in any case


def test_an_estimate_that_is_not_finite_does_no_harm():
    pictures, field = panned(4, 2)

    def broken(current, earlier):
        flow = field(current, earlier)
        flow[30:60, 50:80] = np.nan
        return flow

    (field_,) = follow(pictures, Exact(pictures, broken))[1].fields
    assert field_.flow.isfinite().all()
    assert field_.confidence.isfinite().all()
    # The hole takes the camera's motion.
    hole = field_.flow[..., 40:50, 60:70]
    assert torch.allclose(hole, torch.tensor([4.0, 0]).view(1, 2, 1, 1), atol=0.01)
    assert field_.confidence[..., EDGE:, 80 + EDGE : -EDGE].min() > 0.99


# --- what moves over what stands still


@names
def test_what_was_uncovered_has_no_confidence(name):
    pictures, field = crossing(10, 2, start=30)
    _, motion = follow(pictures, estimator(name, pictures, field))
    confidence = motion.fields[0].confidence
    uncovered = confidence[..., TOP + 4 : TOP + SIDE - 4, 30:40]
    if name == "exact":
        assert (uncovered > 0).float().mean() < 0.05
    assert uncovered.mean() < 0.1
    assert confidence[..., :, 90 + EDGE :].min() > 0.999
    assert confidence[..., :, : 30 - EDGE].min() > 0.999
    within = confidence[..., TOP + EDGE : TOP + SIDE - EDGE, 40 + EDGE : 40 + SIDE - EDGE]
    assert within.min() > 0.9


@names
def test_the_background_stands_still_exactly(name):
    pictures, field = crossing(10, 2, start=30)
    _, motion = follow(pictures, estimator(name, pictures, field))
    flow = motion.fields[0].flow
    assert not flow[..., : 30 - EDGE].any()
    assert not flow[..., 40 + SIDE + EDGE :].any()
    assert not flow[..., : TOP - EDGE, :].any()
    assert not flow[..., TOP + SIDE + EDGE :, :].any()
    within = flow[..., TOP + EDGE : TOP + SIDE - EDGE, 40 + EDGE : 40 + SIDE - EDGE]
    assert (within[:, 0] + 10).abs().max() < (1e-5 if name == "exact" else 0.5)


def test_regions_that_the_estimate_drags_along_stand_still():
    pictures, field = crossing(10, 2, start=30)

    def dragging(current, earlier):
        flow = field(current, earlier)
        flow[:] = flow[HEIGHT // 2, 64]  # the square moves, and all around it too
        return flow

    (field_,) = follow(pictures, Exact(pictures, dragging))[1].fields
    assert not field_.flow[..., : 30 - EDGE].any()
    assert not field_.flow[..., 40 + SIDE + EDGE :].any()
    assert field_.confidence[..., 40 + SIDE + EDGE :].min() > 0.4


# --- keyframes


FRAMES = 15


@names
def test_a_keyframe_shows_what_reappears(name):
    """A square passes over a background: behind it appears what older frames show."""
    pictures, field = crossing(8, FRAMES, start=-SIDE)
    motions = follow(pictures, estimator(name, pictures, field))
    assert not any(m.cut for m in motions[1:])
    motion = motions[-1]
    first, *older = motion.fields
    assert first.index == FRAMES - 2
    assert older
    left = -SIDE + 8 * (FRAMES - 1)
    strip = (..., slice(TOP + 6, TOP + SIDE - 6), slice(left - 6, left - 2))
    assert first.confidence[strip].mean() < 0.1
    assert max(t.confidence[strip].mean() for t in older) > 0.2 + first.confidence[strip].mean()
    assert not older[-1].flow[..., TOP + EDGE : TOP + SIDE - EDGE, : left - EDGE].any()


def test_older_frames_are_asked_one_way_and_at_half_the_size():
    pictures, field = crossing(6, 12)
    exact = Exact(pictures, field)
    fields = follow(pictures, exact)[-1].fields
    older = [f for f in fields if f.index != 10]
    assert older
    assert all(t.flow.shape[-2:] == (HEIGHT // 2, WIDTH // 2) for t in older)
    assert all((t.index, 11) not in exact.calls for t in older)


def test_kept_frames_are_every_so_many_and_asked_closest_first():
    pictures, field = crossing(3, 3 * INTERVAL + 2, side=72, start=-36)
    motions = follow(pictures, Exact(pictures, field), recall=9)
    kept = [k for k, m in enumerate(motions) if m.keep]
    assert kept == list(range(0, len(motions), INTERVAL))
    assert max(len(m.fields) for m in motions) > 2
    for number, motion in enumerate(motions):
        indices = [t.index for t in motion.fields]
        assert indices[:1] == ([number - 1] if number else [])
        assert indices == sorted(set(indices), reverse=True)
        assert set(indices[1:]) <= set(kept)


@pytest.mark.parametrize("recall", [0, 1, 2, 3])
def test_no_more_frames_are_kept_than_asked_for(recall):
    """A region that no frame shows, so that every keyframe is searched."""
    pictures, field = panned(8, 5 * INTERVAL + 2)
    exact = Exact(pictures, field)
    motions = follow(pictures, exact, recall=recall)
    assert not any(m.cut for m in motions[1:])
    for number, motion in enumerate(motions):
        indices = [t.index for t in motion.fields]
        kept = list(range(0, number, INTERVAL))[::-1][:recall]
        assert indices == ([number - 1] if number else []) + [k for k in kept if k != number - 1]
    assert any(m.keep for m in motions) == (recall > 0)


def test_without_recall_there_is_flow_to_the_previous_frame_alone():
    pictures, field = crossing(8, FRAMES, start=-SIDE)
    motions = follow(pictures, Exact(pictures, field), recall=0)
    assert [len(m.fields) for m in motions] == [0] + [1] * (FRAMES - 1)


def test_keyframes_are_not_searched_for_regions_that_are_known():
    pictures, field = panned(1, 2 * INTERVAL)
    wobbling = [pictures[k % 2] for k in range(2 * INTERVAL)]
    exact = Exact(pictures, field)
    motions = follow(wobbling, exact)
    assert all(len(m.fields) == 1 for m in motions[1:])


def test_after_a_cut_frames_are_kept_anew():
    first, field = panned(8, INTERVAL + 3, 0)
    second, _ = panned(8, INTERVAL + 3, 1)
    count = len(first)
    motions = follow(
        first + second, Exact(first + second, lambda a, b: field(a % count, b % count))
    )
    assert [k for k, m in enumerate(motions) if m.cut] == [0, count]
    assert motions[count].keep
    assert all(t.index >= count for m in motions[count:] for t in m.fields)
    assert len(motions[-1].fields) == 3  # the last, and the two that are kept


# --- the size of flow


def test_motion_is_estimated_at_its_own_size():
    pictures, _ = panned(0, 1)
    large = cv2.resize(pictures[0], (1000, 600), interpolation=cv2.INTER_CUBIC)
    asked = []

    def still(picture, other):
        asked.append((picture.shape, other.shape))
        return np.zeros((*picture.shape[:2], 2), np.float32)

    _, motion = follow([large, np.roll(large, 9, 1)], still)
    size = flow_size(600, 1000)
    assert set(asked) == {((*size, 3), (*size, 3))}
    assert motion.fields[0].flow.shape[-2:] == size


sides = st.integers(1, 10_000)


@given(sides, sides)
def test_flow_is_of_a_smaller_picture_of_the_frame(height, width):
    high, wide = flow_size(height, width)
    assert 1 <= high <= height
    assert 1 <= wide <= width
    assert max(high, wide) <= 960
    scale = max(high, wide) / max(height, width)
    assert high == 1 or abs(high - height * scale) <= 0.5 + 1e-6
    assert wide == 1 or abs(wide - width * scale) <= 0.5 + 1e-6
    assert flow_size(width, height) == (wide, high)


@given(st.integers(1, 480), st.integers(1, 480))
def test_flow_of_a_small_frame_is_of_its_own_size(height, width):
    assert flow_size(height, width) == (height, width)


@given(st.integers(960, 1920), st.integers(100, 1080))
def test_a_large_frame_is_halved(width, height):
    high, wide = flow_size(min(height, width), width)
    assert wide == width // 2
    assert high == pytest.approx(min(height, width) / 2, abs=1)
