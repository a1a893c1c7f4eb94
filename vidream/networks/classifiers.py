"""Torchvision's classification networks, each by its own name. Imports torchvision when asked."""

from __future__ import annotations

import importlib
import re
from functools import partial
from typing import Any

from torch import nn

from vidream.errors import NetworkError
from vidream.networks import vgg
from vidream.networks.spec import NetworkSpec
from vidream.weights import State, torchvision_file

_ONE_SIZE = ("vit_", "maxvit_")
"""Transformers whose tables of positions fit one size of image only."""

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


def _models() -> Any:
    # Half of the program's start would go into this import: the default network does without it.
    return importlib.import_module("torchvision.models")


def names() -> list[str]:
    """List the networks that take images of any size."""
    models = _models()
    listed: list[str] = models.list_models(module=models)
    return [name for name in listed if not name.startswith(_ONE_SIZE)]


def spec(name: str) -> NetworkSpec | None:
    """Describe a network of torchvision; None if there is none of this name.

    Raises:
        NetworkError: the network takes images of one size only.
    """
    models = _models()
    if name not in models.list_models(module=models):
        return None
    if name.startswith(_ONE_SIZE):
        raise NetworkError(
            f"{name} takes images of one size only, so it cannot dream a video; choose another: "
            "see --list-networks"
        )
    weights = models.get_model_weights(name).DEFAULT
    classes = tuple(weights.meta["categories"])
    transforms = weights.transforms()
    family = re.match("[a-z]+", name)
    accuracy = weights.meta.get("_metrics", {}).get("ImageNet-1K", {}).get("acc@1")
    return NetworkSpec(
        name=name,
        description=f"{name} of torchvision"
        + (f", {accuracy:.1f} % right on ImageNet" if accuracy else ""),
        weights=torchvision_file(weights),
        build=partial(models.get_model, name, weights=None, **_BUILT_WITH.get(name, {})),
        style_layers=vgg.STYLE_LAYERS if name.startswith("vgg") else (),
        content_layers=vgg.CONTENT_LAYERS if name.startswith("vgg") else (),
        minimum_side=max(min(weights.meta["min_size"]), 1),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        aliases=vgg.aliases if name.startswith("vgg") else _no_aliases,
        convert=_rename_densenet if name.startswith("densenet") else None,
        channels_at_end=_CHANNELS_AT_END.get(family.group() if family else "", ""),
        classes=lambda: classes,
    )


def _no_aliases(_: nn.Module) -> dict[str, str]:
    return {}


def _rename_densenet(state: State) -> State:
    """Join the numbers that old files write apart: ``norm.1.weight`` is ``norm1.weight``."""
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
    return {old.sub(r"\1\2", name): tensor for name, tensor in state.items()}
