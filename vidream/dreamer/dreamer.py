"""The dreamer: gradient ascent on an image, octave by octave, through a network loaded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vidream.dreamer import octaves
from vidream.dreamer.aims import guided, layers_to_load, make_aim
from vidream.dreamer.allocator import keep_freed_memory
from vidream.dreamer.fitting import Fitting, Room
from vidream.dreamer.precondition import precondition
from vidream.dreamer.survey import Slope, Surveyor
from vidream.dreamer.transforms import View, draw_views, view_at_rest
from vidream.errors import DeviceError
from vidream.frames import Picture
from vidream.images import Size, resize
from vidream.networks import Network, find_network, load_network
from vidream.settings import DreamSettings, StyleSettings

_SETTLING = 3  # steps over which ascent has to stand still


@dataclass(frozen=True, slots=True)
class OctaveReport:
    """What happened at one octave.

    Args:
        index: number of the octave, 0 is the smallest.
        size: height and width in pixels.
        objectives: the objective before each step.
    """

    index: int
    size: Size
    objectives: tuple[float, ...]


Observer = Callable[[OctaveReport], None]


class Dreamer:
    """Deepens images: a network, an objective and the octave loop.

    >>> dreamer = Dreamer(DreamSettings(octaves=3))
    >>> dream = dreamer.dream(image)  # float [1, 3, H, W] in [0, 1]

    Args:
        settings: what to dream and how deeply.
        style: pictures whose style the dream takes on.
        network: the network to use, in the precision that it is in; by default the one that
            ``settings`` name is loaded.
        on_download: called with bytes so far and bytes in all, should weights be downloaded.
        room: memory that an earlier run found, so that this one cuts frames into the same tiles.

    Raises:
        NetworkError: unknown network, layer, channel or class.
        WeightsError: the weights cannot be had or do not fit.
        DeviceError: the device is not there.
        InputError: the guide or a style cannot be read.
        SettingsError: it is too small, or nothing is there to grow.
    """

    def __init__(
        self,
        settings: DreamSettings | None = None,
        *,
        style: StyleSettings | None = None,
        network: Network | None = None,
        on_download: Callable[[int, int | None], None] | None = None,
        room: Room | None = None,
    ) -> None:
        settings = settings or DreamSettings()
        self.settings = settings
        self.device = working_device(settings.device)
        style = style or StyleSettings()
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
        self.aim = make_aim(settings, style, network)
        self._at_rest = view_at_rest(settings)
        fitting = Fitting(network, self.aim.layers, settings.memory, self.device, room)
        self._surveyor = Surveyor(network, self.aim, fitting, self.device)

    @property
    def room(self) -> Room:
        """Memory that decides into which tiles frames are cut."""
        return self._surveyor.fitting.room

    def tuned(self, settings: DreamSettings) -> Dreamer:
        """Give one with other settings of those that may change over time, on the same network."""
        other = copy(self)
        other.settings = settings
        return other

    def guided(self, picture: Picture) -> Dreamer:
        """Give one that is guided by a uint8 ``[H, W, 3]`` RGB picture, on the same network.

        Raises:
            SettingsError: the picture is too small.
        """
        other = copy(self)
        other.aim = guided(self.aim, picture, self.settings, self.network)
        other._surveyor = self._surveyor.aimed(other.aim)
        return other

    def objective(self, image: Tensor) -> Tensor:
        """Give the objective of a float ``[1, 3, H, W]`` image in [0, 1], as a scalar tensor.

        As steps see it but for what differs from one to the next: not moved, turned or scaled.
        """
        return self._surveyor.objective(self._at_rest.apply(image))

    def octave_sizes(self, size: Size) -> list[Size]:
        """Give the sizes at which an image of that size is dreamed, from small to large."""
        settings = self.settings
        return octaves.octave_sizes(
            size, settings.octaves, settings.octave_scale, self.network.minimum_side
        )

    def dream(
        self,
        image: Tensor,
        *,
        frame: int = 0,
        steps: int | None = None,
        observe: Observer | None = None,
    ) -> Tensor:
        """Deepen an image.

        At each octave the *detail*, what ascent has added so far, is brought to the octave's
        size and laid over the image at that size; the image itself is never resampled into the
        result.

        Args:
            image: float ``[1, 3, H, W]`` RGB in [0, 1]; the start image of a video frame.
            frame: index of the frame, which seeds the views.
            steps: steps at each octave; by default ``settings.steps``.
            observe: called with an :class:`OctaveReport` after each octave.

        Returns:
            The dream: a new float32 tensor of the same shape, in [0, 1], on the same device.

        Raises:
            NetworkError: the network cannot take an image of this size.
            DeviceError: there is not even memory for tiles of it.
        """
        settings = self.settings
        steps = settings.steps if steps is None else steps
        start = image.detach().to(self.device, torch.float32)
        size: Size = (start.shape[-2], start.shape[-1])
        self._surveyor.fitting.expect(size)
        sizes = self.octave_sizes(size)
        views = draw_views(settings, frame, max(1, len(sizes) * steps))
        detail = torch.zeros_like(start)
        for index, octave in enumerate(sizes):
            ground = resize(start, octave)
            dream = (ground + resize(detail, octave)).clamp_(0, 1)
            mine = views[index * steps : (index + 1) * steps]
            dream, rising = self._ascend(dream, mine, ground)
            detail = dream - ground
            if observe is not None:
                observe(OctaveReport(index, octave, tuple(float(o) for o in rising)))
        return (start + resize(detail, size)).clamp_(0, 1).to(image.device)

    def ascend(self, image: Tensor, views: Sequence[View], beside: Tensor | None = None) -> Tensor:
        """Take one step for each view, at the image's own size.

        Args:
            image: float ``[1, 3, H, W]`` RGB in [0, 1].
            views: how the network sees the image at each step.
            beside: the image whose content is to stay, of the same shape; by default ``image``.

        Returns:
            A float32 tensor of the same shape, in [0, 1], on the dreamer's device.

        Raises:
            NetworkError: the network cannot take an image of this size.
            DeviceError: there is not even memory for tiles of it.
        """
        start = image.detach().to(self.device, torch.float32)
        self._surveyor.fitting.expect((start.shape[-2], start.shape[-1]))
        beside = start if beside is None else beside.to(start)
        return self._ascend(start, views, beside)[0]

    def _ascend(
        self, image: Tensor, views: Sequence[View], beside: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Take one step for each view; give the image and the objective before each step.

        With ``settings.until`` there are fewer once a step brings next to nothing.
        """
        rising: list[Tensor] = []
        sizes = annealed(self.settings.step_size, self.settings.anneal, len(views))
        for view, step_size in zip(views, sizes, strict=True):
            slope = self.slope(image, beside, view)
            rising.append(slope.objective)
            if self.settings.until is not None and has_settled(rising, self.settings.until):
                break
            gradient = precondition(slope.gradient, self.settings)
            gradient = octaves.normalize(gradient, self.settings.normalize)
            image = (image + step_size * gradient).clamp_(0, 1)
        return image, rising

    def slope(self, image: Tensor, beside: Tensor | None = None, view: View | None = None) -> Slope:
        """Give the slope of the objective at float ``[B, 3, H, W]`` images in [0, 1].

        Args:
            image: the images.
            beside: those whose content they are to keep, of the same shape.
            view: how the network sees both. The gradient is that of the images themselves; the
                cells are those of what is seen.
        """
        if view is None:
            return self._surveyor.slope(image, beside)
        beside = view.apply(beside) if beside is not None and self.aim.content else None
        slope = self._surveyor.slope(view.apply(image), beside)
        return replace(slope, gradient=view.restore(slope.gradient))

    def cells(self, image: Tensor, view: View | None = None) -> Tensor:
        """Give the energy of each cell of the coarsest layer's grid, ``[B, 1, h, w]``.

        Args:
            image: float ``[B, 3, H, W]`` in [0, 1].
            view: how the network sees it; as for :meth:`objective` by default. Of cells beyond the
                image nothing is told.
        """
        view = view or self._at_rest
        size = (image.shape[-2], image.shape[-1])
        return view.locate_cells(self._surveyor.cells(view.apply(image)), size)


