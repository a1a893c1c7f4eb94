"""The warping error of clips whose motion is known (``benchmarks/true_motion.py``).

Optical flow is undetermined on sky and walls, and cannot judge a dream there.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.errors import InputError, describe_error, prefix_errors
from vidream.core.frames import Picture
from vidream.core.images import to_tensor

REGIONS = ("all", "flat", "front")
"""Everywhere, where the scene shows no texture, and on what moves in front of it."""

Matrix = npt.NDArray[np.float64]
"""A homography ``[3, 3]``, from pixels ``(x, y, 1)`` to pixels."""

_FLAT = 0.7  # of the map of untextured regions
_HIDDEN, _SHOWN = 0.01, 0.99  # opacity of the cut-out up to which it is gone, from which whole
_SINGULAR = 1e-9  # determinant of a matrix without an inverse
_MARGIN = 2  # pixels inside the border, beyond which bicubic interpolation reaches


@dataclass(frozen=True, slots=True)
class TrueError:
    """The warping error of a frame at one lag, by true motion."""

    lag: int  # in frames
    region: str  # one of REGIONS
    dream: float  # mean squared error of the dream over the region, RGB in [0, 1]
    source: float  # of the source: the floor
    pixels: int  # number of pixels visible in both frames


@dataclass(frozen=True, slots=True)
class TrueMotion:
    """The motion of a clip: a scene before a camera, and optionally a cut-out moving in front."""

    size: tuple[int, int]  # width and height of the frames
    back: tuple[Matrix, ...] = field(repr=False)  # homographies, frame to scene
    front: tuple[Matrix, ...] = field(default=(), repr=False)  # frame to cut-out; empty without one
    cut: int = 0  # side in pixels of the square around the oval cut-out
    flat: Tensor | None = field(default=None, repr=False)  # [1, 1, h, w] of the scene, 1 = flat

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read JSON, and ``STEM.flat.npy`` in the same folder if it exists.

        The JSON has the keys ``size`` ([width, height]) and ``back`` (a 3×3 matrix for each frame),
        and with a cut-out ``front`` (likewise) and ``cut``.

        Raises:
            InputError: a file is unreadable or malformed; begins "true motion".
        """
        with prefix_errors("true motion"):
            return cls(**_parse(Path(path)), flat=_read_flat(Path(path).with_suffix(".flat.npy")))

    def errors(
        self, index: int, lag: int, now: Sequence[Picture], then: Sequence[Picture]
    ) -> tuple[TrueError, ...]:
        """Return the errors of a frame against the one ``lag`` frames earlier, by visible region.

        Each frame is its source and its dream, uint8 ``[H, W, 3]`` RGB of :attr:`size`.

        Raises:
            InputError: the pictures are of another size, or the true motion is too short.
        """
        self._check(index, now[0])
        source, dream, earlier_source, earlier_dream = map(to_tensor, (*now, *then))
        earlier = torch.cat((earlier_source, earlier_dream), 1)
        current = torch.cat((source, dream), 1)
        # Source, dream and pixels, by region.
        sums = {name: torch.zeros(3, dtype=torch.float64) for name in REGIONS}
        for places, regions in self._layers(index, index - lag):
            squared = (sample_at(earlier, places) - current).square().double()
            for name, mask in regions.items():
                shown = torch.where(mask, squared, 0.0)  # what lies at infinity is not finite
                found = [shown[:, k : k + 3].sum() / 3 for k in (0, 3)]
                sums[name] += torch.stack((*found, mask.sum(dtype=torch.float64)))
        return tuple(
            TrueError(lag, name, float(dream / n), float(source / n), int(n))
            for name, (source, dream, n) in sums.items()
            if n
        )

    def _check(self, index: int, picture: Picture) -> None:
        width, height = self.size
        if picture.shape[:2] != (height, width):
            raise InputError(
                f"true motion: it is of {width}×{height} and the dream "
                f"{picture.shape[1]}×{picture.shape[0]}: dream at the clip's own size"
            )
        if index >= len(self.back):
            raise InputError(
                f"true motion: it ends after {len(self.back)} frames, before the dream: give that "
                "of the clip that it was made of"
            )

    def _layers(self, index: int, earlier: int) -> Iterator[tuple[Matrix, dict[str, Tensor]]]:
        """Yield for scene and cut-out each pixel's earlier place, and masks by region.

        Masks are bool ``[1, 1, H, W]``: pixels visible in both frames.
        """
        front = self._opacity(index)
        places = self._places(np.linalg.inv(self.back[earlier]) @ self.back[index])
        seen = self._inside(places) & (front < _HIDDEN)
        seen &= sample_at(self._opacity(earlier), places, "bilinear", "zeros") < _HIDDEN
        parts = {"all": seen}
        if self.flat is not None:
            on_scene = self._places(self.back[index])
            parts["flat"] = seen & (sample_at(self.flat, on_scene, padding="reflection") > _FLAT)
        yield places, parts
        if self.front:
            places = self._places(np.linalg.inv(self.front[earlier]) @ self.front[index])
            seen = self._inside(places) & (front > _SHOWN)
            seen &= sample_at(self._opacity(earlier), places, "bilinear", "zeros") > _SHOWN
            yield places, {"all": seen, "front": seen}

    def _places(self, matrix: Matrix) -> Matrix:
        """Return the x and y that a homography maps each pixel to, ``[2, H, W]``."""
        width, height = self.size
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        moved: Matrix = np.tensordot(matrix, np.stack((x, y, np.ones_like(x))), 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            moved /= moved[2].copy()
        return moved[:2]

    def _inside(self, places: Matrix) -> Tensor:
        x, y = (torch.from_numpy(axis).expand(1, 1, -1, -1) for axis in places)
        width, height = self.size
        across = (x > _MARGIN) & (x < width - 1 - _MARGIN)
        return across & (y > _MARGIN) & (y < height - 1 - _MARGIN)

    def _opacity(self, index: int) -> Tensor:
        """Return the opacity of the cut-out in a frame, ``[1, 1, H, W]``."""
        if not self.front:
            return torch.zeros(1, 1, *self.size[::-1])
        return sample_at(oval(self.cut), self._places(self.front[index]), padding="zeros")


def oval(cut: int) -> Tensor:
    """Return the opacity of a cut-out, ``[1, 1, cut, cut]`` in [0, 1], soft over four pixels."""
    y, x = np.mgrid[0:cut, 0:cut] / (cut - 1) * 2 - 1
    opacity = np.clip((1 - np.hypot(x, y * 0.85)) * cut / 4, 0, 1)
    return torch.from_numpy(opacity.astype(np.float32))[None, None]


def sample_at(
    image: Tensor, places: Matrix, mode: str = "bicubic", padding: str = "border"
) -> Tensor:
    """Sample an image ``[1, C, h, w]`` at x and y in its pixels, ``[2, H, W]``.

    Mode and padding are those of :func:`torch.nn.functional.grid_sample`.
    """
    sides = np.array(image.shape[:-3:-1]).reshape(2, 1, 1)
    grid = torch.from_numpy((places + 0.5) * 2 / sides - 1).to(image.dtype)
    return F.grid_sample(image, grid.permute(1, 2, 0)[None], mode, padding, align_corners=False)


def _parse(path: Path) -> dict[str, Any]:
    try:
        given = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read {path}: {describe_error(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: give the file made with the clip") from error
    try:
        width, height = (int(side) for side in given["size"])
        back, front = (_matrices(given.get(name, [])) for name in ("back", "front"))
        cut = int(given["cut"]) if front else 0
        fits = min(width, height) > 0 and back and (not front or cut > 1)
        if not fits or len(front) not in (0, len(back)):
            raise ValueError
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not true motion: it has size, [width, height], and back, an invertible 3×3 "
            "matrix for each frame; with a cut-out also as many in front, and cut, its side"
        ) from error
    return {"size": (width, height), "back": back, "front": front, "cut": cut}


def _matrices(given: Any) -> tuple[Matrix, ...]:
    found = tuple(np.array(matrix, np.float64) for matrix in given)
    for matrix in found:
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise ValueError
        if abs(np.linalg.det(matrix)) < _SINGULAR:
            raise ValueError
    return found


def _read_flat(path: Path) -> Tensor | None:
    if not path.exists():
        return None
    try:
        flat = np.load(path, allow_pickle=False).astype(np.float32)
    except OSError as error:
        raise InputError(f"cannot read {path}: {describe_error(error)}") from error
    except (EOFError, ValueError) as error:
        raise InputError(f"{path} is not a map of numbers: make it anew, or delete it") from error
    if flat.ndim != 2 or not flat.size or not np.isfinite(flat).all():
        raise InputError(f"{path} is not a map of numbers, height by width: make it anew")
    return torch.from_numpy(flat)[None, None]
