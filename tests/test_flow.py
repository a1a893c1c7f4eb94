"""Estimators of optical flow: what they find, which there are, and RAFT's weights."""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from conftest import textured
from hypothesis import given, settings
from hypothesis import strategies as st

from vidream.core import registry
from vidream.core.errors import SettingsError, WeightsError
from vidream.networks import weights
from vidream.temporal import flow_raft as raft
from vidream.temporal.flow import load_flow

CLASSICAL = ["dis", "farneback"]
sides = st.one_of(st.integers(1, 24), st.integers(16, 150))


def moved(picture, right, down):
    """The picture in which everything has moved that way; it comes in again opposite."""
    return np.roll(picture, (down, right), (0, 1))


def rejects(field, shape):
    return field.shape != (*shape, 2) or field.dtype != np.float32 or not np.isfinite(field).all()


# --- OpenCV's


@pytest.mark.parametrize("name", CLASSICAL)
@settings(max_examples=15, deadline=None)
@given(right=st.integers(-5, 5), down=st.integers(-5, 5), seed=st.integers(0, 19))
def test_a_known_displacement_is_found(name, right, down, seed):
    picture = textured(112, 144, seed)
    field = load_flow(name)(picture, moved(picture, right, down))
    error = np.linalg.norm(field - (right, down), axis=-1)[24:-24, 24:-24]
    assert np.median(error) < 0.2


@pytest.mark.parametrize("name", [*CLASSICAL, "none"])
@settings(max_examples=40, deadline=None)
@given(height=sides, width=sides, noise=st.booleans())
def test_every_size_gives_a_finite_field(name, height, width, noise):
    random = np.random.default_rng(height * 1000 + width)
    if noise:
        picture, other = random.integers(0, 256, (2, height, width, 3), np.uint8)
    else:
        picture = textured(height, width)
        other = moved(picture, 1, 0)
    assert not rejects(load_flow(name)(picture, other), (height, width))


# In a process of its own: where OpenCV reads outside a picture, it takes the program with it.
SMALL = """
import numpy as np
from vidream.temporal.flow import load_flow
random, dis = np.random.default_rng(0), load_flow("dis")
for side in (1, 8, 11, 12, 13, 15, 16, 17, 23, 31):
    for other in (1, 9, 40, 45, 46, 64, 91, 300, 1921):
        for size in ((side, other), (other, side)):
            field = dis(*random.integers(0, 256, (2, *size, 3), np.uint8))
            assert field.shape == (*size, 2) and np.isfinite(field).all(), size
"""


def test_small_and_narrow_pictures_do_not_crash():
    done = subprocess.run(
        [sys.executable, "-c", SMALL], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_field_does_not_depend_on_those_before(name):
    first, second = textured(90, 130), textured(90, 130, seed=1)
    estimate = load_flow(name)
    fresh = estimate(first, second)
    estimate(textured(16, 16), textured(16, 16, seed=1))
    estimate(second, first)
    assert np.array_equal(estimate(first, second), fresh)


@pytest.mark.parametrize("name", CLASSICAL)
def test_the_number_of_threads_does_not_matter(name):
    first, second = textured(90, 130), textured(90, 130, seed=1)
    before = cv2.getNumThreads()
    fields = []
    try:
        for threads in (1, 2, 5):
            cv2.setNumThreads(threads)
            fields.append(load_flow(name)(first, second))
    finally:
        cv2.setNumThreads(before)
    assert all(np.array_equal(field, fields[0]) for field in fields)


def test_none_stands_still():
    field = load_flow("none")(textured(20, 33), textured(20, 33, seed=1))
    assert not field.any()
    assert field.shape == (20, 33, 2)


# --- the table and third parties


class Entry:
    value = "elsewhere:Flow"

    def __init__(self, name, loads):
        self.name, self._loads = name, loads

    def load(self):
        if isinstance(self._loads, Exception):
            raise self._loads
        return self._loads


def install(monkeypatch, *entries):
    built_in = registry.entry_points(group="vidream.flows")
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group: (*entries, *built_in) if group == "vidream.flows" else (),
    )


