"""VGG: the normalised VGG19 of AdaIN, and the names that the layers of every VGG answer to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidream.networks.spec import Aliases, NetworkSpec
from vidream.networks.state import renumbered
from vidream.settings import LayerTerm
from vidream.weights import State, WeightsFile

_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512)
STYLE_LAYERS = tuple(LayerTerm(f"relu{block}_1") for block in range(1, 6))
"""Layers of Gatys et al. 2016, block1_conv1 to block5_conv1, which every VGG has."""

CONTENT_LAYERS = (LayerTerm("relu5_2"),)

_POOL_AFTER = (2, 4, 8, 12, 16)  # convolutions

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class NormalisedVgg(nn.Module):
    """VGG19's convolutions, scaled so that each channel has a mean activation of 1.

    Numbered as in torchvision's ``features``. Padding reflects and pooling rounds up, as in the
    network that these weights were made for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.preprocess = nn.Conv2d(3, 3, 1)  # RGB in [0, 1] → BGR around 0, of up to 255
        layers: list[nn.Module] = []
        channels = 3
        for count, width in enumerate(_WIDTHS, start=1):
            conv = nn.Conv2d(channels, width, 3, padding=1, padding_mode="reflect")
            layers += [conv, nn.ReLU(inplace=True)]
            channels = width
            if count in _POOL_AFTER:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Give the last pooling's output for images in [0, 1], ``[B, 3, H, W]``."""
        features: Tensor = self.features(self.preprocess(x))
        return features


def aliases(model: nn.Module) -> Aliases:
    """Name the layers of a VGG as papers do (``relu4_3``) and as Keras does (``block4_conv3``).

    Keras counts the ReLU as part of the convolution: ``block4_conv3`` is ``relu4_3``, and
    ``conv4_3`` is what goes into it.
    """
    found: dict[str, str] = {}
    block, conv = 1, 0
    for index, layer in enumerate(model.get_submodule("features").children()):
        name = f"features.{index}"
        if isinstance(layer, nn.Conv2d):
            conv += 1
            found[f"conv{block}_{conv}"] = name
        elif isinstance(layer, nn.ReLU):
            found[f"relu{block}_{conv}"] = found[f"block{block}_conv{conv}"] = name
        elif isinstance(layer, nn.MaxPool2d):
            found[f"pool{block}"] = found[f"block{block}_pool"] = name
            block, conv = block + 1, 0
    return found


def convert(state: State) -> State:
    """Name the tensors of ``vgg_normalised.pth``, or of torchvision's VGG19, as this network does.

    Torchvision's has no preprocessing of its own: it gets ImageNet's mean and deviation.
    """
    if "features.0.weight" in state and "preprocess.weight" not in state:
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        own = {"preprocess.weight": torch.diag(1 / std)[:, :, None, None]}
        return {**state, **own, "preprocess.bias": -mean / std}
    if "0.weight" not in state:
        return state
    with torch.device("meta"):
        return renumbered(state, NormalisedVgg())


SPEC = NetworkSpec(
    name="vgg19",
    description="VGG19 with normalised activations, the network of the source article and of AdaIN",
    weights=WeightsFile(
        name="vgg_normalised.pth",
        url="https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0/vgg_normalised.pth",
        sha256="804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
        licence="CC-BY-4.0 (VGG), MIT (pytorch-AdaIN)",
        source="Oxford VGG, normalised by Huang and Belongie; release v0.0.0 of pytorch-AdaIN",
    ),
    build=NormalisedVgg,
    layers=(LayerTerm("relu5_1"),),
    style_layers=STYLE_LAYERS,
    content_layers=CONTENT_LAYERS,
    aliases=aliases,
    convert=convert,
)
