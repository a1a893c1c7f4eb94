"""Classes of a classifier as what grows: their names, their maps, and the dreams of them.

Torchvision's weights would have to be downloaded, so that its networks have random ones here.
"""

from __future__ import annotations

import importlib.util

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from conftest import room_for, textured
from hypothesis import given
from hypothesis import strategies as st
from torchvision import models

from vidream import ClassTerm, Dreamer, DreamSettings
from vidream.cli import cli
from vidream.core.effect import InitImage
from vidream.core.errors import NetworkError, SettingsError
from vidream.core.images import to_tensor
from vidream.core.presets import CLASS, preset_settings, usual_preset
from vidream.core.settings import LayerTerm
from vidream.dream.objective import Objective, logit
from vidream.dream.refinement import Refiner
from vidream.networks.builtin import EFFICIENTNET_LITE0, EFFICIENTNET_LITE2
from vidream.networks.classes import CLASSES, class_terms, find_class, known_classes
from vidream.networks.network import load_network
from vidream.networks.registry import find_network
from vidream.networks.spec import NetworkSpec
from vidream.networks.weights import WeightsFile

SPECS = (EFFICIENTNET_LITE0, EFFICIENTNET_LITE2)
MAPPED = [
    "efficientnet_b0",
    "inception_v3",
    "mnasnet0_5",
    "mobilenet_v2",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
]
FLAT = ["alexnet", "convnext_tiny", "mobilenet_v3_small"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Give the file with a network's random weights, and the network as torchvision runs it."""
    made = {}

    def make(name):
        if name not in made:
            torch.manual_seed(0)
            spec = find_network(name)
            model = spec.build().eval()
            for part in model.modules():
                if isinstance(part, torch.nn.BatchNorm2d):  # else it would do nothing
                    part.running_mean.uniform_(-0.1, 0.1)
                    part.running_var.uniform_(0.5, 1.5)
                if isinstance(part, torch.nn.Linear) and part.bias is not None:
                    torch.nn.init.uniform_(part.bias, -0.1, 0.1)
            path = tmp_path_factory.mktemp("weights") / f"{name}.pth"
            torch.save(model.state_dict(), path)
            made[name] = str(path), model
        return made[name]

    return make


def said(model, spec, image):
    """What torchvision's own forward says of each class."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (spec.mean, spec.std))
    with torch.no_grad():
        return model((image - mean) / std)


@pytest.mark.parametrize("name", [*MAPPED, *FLAT])
def test_the_mean_of_a_classes_map_is_what_torchvision_says_of_it(files, name):
    path, model = files(name)
    network = load_network(name, [CLASSES], weights=path)
    image = torch.rand(2, 3, 224, 256)
    cells = network.activations(image)[CLASSES]
    expected = said(model, network.spec, image)
    assert expected.std() > 1e-4
    if name in MAPPED:
        assert cells.ndim == 4
        assert min(cells.shape[-2:]) > 3
        cells = cells.mean((2, 3))
    assert torch.allclose(cells, expected, atol=1e-4 * float(expected.abs().max()) + 1e-6)


def test_the_output_itself_stays_a_layer_beside_the_map(files):
    path, model = files("resnet18")
    network = load_network("resnet18", ["fc", CLASSES], weights=path)
    image = torch.rand(1, 3, 128, 160)
    given = network.activations(image)
    expected = said(model, network.spec, image)
    assert torch.allclose(given["fc"], expected, atol=1e-4)
    assert torch.allclose(given[CLASSES].mean((2, 3)), expected, atol=1e-4)


@pytest.fixture(scope="module")
def image():
    return to_tensor(textured(128, 160))


def dreamer_of(files, name, classes, **values):
    path, _ = files(name)
    return Dreamer(
        DreamSettings(
            network=name, weights=path, classes=classes, precision="float32", octaves=2, **values
        )
    )


def test_the_objective_is_the_weighted_sum_of_what_is_said(files, image):
    dreamer = dreamer_of(files, "resnet18", ("goldfish", "Volcano:-0.5"))
    _, model = files("resnet18")
    expected = said(model, dreamer.network.spec, image)[0]
    names = known_classes(find_network("resnet18"))
    wanted = expected[names.index("goldfish")] - 0.5 * expected[names.index("volcano")]
    assert float(dreamer.objective(image)) == pytest.approx(float(wanted), rel=1e-3)


def test_its_gradient_is_that_of_finite_differences(files, image):
    dreamer = dreamer_of(files, "resnet18", ("goldfish",))
    found = dreamer.compute_gradient(image)
    along = found.gradient / found.gradient.norm()
    ahead, behind = (float(dreamer.objective(image + sign * 0.1 * along)) for sign in (1, -1))
    assert (ahead - behind) / 0.2 == pytest.approx(float(found.gradient.norm()), rel=0.03)


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
def test_more_is_said_of_a_class_that_is_dreamed(files, image, name):
    _, model = files(name)
    dreamer = dreamer_of(files, name, ("tabby",), steps=16)
    before, after = (
        float(said(model, dreamer.network.spec, x)[0, 281]) for x in (image, dreamer.dream(image))
    )
    assert after > before + 0.1 * abs(before)


def test_levels_are_positive_whatever_the_sign_of_what_is_said(files, image):
    dreamer = dreamer_of(files, "resnet18", ("tabby",), steps=4)
    assert float(dreamer.objective(image)) < 0
    assert (dreamer.cells(image) > 0).all()
    refiner, dream = Refiner(dreamer), dreamer.dream(image)
    target = refiner.measure(dream, image)
    assert all(level > 0 for level in target.levels)
    new = torch.zeros(1, 1, *image.shape[-2:])
    refined, _ = refiner.refine(InitImage(image, new), image, target, 2)
    assert dreamer.objective(refined) > dreamer.objective(image)


def test_strength_is_the_softplus_of_what_is_said():
    cells = torch.tensor([[[[-40.0, 0.0, 30.0]]]])
    objective = Objective((LayerTerm(CLASSES, 2.0, 1),), (logit,))
    activations = {CLASSES: torch.cat((cells * 0, cells), 1)}
    maps = objective.maps(activations)
    assert float(objective.value(maps)) == pytest.approx(2 * (-10 / 3))
    assert torch.allclose(objective.local_strength(maps), 2 * F.softplus(cells))


def test_layers_grow_beside_a_class_if_they_are_given(files, image):
    dreamer = dreamer_of(files, "resnet18", ("tabby",), layers=("layer3:0.5",))
    activations = dreamer.network.activations(image)
    energy = 0.5 * activations["layer3"].square().mean()
    expected = energy + activations[CLASSES][:, 281].mean()
    assert float(dreamer.objective(image)) == pytest.approx(float(expected), rel=1e-3)


# --- names


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *(("tabby", 281), ("TABBY", 281), ("Tiger Cat", 282), ("281", 281), ("volcano", 980)),
        *(("crane", 517), ("crane bird", 134), ("cardigan", 474), ("Cardigan", 264)),
    ],
)
def test_a_class_by_its_name(name, number):
    assert find_class(find_network("resnet18"), name) == number


def test_each_name_and_each_number_finds_its_own():
    spec = find_network("resnet50")
    for number, name in enumerate(models.ResNet50_Weights.DEFAULT.meta["categories"]):
        assert find_class(spec, name) == find_class(spec, str(number)) == number


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CARDIGAN", r"264 \(beside Pembroke and toy poodle\), 474 \(beside .*give the number"),
        ("tabby cat", r"did you mean tabby or tiger cat .*See the list of classes of resnet18"),
        ("retriever", r"did you mean flat-coated retriever"),
        ("goldfsh", r"did you mean goldfish or"),
        ("xyzzyx", r"unknown class 'xyzzyx'.*See the list of classes"),
        ("1000", r"no class 1000: choose one from 0 to 999"),
    ],
)
def test_a_class_that_is_not_one(name, hint):
    with pytest.raises(NetworkError, match=hint):
        find_class(find_network("resnet18"), name)


def test_a_network_without_classes_says_which_have_them():
    for ask in (
        lambda: known_classes(find_network("inception")),
        lambda: Dreamer(DreamSettings(classes=("tabby",))),
    ):
        with pytest.raises(NetworkError, match=r"inception knows no classes.*resnet50"):
            ask()


def test_a_guide_is_for_layers():
    with pytest.raises(SettingsError, match="set `layers`"):
        DreamSettings(guide="x.png", classes=("tabby",), network="resnet18")


@given(st.text("abc -'0", min_size=1).map(str.strip).filter(bool), st.floats(-9, 9))
def test_a_term_is_read_as_it_is_written(name, weight):
    term = ClassTerm(name, float(f"{weight:g}"))
    assert ClassTerm.parse(str(term)) == term


@pytest.mark.parametrize("text", ["", ":2", "tabby:", "tabby:x", "tabby:inf", "a:1:x"])
def test_what_is_no_term(text):
    with pytest.raises(SettingsError, match="is not a class"):
        ClassTerm.parse(text)


def test_a_third_party_names_its_own_classes():
    spec = NetworkSpec(
        name="mine",
        description="",
        weights=WeightsFile("mine.pt", None, "", "", ""),
        build=torch.nn.Identity,
        classes=lambda: ("left", "right"),
    )
    terms = class_terms(spec, (ClassTerm("Right", 2.0), ClassTerm("0")))
    assert terms == (LayerTerm(CLASSES, 2.0, 1), LayerTerm(CLASSES, 1.0, 0))


def test_the_command_lists_classes():
    listed = CliRunner().invoke(cli, ["list", "classes", "resnet18"])
    assert listed.exit_code == 0
    assert "281  tabby" in listed.output.splitlines()
    refused = CliRunner().invoke(cli, ["list", "classes", "vgg19"])
    assert refused.exit_code == 1
    assert "vgg19 knows no classes" in refused.output


def test_who_names_a_class_gets_the_preset_for_it():
    classes = (ClassTerm("pug"),)
    assert usual_preset({"classes": classes}) == CLASS
    assert usual_preset({}) != CLASS
    settings = preset_settings(CLASS, classes=classes)
    assert settings.dream.classes == classes
    assert settings.dream.network == "efficientnet_lite2"
    assert not settings.dream.layers


# --- the classifier whose weights a package brings


def here(spec):
    package = spec.weights.package[0]
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None, reason=f"needs the package {package}"
    )


@pytest.mark.parametrize("spec", [pytest.param(s, marks=here(s), id=s.name) for s in SPECS])
def test_a_dream_of_a_class_is_taken_for_it_and_holds(spec, image):
    dreamer = Dreamer(
        DreamSettings(
            network=spec.name, classes=("volcano",), precision="float32", octaves=2, steps=20
        )
    )
    dream = dreamer.dream(image)
    logits = dreamer.network.activations(dream)[CLASSES].mean((2, 3))[0]
    assert int(logits.argmax()) == find_class(spec, "volcano")
    refiner = Refiner(dreamer)
    target, new = refiner.measure(dream, image), torch.zeros(1, 1, *image.shape[-2:])
    found = [float(dreamer.objective(dream))]
    for frame in range(1, 7):
        dream, target = refiner.refine(InitImage(dream, new), image, target, frame)
        found.append(float(dreamer.objective(dream)))
    assert found[-1] > 0.8 * found[0]
    assert found[-1] == pytest.approx(found[3], rel=0.25)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_its_tensors_are_those_of_the_file(spec):
    """Names and shapes as published: parameters of Tan et al. 2020, in millions."""
    with torch.device("meta"):
        model = spec.build()
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    assert millions == pytest.approx({"0": 4.7, "2": 6.1}[spec.name[-1]], abs=0.06)
    names = {f"_blocks.0._bn1.{kind}" for kind in ("weight", "bias")}
    assert set(spec.convert({name: torch.ones(1) for name in names})) <= set(model.state_dict())


def test_a_dream_of_a_class_in_tiles(files):
    """Cells that see their own surroundings alone are the same in tiles as in the whole."""
    path, _ = files("squeezenet1_1")
    settings = DreamSettings(
        network="squeezenet1_1", weights=path, classes=("tabby",), precision="float32"
    )
    whole = Dreamer(settings)
    tiled = Dreamer(settings, network=whole.network, budget=room_for(220 * 400))
    wide = to_tensor(textured(220, 900))
    assert len(tiled._planner.tiles(1, (220, 900)) or ()) > 1
    found = [d.compute_gradient(wide) for d in (whole, tiled)]
    apart = (found[0].gradient - found[1].gradient).norm()
    assert apart < 1e-3 * found[0].gradient.norm()
    assert torch.allclose(found[0].cells, found[1].cells, rtol=1e-3)