def test_an_unknown_flow_is_answered_with_the_list():
    with pytest.raises(SettingsError) as caught:
        load_flow("farnback")
    message = str(caught.value)
    assert "did you mean farneback?" in message
    assert ", ".join(registry.FLOWS.names()) in message
    assert "\n" not in message


def test_third_party_flows(monkeypatch):
    made = []

    class Constant:
        def __init__(self, device):
            made.append(device)

        def __call__(self, picture, other):
            return np.ones((*picture.shape[:2], 2), np.float32)

    install(monkeypatch, Entry("constant", Constant), Entry("dis", Constant))
    assert {*registry.FLOWS.names()[:-1]} == {"dis", "farneback", "raft", "none"}
    assert registry.FLOWS.names()[-1] == "constant"
    assert load_flow("constant")(textured(16, 20), textured(16, 20)).sum() == 16 * 20 * 2
    assert made == [torch.device("cpu")]
    assert not isinstance(load_flow("dis"), Constant)  # what is built in is not replaced


@pytest.mark.parametrize("error", [ImportError("no module named nothing"), AttributeError("gone")])
def test_a_broken_plugin_is_named(monkeypatch, error):
    install(monkeypatch, Entry("broken", error))
    assert "broken" in registry.FLOWS.names()
    with pytest.raises(SettingsError, match=rf"'broken' cannot be loaded: {error}"):
        load_flow("broken")
    assert load_flow("none")


# --- RAFT


@pytest.fixture(scope="module")
def models():
    return importlib.import_module("torchvision.models.optical_flow")


@pytest.fixture(scope="module")
def raft_state(models):
    """Weights of the right shapes that answer to what they see."""
    torch.manual_seed(1)
    return models.raft_small(weights=None).state_dict()


@pytest.fixture(scope="module")
def folder(models, raft_state, tmp_path_factory):
    """A folder that holds them under the file name of the real ones."""
    path = tmp_path_factory.mktemp("raft")
    torch.save(raft_state, path / models.Raft_Small_Weights.DEFAULT.url.rsplit("/", 1)[-1])
    return path


@pytest.fixture
def pinned(models, folder, monkeypatch):
    """The folder is looked into, and its file counts as the right one."""
    return provide(folder, monkeypatch)


def provide(folder, monkeypatch):
    (path,) = folder.iterdir()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    real = raft.torchvision_file

    def described(member):
        return replace(real(member), sha256=digest)

    monkeypatch.setattr(raft, "torchvision_file", described)
    monkeypatch.setenv("VIDREAM_WEIGHTS", str(folder))
    return path


@pytest.fixture
def no_network(models, tmp_path, monkeypatch):
    """Nothing in the cache, and a web that answers no one."""
    asked = []

    def refuse(url, target, **_):
        asked.append(url)
        raise WeightsError(f"cannot download {url}: the server answers 503 Busy")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("VIDREAM_WEIGHTS", raising=False)
    monkeypatch.setattr(weights, "download", refuse)
    return asked


@pytest.mark.parametrize("size", [(16, 16), (40, 130), (131, 257), (128, 136), (3, 50)])
def test_raft_takes_every_size(pinned, size):
    before = torch.random.get_rng_state()
    field = load_flow("raft")(textured(*size), moved(textured(*size), 1, 0))
    assert not rejects(field, size)
    assert field.any()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_raft_is_torchvisions(pinned, models, raft_state):
    """On a picture that needs no fitting: its transforms, order and number of updates."""
    first, second = textured(136, 144), textured(136, 144, seed=1)
    model = models.raft_small(weights=None).eval()
    model.load_state_dict(raft_state)
    batch = [torch.from_numpy(p).permute(2, 0, 1)[None] for p in (first, second)]
    with torch.no_grad():
        expected = model(*models.Raft_Small_Weights.DEFAULT.transforms()(*batch))[-1]
    field = load_flow("raft")(first, second)
    assert np.allclose(field, expected[0].permute(1, 2, 0).numpy(), atol=1e-4)


