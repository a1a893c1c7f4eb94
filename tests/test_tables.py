"""Lists of networks, layers and classes: true, and there without PyTorch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from vidream.core.errors import NetworkError
from vidream.networks.data_files import read_text
from vidream.networks.network import layer_names
from vidream.networks.tables import class_table, layer_table, list_layers, network_table

TOOL = Path(__file__).parents[1] / "tools" / "make_network_tables.py"


def load_tool():
    spec = importlib.util.spec_from_file_location("make_network_tables", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["torchvision.json", "layers.json", "imagenet_classes.txt"])
def test_the_tables_are_those_of_the_networks(name):
    assert read_text(name) == load_tool().TABLES[name](), f"run {TOOL.name}"


def test_each_network_has_one_line():
    rows = dict(network_table())
    assert len(rows) == len(network_table())
    assert rows["inception"].endswith("(default)")
    assert rows["resnet50"] == "torchvision, 80.9 % top-1 accuracy on ImageNet"
    assert all(text and "\n" not in text for text in rows.values())


@pytest.mark.parametrize("network", ["inception", "vgg19", "efficientnet_lite0", "resnet18"])
def test_layers(network):
    assert list_layers(network) == layer_names(network)
    assert [name for name, _ in layer_table(network)] == [x.name for x in list_layers(network)]


def test_a_layer_is_described_by_its_channels_and_aliases():
    assert dict(layer_table("inception"))["Mixed_6b"] == "768 channels"
    relu = "512 channels; relu5_1, block5_conv1"
    assert dict(layer_table("vgg19"))["features.29"] == relu


def test_classes():
    assert class_table("efficientnet_lite2")[281] == ("281", "tabby")
    with pytest.raises(NetworkError, match="inception knows no classes"):
        class_table("inception")


@pytest.mark.parametrize("table", [layer_table, class_table])
def test_an_unknown_network(table):
    with pytest.raises(NetworkError, match=r"unknown network 'incepton'; did you mean inception"):
        table("incepton")


LIGHT = [
    "import vidream",
    "import vidream.core.settings, vidream.core.errors, vidream.core.presets",
    "from vidream.core.registry import *; [r.names() for r in (EFFECTS, FLOWS, NETWORKS)]",
    "from vidream.networks.tables import *; network_table()",
    "from vidream.networks.tables import *; layer_table('inception'), layer_table('vgg19')",
    "from vidream.networks.tables import *; class_table('resnet50')",
    "from vidream.core.cores import core_count; core_count()",
]


@pytest.mark.parametrize("code", LIGHT)
def test_what_needs_no_pytorch_imports_none(code):
    check = f"{code}\nimport sys; sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)
