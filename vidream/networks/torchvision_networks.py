"""Torchvision's classification networks.

Described by a table, as importing torchvision takes longer than starting the default network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from vidream.core.errors import NetworkError
from vidream.core.settings import LayerTerm
from vidream.networks.builtin import VGG_ALIASES, VGG_CONTENT_LAYERS, VGG_STYLE_LAYERS
from vidream.networks.data_files import imagenet_classes, read_json
from vidream.networks.spec import Imported, NetworkSpec, no_aliases
from vidream.networks.weights import State, torch_hub_file

if TYPE_CHECKING:
    from torch import nn

ONE_SIZE = ("vit_", "maxvit_")
"""Transformers whose tables of positions fit one size of image only."""

_ADDRESS = "https://download.pytorch.org/models/"

# These normalise their input anew, and only where they are built with weights; and they say
# whether they want their slow initialisation.
_BUILT_WITH = {
    "googlenet": {"transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}

# Swin gives [B, H, W, C] everywhere but in its first convolution, ConvNeXt inside its blocks.
_CHANNELS_AT_END = {
    "swin": r"norm|features\.(?!0\.0$).*",
    "convnext": r"features\.\d+\.\d+\.block\.[1-5]",
}


def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = read_json("torchvision.json")
    return table


def names() -> list[str]:
    """Return the names of the networks that take images of any size."""
    return list(_table())


def find_spec(name: str) -> NetworkSpec | None:
    """Return a network of torchvision, None if there is none of this name.

    Raises:
        NetworkError: the network takes images of one size only.
    """
    if name.startswith(ONE_SIZE):
        raise NetworkError(
            f"{name} takes images of one size only, so it cannot dream a video; choose another "
            "network"
        )
    row = _table().get(name)
    if row is None:
        return None
    is_vgg = name.startswith("vgg")
    family = re.match("[a-z]+", name)
    return NetworkSpec(
        name=name,
        description=f"torchvision, {row['accuracy']:.1f} % top-1 accuracy on ImageNet",
        weights=torch_hub_file(
            _ADDRESS + row["file"], row["licence"], f"torchvision, {row['weights']}"
        ),
        build=builder(name),
        layers=(LayerTerm(row["layer"]),),
        style_layers=VGG_STYLE_LAYERS if is_vgg else (),
        content_layers=VGG_CONTENT_LAYERS if is_vgg else (),
        minimum_side=row["minimum_side"],
        mean=tuple(row["mean"]),
        std=tuple(row["std"]),
        aliases=VGG_ALIASES if is_vgg else no_aliases,
        convert=_rename_densenet if name.startswith("densenet") else None,
        channels_at_end=_CHANNELS_AT_END.get(family.group() if family else "", ""),
        classes=imagenet_classes,
    )


def builder(name: str) -> Callable[[], nn.Module]:
    """Return the function that builds a network of torchvision."""
    options = _BUILT_WITH.get(name, {})
    return partial(Imported("torchvision.models", "get_model"), name, weights=None, **options)


def _rename_densenet(state: State) -> State:
    """Rename ``norm.1.weight`` of old files to ``norm1.weight``."""
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
    return {old.sub(r"\1\2", name): tensor for name, tensor in state.items()}