def stub(answer):
    """A Raft whose network is ``answer(first, second)``."""
    estimate = raft.Raft.__new__(raft.Raft)
    estimate._device, estimate._settings = torch.device("cpu"), raft.SETTINGS
    estimate._network = lambda first, second: [answer(first, second)]
    return estimate


def test_displacements_are_scaled_back_to_the_picture():
    seen = []

    def three_and_four(first, second):
        seen.append(tuple(first.shape[-2:]))
        assert first.min() >= -1
        assert first.max() <= 1
        return torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, *first.shape[-2:])

    estimate = stub(three_and_four)
    small = estimate(textured(16, 32), textured(16, 32))
    assert np.allclose(small, (3 / 8, 4 / 8))
    same = estimate(textured(130, 200), textured(130, 200))
    assert np.allclose(same, (3, 4))
    estimate._settings = raft.RaftSettings(max_pixels=128 * 256)
    large = estimate(textured(256, 512), textured(256, 512))
    assert np.allclose(large, (6, 8))
    assert seen == [(128, 256), (136, 200), (128, 256)]


def test_the_border_is_repeated_and_nothing_cropped():
    seen = []

    def look(first, second):
        seen.append(first)
        return first[:, :2]

    picture = textured(131, 150)
    field = stub(look)(picture, picture)
    (padded,) = seen
    expected = np.pad(picture, ((0, 5), (0, 2), (0, 0)), "edge") / 127.5 - 1
    assert np.allclose(padded[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)
    assert np.allclose(field, expected[:131, :150, :2], atol=1e-6)


def test_what_is_not_finite_becomes_zero():
    def broken(first, second):
        flow = torch.ones(1, 2, *first.shape[-2:])
        flow[..., 0, 0], flow[..., 0, 1], flow[..., 0, 2] = torch.nan, torch.inf, -torch.inf
        return flow

    field = stub(broken)(textured(128, 128), textured(128, 128))
    assert not field[0, :3].any()
    assert (field[1:] == 1).all()


@settings(max_examples=200, deadline=None)
@given(height=st.integers(1, 9000), width=st.integers(1, 9000))
def test_the_working_size_is_neither_too_small_nor_too_large(height, width):
    high, wide = raft.SETTINGS.working_size(height, width)
    assert high * wide <= 1.02 * raft.SETTINGS.max_pixels + max(high, wide)
    if height * width <= raft.SETTINGS.max_pixels and min(height, width) >= raft.SETTINGS.min_side:
        assert (high, wide) == (height, width)
    if min(height, width) >= 16 and 1 / 8 <= height / width <= 8:
        assert min(high, wide) >= raft.SETTINGS.min_side
        assert high / wide == pytest.approx(height / width, rel=0.02)


def test_missing_weights_are_one_line(no_network):
    with pytest.raises(WeightsError) as caught:
        load_flow("raft")
    message = str(caught.value)
    (url,) = no_network
    assert url.startswith("https://")
    assert all(part in message for part in (url, "503", "$VIDREAM_WEIGHTS", "dis"))
    assert "--weights" not in message  # that option is for the network that dreams
    assert "\n" not in message


def test_a_file_with_another_hash_is_refused(models, folder, no_network, monkeypatch):
    monkeypatch.setenv("VIDREAM_WEIGHTS", str(folder))
    with pytest.raises(WeightsError, match="damaged") as caught:
        load_flow("raft")
    assert "01064c6d" in str(caught.value)
    assert not no_network


def test_weights_of_another_network_are_one_line(models, tmp_path, monkeypatch):
    name = models.Raft_Small_Weights.DEFAULT.url.rsplit("/", 1)[-1]
    torch.save({"conv.weight": torch.zeros(2)}, tmp_path / name)
    provide(tmp_path, monkeypatch)
    with pytest.raises(WeightsError, match="not a weights file of raft_small") as caught:
        load_flow("raft")
    assert "\n" not in str(caught.value)


def test_the_start_imports_neither_opencv_nor_torchvision():
    code = (
        "import sys, vidream.temporal.flow as flow; flow.load_flow('none'); "
        "import vidream.temporal.flow_raft; "
        "sys.exit(bool({'cv2', 'torchvision'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
