"""Parametric motion of the whole picture: the camera's, and that of large things in front of it.

Homographies are 3×3 float64 matrices that map pixels ``(x, y, 1)`` of the current frame to those of
an earlier one. They are found by RANSAC over the optical flow of textured cells, one after another
on what is left (Torr 1998), and refined on the pictures themselves by Gauss-Newton steps
(Baker and Matthews 2004), which is several times more accurate than the flow they come from.
All of it is deterministic: the random samples have a fixed seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidream.flow import Field

Array = npt.NDArray[np.float64]
Grey = npt.NDArray[np.float32]

_HORIZON = 1e-3  # least depth: beyond, a homography turns the picture over


@dataclass(frozen=True)
class GlobalMotionSettings:
    """Constants of the search for global motion. Lengths are in pixels of the flow's grid."""

    cell: int = 8  # side of the cells that vote
    texture: float = 2 / 255  # gradient of brightness per pixel at which a cell counts half
    weight: float = 0.2  # least confidence of a cell that votes
    samples: int = 96  # of two cells each
    voters: int = 500  # cells that samples are judged by, at most
    tolerance: float = 0.6  # distance of a cell's flow from a model that explains it
    relative: float = 0.02  # the same, as a share of the length of the flow
    cells: int = 12  # least number of cells that a model explains
    share: float = 0.05  # least share of the remaining cells, by confidence
    models: int = 2  # at most, besides standing still
    still: float = 0.05  # largest mean displacement that counts as standing still
    better: float = 0.9  # share of standing still's squared difference that is left at most
    drift: float = 1.0  # how far the pictures may lead away from the flow's fit, on average
    favour: float = 0.03  # share of all votes that standing still may do worse by, and be taken
    base: float = 0.35  # reach of standing still, where nothing shows it
    steps: int = 4  # of Gauss-Newton
    pixels: int = 4000  # textured pixels that they look at, at most
    outlier: float = 8 / 255  # difference of brightness from which a pixel counts less


SETTINGS = GlobalMotionSettings()


def fit_global_motions(
    flow: Field, current: Grey, earlier: Grey, settings: GlobalMotionSettings = SETTINGS
) -> list[tuple[Array, float]]:
    """Return homographies that explain the flow, the background's first.

    Standing still is among them, as the identity.

    Args:
        flow: finite ``[H, W, 2]``, from the current picture to the earlier one.
        current: brightness in [0, 1], ``[H, W]``.
        earlier: likewise.
        settings: the constants.
    """
    height, width = current.shape
    cell = settings.cell
    rows, columns = height // cell, width // cell
    if rows * columns < settings.cells:
        return [(np.eye(3), 1.0)]
    smooth, then = _smoothed(current), _smoothed(earlier)
    down, right = _gradients(smooth)
    confidence = _cell_confidence(down, right, settings)
    moves = _cell_means(flow, cell).reshape(-1, 2)
    y, x = np.mgrid[:rows, :columns] * float(cell) + (cell - 1) / 2
    points = np.stack((x.ravel(), y.ravel()), 1)
    free = np.where(confidence > settings.weight, confidence, 0.0).ravel()
    found: list[tuple[Array, float]] = []
    still = settings.base
    total = free.sum()
    for _ in range(settings.models + 1):
        fitted = _fit(points, moves, free, total, settings, (width, height))
        if fitted is None or len(found) == settings.models:
            break
        matrix, weights = fitted
        part = weights.reshape(rows, columns)
        if not _is_still(matrix, (height, width), settings):
            refined = _refine(matrix, smooth, then, (down, right), part, settings)
            if refined is not None:
                matrix = refined
                if not _is_still(matrix, (height, width), settings):
                    found.append((matrix, _reach(part)))
        if _is_still(matrix, (height, width), settings):
            still = max(still, _reach(part))
        explained = _distance(matrix, points, moves) < 2 * _tolerance(moves, settings)
        free = np.where(explained, 0.0, free)
    return sorted([(np.eye(3), still), *found], key=lambda model: -model[1])


