"""Parametric motion of the whole picture: the camera's, and that of large objects before it.

Homographies are found by RANSAC over the flow of textured cells, one after another on what is left
(Torr 1998), and refined on the pictures (:mod:`vidream.temporal.alignment`), which is several times
more accurate. Deterministic: the random samples have a fixed seed.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from vidream.core.images import Size
from vidream.temporal.alignment import Grey, GreyPair, align
from vidream.temporal.flow import FlowArray
from vidream.temporal.homography import Array, flow_distance, matmul, mean_distance


@dataclass(frozen=True, slots=True)
class GlobalMotionSettings:
    """Constants of the search. Lengths are in pixels of the flow's grid."""

    cell: int = 8  # side of the cells that vote
    texture: float = 2 / 255  # gradient of brightness per pixel at which a cell has half confidence
    min_confidence: float = 0.2  # of a cell that votes
    samples: int = 96  # of RANSAC, of two cells each
    min_baseline: float = 0.1  # distance between the two, over half the picture's longer side
    max_voters: int = 500  # cells that samples are judged by
    tolerance: float = 0.6  # distance of a cell's flow from a motion that explains it,
    relative_tolerance: float = 0.02  # and on top of that, as a share of the flow's length
    reweightings: int = 5  # of the least-squares fit to the cells that a motion explains
    min_cells: int = 12  # that a motion explains
    min_share: float = 0.05  # of all confidence, that a motion explains
    max_motions: int = 2  # besides standing still
    still: float = 0.05  # mean displacement up to which a motion is standing still
    still_bonus: float = 0.03  # share of all votes by which standing still may do worse
    still_extent: float = 0.35  # of standing still where no cell shows it


SETTINGS = GlobalMotionSettings()


