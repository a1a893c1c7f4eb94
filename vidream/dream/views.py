"""Views: the jitter that the network sees an image under at one step, and its adjoint."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.images import Size, resize, size_of
from vidream.core.settings import DreamSettings
from vidream.core.view_transform import source_coordinates

_RIM = 16  # pixels seen beyond the image unless it wraps around, or the jitter if more


@dataclass(frozen=True, slots=True)
class View:
    """A shift, a rotation and a scaling about the centre, noise, and grey."""

    shift: Size = (0, 0)  # pixels down and right
    angle: float = 0.0  # degrees clockwise
    scale: float = 1.0
    noise: float = 0.0  # σ
    seed: int = 0  # of the noise
    grey: bool = False  # by the mean: under luminance all would grow green
    padding: str = "wrap"  # or reflect, replicate, zero: beyond the borders
    rim: int = 0  # pixels seen beyond the borders, on each side

    def apply(self, image: Tensor) -> Tensor:
        """Return what the network sees of ``[B, 3, H, W]``, larger by the rim."""
        seen = self._moved(image)
        if self.grey:
            seen = seen.mean(1, keepdim=True).expand_as(seen)
        if self.noise > 0:
            generator = torch.Generator().manual_seed(self.seed)
            seen = seen + self.noise * torch.randn(seen.shape, generator=generator).to(seen)
        return seen

    def restore(self, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to the image: the adjoint of :meth:`apply`."""
        if self.grey:
            gradient = gradient.mean(1, keepdim=True).expand_as(gradient)
        if self._rolls:
            return torch.roll(gradient, (-self.shift[0], -self.shift[1]), (-2, -1))
        height, width = gradient.shape[-2:]
        size = (*gradient.shape[:-2], height - 2 * self.rim, width - 2 * self.rim)
        # Linear, so that any image will do.
        image = gradient.new_zeros(size).requires_grad_(True)
        with torch.enable_grad():
            (restored,) = torch.autograd.grad(self._moved(image), image, gradient)
        return restored

    def locate(self, seen: Tensor) -> Tensor:
        """Resample a map of what is seen, ``[B, C, h, w]``, to the image; flat maps stay flat."""
        if self._rolls:
            return torch.roll(seen, (-self.shift[0], -self.shift[1]), (-2, -1))
        size = (seen.shape[-2] - 2 * self.rim, seen.shape[-1] - 2 * self.rim)
        down, right = self.shift
        turn = math.radians(self.angle)
        cosine, sine = self.scale * math.cos(turn), self.scale * math.sin(turn)
        offset = (cosine * down + sine * right, cosine * right - sine * down)
        beyond = "wrap" if self.padding == "wrap" else "replicate"
        return _sample(seen, size, _Similarity(1 / self.scale, -self.angle, offset), beyond)

    def locate_cells(self, cells: Tensor, size: Size) -> Tensor:
        """Return the cells over an image of that size from those over what is seen of it."""
        if self._rolls:  # by less than a cell
            return cells
        seen = self.size(size)
        pairs = zip(cells.shape[-2:], size, seen, strict=True)
        grid = [max(1, round(count * inner / outer)) for count, inner, outer in pairs]
        return F.adaptive_avg_pool2d(self.locate(resize(cells, seen)), (grid[0], grid[1]))

    def size(self, size: Size) -> Size:
        """Return the size of what is seen of an image of that size."""
        return size[0] + 2 * self.rim, size[1] + 2 * self.rim

    @property
    def _rolls(self) -> bool:
        """Whether it permutes pixels."""
        turns = self.angle != 0 or self.scale != 1
        return not turns and self.rim == 0 and self.padding == "wrap"

    def _moved(self, image: Tensor) -> Tensor:
        if self._rolls:
            return torch.roll(image, self.shift, (-2, -1))
        size = self.size(size_of(image))
        down, right = self.shift
        if self.angle != 0 or self.scale != 1:
            similarity = _Similarity(self.scale, self.angle, (-float(down), -float(right)))
            return _sample(image, size, similarity, self.padding)
        top, left = -(self.rim + down), -(self.rim + right)
        rows, columns = range(top, top + size[0]), range(left, left + size[1])
        return _extended(image, rows, columns, self.padding)


