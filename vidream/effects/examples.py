"""Pictures that frames are composed of: found, read, and made ready to be searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.effects.hypercolumns import Hypercolumns
from vidream.effects.nearest import Field, Match, block_means
from vidream.errors import DeviceError, InputError, reason
from vidream.frames import to_tensor
from vidream.images import Size, resize
from vidream.settings import ReadSettings
from vidream.stills import is_still, read_still

CELL = 4
"""Side in pixels of the blocks that are compared first: larger ones show in the result."""


_LONGEST = 4096
"""Pixels of an example's longer side at most: as floats larger ones would take a gigabyte each."""


def find_pictures(places: Sequence[str]) -> tuple[str, ...]:
    """List the pictures that files and folders hold, each once.

    Those of a folder are its PNG, JPEG and WebP files, by name; not those of folders in it, nor
    hidden ones.

    Raises:
        InputError: a folder holds no picture, or one cannot be read.
    """
    found: dict[Path, str] = {}
    for place in places:
        path = Path(place).expanduser()
        names = [str(path)]
        if path.is_dir():
            names = sorted(str(p) for p in _listed(path) if p.is_file() and is_still(p))
            names = [name for name in names if not Path(name).name.startswith(".")]
            if not names:
                raise InputError(
                    f"no examples: the folder {place} holds no PNG, JPEG or WebP: put pictures "
                    "into it"
                )
        for name in names:
            found.setdefault(Path(name).resolve(), name)
    return tuple(found.values())


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"no examples: the folder {folder} cannot be read: {reason(error)}"
        ) from error


def read_example(path: str) -> Tensor:
    """Read a picture, float32 ``[1, 3, H, W]`` RGB in [0, 1], on the CPU.

    Raises:
        InputError: there is no picture to read there.
    """
    try:
        return to_tensor(read_still(path, ReadSettings(max_side=_LONGEST)).image)
    except InputError as error:
        raise InputError(f"no example: {error}") from error


def scaled(size: Size, shorter: int, finer: float = 1.0) -> Size:
    """Give the size of a picture that is scaled down to that shorter side, if it is larger.

    Args:
        size: height and width in pixels.
        shorter: likewise.
        finer: what that size is then multiplied by.
    """
    factor = finer * min(1.0, shorter / min(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


@dataclass(frozen=True, slots=True)
class Look:
    """What is compared of a picture: hypercolumns of its pixels, and their colours.

    Args:
        columns: float32 ``[H, W, D]``.
        colors: float32 ``[H, W, 3]`` in [0, 1].
    """

    columns: Tensor = field(repr=False)
    colors: Tensor = field(repr=False)

    @classmethod
    def at(cls, image: Tensor, hypercolumns: Hypercolumns) -> Look:
        """Look at float ``[1, 3, H, W]`` RGB in [0, 1]."""
        return cls(hypercolumns.of(image), image[0].permute(1, 2, 0).contiguous())


class Library:
    """The examples, ready to be searched, for frames of one size.

    Args:
        pictures: paths, as :func:`find_pictures` gives them.
        shorter: side in pixels at which they are compared.
        finer: how many times larger frames are than when they are compared.
        hypercolumns: what is compared; learns from the pictures which directions to look at.
        room: bytes that all of it may take.

    Raises:
        InputError: a picture cannot be read.
        DeviceError: they do not fit.
    """

    def __init__(
        self,
        pictures: Sequence[str],
        shorter: int,
        finer: float,
        hypercolumns: Hypercolumns,
        device: torch.device,
        room: int,
    ) -> None:
        self._pictures, self._shorter, self._device = pictures, shorter, device
        hypercolumns.learn(small for _, small in self._read())
        self.fields: list[Field] = []
        sizes, colors, taken = [], [], 0
        for picture, small in self._read():
            self.fields.append(as_keys(Look.at(small, hypercolumns)))
            height, width = small.shape[-2:]
            # Of its own size: that at which it is compared is rounded.
            size = scaled((picture.shape[-2], picture.shape[-1]), self._shorter, finer)
            levels = resize(picture, size)[0].permute(1, 2, 0).mul(255).round_()
            colors.append(levels.clamp_(0, 255).to(torch.uint8).flatten(0, 1))
            sizes.append((height, width, *size))
            taken += self.fields[-1].nbytes + colors[-1].nbytes
            if taken > room:
                raise DeviceError(
                    f"{len(pictures)} examples take more than the {room / 2**30:.1f} GiB that "
                    "there are for them: give fewer, or a smaller example-size or match-size"
                )
        self._sizes = torch.tensor(sizes, device=device)
        self._colors = torch.cat(colors)
        counts = torch.tensor([len(c) for c in colors], device=device)
        self._begins = counts.cumsum(0) - counts

    def _read(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give each picture, and at the size at which it is compared."""
        for path in self._pictures:
            picture = read_example(path).to(self._device)
            size = scaled((picture.shape[-2], picture.shape[-1]), self._shorter)
            yield picture, resize(picture, size)

    def compose(self, match: Match, size: Size) -> Tensor:
        """Copy the pixels that were found, ``[1, 3, H, W]``.

        In a frame that is larger than when it was compared, each pixel found brings the square of
        finer ones that it stands for.
        """
        rows, down = _inside(size[0], match.row.shape[0], self._device)
        columns, right = _inside(size[1], match.row.shape[1], self._device)
        example, row, column = (
            part[rows][:, columns] for part in (match.example, match.row, match.column)
        )
        height, width, fine_height, fine_width = self._sizes[example].unbind(-1)
        fine_row = ((row + down.unsqueeze(1)) * fine_height / height).long()
        fine_column = ((column + right) * fine_width / width).long()
        fine_row, fine_column = (
            fine_row.clamp_max_(fine_height - 1),
            fine_column.clamp_max_(fine_width - 1),
        )
        places = self._begins[example] + fine_row * fine_width + fine_column
        return (self._colors[places].float() / 255).permute(2, 0, 1).unsqueeze(0)


def _inside(length: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tell in which of ``count`` pixels those of a finer line lie, and where in it, 0 to 1."""
    places = (torch.arange(length, device=device, dtype=torch.float64) + 0.5) * (count / length)
    pixels = places.long().clamp_max_(count - 1)
    return pixels, places - pixels


# A scalar product that is also less by ``w · |c − c'|²``, c and c' the colours, up to what is the
# same for all keys: 2w·c·c' − w·|c'|² is the product of (2w·c, −w) and (c', |c'|²).


def as_keys(look: Look) -> Field:
    """Make the field of an example."""
    square = look.colors.square().sum(-1, keepdim=True)
    return _field(look.columns, torch.cat((look.colors, square), -1))


def as_query(look: Look, colors: Tensor, weight: Tensor) -> Field:
    """Make the field of a frame.

    Args:
        look: of the frame.
        colors: float ``[H, W, 3]``: what its pixels shall look like.
        weight: float ``[H, W, 1]``: what a squared distance from these takes off the similarity.
    """
    return _field(look.columns, torch.cat((2 * weight * colors, -weight), -1))


def _field(columns: Tensor, rest: Tensor) -> Field:
    """Put a field together; the hypercolumns of blocks are as long as those of pixels.

    A mean is the shorter the more is in it: even ground would be most like everything.
    """
    means = F.normalize(block_means(columns, CELL), dim=-1) * columns[:1, :1].norm()
    blocks = torch.cat((means, block_means(rest, CELL)), -1)
    return Field(torch.cat((columns, rest), -1), blocks)