def _reach(weights: Array) -> float:
    """Return how far across the picture the cells of a motion lie, 0 to 1."""
    sides = []
    for axis in (0, 1):
        share = np.cumsum(weights.sum(axis)) / weights.sum()
        sides.append((np.searchsorted(share, 0.95) - np.searchsorted(share, 0.05) + 1) / len(share))
    return float(max(sides) * np.sqrt(sides[0] * sides[1]))


def homography_flow(matrix: Array, height: int, width: int) -> Field:
    """Return the displacements ``[H, W, 2]`` of a homography, float32, in pixels."""
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    (a, b, c), (d, e, f), (g, h, i) = matrix.astype(np.float32)
    moved = np.empty((2, height, width), np.float32)
    moved[0], moved[1] = (a * x + c) + b * y, (d * x + f) + e * y
    if g or h:
        depth = (g * x + i) + h * y
        depth[np.abs(depth) < _HORIZON] = _HORIZON
        moved /= depth
    moved[0] -= x
    moved[1] -= y
    return moved.transpose(1, 2, 0)


def _smoothed(image: Grey) -> Grey:
    """Return the image under a 3×3 binomial filter: interpolation is more accurate then."""
    padded = np.pad(image, 1, mode="edge")
    rows = (padded[:-2] + padded[2:] + 2 * padded[1:-1]) / 4
    return ((rows[:, :-2] + rows[:, 2:] + 2 * rows[:, 1:-1]) / 4).astype(np.float32)


def _gradients(image: Grey) -> tuple[Grey, Grey]:
    """Return central differences down and right; 0 at the border."""
    down, right = np.zeros_like(image), np.zeros_like(image)
    down[1:-1] = (image[2:] - image[:-2]) / 2
    right[:, 1:-1] = (image[:, 2:] - image[:, :-2]) / 2
    return down, right


def _cell_means(values: npt.NDArray[np.floating], cell: int) -> Array:
    """Average over square cells; what is left at the right and below belongs to none."""
    rows, columns = values.shape[0] // cell, values.shape[1] // cell
    cut = values[: rows * cell, : columns * cell].reshape(rows, cell, columns * cell, -1)
    sums = cut.sum(1).reshape(rows, columns, cell, -1).sum(2, dtype=np.float64)
    means: Array = sums / cell**2
    return means


def _cell_confidence(down: Grey, right: Grey, settings: GlobalMotionSettings) -> Array:
    """Return how well flow is determined in each cell, 0 to 1, by the structure tensor.

    The smaller eigenvalue says how much texture there is across the direction that has least.
    """
    products = np.stack((down * down, right * right, down * right), -1)
    yy, xx, xy = np.moveaxis(_cell_means(products, settings.cell), -1, 0)
    smaller = (yy + xx) / 2 - np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    confidence: Array = smaller / (smaller + settings.texture**2)
    return confidence


def _tolerance(moves: Array, settings: GlobalMotionSettings) -> Array:
    tolerance: Array = settings.tolerance + settings.relative * np.linalg.norm(moves, axis=1)
    return tolerance


def _mapped(matrix: Array, points: Array) -> Array:
    """Return where a homography leads from points ``[N, 2]``."""
    mapped = _product(np.c_[points, np.ones(len(points))], matrix.T)
    depth = np.where(np.abs(mapped[:, 2:]) < _HORIZON, _HORIZON, mapped[:, 2:])
    there: Array = mapped[:, :2] / depth
    return there


def _distance(matrix: Array, points: Array, moves: Array) -> Array:
    """Return how far each point's flow is from where the homography leads."""
    distance: Array = np.linalg.norm(_mapped(matrix, points) - points - moves, axis=1)
    return distance