class _Similarity(NamedTuple):
    """A scaling and a rotation about the centre, and an offset."""

    scale: float
    angle: float  # degrees clockwise
    offset: tuple[float, float]  # pixels down and right, of where is sampled


def _sample(image: Tensor, size: Size, similarity: _Similarity, beyond: str) -> Tensor:
    """Transform an image, bilinear."""
    scale, angle, offset = similarity
    height, width = image.shape[-2:]
    across, down = source_coordinates(size, scale, angle, image.device)
    y, x = down + (height / 2 + offset[0]), across + (width / 2 + offset[1])
    # Corners lie farthest out. One pixel more, for interpolation.
    top, left = (math.floor(float(places.min())) - 1 for places in (y, x))
    bottom, right = (math.ceil(float(places.max())) + 1 for places in (y, x))
    rows, columns = range(min(top, 0), max(bottom, height)), range(min(left, 0), max(right, width))
    wide = _extended(image, rows, columns, beyond)
    y, x = (y - rows.start) * (2 / len(rows)) - 1, (x - columns.start) * (2 / len(columns)) - 1
    grid = torch.stack((x, y), -1)[None].expand(len(image), -1, -1, -1)
    return F.grid_sample(wide, grid.to(image.dtype), "bilinear", "zeros", align_corners=False)


def _extended(image: Tensor, rows: range, columns: range, beyond: str) -> Tensor:
    """Return rows and columns of an image, padded where they lie beyond it."""
    for dim, places in ((-2, rows), (-1, columns)):
        length = image.shape[dim]
        first = min(max(places.start, 0), length)
        last = max(first, min(places.stop, length))
        # To index all of it place by place would be slow.
        parts = [
            _beyond(image, dim, range(places.start, min(first, places.stop)), beyond),
            image.narrow(dim, first, last - first),
            _beyond(image, dim, range(max(last, places.start), places.stop), beyond),
        ]
        image = torch.cat(parts, dim)
    return image


def _beyond(image: Tensor, dim: int, places: range, beyond: str) -> Tensor:
    """Return rows or columns that all lie beyond an image."""
    where = torch.arange(places.start, max(places.start, places.stop), device=image.device)
    last = image.shape[dim] - 1
    if beyond == "wrap":
        where = where % (last + 1)
    elif beyond == "reflect" and last > 0:
        # About the centre of the last pixel, which is not repeated.
        where = last - (where % (2 * last) - last).abs()
    taken = image.index_select(dim, where.clamp(0, last))
    return torch.zeros_like(taken) if beyond == "zero" else taken


def draw_views(settings: DreamSettings, frame: int, count: int) -> list[View]:
    """Draw the views of ``count`` steps, by the seed and the frame's index alone."""
    seed, limit = settings.seed, settings.jitter
    generator = torch.Generator().manual_seed(_stream(seed, frame, 0))
    shifts = torch.randint(-limit, limit + 1, (count, 2), generator=generator).tolist()
    generator = torch.Generator().manual_seed(_stream(seed, frame, 1))
    turns = (torch.rand(count, 2, generator=generator, dtype=torch.float64) * 2 - 1).tolist()
    return [
        replace(
            view_at_rest(settings),
            shift=(down, right),
            angle=turn * settings.jitter_rotation,
            scale=(1 + settings.jitter_scale) ** grow,
            seed=_stream(seed, frame, 2 + step),
        )
        for step, ((down, right), (turn, grow)) in enumerate(zip(shifts, turns, strict=True))
    ]


def view_at_rest(settings: DreamSettings) -> View:
    """Return the view without jitter."""
    return View(
        noise=settings.jitter_noise,
        seed=settings.seed,
        grey=settings.grey,
        padding=settings.padding,
        rim=0 if settings.padding == "wrap" else max(_RIM, settings.jitter),
    )


def _stream(seed: int, frame: int, kind: int) -> int:
    """Return the seed of one kind of randomness of one frame."""
    # A 64-bit mix (the golden-ratio multiplier of Fibonacci hashing) keeps streams apart.
    mixed = seed * 0x9E3779B97F4A7C15 + frame * 0xD1B54A32D192ED03 + kind * 0xA0761D6478BD642F
    return mixed % 2**63
