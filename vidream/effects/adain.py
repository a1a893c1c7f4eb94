"""AdaIN: paints frames in the style of pictures, in one pass through a network and back.

Huang and Belongie 2017, "Arbitrary style transfer in real-time with adaptive instance
normalization". The statistics of a scene are held steady, and the painting is propagated.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidream.core.devices import choose_device, choose_precision
from vidream.core.effect import Context, InitImage, Resources, State
from vidream.core.errors import SettingsError
from vidream.core.images import Size, resize, size_of
from vidream.core.settings import Settings
from vidream.dream.style_images import read_style
from vidream.effects.decoder import CELL, load_decoder
from vidream.effects.decoder import SPEC as DECODER
from vidream.effects.registry import digests
from vidream.networks.network import Network, load_network
from vidream.postprocess.colour import match_colour, palette

LAYER = "relu4_1"
"""Layer of vgg19 whose statistics are the style."""

_EPSILON = 1e-5  # added to variances, as in the authors' implementation
_MIN_SIDE = 2 * CELL  # pixels; the encoder's padding reflects, which one cell alone cannot


@dataclass(frozen=True, slots=True)
class AdaInPolicy:
    """How steady a painting is held."""

    renewal: float = 0.1  # share of a frame's own statistics in those it is painted by, at least
    change: float = 0.5  # of statistics, from which nothing of the old ones is kept
    hold: float = 0.8  # share of the propagated painting where all of it is known


_POLICY = AdaInPolicy()


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and standard deviation of each channel over space, ``[1, C, 1, 1]``."""

    mean: Tensor = field(repr=False)
    deviation: Tensor = field(repr=False)  # above 0

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """Measure float ``[1, C, H, W]``, of at least two cells, with the unbiased variance."""
        cells = features.shape[2] * features.shape[3]
        mean = features.mean((2, 3), keepdim=True)
        # In two passes: torch.var goes value by value where channels lie side by side.
        variance = (features - mean).square_().sum((2, 3), keepdim=True) / (cells - 1)
        return cls(mean, (variance + _EPSILON).sqrt())

    @classmethod
    def mixed(cls, parts: Sequence[Self], weights: Sequence[float]) -> Self:
        """Mix by weights that sum to 1."""
        pairs = list(zip(parts, weights, strict=True))
        mean = torch.stack([weight * part.mean for part, weight in pairs]).sum(0)
        return cls(mean, torch.stack([weight * part.deviation for part, weight in pairs]).sum(0))

    def change(self, other: Self) -> float:
        """Return the distance: mean over the channels, in deviations of both together."""
        steps = (other.mean - self.mean).abs() + (other.deviation - self.deviation).abs()
        return float((steps / (self.deviation + other.deviation)).mean())


@dataclass(frozen=True, slots=True)
class Scene:
    """Statistics that the frames of a scene are painted by."""

    content: Statistics  # of its features, over the frames so far
    style: Statistics  # of the style's features
    colors: Statistics  # of the frame whose colours the style was matched to

    @property
    def state(self) -> State:
        """The same as float32 tensors, ``[2, 1, C, 1, 1]``."""
        parts = {"content": self.content, "style": self.style, "colors": self.colors}
        return {name: torch.stack((s.mean, s.deviation)) for name, s in parts.items()}

    @classmethod
    def from_state(cls, state: State, device: torch.device) -> Self:
        """Read a :attr:`state`."""
        parts = (state[name].to(device) for name in ("content", "style", "colors"))
        return cls(*(Statistics(*part.unbind()) for part in parts))


def adain(content: Tensor, style: Statistics, measured: Statistics | None = None) -> Tensor:
    """Return ``σ(s) · (c − μ(c)) / σ(c) + μ(s)``, with μ(c) and σ(c) as ``measured`` if given."""
    own = measured or Statistics.of(content)
    return (content - own.mean) / own.deviation * style.deviation + style.mean


