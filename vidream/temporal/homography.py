"""Homographies: 3×3 float64 matrices that map pixels ``(x, y, 1)`` of one frame to another's."""

import numpy as np
import numpy.typing as npt

from vidream.core.images import Size
from vidream.temporal.flow import FlowArray

Array = npt.NDArray[np.float64]

_MIN_DEPTH = 1e-3  # beyond the horizon a homography turns the picture over


def homography_flow(matrix: Array, height: int, width: int) -> FlowArray:
    """Return the displacements ``[H, W, 2]`` of a homography, float32, in pixels."""
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    (a, b, c), (d, e, f), (g, h, i) = matrix.astype(np.float32)
    moved = np.empty((2, height, width), np.float32)
    moved[0], moved[1] = (a * x + c) + b * y, (d * x + f) + e * y
    if g or h:
        depth = (g * x + i) + h * y
        depth[np.abs(depth) < _MIN_DEPTH] = _MIN_DEPTH
        moved /= depth
    moved[0] -= x
    moved[1] -= y
    return moved.transpose(1, 2, 0)


def map_points(matrix: Array, points: Array) -> Array:
    """Return where a homography leads from points ``[N, 2]``."""
    mapped = matmul(np.c_[points, np.ones(len(points))], matrix.T)
    depth = np.where(np.abs(mapped[:, 2:]) < _MIN_DEPTH, _MIN_DEPTH, mapped[:, 2:])
    return mapped[:, :2] / depth


def flow_distance(matrix: Array, points: Array, flow: Array) -> Array:
    """Return how far each point's flow ``[N, 2]`` is from where the homography leads, ``[N]``."""
    return np.linalg.norm(map_points(matrix, points) - points - flow, axis=1)  # type: ignore[no-any-return]


def mean_distance(matrix: Array, other: Array, size: Size) -> float:
    """Return how far apart two homographies lead, in pixels, on average over a picture."""
    y, x = np.mgrid[0 : size[0] - 1 : 5j, 0 : size[1] - 1 : 5j]
    points = np.stack((x.ravel(), y.ravel()), 1)
    return float(flow_distance(matrix, points, map_points(other, points) - points).mean())


def matmul(left: Array, right: Array) -> Array:
    """Return the matrix product, without BLAS.

    The threads of NumPy's BLAS would spin against PyTorch's, which took 30 ms a frame.
    """
    return np.einsum("ij,jk->ik", left, right)  # type: ignore[no-any-return]
