"""The decoder of AdaIN: from the activations of VGG19's relu4_1 back to an image."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidream.networks.download import OnDownload
from vidream.networks.spec import NetworkSpec
from vidream.networks.state import read_state, renumbered
from vidream.networks.weights import State, WeightsFile

CELL = 8
"""Pixels to a cell of relu4_1, each way: the encoder halves three times, the decoder doubles."""

_WIDTHS = (512, 256, 256, 256, 256, 128, 128, 64, 64, 3)
_DOUBLED_AFTER = (1, 5, 7)  # convolutions


def build_decoder() -> nn.Sequential:
    """Build the published decoder: the encoder mirrored, without normalization."""
    layers: list[nn.Module] = []
    for count, (given, made) in enumerate(pairwise(_WIDTHS), start=1):
        layers.append(nn.Conv2d(given, made, 3, padding=1, padding_mode="reflect"))
        if made > 3:
            layers.append(nn.ReLU(inplace=True))
        if count in _DOUBLED_AFTER:
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
    return nn.Sequential(*layers)


def _convert(state: State) -> State:
    # The published file numbers the padding as layers of their own.
    with torch.device("meta"):
        return renumbered(state, build_decoder())


SPEC = NetworkSpec(
    name="adain-decoder",
    description="Decoder of AdaIN, from relu4_1 of vgg19 to an image",
    weights=WeightsFile(
        name="decoder.pth",
        url="https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0/decoder.pth",
        sha256="379ca41d59f3a37eed3599bbbc2560c19da5c458870a5ffd3a9dd41aa88f9472",
        licence="MIT (pytorch-AdaIN)",
        source="trained by naoto0804; release v0.0.0 of pytorch-AdaIN",
        otherwise="choose another effect",
    ),
    build=build_decoder,
    convert=_convert,
)


class Decoder(nn.Module):
    """The layers of :func:`build_decoder`, run so that each map is written once.

    ReLU, upsampling and padding each take as long as a convolution. Here they are one copy into
    the padded input of the next convolution; and a convolution after an upsampling runs before it,
    see :func:`_early_kernels`.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        self._doubles = [count in _DOUBLED_AFTER for count in range(len(convs))]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for conv, doubles in zip(convs, self._doubles, strict=True):
            assert conv.bias is not None
            self.weights.append(_early_kernels(conv.weight) if doubles else conv.weight)
            self.biases.append(conv.bias.repeat(4) if doubles else conv.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return an image ``[B, 3, 8h, 8w]``, not clamped, from activations ``[B, 512, h, w]``."""
        x = F.pad(features, (1, 1, 1, 1), mode="reflect")
        last = len(self._doubles) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = F.conv2d(x, weight, bias)
            if index < last:
                # What is doubled by repetition and then reflected is repeated at the border.
                border = 1 if self._doubles[index + 1] else 2
                x = _laid_out(x, doubled=self._doubles[index], border=border)
        return x


def _early_kernels(weight: Tensor) -> Tensor:
    """Return the kernels of a convolution that runs before the upsampling instead of after it.

    Each of the four cells that one becomes sees only 2×2 different cells: weights of the same one
    are added up, which leaves four ninths of the products. From ``[O, C, 3, 3]`` to
    ``[4·O, C, 2, 2]``: for each of the four cells in turn, right before down.
    """
    # [cell of two, cell of the small map, cell of the kernel], alike down and right
    sums = weight.new_tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
    return torch.einsum("pay,qbx,ocyx->pqocab", sums, sums, weight).flatten(0, 2)


def _laid_out(x: Tensor, *, doubled: bool, border: int) -> Tensor:
    """Apply ReLU, double ``[B, 4·C, h + 1, w + 1]`` from :func:`_early_kernels`, and pad by 1.

    The padding repeats the first (1) or second (2) line from the ``border``.
    """
    batch, channels, height, width = x.shape
    scale = 2 if doubled else 1
    channels, height, width = channels // scale**2, height - scale + 1, width - scale + 1
    size = batch, channels, scale * height + 2, scale * width + 2
    laid = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    inside = laid[..., 1:-1, 1:-1]
    for index, part in enumerate(torch.split(x, channels, 1)):
        down, right = divmod(index, 2)
        place = inside[..., down::scale, right::scale]
        torch.clamp_min(part[..., down : down + height, right : right + width], 0, out=place)
    laid[..., 0, :], laid[..., -1, :] = laid[..., border, :], laid[..., -1 - border, :]
    laid[..., 0], laid[..., -1] = laid[..., border], laid[..., -1 - border]
    return laid


@torch.inference_mode(False)
def load_decoder(
    device: torch.device | str = "cpu", progress: OnDownload | None = None
) -> nn.Module:
    """Load the published decoder, in float32.

    Raises:
        WeightsError: the weights cannot be had.
    """
    with torch.device("meta"):
        layers = build_decoder()
    layers.load_state_dict(read_state(SPEC, layers.state_dict(), None, progress), assign=True)
    decoder = Decoder(layers).eval().requires_grad_(False)
    decoder.to(memory_format=torch.channels_last)
    return decoder.to(device)
