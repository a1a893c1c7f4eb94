"""PixelNN: composes frames of the pixels of example pictures.

Bansal, Sheikh, Ramanan 2017, "PixelNN: Example-based Image Synthesis": each pixel takes the colour
of its nearest neighbour by hypercolumns. Unlike there, frames are looked up as they are, without
regression; parts of the examples are searched; and neighbours are held steady along the motion.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vidream.core.devices import choose_device, choose_precision
from vidream.core.effect import Context, InitImage, Resources, State
from vidream.core.errors import SettingsError
from vidream.core.images import Size, resize, size_of
from vidream.core.memory import MemoryBudget
from vidream.core.settings import DreamSettings, LayerTerm, Settings
from vidream.effects.examples import CELL, Library, as_query, find_pictures, read_example, scaled
from vidream.effects.hypercolumns import Hypercolumns
from vidream.effects.nearest import Search, match
from vidream.effects.registry import digests
from vidream.networks.network import Network, load_network

_log = logging.getLogger(__name__)

LAYERS = {
    "inception": ("Conv2d_1a_3x3", "Conv2d_2b_3x3", "Mixed_5b"),
    "vgg19": ("relu1_2", "relu2_2", "relu4_1"),
}
"""Layers that are compared by default: edges and colours, textures, parts."""


@dataclass(frozen=True, slots=True)
class PixelNNPolicy:
    """Constants of the search."""

    hold: float = 1.0  # similarity that a squared distance from the propagated colour takes off
    min_search_bytes: int = 2**24  # that it takes, however little memory there is
    max_search_bytes: int = 2**27  # more is no faster
    min_pixels: int = 2**10  # of a frame that are compared, however little memory there is
    pixel_bytes: int = 2**12  # for each pixel that is compared: network, hypercolumns and copies


_POLICY = PixelNNPolicy()


class PixelNN:
    """Example-based synthesis as an effect. It has no state.

    Args:
        settings: name the examples, the network and its layers.
        resources: receives the progress of downloads; limits memory.
        network: with the layers; loaded by default.

    Raises:
        SettingsError: there is no example, or layers are to be named.
        InputError: an example cannot be read.
        NetworkError: there is no such network or layer.
        WeightsError: the weights cannot be had or do not fit.
        DeviceError: the device is not there.
    """

    recurrent = True
    over_time: frozenset[str] = frozenset()

    @torch.inference_mode(False)
    def __init__(
        self, settings: Settings, resources: Resources, *, network: Network | None = None
    ) -> None:
        self._dream, self._examples = settings.dream, settings.examples
        if not self._examples.examples:
            raise SettingsError("the effect pixelnn composes frames of pictures: set `examples`")
        dream = settings.dream
        self.device = choose_device(dream.device)
        self._budget = resources.memory or MemoryBudget(dream.memory, self.device)
        terms = _terms(dream)
        self._pictures = find_pictures(self._examples.examples)
        for path in self._pictures:
            read_example(path)  # what cannot be read is an error now, not at the first frame
        if network is None:
            names = [term.layer for term in terms]
            on_download = resources.reporter.download
            network = load_network(dream.network, names, dream.weights, self.device, on_download)
            network.to(choose_precision(dream.precision, self.device))
        self._network = network
        self._hypercolumns = Hypercolumns(network, terms)
        self._ready: tuple[Size, Size, Library] | None = None

    @property
    def weights(self) -> Mapping[str, str]:
        """SHA-256 of the weights by the names of their files."""
        return digests((self._network.weights_file, self._dream.weights))

    @torch.no_grad()
    def step(
        self, init: InitImage, frame: Tensor, context: Context, state: State
    ) -> tuple[Tensor, State]:
        """Compose a frame of any size."""
        image = frame.to(self.device)
        size = size_of(image)
        compared, library = self._prepared(size)
        columns = self._hypercolumns.of(resize(image, compared))
        share = context.settings.dream.coherence
        propagated, confidence = init.propagated(frame, share)
        colors, weight = (
            resize(part.to(self.device), compared)[0].permute(1, 2, 0)
            for part in (propagated, _POLICY.hold * share * confidence)
        )
        max_bytes = min(
            _POLICY.max_search_bytes, max(_POLICY.min_search_bytes, self._budget.bytes // 2)
        )
        examples = self._examples
        search = Search(CELL, examples.match_candidates, examples.match_radius, max_bytes)
        found = match(as_query(columns, colors, weight), library.grids, search)
        return library.compose(found, size).to(frame.device), state

    def _prepared(self, size: Size) -> tuple[Size, Library]:
        """Return the size at which frames of that size are compared, and the examples for them."""
        if self._ready is None or self._ready[0] != size:
            self._ready = None
            compared = self._compared(size)
            library = Library(
                self._pictures,
                self._examples.example_size or min(compared),
                min(size) / min(compared),
                self._hypercolumns,
                max_bytes=self._budget.bytes // 2,
            )
            self._ready = size, compared, library
        return self._ready[1:]

    def _compared(self, size: Size) -> Size:
        """Return the size at which a frame is compared, as far as memory allows."""
        wanted = scaled(size, self._examples.match_size)
        most = max(_POLICY.min_pixels, self._budget.bytes // 4 // _POLICY.pixel_bytes)
        pixels = wanted[0] * wanted[1]
        if pixels <= most:
            return wanted
        fitting = scaled(wanted, max(1, round(min(wanted) * (most / pixels) ** 0.5)))
        _log.warning("there is memory to compare frames at %d×%d only", fitting[1], fitting[0])
        return fitting


def _terms(settings: DreamSettings) -> tuple[LayerTerm, ...]:
    terms = settings.layers or tuple(map(LayerTerm, LAYERS.get(settings.network, ())))
    if not terms:
        raise SettingsError(
            f"{settings.network} has no usual layers to compare pixels by: set `layers`, early and "
            "late ones"
        )
    for term in terms:
        if term.channel is not None or term.weight <= 0:
            raise SettingsError(
                f"pixelnn compares whole layers, by weights above 0: {term} is none"
            )
    return terms