def fit_global_motions(flow: FlowArray, current: Grey, earlier: Grey) -> list[Array]:
    """Return homographies that explain the flow, the background's first, the identity among them.

    Args:
        flow: finite ``[H, W, 2]``, from the current picture to the earlier one.
        current: brightness in [0, 1], ``[H, W]``.
        earlier: likewise.
    """
    size = (current.shape[0], current.shape[1])
    rows, columns = size[0] // SETTINGS.cell, size[1] // SETTINGS.cell
    if rows * columns < SETTINGS.min_cells:
        return [np.eye(3)]
    pictures = GreyPair.of(current, earlier)
    cells = _Cells.of(flow, pictures)
    min_votes = SETTINGS.min_share * cells.votes.sum()
    found: list[tuple[float, Array]] = []
    still_extent = SETTINGS.still_extent
    for _ in range(SETTINGS.max_motions + 1):
        fitted = _fit_similarity(cells, min_votes, size)
        if fitted is None or len(found) == SETTINGS.max_motions:
            break
        matrix, votes = fitted
        votes = votes.reshape(rows, columns)
        region = np.repeat(np.repeat(votes > 0, SETTINGS.cell, 0), SETTINGS.cell, 1)
        refined = None
        if not _is_still(matrix, size):
            refined = align(matrix, pictures, region)
            matrix = matrix if refined is None else refined
        if _is_still(matrix, size):
            still_extent = max(still_extent, _extent(votes))
        elif refined is not None:
            found.append((_extent(votes), matrix))
        explained = flow_distance(matrix, cells.points, cells.flow) < 2 * cells.tolerance
        cells = replace(cells, votes=np.where(explained, 0.0, cells.votes))
    motions = [(still_extent, np.eye(3)), *found]
    return [matrix for _, matrix in sorted(motions, key=lambda motion: -motion[0])]


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells that vote."""

    points: Array  # their centres, x and y, [N, 2]
    flow: Array  # mean flow, right and down, [N, 2]
    tolerance: Array  # distance from a motion that explains it, [N]
    votes: Array  # confidence, 0 to 1, [N]; 0 where it is too small, or a motion is found already

    @classmethod
    def of(cls, flow: FlowArray, pictures: GreyPair) -> Self:
        confidence = _cell_confidence(pictures)
        y, x = np.mgrid[: confidence.shape[0], : confidence.shape[1]] * float(SETTINGS.cell)
        points = np.stack((x.ravel(), y.ravel()), 1) + (SETTINGS.cell - 1) / 2
        mean = _cell_means(flow, SETTINGS.cell).reshape(-1, 2)
        length = np.linalg.norm(mean, axis=1)
        tolerance = SETTINGS.tolerance + SETTINGS.relative_tolerance * length
        votes = np.where(confidence > SETTINGS.min_confidence, confidence, 0.0).ravel()
        return cls(points, mean, tolerance, votes)

    def select(self, chosen: npt.NDArray[np.intp]) -> "_Cells":
        """Return some of the cells."""
        parts = (self.points, self.flow, self.tolerance, self.votes)
        return _Cells(*(part[chosen] for part in parts))


def _cell_means(values: npt.NDArray[np.floating], cell: int) -> Array:
    """Average over square cells; what is left at the right and below belongs to none."""
    rows, columns = values.shape[0] // cell, values.shape[1] // cell
    cut = values[: rows * cell, : columns * cell].reshape(rows, cell, columns * cell, -1)
    sums = cut.sum(1).reshape(rows, columns, cell, -1).sum(2, dtype=np.float64)
    return sums / cell**2  # type: ignore[no-any-return]


def _cell_confidence(pictures: GreyPair) -> Array:
    """Return how well flow is determined in each cell, 0 to 1, by its structure tensor."""
    down, right = pictures.down, pictures.right
    products = np.stack((down * down, right * right, down * right), -1)
    yy, xx, xy = np.moveaxis(_cell_means(products, SETTINGS.cell), -1, 0)
    smaller = (yy + xx) / 2 - np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    return smaller / (smaller + SETTINGS.texture**2)  # type: ignore[no-any-return]


def _extent(votes: Array) -> float:
    """Return how far across the picture the cells of a motion lie, 0 to 1."""
    sides = []
    for axis in (0, 1):
        share = np.cumsum(votes.sum(axis)) / votes.sum()
        sides.append((np.searchsorted(share, 0.95) - np.searchsorted(share, 0.05) + 1) / len(share))
    return float(max(sides) * np.sqrt(sides[0] * sides[1]))


def _is_still(matrix: Array, size: Size) -> bool:
    """Return whether a homography moves the picture by next to nothing."""
    return mean_distance(matrix, np.eye(3), size) < SETTINGS.still


def _fit_similarity(cells: _Cells, min_votes: float, size: Size) -> tuple[Array, Array] | None:
    """Return a similarity and the votes of the cells it explains, ``[N]``; None without any."""
    usable = np.flatnonzero(cells.votes)
    if len(usable) < SETTINGS.min_cells or cells.votes.sum() < min_votes:
        return None
    # In units of half the frame's length, about its centre: well conditioned.
    unit, centre = max(size) / 2, np.array(size[::-1]) / 2 - 0.5
    voters = cells.select(usable)
    model = _Similarities.at((voters.points - centre) / unit)
    best = _ransac(voters, model)
    for _ in range(SETTINGS.reweightings):
        best = _reweighted_fit(voters, model, best)
    close = _squared_errors(voters, model, best) < 1
    if close.sum() < SETTINGS.min_cells or voters.votes[close].sum() < min_votes:
        return None
    votes = np.zeros(len(cells.votes))
    votes[usable[close]] = voters.votes[close]
    turn = np.array([[best[0], -best[1]], [best[1], best[0]]]) / unit
    matrix = np.eye(3)
    matrix[:2, :2] += turn
    matrix[:2, 2] = best[2:] - turn @ centre
    return matrix, votes


@dataclass(frozen=True, slots=True)
class _Similarities:
    """Displacements of points by similarities ``(scale · cos − 1, scale · sin, right, down)``.

    They are linear in these four.
    """

    points: Array  # [N, 2]
    right: Array  # coefficients of the displacement right, [N, 4]
    down: Array  # and down

    @classmethod
    def at(cls, points: Array) -> Self:
        zero, one = np.zeros(len(points)), np.ones(len(points))
        x, y = points.T
        return cls(points, np.stack((x, -y, one, zero), 1), np.stack((y, x, zero, one), 1))


def _ransac(cells: _Cells, model: _Similarities) -> Array:
    """Return the similarity, ``[4]``, that most cells vote for."""
    chance = cells.votes / cells.votes.sum()
    random = np.random.default_rng(0)
    pairs = random.choice(len(cells.votes), (SETTINGS.samples, 2), p=chance)
    systems = np.concatenate((model.right[pairs], model.down[pairs]), 1)  # [S, 4, 4]
    wanted = np.concatenate((cells.flow[pairs, 0], cells.flow[pairs, 1]), 1)
    baseline = np.linalg.norm(model.points[pairs[:, 0]] - model.points[pairs[:, 1]], axis=1)
    apart = baseline > SETTINGS.min_baseline
    # Standing still is one hypothesis of all.
    hypotheses = np.zeros((1 + int(apart.sum()), 4))
    hypotheses[1:] = np.linalg.solve(systems[apart], wanted[apart][..., None])[..., 0]
    some = np.arange(0, len(cells.votes), -(-len(cells.votes) // SETTINGS.max_voters))
    right = matmul(hypotheses, model.right[some].T) - cells.flow[some, 0]
    down = matmul(hypotheses, model.down[some].T) - cells.flow[some, 1]
    errors = (np.square(right) + np.square(down)) / cells.tolerance[some] ** 2
    votes = cells.votes[some]
    cost = matmul(np.minimum(errors, 1.0), votes[:, None])[:, 0] / votes.sum()
    cost[0] -= SETTINGS.still_bonus
    return hypotheses[int(cost.argmin())]  # type: ignore[no-any-return]


def _squared_errors(cells: _Cells, model: _Similarities, similarity: Array) -> Array:
    """Return squared distances of the flow from a similarity, over the tolerance's, ``[N]``."""
    right = matmul(model.right, similarity[:, None])[:, 0] - cells.flow[:, 0]
    down = matmul(model.down, similarity[:, None])[:, 0] - cells.flow[:, 1]
    return (right**2 + down**2) / cells.tolerance**2


def _reweighted_fit(cells: _Cells, model: _Similarities, similarity: Array) -> Array:
    """Return the least-squares fit to the cells near a similarity, by Tukey's weights."""
    errors = _squared_errors(cells, model, similarity)
    weights = cells.votes * np.square(np.clip(1 - errors / 4, 0, None))
    right, down = model.right * weights[:, None], model.down * weights[:, None]
    normal = matmul(model.right.T, right) + matmul(model.down.T, down) + 1e-6 * np.eye(4)
    wanted = matmul(right.T, cells.flow[:, :1]) + matmul(down.T, cells.flow[:, 1:])
    return np.linalg.solve(normal, wanted)[:, 0].astype(np.float64, copy=False)
