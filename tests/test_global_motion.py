"""What moves regions without texture: the camera's motion, an object's, or nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from conftest import textured

from vidream.core.images import to_picture, to_tensor
from vidream.temporal.flow import load_flow
from vidream.temporal.global_motion import fit_global_motions
from vidream.temporal.homography import homography_flow
from vidream.temporal.layers import layered_flow, texture_confidence
from vidream.temporal.tracking import MotionTracker

HEIGHT, WIDTH = 144, 192
SKY = 72  # rows from the top that show next to nothing


def scene(seed=0):
    small = textured(HEIGHT // 2, WIDTH // 2, seed)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def landscape(sky=SKY):
    """Texture below an even sky."""
    picture = scene()
    picture[:sky] = 150
    return picture


def noisy(picture, seed):
    random = np.random.default_rng(seed)
    return np.clip(picture + random.normal(0, 1.5, picture.shape), 0, 255).astype(np.uint8)


def seen_from(picture, matrix):
    """A picture by a camera: ``matrix`` leads from its pixels to the picture's."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(
        picture, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT
    )


def hand(right=0.0, down=0.0, turn=0.0, zoom=1.0):
    cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
    x, y = WIDTH / 2, HEIGHT / 2
    return np.array(
        [
            [cos, -sin, x - cos * x + sin * y + right],
            [sin, cos, y - sin * x - cos * y + down],
            [0, 0, 1.0],
        ]
    )


def track(earlier, current, flow=None):
    tracker = MotionTracker(flow or load_flow("dis"), 0)
    tracker.track(earlier, 0)
    return tracker.track(current, 1).fields[0]


