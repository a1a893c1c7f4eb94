"""Paints frames in the style of pictures, in one pass through a network and back.

Huang and Belongie 2017, "Arbitrary style transfer in real-time with adaptive instance
normalization". The statistics of a style are taken once, those of a scene are held steady, and
what is painted is carried along the motion of the scene.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidream.dreamer import choose_precision, read_style, working_device
from vidream.effects.decoder import CELL, load_decoder
from vidream.errors import SettingsError
from vidream.images import Size, match_colour, palette, resize
from vidream.networks import Network, load_network
from vidream.settings import DreamSettings, StyleSettings
from vidream.temporal import Memo, Start

LAYER = "relu4_1"
"""Layer of vgg19 whose statistics are the style."""

EPSILON = 1e-5
"""What is added to variances, as in the authors' implementation."""

_LEAST = 2 * CELL  # pixels; the encoder's padding reflects, which one cell alone cannot
_RENEWED = 0.1  # share of a frame's own statistics in those that it is painted by, at least
_CHANGED = 0.5  # change of statistics from which nothing of the old ones is kept
_HELD = 0.8  # share of the carried painting where all of it is known


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and standard deviation of each channel over space.

    Args:
        mean: ``[1, C, 1, 1]``.
        deviation: likewise; never 0, for :data:`EPSILON` is in it.
    """

    mean: Tensor = field(repr=False)
    deviation: Tensor = field(repr=False)

    @classmethod
    def of(cls, features: Tensor) -> Statistics:
        """Measure float ``[1, C, H, W]``, of at least two cells, with the unbiased variance."""
        cells = features.shape[2] * features.shape[3]
        mean = features.mean((2, 3), keepdim=True)
        # In two passes: torch.var goes value by value where channels lie side by side.
        variance = (features - mean).square_().sum((2, 3), keepdim=True) / (cells - 1)
        return cls(mean, (variance + EPSILON).sqrt())

    @classmethod
    def mixed(cls, parts: Sequence[Statistics], weights: Sequence[float]) -> Statistics:
        """Mix by weights that sum to 1.

        The same as mixing what :func:`adain` makes of each: that is linear in them.
        """
        pairs = list(zip(parts, weights, strict=True))
        mean = torch.stack([weight * part.mean for part, weight in pairs]).sum(0)
        return cls(mean, torch.stack([weight * part.deviation for part, weight in pairs]).sum(0))

    def change(self, other: Statistics) -> float:
        """Tell how far others are: mean over the channels, in deviations of both together."""
        steps = (other.mean - self.mean).abs() + (other.deviation - self.deviation).abs()
        return float((steps / (self.deviation + other.deviation)).mean())

    def on_the_way_to(self, other: Statistics, share: float) -> Statistics:
        """Go that share, 0 to 1, of the way to others."""
        return Statistics.mixed((self, other), (1 - share, share))

    def numbers(self) -> Memo:
        """Give them as plain numbers; :meth:`recall` reads them."""
        return tuple(torch.cat((self.mean, self.deviation)).flatten().tolist())

    @classmethod
    def recall(cls, numbers: Memo, device: torch.device) -> Statistics:
        """Read :meth:`numbers`."""
        mean, deviation = torch.tensor(numbers, device=device).view(2, 1, -1, 1, 1)
        return cls(mean, deviation)


@dataclass(frozen=True, slots=True)
class Scene:
    """What the frames of a scene are painted by.

    Args:
        content: statistics of its features, over the frames so far.
        style: statistics of the style's features.
        colors: statistics of the frame whose colours the style was matched to.
    """

    content: Statistics
    style: Statistics
    colors: Statistics

    @property
    def memo(self) -> Memo:
        """The same as plain numbers; :meth:`recall` reads them."""
        return (*self.colors.numbers(), *self.content.numbers(), *self.style.numbers())

    @classmethod
    def recall(cls, memo: Memo, device: torch.device) -> Scene:
        """Read a :attr:`memo`."""
        split = 6 + (len(memo) - 6) // 2
        parts = memo[6:split], memo[split:], memo[:6]
        return cls(*(Statistics.recall(part, device) for part in parts))


def adain(content: Tensor, style: Statistics, measured: Statistics | None = None) -> Tensor:
    """Give each channel of the content the mean and the deviation that it has in the style.

    Adaptive instance normalisation: ``σ(s) · (c − μ(c)) / σ(c) + μ(s)``.

    Args:
        content: float ``[1, C, H, W]``.
        style: of ``C`` channels.
        measured: what the content is normalised by; by default its own statistics, as published.

    Returns:
        ``[1, C, H, W]``.
    """
    own = measured or Statistics.of(content)
    return (content - own.mean) / own.deviation * style.deviation + style.mean


class AdaIn:
    """The style transfer as a processor.

    Its memo holds the statistics of the scene's content so far, and of its style.

    Args:
        settings: device, precision and coherence; ``weights`` replace the encoder's.
        style: the pictures, and how strongly they are laid on.
        encoder: vgg19 with :data:`LAYER`, in the precision that it is in; loaded by default.
        decoder: from activations to an image in any range, likewise.
        on_download: called with bytes so far and bytes in all, should weights be downloaded.

    Raises:
        SettingsError: there is no style.
        InputError: a style picture cannot be read, or is too small.
        WeightsError: the weights cannot be had or do not fit.
        DeviceError: the device is not there.
    """

    recurrent = True

    def __init__(
        self,
        settings: DreamSettings,
        style: StyleSettings,
        *,
        encoder: Network | None = None,
        decoder: nn.Module | None = None,
        on_download: Callable[[int, int | None], None] | None = None,
    ) -> None:
        if not style.styles:
            raise SettingsError("the effect adain takes its style from pictures: add --style FILE")
        self.style, self._carry = style, settings.carried_share
        self.device = working_device(settings.device)
        pictures = [read_style(term.path, style.style_size) for term in style.styles]
        dtype = choose_precision(settings.precision, self.device)
        self._encoder = encoder or load_network(
            "vgg19", [LAYER], settings.weights, self.device, on_download
        ).to(dtype)
        self._decoder = decoder or load_decoder(self.device, on_download).to(dtype)
        self._pictures = [picture.to(self.device) for picture in pictures]
        self._painted: Statistics | None = None

    def tuned(self, settings: DreamSettings, style: StyleSettings) -> AdaIn:
        """Give one with other settings of those that may change over time."""
        other = copy(self)
        other.style, other._carry = style, settings.carried_share
        return other

    @torch.no_grad()
    def process(self, start: Start, source: Tensor, index: int) -> tuple[Tensor, Memo]:  # noqa: ARG002
        """Paint a frame of any size, float ``[1, 3, H, W]`` RGB in [0, 1]."""
        image = source.to(self.device)
        whole = (image.shape[-2], image.shape[-1])
        small = resize(image, working_size(whole, self.style.content_size))
        content = self._encode(small)
        scene = self._scene(start.memo, content, small)
        styled = adain(content, scene.style, scene.content)
        features = torch.lerp(content, styled, self.style.style_strength)
        painted = self._decode(features, small)
        if small.shape != image.shape:
            # What is finer than the size that it was painted at is the frame's own.
            painted = image + resize(painted - small, whole)
        painted = self._held(painted.clamp(0, 1).to(source.device), start, source)
        return painted, scene.memo

    def _encode(self, image: Tensor) -> Tensor:
        """Give the features of an image, float32 ``[1, 512, ⌈H/8⌉, ⌈W/8⌉]``."""
        down, right = (max(_LEAST, math.ceil(n / CELL) * CELL) - n for n in image.shape[-2:])
        padded = F.pad(image, (0, right, 0, down), mode="replicate")
        return self._encoder.activations(padded)[self._encoder.canonical(LAYER)].float()

    def _decode(self, features: Tensor, like: Tensor) -> Tensor:
        """Give an image of the size of another, float32, not yet clamped."""
        dtype = next((p.dtype for p in self._decoder.parameters()), torch.float32)
        features = features.to(dtype=dtype, memory_format=torch.channels_last)
        image: Tensor = self._decoder(features)
        height, width = like.shape[-2:]
        return image[..., :height, :width].to(torch.float32, memory_format=torch.contiguous_format)

    def _scene(self, memo: Memo, content: Tensor, image: Tensor) -> Scene:
        """Give what the frame is painted by; held steady within a scene, save where it fades in."""
        now, colors = Statistics.of(content), Statistics.of(image)
        if not memo:
            return Scene(now, self._of_style(image), colors)
        before = Scene.recall(memo, self.device)
        # What is divided by the deviations of a black frame has no bounds.
        share = min(1.0, max(_RENEWED, before.content.change(now) / _CHANGED))
        mixed = before.content.on_the_way_to(now, share)
        if self.style.preserve_color and before.colors.change(colors) > _CHANGED:
            return Scene(mixed, self._of_style(image), colors)
        return Scene(mixed, before.style, before.colors)

    def _of_style(self, image: Tensor) -> Statistics:
        """Mix the statistics of the styles, for a scene that begins with this image."""
        if self._painted is not None:
            return self._painted
        keep = self.style.preserve_color
        pictures = (match_colour(p, palette(image)) if keep else p for p in self._pictures)
        total = sum(term.weight for term in self.style.styles)
        weights = [term.weight / total for term in self.style.styles]
        mixed = Statistics.mixed([Statistics.of(self._encode(p)) for p in pictures], weights)
        if not keep:
            self._painted = mixed
        return mixed

    def _held(self, painted: Tensor, start: Start, source: Tensor) -> Tensor:
        """Blend with the carried painting, where that is known."""
        if start.fresh is None or self._carry == 0:
            return painted
        carried, sure = start.apart(source, self._carry)
        return torch.lerp(painted, carried, _HELD * self._carry * sure).clamp_(0, 1)


def working_size(size: Size, limit: int | None) -> Size:
    """Give the size at which a frame of that height and width is painted.

    Strokes are as broad as the decoder learnt to paint them, a dozen pixels: at half its size a
    frame of 360 lines gets strokes that can be told apart, in a quarter of the time.

    Args:
        size: height and width in pixels.
        limit: of the shorter side; None for half of it, but from 128 to the article's 512.
    """
    short = min(size)
    side = min(short, min(max(short // 2, 128), 512) if limit is None else limit)
    return max(1, round(size[0] * side / short)), max(1, round(size[1] * side / short))