def annealed(first: float, share: float, count: int) -> list[float]:
    """Give the sizes of ``count`` steps that shrink evenly to a ``share`` of the ``first``."""
    return [first * (1 - (1 - share) * k / max(1, count - 1)) for k in range(count)]


def has_settled(objectives: Sequence[Tensor | float], until: float) -> bool:
    """Tell whether ascent has converged: its last steps rose by less than a share each.

    Over three steps, for the jitter makes single ones rise and fall.

    Args:
        objectives: before each step so far.
        until: share of the objective.
    """
    if len(objectives) <= _SETTLING:
        return False
    before, now = float(objectives[-1 - _SETTLING]), float(objectives[-1])
    return now - before < _SETTLING * until * abs(before)


def choose_device(name: str) -> torch.device:
    """Give the device of that name; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        DeviceError: a GPU is asked for and there is none.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present[name]:
        raise DeviceError(
            f"no {name.upper()} device here that this PyTorch can use; "
            "leave --device out, or say --device cpu"
        )
    return torch.device(name)


def working_device(name: str) -> torch.device:
    """Give the device of that name to take steps on: on the CPU they keep the memory they free.

    Raises:
        DeviceError: a GPU is asked for and there is none.
    """
    device = choose_device(name)
    if device.type == "cpu":
        keep_freed_memory()
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Give the type in which a network computes on that device.

    ``auto`` takes bfloat16 where the device multiplies matrices in it, which is two to four times
    as fast, and float32 elsewhere. Images, details and updates are float32 in any case: only the
    direction of a step is rounded.
    """
    if name != "auto":
        return torch.float32 if name == "float32" else torch.bfloat16
    fast = {"cuda": _cuda_has_bfloat16, "cpu": _cpu_has_bfloat16}.get(device.type)
    return torch.bfloat16 if fast is not None and fast() else torch.float32


def _cuda_has_bfloat16() -> bool:
    return torch.cuda.get_device_capability() >= (8, 0)


def _cpu_has_bfloat16() -> bool:
    # Emulated bfloat16 is slower than float32, and "supported" in most of PyTorch's own answers.
    return any(
        getattr(torch.cpu, f"_is_{name}_supported", bool)() for name in ("avx512_bf16", "amx_tile")
    )