def with_disc(picture, x, y=SKY // 2, radius=20):
    """The picture with a textured disc in front of it."""
    thing = scene(5)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc = np.hypot(rows - y, columns - x) < radius
    moved = np.roll(thing, (round(y), round(x)), (0, 1))
    return np.where(disc[..., None], moved, picture), disc


def error(flow, matrix):
    wanted = homography_flow(matrix, HEIGHT, WIDTH)
    return np.linalg.norm(flow[0].permute(1, 2, 0).numpy() - wanted, axis=-1)


@pytest.mark.parametrize(
    "motion",
    [
        {"right": 3.4, "down": -1.7},
        {"right": -2.0, "turn": 0.02},
        {"zoom": 1.03},
        {"zoom": 0.98, "turn": -0.01, "down": 2},
    ],
)
def test_an_even_sky_follows_the_camera(motion):
    earlier, matrix = landscape(), hand(**motion)
    found = track(noisy(earlier, 1), noisy(seen_from(earlier, matrix), 2))
    inner = (slice(12, -12), slice(12, -12))
    apart = error(found.flow, matrix)[inner]
    assert apart[: SKY - 20].mean() < 0.2
    assert apart.mean() < 0.15
    assert found.confidence[0, 0][inner][: SKY - 20].mean() > 0.97


def test_a_tripod_keeps_an_even_sky_exactly_still():
    before, _ = with_disc(landscape(), 60)
    after, disc = with_disc(landscape(), 66)
    flow = track(noisy(before, 1), noisy(after, 2)).flow[0]
    near = cv2.dilate(disc.astype(np.uint8), np.ones((33, 33))).astype(bool)
    assert not flow[:, torch.from_numpy(~near)].any()
    inside = cv2.erode(disc.astype(np.uint8), np.ones((13, 13))).astype(bool)
    assert (flow[0, torch.from_numpy(inside)] + 6).abs().mean() < 0.3


def test_an_object_is_all_that_moves_before_an_even_wall():
    wall = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    before, _ = with_disc(wall, 60, HEIGHT // 2)
    after, disc = with_disc(wall, 65, HEIGHT // 2)
    flow = track(before, after).flow[0]
    far = ~cv2.dilate(disc.astype(np.uint8), np.ones((45, 45))).astype(bool)
    assert not flow[:, torch.from_numpy(far)].any()


def test_a_moving_camera_and_an_object_keep_their_motions():
    before, _ = with_disc(landscape(), 80)
    matrix = hand(right=2.5)
    after, disc = with_disc(seen_from(landscape(), matrix), 88)
    flow = track(noisy(before, 1), noisy(after, 2)).flow
    far = ~cv2.dilate(disc.astype(np.uint8), np.ones((33, 33))).astype(bool)
    far[:, -12:] = far[:, :12] = False
    assert error(flow, matrix)[far].mean() < 0.2
    inside = cv2.erode(disc.astype(np.uint8), np.ones((13, 13))).astype(bool)
    assert (flow[0, 0, torch.from_numpy(inside)] + 8).abs().mean() < 0.4


def test_rolling_shutter_is_followed_where_there_is_texture():
    """Rows are read one after another while the camera swings."""
    earlier = scene()
    shift = 2 + 1.5 * np.sin(np.arange(HEIGHT) / HEIGHT * 2 * np.pi)
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    x, y = (x + shift[:, None]).astype(np.float32), y.astype(np.float32)
    current = cv2.remap(earlier, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    flow = track(earlier, current).flow[0, 0].numpy()
    assert np.abs(flow - shift[:, None])[12:-12, 12:-12].mean() < 0.35


def test_a_still_clip_does_not_move():
    base = landscape()
    tracker = MotionTracker(load_flow("dis"), 2)
    for number in range(6):
        for found in tracker.track(noisy(base, number), number).fields:
            assert not found.flow.any()
            assert found.confidence.min() > 0.99


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_flow_that_is_no_flow_does_no_harm(bad):
    def broken(picture, other):
        return np.full((*picture.shape[:2], 2), bad, np.float32)

    found = track(scene(), np.roll(scene(), 2, 1), broken)
    assert found.flow.isfinite().all()
    assert found.confidence.isfinite().all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (16, 16), (17, 33), (40, 2)])
def test_small_frames_have_a_motion(size):
    earlier = textured(*size) // 8 + 100  # too faint for a cut
    found = track(earlier, np.roll(earlier, 1, 1) + 5)
    assert found.flow.shape == (1, 2, *size)
    assert found.flow.isfinite().all()


def test_the_same_frames_have_the_same_motion():
    earlier, current = landscape(), noisy(seen_from(landscape(), hand(right=2, turn=0.01)), 3)
    assert torch.equal(track(earlier, current).flow, track(earlier, current).flow)


def test_global_motion_is_exact_to_a_fraction_of_a_pixel():
    earlier, matrix = scene(), hand(right=1.3, down=0.6, turn=0.005)
    current = seen_from(earlier, matrix)
    flow = load_flow("dis")(current, earlier)
    grey = [p.mean(-1).astype(np.float32) / 255 for p in (current, earlier)]
    background, *_ = fit_global_motions(flow, *grey)
    apart = homography_flow(background, HEIGHT, WIDTH) - homography_flow(matrix, HEIGHT, WIDTH)
    assert np.linalg.norm(apart, axis=-1).mean() < 0.05


def test_standing_still_is_always_a_candidate():
    still = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    grey = scene().mean(-1).astype(np.float32) / 255
    (matrix,) = fit_global_motions(still, grey, grey)
    assert np.array_equal(matrix, np.eye(3))


def test_a_layer_that_stands_still_is_exactly_still():
    grey = to_tensor(scene()).mean(1, keepdim=True)
    flow = torch.randn(1, 2, HEIGHT, WIDTH)
    assert not layered_flow(flow, [torch.zeros_like(flow)], grey, grey).any()


def test_texture_is_where_flow_is_determined():
    picture = landscape()
    picture[:SKY, 90:] = 60  # an edge alone
    confidence = texture_confidence(to_tensor(to_picture(to_tensor(picture))).mean(1, keepdim=True))
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert confidence[..., : SKY - 8, :].max() < 0.01
    assert confidence[..., SKY + 8 :, :].mean() > 0.1
