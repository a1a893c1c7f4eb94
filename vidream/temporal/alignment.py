"""Alignment of two pictures by a homography: Gauss-Newton (Baker and Matthews 2004)."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from vidream.core.images import Size
from vidream.temporal.homography import Array, matmul, mean_distance

Grey = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AlignmentSettings:
    """Constants of alignment. Brightness is in [0, 1]."""

    texture: float = 2 / 255  # least gradient of brightness of a pixel that takes part, per pixel
    max_pixels: int = 4000  # that take part; with a quarter of them perspective is left out
    max_steps: int = 4  # of Gauss-Newton
    outlier: float = 8 / 255  # difference of brightness from which a pixel counts less
    min_inside: float = 0.3  # share of the pixels that stay inside the earlier picture
    min_gain: float = 1e-4  # relative decrease of the cost, under which it has converged
    damping: float = 1e-4  # of the normal equations, as a share of their mean diagonal
    max_cost: float = 0.9  # of the cost of standing still
    max_drift: float = 1.0  # pixels away from where it started, on average


SETTINGS = AlignmentSettings()


@dataclass(frozen=True, slots=True)
class GreyPair:
    """Two smoothed pictures, ``[H, W]``, brightness in [0, 1]."""

    current: Grey = field(repr=False)
    earlier: Grey = field(repr=False)
    down: Grey = field(repr=False)  # gradient of the current picture
    right: Grey = field(repr=False)

    @classmethod
    def of(cls, current: Grey, earlier: Grey) -> Self:
        """Smooth two pictures; at their border the gradient is 0."""
        current, earlier = _smoothed(current), _smoothed(earlier)
        down, right = np.zeros_like(current), np.zeros_like(current)
        down[1:-1] = (current[2:] - current[:-2]) / 2
        right[:, 1:-1] = (current[:, 2:] - current[:, :-2]) / 2
        return cls(current, earlier, down, right)

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.current.shape[0], self.current.shape[1]


def align(
    matrix: Array,
    pictures: GreyPair,
    region: npt.NDArray[np.bool_],
) -> Array | None:
    """Return the homography along which the pictures agree best in a region.

    None if it is hardly better than standing still, or far from the start, ``matrix``, which should
    be right to a pixel. The region is ``[h, w]`` from the upper left corner on.
    """
    problem = _Problem.of(pictures, region)
    start, best, least = matrix, matrix, np.inf
    for _ in range(SETTINGS.max_steps + 1):
        residual, weight, cost = problem.evaluate(matrix)
        if not cost < least:
            break
        best, gain, least = matrix, least - cost, cost
        if gain < SETTINGS.min_gain * cost:
            break
        matrix = problem.step(matrix, residual, weight)
    near = mean_distance(best, start, pictures.size) < SETTINGS.max_drift
    return best if near and least < SETTINGS.max_cost * problem.still_cost() else None


@dataclass(frozen=True, slots=True)
class _Problem:
    """The least-squares problem at textured pixels."""

    earlier: Grey  # the picture that is sampled
    x: npt.NDArray[np.intp]  # columns of the pixels, [N]
    y: npt.NDArray[np.intp]  # rows, [N]
    now: Array  # brightness of the current picture there, [N]
    # Derivatives of the brightness by the parameters of the warp, [N, 6 or 8]: in coordinates from
    # the centre, in units of half the picture's longer side.
    design: Array

    @classmethod
    def of(cls, pictures: GreyPair, region: npt.NDArray[np.bool_]) -> Self:
        y, x = _textured_pixels(pictures, region)
        unit, cx, cy = _frame_units(pictures.size)
        # Warps are composed on the side of the current picture: its gradients serve every step.
        u, v = (x - cx) / unit, (y - cy) / unit
        down = pictures.down[y, x].astype(np.float64)
        right = pictures.right[y, x].astype(np.float64)
        columns = [right * u, right * v, right, down * u, down * v, down]
        if len(y) > SETTINGS.max_pixels // 4:
            inward = right * u + down * v
            columns += [-inward * u, -inward * v]
        now = pictures.current[y, x].astype(np.float64)
        return cls(pictures.earlier, x, y, now, np.stack(columns, 1))

    def still_cost(self) -> float:
        """Return the cost of standing still."""
        difference = np.square(self.earlier[self.y, self.x] - self.now)
        return float(np.minimum(difference, SETTINGS.outlier**2).mean())

    def evaluate(self, matrix: Array) -> tuple[Array, Array, float]:
        """Return differences and weights of the pixels, ``[N]``, and the cost, a robust mean."""
        height, width = self.earlier.shape
        points = np.stack((self.x, self.y, np.ones_like(self.x))).astype(np.float64)
        mapped = matmul(matrix, points)
        px, py = mapped[0] / mapped[2], mapped[1] / mapped[2]
        inside = (px >= 0) & (px <= width - 1) & (py >= 0) & (py <= height - 1)
        difference = _sample(self.earlier, px, py) - self.now
        outlier = SETTINGS.outlier
        weight = inside / (1 + np.square(difference / outlier))
        if inside.sum() < SETTINGS.min_inside * len(inside):
            return difference, weight, np.inf
        errors = np.minimum(np.square(difference), outlier**2)[inside]
        return difference, weight, float(errors.sum() / inside.sum())

    def step(self, matrix: Array, difference: Array, weight: Array) -> Array:
        """Return the homography after a Gauss-Newton step."""
        normal = matmul(self.design.T, weight[:, None] * self.design)
        normal += SETTINGS.damping * np.trace(normal) / len(normal) * np.eye(len(normal))
        gradient = matmul(self.design.T, (weight * difference)[:, None])
        step = np.linalg.solve(normal, gradient)[:, 0]
        unit, cx, cy = _frame_units((self.earlier.shape[0], self.earlier.shape[1]))
        change = np.eye(3)
        change[0] += step[:3] / unit
        change[1] += step[3:6] / unit
        if len(step) > 6:
            change[2, :2] += step[6:] / unit
        # earlier(M x) ≈ current(D x): so M ← M D⁻¹, in normalised coordinates.
        to_pixels = np.array([[unit, 0, cx], [0, unit, cy], [0, 0, 1.0]])
        matrix = matrix @ to_pixels @ np.linalg.inv(change) @ np.linalg.inv(to_pixels)
        return matrix / matrix[2, 2]  # type: ignore[no-any-return]


def _frame_units(size: Size) -> tuple[float, float, float]:
    """Return half the longer side, and the centre, x and y."""
    return max(size) / 2, (size[1] - 1) / 2, (size[0] - 1) / 2


def _textured_pixels(
    pictures: GreyPair, region: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return rows and columns of pixels with large gradients in a region."""
    strength = np.square(pictures.down) + np.square(pictures.right)
    strength = strength[: region.shape[0], : region.shape[1]] * region
    y, x = np.nonzero(strength > SETTINGS.texture**2)
    if len(y) > SETTINGS.max_pixels:
        chosen = np.arange(SETTINGS.max_pixels) * len(y) // SETTINGS.max_pixels
        y, x = y[chosen], x[chosen]
    return y, x


def _smoothed(image: Grey) -> Grey:
    """Return the image under a 3×3 binomial filter: interpolation is more accurate then."""
    padded = np.pad(image, 1, mode="edge")
    rows = (padded[:-2] + padded[2:] + 2 * padded[1:-1]) / 4
    return ((rows[:, :-2] + rows[:, 2:] + 2 * rows[:, 1:-1]) / 4).astype(np.float32)


def _sample(image: Grey, x: Array, y: Array) -> Array:
    """Return the image between its pixels, bilinear; beyond its border the image repeats it."""
    height, width = image.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left = np.minimum(x.astype(np.intp), max(0, width - 2))
    top = np.minimum(y.astype(np.intp), max(0, height - 2))
    a, b = x - left, y - top
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    above = image[top, left] * (1 - a) + image[top, right] * a
    below = image[bottom, left] * (1 - a) + image[bottom, right] * a
    return above * (1 - b) + below * b  # type: ignore[no-any-return]
