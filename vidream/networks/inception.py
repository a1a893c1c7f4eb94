"""Inception v3 as TensorFlow published it in 2015: the default network.

Layers are named as in ``torchvision.models.inception_v3``, whose pooling differs: it counts the
padding in averages, and averages in the last block.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidream.networks.weights import State

_PREFIX = "net.layers."
_ROW, _COLUMN = (1, 7), (7, 1)  # kernels

_Size = int | tuple[int, int]
_Branches = Mapping[str, tuple[str, int, _Size]]  # by name: input, channels, kernel


class _Conv(nn.Module):
    """Convolution without bias, batch normalization without scale, ReLU."""

    def __init__(
        self, channels: int, out: int, kernel: _Size, *, stride: int = 1, padding: _Size = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class _Mixed(nn.Module):
    """Parallel branches, concatenated.

    Args:
        channels: of the input.
        branches: convolutions, which read the input ``x``, the pooled input ``pool``, or another.
        joined: names of what is concatenated.
        pool: ``average`` or ``maximum``.
        stride: of the pooling and of the convolutions in ``joined``.
    """

    def __init__(
        self, channels: int, branches: _Branches, joined: str, *, pool: str, stride: int = 1
    ) -> None:
        super().__init__()
        self._reads = {name: source for name, (source, _, _) in branches.items()}
        self._joined, self._pool, self._stride = joined.split(), pool, stride
        given = {"x": channels, "pool": channels}
        for name, (source, out, kernel) in branches.items():
            shrinks = stride > 1 and name in self._joined
            height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
            padding = 0 if shrinks else (height // 2, width // 2)
            step = stride if shrinks else 1
            conv = _Conv(given[source], out, kernel, stride=step, padding=padding)
            self.add_module(name, conv)
            given[name] = out
        self.channels = sum(given[name] for name in self._joined)

    def forward(self, x: Tensor) -> Tensor:
        made = {"x": x, "pool": self._pooled(x)}
        for name, source in self._reads.items():
            made[name] = getattr(self, name)(made[source])
        return torch.cat([made[name] for name in self._joined], 1)

    def _pooled(self, x: Tensor) -> Tensor:
        padding = 1 if self._stride == 1 else 0
        if self._pool == "maximum":
            return F.max_pool2d(x, 3, self._stride, padding)
        return F.avg_pool2d(x, 3, self._stride, padding, count_include_pad=False)


def _chain(name: str, *steps: tuple[int, _Size]) -> _Branches:
    """Return convolutions in a row, each ``(channels, kernel)``."""
    sources = ["x", *(f"{name}_{k}" for k in range(1, len(steps)))]
    return {
        f"{name}_{k}": (source, *step)
        for k, (source, step) in enumerate(zip(sources, steps, strict=True), 1)
    }


def _mixed_5(channels: int, pooled: int) -> _Mixed:
    branches = {
        "branch1x1": ("x", 64, 1),
        **_chain("branch5x5", (48, 1), (64, 5)),
        **_chain("branch3x3dbl", (64, 1), (96, 3), (96, 3)),
        "branch_pool": ("pool", pooled, 1),
    }
    joined = "branch1x1 branch5x5_2 branch3x3dbl_3 branch_pool"
    return _Mixed(channels, branches, joined, pool="average")


def _mixed_6a(channels: int) -> _Mixed:
    branches = {
        "branch3x3": ("x", 384, 3),
        **_chain("branch3x3dbl", (64, 1), (96, 3), (96, 3)),
    }
    return _Mixed(channels, branches, "branch3x3 branch3x3dbl_3 pool", pool="maximum", stride=2)


def _mixed_6(channels: int, inner: int) -> _Mixed:
    row, column = (inner, _ROW), (inner, _COLUMN)
    branches = {
        "branch1x1": ("x", 192, 1),
        **_chain("branch7x7", (inner, 1), row, (192, _COLUMN)),
        **_chain("branch7x7dbl", (inner, 1), column, row, column, (192, _ROW)),
        "branch_pool": ("pool", 192, 1),
    }
    joined = "branch1x1 branch7x7_3 branch7x7dbl_5 branch_pool"
    return _Mixed(channels, branches, joined, pool="average")


def _mixed_7a(channels: int) -> _Mixed:
    branches = {
        **_chain("branch3x3", (192, 1), (320, 3)),
        **_chain("branch7x7x3", (192, 1), (192, _ROW), (192, _COLUMN), (192, 3)),
    }
    return _Mixed(channels, branches, "branch3x3_2 branch7x7x3_4 pool", pool="maximum", stride=2)


def _mixed_7(channels: int, pool: str) -> _Mixed:
    branches: _Branches = {
        "branch1x1": ("x", 320, 1),
        "branch3x3_1": ("x", 384, 1),
        "branch3x3_2a": ("branch3x3_1", 384, (1, 3)),
        "branch3x3_2b": ("branch3x3_1", 384, (3, 1)),
        **_chain("branch3x3dbl", (448, 1), (384, 3)),
        "branch3x3dbl_3a": ("branch3x3dbl_2", 384, (1, 3)),
        "branch3x3dbl_3b": ("branch3x3dbl_2", 384, (3, 1)),
        "branch_pool": ("pool", 192, 1),
    }
    joined = "branch1x1 branch3x3_2a branch3x3_2b branch3x3dbl_3a branch3x3dbl_3b branch_pool"
    return _Mixed(channels, branches, joined, pool=pool)


def build() -> nn.Module:
    """Build the network up to ``Mixed_7c``, for images in [-1, 1], ``[B, 3, H, W]``."""
    network = nn.Sequential()
    network.add_module("Conv2d_1a_3x3", _Conv(3, 32, 3, stride=2))
    network.add_module("Conv2d_2a_3x3", _Conv(32, 32, 3))
    network.add_module("Conv2d_2b_3x3", _Conv(32, 64, 3, padding=1))
    network.add_module("maxpool1", nn.MaxPool2d(3, 2))
    network.add_module("Conv2d_3b_1x1", _Conv(64, 80, 1))
    network.add_module("Conv2d_4a_3x3", _Conv(80, 192, 3))
    network.add_module("maxpool2", nn.MaxPool2d(3, 2))
    network.add_module("Mixed_5b", _mixed_5(192, 32))
    network.add_module("Mixed_5c", _mixed_5(256, 64))
    network.add_module("Mixed_5d", _mixed_5(288, 64))
    network.add_module("Mixed_6a", _mixed_6a(288))
    for name, inner in zip("bcde", (128, 160, 160, 192), strict=True):
        network.add_module(f"Mixed_6{name}", _mixed_6(768, inner))
    network.add_module("Mixed_7a", _mixed_7a(768))
    network.add_module("Mixed_7b", _mixed_7(1280, "average"))
    network.add_module("Mixed_7c", _mixed_7(2048, "maximum"))
    return network


def convert(state: State) -> State:
    """Rename the tensors of the TorchScript archive, which are in the same order.

    A state dict of this network passes unchanged.
    """
    theirs = [key.removesuffix(".weight") for key in state if key.endswith(".weight")]
    if not all(key.startswith(_PREFIX) for key in theirs):
        return state
    with torch.device("meta"):
        ours = [name for name, part in build().named_modules() if isinstance(part, _Conv)]
    converted = {}
    for name, source in zip(ours, theirs, strict=False):
        converted[f"{name}.conv.weight"] = state[f"{source}.weight"]
        converted[f"{name}.bn.weight"] = torch.ones_like(state[f"{source}.beta"])  # has no gamma
        converted[f"{name}.bn.bias"] = state[f"{source}.beta"]
        converted[f"{name}.bn.running_mean"] = state[f"{source}.mean"]
        converted[f"{name}.bn.running_var"] = state[f"{source}.var"]
    return converted
