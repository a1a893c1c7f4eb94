"""Composes frames of the pixels of example pictures.

After Bansal, Sheikh, Ramanan 2017, "PixelNN: Example-based Image Synthesis": each pixel takes its
colour from its nearest neighbour, as several layers of a network see it. Unlike there, frames are
looked up as they are, and not what a network has regressed first; the search is over parts of the
examples and not over whole ones; and neighbours are held steady along the motion of the scene.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from vidream.dreamer import choose_precision, working_device
from vidream.dreamer.memory import budget
from vidream.effects.examples import (
    CELL,
    Library,
    Look,
    as_query,
    find_pictures,
    read_example,
    scaled,
)
from vidream.effects.hypercolumns import Hypercolumns
from vidream.effects.nearest import match
from vidream.errors import SettingsError
from vidream.images import Size, resize
from vidream.networks import Network, load_network
from vidream.settings import DreamSettings, ExampleSettings, LayerTerm
from vidream.temporal import Memo, Start

_log = logging.getLogger(__name__)

LAYERS = {
    "inception": ("Conv2d_1a_3x3", "Conv2d_2b_3x3", "Mixed_5b"),
    "vgg19": ("relu1_2", "relu2_2", "relu4_1"),
}
"""Layers that are compared unless others are named: edges and colours, textures, parts."""

_HELD = 1.0  # similarity that a squared distance from the carried colour takes off; more sticks
_LEAST_ROOM, _MOST_ROOM = 2**24, 2**27  # bytes; more than this is no faster
_LEAST_PIXELS = 2**10  # of a frame that are compared, however little memory there is
_BYTES = 2**12  # for each pixel of a frame that is compared: network, hypercolumns and copies


class PixelNN:
    """Example-based synthesis as a processor.

    Args:
        settings: network, layers and weights, device, precision, memory and coherence.
        examples: the pictures, and how they are searched.
        network: with the layers, in the precision that it is in; loaded by default.
        on_download: called with bytes so far and bytes in all, should weights be downloaded.

    Raises:
        SettingsError: there is no example, or layers are to be named.
        InputError: an example cannot be read.
        NetworkError: there is no such network or layer.
        WeightsError: the weights cannot be had or do not fit.
        DeviceError: the device is not there.
    """

    recurrent = True

    def __init__(
        self,
        settings: DreamSettings,
        examples: ExampleSettings,
        *,
        network: Network | None = None,
        on_download: Callable[[int, int | None], None] | None = None,
    ) -> None:
        if not examples.examples:
            raise SettingsError(
                "the effect pixelnn composes frames of pictures: add --examples FOLDER"
            )
        self.settings, self.examples, self._carry = settings, examples, settings.carried_share
        self.device = working_device(settings.device)
        terms = _terms(settings)
        self._pictures = find_pictures(examples.examples)
        for path in self._pictures:
            read_example(path)  # what cannot be read is said at once, and not at the first frame
        dtype = choose_precision(settings.precision, self.device)
        names = [term.layer for term in terms]
        self._hypercolumns = Hypercolumns(
            network
            or load_network(settings.network, names, settings.weights, self.device, on_download).to(
                dtype
            ),
            terms,
        )
        self._ready: tuple[Size, Size, Library] | None = None

    @torch.no_grad()
    def process(self, start: Start, source: Tensor, index: int) -> tuple[Tensor, Memo]:  # noqa: ARG002
        """Compose a frame of any size, float ``[1, 3, H, W]`` RGB in [0, 1]."""
        image = source.to(self.device)
        size = (image.shape[-2], image.shape[-1])
        compared, library = self._prepared(size)
        look = Look.at(resize(image, compared), self._hypercolumns)
        found = match(
            as_query(look, *self._wanted(start, source, compared)),
            library.fields,
            cell=CELL,
            places=self.examples.match_places,
            reach=self.examples.match_reach,
            room=min(_MOST_ROOM, max(_LEAST_ROOM, self._budget() // 2)),
        )
        return library.compose(found, size).to(source.device), ()

    def _wanted(self, start: Start, source: Tensor, size: Size) -> tuple[Tensor, Tensor]:
        """Give the colours that pixels had in the frame before, and how much that counts."""
        carried, sure = start.apart(source, self._carry)
        colors, weight = (
            resize(part.to(self.device), size)[0].permute(1, 2, 0)
            for part in (carried, _HELD * self._carry * sure)
        )
        return colors, weight

    def _prepared(self, size: Size) -> tuple[Size, Library]:
        """Give the size at which frames of that size are compared, and the examples for them.

        They are made ready at the first frame: it says how large things are in them.
        """
        if self._ready is None or self._ready[0] != size:
            self._ready = None
            compared = self._compared(size)
            library = Library(
                self._pictures,
                self.examples.example_size or min(compared),
                min(size) / min(compared),
                self._hypercolumns,
                self.device,
                self._budget() // 2,
            )
            self._ready = size, compared, library
        return self._ready[1:]

    def _compared(self, size: Size) -> Size:
        """Give the size at which a frame is compared: as asked for, as far as memory allows."""
        wanted = scaled(size, self.examples.match_size)
        most = max(_LEAST_PIXELS, self._budget() // 4 // _BYTES)
        if wanted[0] * wanted[1] <= most:
            return wanted
        fitting = scaled(
            wanted, max(1, round(min(wanted) * (most / (wanted[0] * wanted[1])) ** 0.5))
        )
        _log.warning("there is memory to compare frames at %d×%d only", fitting[1], fitting[0])
        return fitting

    def _budget(self) -> int:
        return budget(self.settings.memory, self.device)


def _terms(settings: DreamSettings) -> tuple[LayerTerm, ...]:
    """Give the layers that are compared, and their weights.

    Raises:
        SettingsError: there are none, or what there is cannot be compared.
    """
    terms = settings.layers or tuple(map(LayerTerm, LAYERS.get(settings.network, ())))
    if not terms:
        raise SettingsError(
            f"of {settings.network} it is not known which layers tell pixels apart: name some "
            "with --layer, early and late ones"
        )
    for term in terms:
        if term.channel is not None or term.weight <= 0:
            raise SettingsError(
                f"pixelnn compares whole layers, by weights above 0: {term} is none"
            )
    return terms
