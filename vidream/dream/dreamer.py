"""Gradient ascent on an image, octave by octave, through a network loaded once."""

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from vidream.core.devices import choose_device, choose_precision
from vidream.core.frames import Picture
from vidream.core.images import Size, resize, size_of
from vidream.core.memory import MemoryBudget
from vidream.core.settings import DreamSettings, StyleSettings
from vidream.dream.ascent import ascend
from vidream.dream.build_objective import build_objective, guide_objective, layers_to_load
from vidream.dream.gradient import Gradient, GradientComputer
from vidream.dream.tile_planner import TilePlanner
from vidream.dream.views import View, draw_views, view_at_rest
from vidream.networks.network import Network, load_network
from vidream.networks.registry import find_network


@dataclass(frozen=True, slots=True)
class OctaveReport:
    """What happened at one octave."""

    index: int  # 0 is the smallest
    size: Size
    objectives: tuple[float, ...]  # before each step


class Dreamer:
    """Dreams images: a network, an objective and the octave loop.

    Works with autograd switched off, and from any thread.

    >>> dreamer = Dreamer(DreamSettings(octaves=3))
    >>> dream = dreamer.dream(image)  # float [1, 3, H, W] in [0, 1]

    Args:
        settings: what to dream.
        style: pictures whose style the dream takes on.
        network: used as it is; by default the one that ``settings`` name is loaded.
        on_download: called with bytes so far and in all while weights are downloaded.
        budget: memory that may be taken; by default that of the settings.

    Raises:
        NetworkError: unknown network, layer, channel or class.
        WeightsError: the weights cannot be had or do not fit.
        DeviceError: the device is not there.
        InputError: the guide or a style cannot be read.
        SettingsError: it is too small, or nothing is there to grow.
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        settings: DreamSettings | None = None,
        *,
        style: StyleSettings | None = None,
        network: Network | None = None,
        on_download: Callable[[int, int | None], None] | None = None,
        budget: MemoryBudget | None = None,
    ) -> None:
        self.settings = settings = settings or DreamSettings()
        style = style or StyleSettings()
        self.device = choose_device(settings.device)
        if network is None:
            layers, also = layers_to_load(settings, style, find_network(settings.network))
            network = load_network(
                settings.network,
                layers,
                weights=settings.weights,
                device=self.device,
                progress=on_download,
                also=also,
            ).to(choose_precision(settings.precision, self.device))
        self.network = network
        self.objective_function = build_objective(settings, style, network)
        budget = budget or MemoryBudget(settings.memory, self.device)
        self._planner = TilePlanner(network, self.objective_function.layers, budget)

    @torch.inference_mode(False)
    def at(self, settings: DreamSettings | None = None, guide: Picture | None = None) -> Self:
        """Return the dreamer at another time, on the same network.

        Args:
            settings: at that time.
            guide: uint8 ``[H, W, 3]`` RGB, for a dreamer that has none.

        Raises:
            SettingsError: the guide is too small.
        """
        other = copy(self)
        other.settings = settings or self.settings
        if guide is not None:
            other.objective_function = guide_objective(
                self.objective_function, guide, self.settings, self.network
            )
        return other

    def objective(self, image: Tensor) -> Tensor:
        """Return the objective of float ``[B, 3, H, W]`` in [0, 1], a scalar, without jitter."""
        return self._evaluate(image, view_at_rest(self.settings)).objective

    def cells(self, image: Tensor, view: View | None = None) -> Tensor:
        """Return the strength of each cell of the coarsest layer's grid, ``[B, 1, h, w]``.

        By default without jitter.
        """
        view = view or view_at_rest(self.settings)
        cells = self._evaluate(image, view).cells
        return view.locate_cells(cells, size_of(image))

    @torch.inference_mode(False)
    @torch.enable_grad()
    def compute_gradient(
        self, image: Tensor, content_reference: Tensor | None = None, view: View | None = None
    ) -> Gradient:
        """Compute the gradient of the objective at float ``[B, 3, H, W]`` images in [0, 1].

        The result is on the network's device, wherever the images are.

        Args:
            image: the images.
            content_reference: images whose content is to be kept, of the same shape.
            view: how the network sees both; the cells are those of what is seen.
        """
        view, image = view or View(), image.to(self.device)
        reference = None
        if content_reference is not None and self.objective_function.content:
            reference = view.apply(content_reference.to(self.device))
        found = self._gradients.compute(view.apply(image), reference)
        return replace(found, gradient=view.restore(found.gradient))

    def octave_sizes(self, size: Size) -> list[Size]:
        """Return the sizes at which an image of that size is dreamed, from small to large."""
        octaves, scale = self.settings.octaves, self.settings.octave_scale
        return octave_sizes(size, octaves, scale, self.network.minimum_side)

    @torch.inference_mode(False)
    def dream(
        self,
        image: Tensor,
        *,
        frame: int = 0,
        steps: int | None = None,
        observe: Callable[[OctaveReport], None] | None = None,
    ) -> Tensor:
        """Dream an image.

        Octaves pass on the *detail* alone, what ascent has added so far: the image itself is never
        resampled into the result.

        Args:
            image: float ``[1, 3, H, W]`` RGB in [0, 1].
            frame: index of the frame, which seeds the views.
            steps: at each octave; by default ``settings.steps``.
            observe: called after each octave.

        Returns:
            A new float32 tensor of the same shape, in [0, 1], on the same device.

        Raises:
            NetworkError: the network cannot take an image of this size.
            DeviceError: there is not even memory for tiles of it.
        """
        steps = self.settings.steps if steps is None else steps
        start, size = self._start(image)
        sizes = self.octave_sizes(size)
        views = draw_views(self.settings, frame, max(1, len(sizes) * steps))
        detail = torch.zeros_like(start)
        for index, octave in enumerate(sizes):
            base = resize(start, octave)
            dream = (base + resize(detail, octave)).clamp_(0, 1)
            octave_views = views[index * steps : (index + 1) * steps]
            dream, objectives = self._ascend(dream, octave_views, base)
            detail = dream - base
            if observe is not None:
                observe(OctaveReport(index, octave, tuple(float(o) for o in objectives)))
        return (start + resize(detail, size)).clamp_(0, 1).to(image.device)

    @torch.inference_mode(False)
    def ascend(
        self, image: Tensor, views: Sequence[View], content_reference: Tensor | None = None
    ) -> Tensor:
        """Take one step for each view, at the image's own size; otherwise as :meth:`dream`."""
        start, _ = self._start(image)
        reference = start if content_reference is None else content_reference.to(start)
        return self._ascend(start, views, reference)[0]

    @property
    def _gradients(self) -> GradientComputer:
        return GradientComputer(self.network, self.objective_function, self._planner)

    @torch.inference_mode(False)
    def _evaluate(self, image: Tensor, view: View) -> Gradient:
        return self._gradients.compute(view.apply(image.to(self.device)), backward=False)

    def _start(self, image: Tensor) -> tuple[Tensor, Size]:
        """Return an image on the device and its size, for which memory is left."""
        start = image.detach().to(self.device, torch.float32)
        self._planner.expect(size_of(start))
        return start, size_of(start)

    def _ascend(
        self, image: Tensor, views: Sequence[View], reference: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        def gradient(image: Tensor, view: View) -> Gradient:
            return self.compute_gradient(image, reference, view)

        return ascend(image, views, gradient, self.settings)


def octave_sizes(size: Size, octaves: int, scale: float, minimum: int) -> list[Size]:
    """Return the sizes to dream at, from small to large, ending with ``size``.

    Without octaves whose shorter side is under ``minimum``; a smaller image is enlarged to it.
    """
    height, width = size
    if min(size) < minimum:
        grow = minimum / min(size)
        return [(math.ceil(height * grow), math.ceil(width * grow))]
    shrinks = [scale**-k for k in reversed(range(octaves))]
    sizes = [(round(height * s), round(width * s)) for s in shrinks]
    return [s for s in sizes if min(s) >= minimum]
