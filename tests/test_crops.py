"""Rectangles around scattered ground."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vidream.crops import Box, crops


@st.composite
def cases(draw):
    """A mask as the deepener makes it, some patches on it, and what is asked of the crops."""
    unit = draw(st.sampled_from([1, 4, 16]))
    size = draw(st.integers(1, 12 * unit)), draw(st.integers(1, 12 * unit))
    rows, columns = -(-size[0] // unit), -(-size[1] // unit)
    mask = np.zeros((rows, columns), bool)
    for _ in range(draw(st.integers(0, 5))):
        top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
        mask[top : top + draw(st.integers(1, 4)), left : left + draw(st.integers(1, 4))] = True
    return mask, unit, size, draw(st.integers(0, 2 * unit)), draw(st.integers(1, 6 * unit))


def painted(boxes, size):
    canvas = np.zeros(size, bool)
    for box in boxes:
        canvas[box.slices] = True
    return canvas


def enlarged(mask, unit, size):
    return np.kron(mask, np.ones((unit, unit), bool))[: size[0], : size[1]]


@settings(max_examples=300)
@given(cases())
def test_all_that_is_marked_is_covered(case):
    mask, unit, size, _, _ = case
    covered = painted(crops(*case), size)
    assert covered[enlarged(mask, unit, size)].all()


@settings(max_examples=300)
@given(cases())
def test_crops_lie_inside_the_image_and_are_not_too_small(case):
    mask, _, size, _, least = case
    boxes = crops(*case)
    assert bool(boxes) == bool(mask.any())
    for box in boxes:
        assert 0 <= box.top < box.bottom <= size[0]
        assert 0 <= box.left < box.right <= size[1]
        assert box.size[0] >= min(least, size[0])
        assert box.size[1] >= min(least, size[1])


@settings(max_examples=200)
@given(cases())
def test_there_is_context_around_what_is_marked(case):
    mask, unit, size, margin, _ = case
    covered = painted(crops(*case), size)
    for row, column in np.argwhere(enlarged(mask, unit, size)):
        around = covered[
            max(0, row - margin) : row + margin + 1, max(0, column - margin) : column + margin + 1
        ]
        assert around.all()


@settings(max_examples=200)
@given(cases())
def test_splitting_never_costs_more_than_one_crop(case):
    mask, unit, size, margin, _ = case
    boxes = crops(mask, unit, size, margin, 1)
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    if not rows.size:
        return
    height = (rows[-1] + 1 - rows[0]) * unit + 2 * margin
    width = (columns[-1] + 1 - columns[0]) * unit + 2 * margin
    assert sum(box.area for box in boxes) <= height * width


def test_nothing_marked_needs_nothing():
    assert crops(np.zeros((5, 7), bool), 16, (80, 112), 32, 96) == []


def test_all_marked_is_the_whole_image():
    assert crops(np.ones((12, 20), bool), 16, (185, 311), 32, 96) == [Box(0, 0, 185, 311)]


def test_far_corners_are_two_crops():
    mask = np.zeros((20, 30), bool)
    mask[0, 0] = mask[-1, -1] = True
    boxes = crops(mask, 16, (320, 480), 16, 32)
    assert sorted(boxes, key=lambda b: b.top) == [Box(0, 0, 32, 32), Box(288, 448, 320, 480)]


def test_near_neighbours_share_a_crop():
    mask = np.zeros((20, 30), bool)
    mask[8, 10] = mask[8, 12] = True
    assert crops(mask, 16, (320, 480), 32, 96) == [Box(88, 128, 184, 240)]


def test_two_sides_of_a_frame_are_two_crops():
    """A zoom out, or a pan across a still border: the middle is not paid for."""
    mask = np.zeros((12, 40), bool)
    mask[:, 0] = mask[:, -1] = True
    boxes = crops(mask, 16, (192, 640), 32, 96)
    assert sorted(boxes, key=lambda b: b.left) == [Box(0, 0, 192, 96), Box(0, 544, 192, 640)]


def test_a_crop_at_the_border_grows_inwards():
    mask = np.zeros((20, 30), bool)
    mask[-1, -1] = True
    assert crops(mask, 16, (320, 480), 0, 100) == [Box(220, 380, 320, 480)]


def test_a_box_tells_its_size_and_place():
    box = Box(2, 3, 7, 11)
    assert box.size == (5, 8)
    assert box.area == 40
    image = np.arange(200).reshape(10, 20)
    assert np.array_equal(image[box.slices], image[2:7, 3:11])
