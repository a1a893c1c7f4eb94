"""Example pictures: found, read, and prepared for the search."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.errors import DeviceError, InputError, describe_error, prefix_errors
from vidream.core.images import Size, resize, size_of, to_tensor
from vidream.core.settings import ReadSettings
from vidream.effects.hypercolumns import Hypercolumns
from vidream.effects.nearest import FeatureGrid, Match, block_means
from vidream.media.places import is_picture
from vidream.media.stills import read_still

CELL = 4
"""Side in pixels of the blocks that are compared first: larger ones show in the result."""

_MAX_SIDE = 4096  # pixels: as floats larger examples would take a gigabyte each


def find_pictures(places: Sequence[str]) -> tuple[str, ...]:
    """List the pictures of files and folders, each once; of folders by name, without hidden ones.

    Raises:
        InputError: a folder holds no picture, or cannot be read.
    """
    found: dict[Path, str] = {}
    for place in places:
        path = Path(place).expanduser()
        for name in _pictures_in(path) if path.is_dir() else [str(path)]:
            found.setdefault(Path(name).resolve(), name)
    return tuple(found.values())


def _pictures_in(folder: Path) -> list[str]:
    try:
        files = [p for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError as error:
        raise InputError(
            f"no examples: the folder {folder} cannot be read: {describe_error(error)}"
        ) from error
    names = sorted(str(p) for p in files if p.is_file() and is_picture(p))
    if not names:
        raise InputError(
            f"no examples: the folder {folder} holds no PNG, JPEG or WebP: put pictures into it"
        )
    return names


def read_example(path: str) -> Tensor:
    """Read a picture, float32 ``[1, 3, H, W]`` RGB in [0, 1], on the CPU; may raise InputError."""
    with prefix_errors("no example"):
        return to_tensor(read_still(path, ReadSettings(max_side=_MAX_SIDE)).image)


def scaled(size: Size, shorter: int, finer: float = 1.0) -> Size:
    """Return the size of a picture scaled down to that shorter side, if larger, times ``finer``."""
    factor = finer * min(1.0, shorter / min(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


class Library:
    """The examples, prepared for frames of one size.

    Args:
        pictures: paths.
        shorter: side in pixels at which they are compared.
        finer: size of frames over that at which they are compared.
        hypercolumns: learns its principal components from the pictures.
        max_bytes: of all.

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
        max_bytes: int,
    ) -> None:
        self._pictures, self._shorter = pictures, shorter
        self._device = device = hypercolumns.device
        hypercolumns.learn(small for _, small in self._read())
        self.grids: list[FeatureGrid] = []
        sizes, colors, taken = [], [], 0
        for picture, small in self._read():
            self.grids.append(as_keys(hypercolumns.of(small), small[0].permute(1, 2, 0)))
            height, width = small.shape[-2:]
            # Of its own size: that at which it is compared is rounded.
            size = scaled(size_of(picture), self._shorter, finer)
            levels = resize(picture, size)[0].permute(1, 2, 0).mul(255).round_()
            colors.append(levels.clamp_(0, 255).to(torch.uint8).flatten(0, 1))
            sizes.append((height, width, *size))
            taken += self.grids[-1].nbytes + colors[-1].nbytes
            if taken > max_bytes:
                raise DeviceError(
                    f"{len(pictures)} examples take more than the {max_bytes / 2**30:.1f} GiB that "
                    "there are for them: give fewer, or a smaller `example_size` or `match_size`"
                )
        self._sizes = torch.tensor(sizes, device=device)
        self._colors = torch.cat(colors)
        counts = torch.tensor([len(c) for c in colors], device=device)
        self._begins = counts.cumsum(0) - counts

    def _read(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each picture, and the same at the size at which it is compared."""
        for path in self._pictures:
            picture = read_example(path).to(self._device)
            size = scaled(size_of(picture), self._shorter)
            yield picture, resize(picture, size)

    def compose(self, match: Match, size: Size) -> Tensor:
        """Copy the matches at the full size of the frame, ``[1, 3, H, W]``."""
        rows, down = _inside(size[0], match.row.shape[0], self._device)
        columns, right = _inside(size[1], match.row.shape[1], self._device)
        example, row, column = (
            part[rows][:, columns] for part in (match.example, match.row, match.column)
        )
        height, width, fine_height, fine_width = self._sizes[example].unbind(-1)
        fine_row = ((row + down.unsqueeze(1)) * fine_height / height).long()
        fine_row = fine_row.clamp_max_(fine_height - 1)
        fine_column = ((column + right) * fine_width / width).long().clamp_max_(fine_width - 1)
        places = self._begins[example] + fine_row * fine_width + fine_column
        return (self._colors[places].float() / 255).permute(2, 0, 1).unsqueeze(0)


def _inside(length: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return in which of ``count`` pixels those of a finer line lie, and where in it, 0 to 1."""
    places = (torch.arange(length, device=device, dtype=torch.float64) + 0.5) * (count / length)
    pixels = places.long().clamp_max_(count - 1)
    return pixels, places - pixels


# To take w·|c − c'|² off the scalar product, c and c' the colours, up to what is the same for all
# keys: 2w·c·c' − w·|c'|² is the product of (2w·c, −w) and (c', |c'|²).


def as_keys(columns: Tensor, colors: Tensor) -> FeatureGrid:
    """Return the grid of an example: hypercolumns and colours, ``[H, W, D]`` and ``[H, W, 3]``."""
    return _grid(columns, torch.cat((colors, colors.square().sum(-1, keepdim=True)), -1))


def as_query(columns: Tensor, colors: Tensor, weight: Tensor) -> FeatureGrid:
    """Return the grid of a frame; ``weight``, ``[H, W, 1]``, is that of the distance to colours."""
    return _grid(columns, torch.cat((2 * weight * colors, -weight), -1))


def _grid(columns: Tensor, rest: Tensor) -> FeatureGrid:
    # Means of varied blocks are shorter: flat ones would be nearest to everything.
    means = F.normalize(block_means(columns, CELL), dim=-1) * columns[:1, :1].norm()
    blocks = torch.cat((means, block_means(rest, CELL)), -1)
    return FeatureGrid(torch.cat((columns, rest), -1), blocks)
