"""The normalized VGG19 of AdaIN, and the layer aliases of every VGG."""

import torch
from torch import Tensor, nn

from vidream.networks.spec import Aliases
from vidream.networks.state import renumbered
from vidream.networks.weights import State

_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512)
_POOL_AFTER = (2, 4, 8, 12, 16)  # convolutions

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class NormalisedVgg(nn.Module):
    """VGG19's convolutions, scaled so that each channel has a mean activation of 1.

    Numbered as in torchvision's ``features``. Padding reflects and pooling rounds up, as in the
    network of Huang and Belongie 2017.
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
        """Return the last pooling's output for images in [0, 1], ``[B, 3, H, W]``."""
        features: Tensor = self.features(self.preprocess(x))
        return features


def aliases(model: nn.Module) -> Aliases:
    """Return the names of a VGG's layers in papers (``relu4_3``) and Keras (``block4_conv3``).

    Keras counts the ReLU as part of the convolution.
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
    """Rename the tensors of ``vgg_normalised.pth``, or of torchvision's VGG19."""
    if "features.0.weight" in state and "preprocess.weight" not in state:
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        own = {"preprocess.weight": torch.diag(1 / std)[:, :, None, None]}
        return {**state, **own, "preprocess.bias": -mean / std}
    if "0.weight" not in state:
        return state
    with torch.device("meta"):
        return renumbered(state, NormalisedVgg())