def _fit(
    points: Array,
    moves: Array,
    confidence: Array,
    total: float,
    settings: GlobalMotionSettings,
    size: tuple[int, int],
) -> tuple[Array, Array] | None:
    """Return a similarity and the weights of the cells it explains, or None."""
    usable = np.flatnonzero(confidence)
    if len(usable) < settings.cells or confidence.sum() < settings.share * total:
        return None
    # In units of half the frame's length, about its centre: well conditioned.
    unit, centre = max(size) / 2, np.array(size) / 2 - 0.5
    where, moved, weight = (points[usable] - centre) / unit, moves[usable], confidence[usable]
    near = _tolerance(moved, settings)
    # A similarity; shear and perspective are left to the pictures. It is linear in
    # (scale · cos − 1, scale · sin, right, down): rows for the motion right, then down.
    zero, one = np.zeros(len(where)), np.ones(len(where))
    x, y = where.T
    across = np.stack((x, -y, one, zero), 1)
    along = np.stack((y, x, zero, one), 1)
    random = np.random.default_rng(0)
    pairs = random.choice(len(usable), (settings.samples, 2), p=weight / weight.sum())
    systems = np.concatenate((across[pairs], along[pairs]), 1)  # [S, 4, 4]
    wanted = np.concatenate((moved[pairs, 0], moved[pairs, 1]), 1)
    sound = np.linalg.norm(where[pairs[:, 0]] - where[pairs[:, 1]], axis=1) > 0.1
    # Standing still is one hypothesis of all.
    found = np.zeros((1 + int(sound.sum()), 4))
    found[1:] = np.linalg.solve(systems[sound], wanted[sound][..., None])[..., 0]
    some = np.arange(0, len(usable), -(-len(usable) // settings.voters))
    right = _product(found, across[some].T) - moved[some, 0]
    down = _product(found, along[some].T) - moved[some, 1]
    apart = (np.square(right) + np.square(down)) / near[some] ** 2
    cost = _product(np.minimum(apart, 1.0), weight[some, None])[:, 0] / weight[some].sum()
    cost[0] -= settings.favour
    best = found[int(cost.argmin())]

    def distance() -> Array:
        right = _product(across, best[:, None])[:, 0] - moved[:, 0]
        down = _product(along, best[:, None])[:, 0] - moved[:, 1]
        squares: Array = (right**2 + down**2) / near**2
        return squares

    for _ in range(5):
        inliers = weight * np.square(np.clip(1 - distance() / 4, 0, None))
        left, under = across * inliers[:, None], along * inliers[:, None]
        normal = _product(across.T, left) + _product(along.T, under) + 1e-6 * np.eye(4)
        wanted = _product(left.T, moved[:, :1]) + _product(under.T, moved[:, 1:])
        best = np.linalg.solve(normal, wanted)[:, 0]
    close = distance() < 1
    if close.sum() < settings.cells or weight[close].sum() < settings.share * total:
        return None
    weights = np.zeros(len(points))
    weights[usable[close]] = weight[close]
    turn = np.array([[best[0], -best[1]], [best[1], best[0]]]) / unit
    matrix = np.eye(3)
    matrix[:2, :2] += turn
    matrix[:2, 2] = best[2:] - turn @ centre
    return matrix, weights


def _is_still(matrix: Array, size: tuple[int, int], settings: GlobalMotionSettings) -> bool:
    """Return whether a homography moves the picture by next to nothing."""
    return _mean_distance(matrix, np.eye(3), size) < settings.still


def _mean_distance(matrix: Array, other: Array, size: tuple[int, int]) -> float:
    """Return how far apart two homographies lead, in pixels, on average over the picture."""
    y, x = np.mgrid[0 : size[0] - 1 : 5j, 0 : size[1] - 1 : 5j]
    points = np.stack((x.ravel(), y.ravel()), 1)
    moves = _mapped(other, points) - points
    return float(_distance(matrix, points, moves).mean())


def _refine(
    matrix: Array,
    current: Grey,
    earlier: Grey,
    gradients: tuple[Grey, Grey],
    weights: Array,
    settings: GlobalMotionSettings,
) -> Array | None:
    """Return the homography after Gauss-Newton steps on the difference of the pictures.

    Args:
        matrix: where to start; should be right to a pixel.
        current: smoothed brightness ``[H, W]``.
        earlier: likewise.
        gradients: of the current picture, down and right.
        weights: ``[rows, columns]``: how much each cell belongs to the motion.
        settings: the constants.
    """
    height, width = current.shape
    y, x = _textured_pixels(gradients, weights, settings)
    unit, cx, cy = max(height, width) / 2, (width - 1) / 2, (height - 1) / 2
    # Warps are composed on the side of the current picture: its gradients serve every step.
    u, v = (x - cx) / unit, (y - cy) / unit
    down, right = gradients[0][y, x].astype(np.float64), gradients[1][y, x].astype(np.float64)
    full = len(y) > settings.pixels // 4
    columns = [right * u, right * v, right, down * u, down * v, down]
    if full:
        inward = right * u + down * v
        columns += [-inward * u, -inward * v]
    design = np.stack(columns, 1)
    now = current[y, x].astype(np.float64)
    to_pixels = np.array([[unit, 0, cx], [0, unit, cy], [0, 0, 1.0]])
    from_pixels = np.linalg.inv(to_pixels)
    start, best, least = matrix, matrix, np.inf
    still = np.minimum(np.square(earlier[y, x] - now), settings.outlier**2).mean()
    points = np.stack((x, y, np.ones_like(x))).astype(np.float64)
    for _ in range(settings.steps + 1):
        mapped = _product(matrix, points)
        px, py = mapped[0] / mapped[2], mapped[1] / mapped[2]
        inside = (px >= 0) & (px <= width - 1) & (py >= 0) & (py <= height - 1)
        difference = _sample(earlier, px, py) - now
        robust = inside / (1 + np.square(difference / settings.outlier))
        if inside.sum() < 0.3 * len(inside):
            break
        cost = float(
            np.minimum(np.square(difference), settings.outlier**2)[inside].sum() / inside.sum()
        )
        if not cost < least:
            break
        best, gain, least = matrix, least - cost, cost
        if gain < 1e-4 * cost:
            break
        normal = _product(design.T, robust[:, None] * design)
        normal += 1e-4 * np.trace(normal) / len(normal) * np.eye(len(normal))
        step = np.linalg.solve(normal, _product(design.T, (robust * difference)[:, None]))[:, 0]
        change = np.eye(3)
        change[0] += step[:3] / unit * np.array([1, 1, 1])
        change[1] += step[3:6] / unit
        if full:
            change[2, :2] += step[6:] / unit
        # earlier(M x) ≈ current(D x): so M ← M D⁻¹, in normalised coordinates.
        matrix = matrix @ to_pixels @ np.linalg.inv(change) @ from_pixels
        matrix = matrix / matrix[2, 2]
    near = _mean_distance(best, start, (height, width)) < settings.drift
    return best if near and least < settings.better * still else None


def _textured_pixels(
    gradients: tuple[Grey, Grey], weights: Array, settings: GlobalMotionSettings
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return rows and columns of pixels with large gradients in the cells of a motion."""
    strength = np.square(gradients[0]) + np.square(gradients[1])
    cell = settings.cell
    belongs = np.repeat(np.repeat(weights > 0, cell, 0), cell, 1)
    strength = strength[: belongs.shape[0], : belongs.shape[1]] * belongs
    y, x = np.nonzero(strength > settings.texture**2)
    if len(y) > settings.pixels:
        chosen = np.arange(settings.pixels) * len(y) // settings.pixels
        y, x = y[chosen], x[chosen]
    return y, x


def _sample(image: Grey, x: Array, y: Array) -> Array:
    """Return the image between its pixels, bilinear; outside it repeats its border."""
    height, width = image.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left = np.minimum(x.astype(np.intp), max(0, width - 2))
    top = np.minimum(y.astype(np.intp), max(0, height - 2))
    a, b = x - left, y - top
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    above = image[top, left] * (1 - a) + image[top, right] * a
    below = image[bottom, left] * (1 - a) + image[bottom, right] * a
    sampled: Array = above * (1 - b) + below * b
    return sampled


def _product(left: Array, right: Array) -> Array:
    """Return the matrix product, without BLAS.

    The threads of NumPy's BLAS would spin against PyTorch's, which took 30 ms a frame.
    """
    return np.einsum("ij,jk->ik", left, right)  # type: ignore[no-any-return]