class AdaIn:
    """The style transfer as an effect. Its state is the :class:`Scene`.

    Args:
        settings: ``weights`` replace the encoder's.
        resources: receives the progress of downloads.
        encoder: vgg19 with :data:`LAYER`; loaded by default.
        decoder: from activations to an image in any range, likewise.

    Raises:
        SettingsError: there is no style.
        InputError: a style picture cannot be read, or is too small.
        WeightsError: the weights cannot be had or do not fit.
        DeviceError: the device is not there.
    """

    recurrent = True
    over_time = frozenset({"style_strength"})

    def __init__(
        self,
        settings: Settings,
        resources: Resources,
        *,
        encoder: Network | None = None,
        decoder: nn.Module | None = None,
    ) -> None:
        self._style = settings.style
        if not self._style.styles:
            raise SettingsError("the effect adain takes its style from pictures: set `styles`")
        dream, on_download = settings.dream, resources.reporter.download
        self.device = choose_device(dream.device)
        pictures = [read_style(term.path, self._style.style_size) for term in self._style.styles]
        dtype = choose_precision(dream.precision, self.device)
        self._explicit_weights = dream.weights
        self._encoder = encoder or load_network(
            "vgg19", [LAYER], dream.weights, self.device, on_download
        ).to(dtype)
        self._decoder = decoder or load_decoder(self.device, on_download).to(dtype)
        self._pictures = [picture.to(self.device) for picture in pictures]
        self._own_colors: Statistics | None = None

    @property
    def weights(self) -> Mapping[str, str]:
        """SHA-256 of the weights by the names of their files."""
        encoder = self._encoder.weights_file, self._explicit_weights
        return digests(encoder, (DECODER.weights, None))

    @torch.no_grad()
    def step(
        self, init: InitImage, frame: Tensor, context: Context, state: State
    ) -> tuple[Tensor, State]:
        """Paint a frame of any size."""
        image = frame.to(self.device)
        whole = size_of(image)
        small = resize(image, working_size(whole, self._style.content_size))
        content = self._encode(small)
        propagates = init.new_mask is not None
        before = Scene.from_state(state, self.device) if state and propagates else None
        scene = self._scene(before, content, small)
        styled = adain(content, scene.style, scene.content)
        strength = context.settings.style.style_strength
        painted = self._decode(torch.lerp(content, styled, strength), small)
        if small.shape != image.shape:
            # Finer detail is the frame's own.
            painted = image + resize(painted - small, whole)
        painted = painted.clamp(0, 1).to(frame.device)
        share = context.settings.dream.coherence
        if propagates and share:
            before_image, confidence = init.propagated(frame, share)
            painted = torch.lerp(painted, before_image, _POLICY.hold * share * confidence).clamp_(
                0, 1
            )
        return painted, scene.state

    def _encode(self, image: Tensor) -> Tensor:
        """Return the features of an image, float32 ``[1, 512, ⌈H/8⌉, ⌈W/8⌉]``."""
        down, right = (max(_MIN_SIDE, math.ceil(n / CELL) * CELL) - n for n in image.shape[-2:])
        padded = F.pad(image, (0, right, 0, down), mode="replicate")
        return self._encoder.activations(padded)[self._encoder.canonical(LAYER)].float()

    def _decode(self, features: Tensor, like: Tensor) -> Tensor:
        """Return an image of the size of another, float32, not yet clamped."""
        dtype = next((p.dtype for p in self._decoder.parameters()), torch.float32)
        features = features.to(dtype=dtype, memory_format=torch.channels_last)
        image: Tensor = self._decoder(features)
        height, width = like.shape[-2:]
        return image[..., :height, :width].to(torch.float32, memory_format=torch.contiguous_format)

    def _scene(self, before: Scene | None, content: Tensor, image: Tensor) -> Scene:
        """Return the statistics for a frame: held steady in a scene, save where it fades in."""
        now, colors = Statistics.of(content), Statistics.of(image)
        if before is None:
            return Scene(now, self._style_statistics(image), colors)
        # What is divided by the deviations of a black frame has no bounds.
        share = min(1.0, max(_POLICY.renewal, before.content.change(now) / _POLICY.change))
        content_so_far = Statistics.mixed((before.content, now), (1 - share, share))
        if self._style.match_style_color and before.colors.change(colors) > _POLICY.change:
            return Scene(content_so_far, self._style_statistics(image), colors)
        return Scene(content_so_far, before.style, before.colors)

    def _style_statistics(self, image: Tensor) -> Statistics:
        """Mix the statistics of the styles, for a scene that begins with this image."""
        if self._own_colors is not None:
            return self._own_colors
        keep = self._style.match_style_color
        pictures = (match_colour(p, palette(image)) if keep else p for p in self._pictures)
        total = sum(term.weight for term in self._style.styles)
        weights = [term.weight / total for term in self._style.styles]
        mixed = Statistics.mixed([Statistics.of(self._encode(p)) for p in pictures], weights)
        if not keep:
            self._own_colors = mixed
        return mixed


def working_size(size: Size, limit: int | None) -> Size:
    """Return the size at which a frame is painted, its shorter side ``limit`` pixels at most.

    By default half of it, from 128 to the article's 512: strokes are a dozen pixels broad, and too
    fine to be seen at a larger size.
    """
    short = min(size)
    side = min(short, min(max(short // 2, 128), 512) if limit is None else limit)
    return max(1, round(size[0] * side / short)), max(1, round(size[1] * side / short))
