"""Tiles: their geometry, and that gradients in tiles are those of the whole image."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from conftest import room_for, textured
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vidream import Dreamer, DreamSettings, StyleSettings
from vidream.core import memory
from vidream.core.errors import DeviceError
from vidream.core.images import to_tensor
from vidream.core.memory import MemoryBudget
from vidream.dream.tile_planner import TILING_POLICY
from vidream.dream.tiling import Halo, cut, most_pieces, own_cells, spans
from vidream.networks import network as network_module
from vidream.networks.geometry import bytes_per_pixel, find_geometry, grids

halos = st.builds(
    Halo,
    stride=st.sampled_from([1, 2, 4, 8, 16, 32, 12]),
    before=st.integers(0, 260),
    after=st.integers(0, 260),
    least=st.integers(1, 300),
)
lengths = st.integers(1, 3000)


# --- geometry


@given(lengths, st.integers(1, 40), halos)
def test_pieces_own_each_pixel_once(length, pieces, halo):
    found = spans(length, pieces, halo)
    assert 1 <= len(found) <= pieces
    assert found[0].first == 0
    assert found[-1].last == length
    assert all(a.last == b.first for a, b in pairwise(found))
    assert all(span.last > span.first for span in found)


@given(lengths, st.integers(1, 40), halos)
def test_pieces_see_as_far_as_cells_do_and_begin_where_cells_begin(length, pieces, halo):
    for span in spans(length, pieces, halo):
        assert 0 <= span.start <= max(0, span.first - halo.before)
        assert min(length, span.last + halo.after) <= span.stop <= length
        assert span.start % halo.stride == span.first % halo.stride == 0
        assert span.length >= min(halo.least, length)


@given(lengths, st.integers(2, 40), halos)
def test_pieces_are_of_about_one_length(length, pieces, halo):
    found = spans(length, pieces, halo)
    if len(found) > 1 and halo.least == 1:
        sizes = [span.length for span in found]
        assert max(sizes) - min(sizes) <= 3 * halo.stride
        around = halo.lead + halo.after
        assert all(span.last - span.first >= around - halo.stride for span in found[1:-1])


@given(st.tuples(lengths, lengths), st.integers(1, 10**7), halos)
def test_tiles_fit_into_memory_or_are_the_smallest_there_are(size, room, halo):
    tiles = cut(size, room, halo)
    assert sum(
        (t.rows.last - t.rows.first) * (t.columns.last - t.columns.first) for t in tiles
    ) == math.prod(size)
    if max(tile.area for tile in tiles) > room:
        assert len(tiles) == most_pieces(size[0], halo) * most_pieces(size[1], halo)
    if math.prod(size) <= room:
        assert len(tiles) == 1


@given(
    st.integers(64, 3000),
    st.integers(1, 40),
    halos,
    st.sampled_from([1, 2, 4]),
    st.integers(-3, 2),
)
def test_each_cell_is_owned_once_and_at_its_place(length, pieces, halo, finer, trimmed):
    stride = halo.stride if halo.stride % finer else halo.stride // finer
    count = max(1, -(-length // stride) + trimmed)
    seen = []
    for span in spans(length, pieces, halo):
        of_piece, of_all = own_cells(span, stride, count, length)
        assert of_piece.start * stride + span.start == of_all.start * stride
        assert of_piece.stop - of_piece.start == of_all.stop - of_all.start
        seen += range(of_all.start, of_all.stop)
    assert seen == list(range(count))


def test_larger_tiles_are_taken_before_many():
    halo = Halo(16, 154, 181, 59)
    tiles = cut((2160, 3840), 2_500_000, halo)
    assert 4 <= len(tiles) <= 6
    assert sum(tile.area for tile in tiles) < 1.4 * 2160 * 3840


# --- networks


def hollow(monkeypatch, name, layers):
    """A network with random weights, from nothing but its architecture."""
    monkeypatch.setattr(
        network_module,
        "read_state",
        lambda spec, wanted, *_: {
            key: value for key, value in spec.build().state_dict().items() if key in wanted
        },
    )
    return network_module.load_network(name, layers)


def test_the_geometry_of_the_default_network(dreamer):
    """By the kernels of its layers a cell of Mixed_6b sees from 154 before to 181 after."""
    geometry = find_geometry(dreamer.network, ["Mixed_6b"])
    assert geometry.stride == 16
    assert 140 <= geometry.before <= 154
    assert 165 <= geometry.after <= 181


@pytest.mark.parametrize("size", [(96, 128), (131, 204)])
def test_an_outline_has_the_shapes_of_the_real_thing(dreamer, size):
    real = dreamer.network.activations(torch.rand(1, 3, *size))
    assert grids(dreamer.network, size) == {name: tuple(a.shape[-2:]) for name, a in real.items()}
    assert all(a.is_meta for a in dreamer.network.meta_activations(size).values())


def test_half_the_precision_takes_half_the_memory(dreamer):
    full = bytes_per_pixel(dreamer.network)
    half = Dreamer(DreamSettings(precision="bfloat16"))
    assert 500 < full < 1200
    assert 0.5 < bytes_per_pixel(half.network) / full < 0.65


def test_a_classifier_has_no_geometry(monkeypatch):
    network = hollow(monkeypatch, "resnet18", ["layer1", "fc"])
    assert find_geometry(network, ["layer1", "fc"]) is None
    assert find_geometry(network, ["layer1"]).stride == 4


# --- the same gradient


def tiled(dreamer, pixels):
    """The same dreamer, which has room for so many pixels at once."""
    return Dreamer(dreamer.settings, network=dreamer.network, budget=room_for(pixels))


def tiles_of(dreamer, image):
    """The tiles that it sees an image in."""
    return dreamer._planner.tiles(len(image), tuple(image.shape[-2:]))


@pytest.fixture(scope="module")
def shallow():
    """A dreamer whose cells do not look far, so that small images have many tiles."""
    return Dreamer(DreamSettings(layers=("Mixed_5b",), precision="float32", octaves=1))


def picture(height, width):
    return to_tensor(textured(height, width))


def assert_equal_gradients(found, expected):
    """The stated tolerance: gradients apart by no more than 1e-4 of their length and height."""
    assert found.gradient.dtype == torch.float32
    apart = found.gradient - expected.gradient
    assert apart.norm() < 1e-4 * expected.gradient.norm()
    assert apart.abs().max() < 1e-4 * expected.gradient.abs().max()
    assert float(found.objective) == pytest.approx(float(expected.objective), rel=1e-4)
    assert found.cells.shape == expected.cells.shape
    assert (found.cells - expected.cells).abs().max() < 1e-4 * expected.cells.max()


@pytest.mark.parametrize("size", [(113, 1207), (1131, 75)])
def test_tiles_give_the_gradient_of_the_whole_image(dreamer, size):
    image, small = picture(*size), tiled(dreamer, 1)
    assert len(tiles_of(small, image)) > 1
    assert_equal_gradients(small.compute_gradient(image), dreamer.compute_gradient(image))


def test_tiles_along_both_axes(shallow):
    image, small = picture(401, 437), tiled(shallow, 1)
    assert len({tile.rows for tile in tiles_of(small, image)}) > 1
    assert len({tile.columns for tile in tiles_of(small, image)}) > 1
    assert_equal_gradients(small.compute_gradient(image), shallow.compute_gradient(image))


def test_tiles_of_a_batch(dreamer):
    images = torch.cat((picture(80, 1100), picture(80, 1100).flip(-1)))
    small = tiled(dreamer, 1)
    whole = dreamer.compute_gradient(images)
    assert_equal_gradients(small.compute_gradient(images), whole)
    assert torch.allclose(small.cells(images), whole.cells, rtol=1e-3)
    assert float(small.objective(images)) == pytest.approx(float(whole.objective), rel=1e-4)


def test_a_guided_dream_in_tiles(shallow, tmp_path):
    path = tmp_path / "guide.png"
    Image.fromarray(textured(90, 120, seed=9)).save(path)
    settings = replace(shallow.settings, guide=str(path))
    guided = Dreamer(settings, network=shallow.network)
    image = picture(230, 300)
    assert len(tiles_of(tiled(guided, 1), image)) > 1
    assert_equal_gradients(tiled(guided, 1).compute_gradient(image), guided.compute_gradient(image))


@pytest.mark.parametrize("objective", ["none", "energy"])
@pytest.mark.parametrize("match", ["gram", "adain"])
def test_style_content_and_variation_in_tiles(tmp_path, objective, match):
    path = tmp_path / "style.png"
    Image.fromarray(textured(90, 120, seed=9)).save(path)
    layers = ("Conv2d_1a_3x3", "Mixed_5b:0.5")
    settings = DreamSettings(
        layers=() if objective == "none" else ("Mixed_5b",),
        objective=objective,
        content_weight=0.1,
        content_layers=("Conv2d_4a_3x3",),
        total_variation=2.0,
        precision="float32",
    )
    style = StyleSettings(
        styles=(str(path),), style_layers=layers, style_match=match, style_size=90
    )
    styled = Dreamer(settings, style=style)
    small = Dreamer(settings, style=style, network=styled.network, budget=room_for(1))
    image, reference = picture(230, 300), picture(230, 300).flip(-1)
    assert len(tiles_of(small, image)) > 1
    found, whole = (d.compute_gradient(image, reference) for d in (small, styled))
    assert_equal_gradients(found, whole)
    assert float(small.objective(image)) == pytest.approx(float(styled.objective(image)), rel=1e-4)
    assert torch.allclose(small.cells(image), styled.cells(image), rtol=1e-3)


def test_layers_of_different_strides_and_single_channels(dreamer):
    layers = ("Mixed_5b:2", "Mixed_6b#7", "Conv2d_2b_3x3:0.1")
    whole = Dreamer(DreamSettings(layers=layers, precision="float32"))
    image = picture(80, 1100)
    assert_equal_gradients(tiled(whole, 1).compute_gradient(image), whole.compute_gradient(image))


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [("vgg19", "relu4_1", (90, 333)), ("resnet18", "layer2", (100, 661))],
)
def test_other_networks_in_tiles(monkeypatch, name, layer, size):
    settings = DreamSettings(layers=(layer,))
    whole = Dreamer(settings, network=hollow(monkeypatch, name, [layer]))
    small, image = tiled(whole, 1), picture(*size)
    assert len(tiles_of(small, image)) > 1
    assert_equal_gradients(small.compute_gradient(image), whole.compute_gradient(image))


def test_a_dream_in_tiles(dreamer):
    image = picture(90, 1100)
    small = tiled(dreamer, 1)
    assert torch.allclose(small.dream(image, steps=1), dreamer.dream(image, steps=1), atol=0.01)


# --- how much at once


def test_little_memory_makes_tiles_and_says_so(shallow, monkeypatch, caplog):
    monkeypatch.setattr(memory, "held", lambda device: 0)
    needed = bytes_per_pixel(shallow.network)
    room = int(96 * 640 * (needed * 0.7 + TILING_POLICY.frame_bytes))
    small = Dreamer(replace(shallow.settings, memory=room), network=shallow.network)
    with caplog.at_level(logging.INFO, "vidream"):
        tiles = tiles_of(small, picture(96, 640))
    assert max(tile.area for tile in tiles) <= 0.7 * 96 * 640
    assert "640×96 is dreamed in" in caplog.text
    assert caplog.records[-1].levelname == "INFO"
    assert tiles_of(small, picture(96, 200)) is None


def test_frames_are_left_room_for(shallow, monkeypatch):
    monkeypatch.setattr(memory, "held", lambda device: 0)
    image, frame = picture(96, 640), (600, 1000)
    need = bytes_per_pixel(shallow.network) * 96 * 640 + TILING_POLICY.frame_bytes * 600 * 1000
    for share, whole in ((1.01, True), (0.99, False)):
        small = Dreamer(
            replace(shallow.settings, memory=int(share * need)), network=shallow.network
        )
        assert tiles_of(small, image) is None
        small._planner.expect(frame)
        assert (tiles_of(small, image) is None) == whole


def test_a_step_takes_what_it_must_however_small_the_cap(dreamer, caplog):
    """Tiny tiles, nearly all halo, would take hours: a frame alone is more than the cap then."""
    small = Dreamer(DreamSettings(memory="1M", precision="float32"), network=dreamer.network)
    tiles = tiles_of(small, torch.empty(1, 3, 4320, 7680))
    assert "still takes more memory" in caplog.text
    assert sum(tile.area for tile in tiles) < 2.5 * 4320 * 7680


def test_usual_frames_are_seen_whole(dreamer, monkeypatch):
    monkeypatch.setattr(memory, "free", lambda device: 4 * 2**30)
    usual = Dreamer(dreamer.settings, network=dreamer.network)
    for size in ((360, 640), (720, 1280)):
        assert tiles_of(usual, torch.empty(1, 3, *size)) is None


def test_what_has_no_grid_is_seen_whole(monkeypatch):
    network = hollow(monkeypatch, "resnet18", ["fc"])
    dreamer = Dreamer(DreamSettings(layers=("fc",)), network=network)
    image = picture(64, 300)
    assert torch.equal(
        tiled(dreamer, 1).compute_gradient(image).gradient, dreamer.compute_gradient(image).gradient
    )


def failing(monkeypatch, network, times, error):
    """Let the network fail so many times; note the sizes that it is given."""
    given, right = [], network.activations

    def activations(image):
        given.append(tuple(image.shape[-2:]))
        if len(given) <= times:
            raise error
        return right(image)

    monkeypatch.setattr(network, "activations", activations)
    return given


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 2 bytes"),
    ],
)
def test_out_of_memory_falls_back_to_smaller_tiles(shallow, monkeypatch, caplog, error):
    image = picture(96, 640)
    expected = shallow.compute_gradient(image)
    other = Dreamer(shallow.settings, network=shallow.network)
    assert other._planner.geometry  # found with the same network, which is to fail just once
    sizes = failing(monkeypatch, shallow.network, 1, error)
    with caplog.at_level(logging.WARNING, "vidream"):
        found = other.compute_gradient(image)
    assert sizes[0] == (96, 640)
    assert all(math.prod(size) < 96 * 640 for size in sizes[1:])
    assert "out of memory: 640×96 is dreamed in" in caplog.text
    assert_equal_gradients(found, expected)
    count = len(sizes)
    other.compute_gradient(image)
    assert sizes[count:] == sizes[1:count]  # what was learned is kept


def test_what_running_out_of_memory_taught_holds_for_every_guide(monkeypatch):
    """A guide that moves makes a dreamer of its own for each frame."""
    budget, wide = room_for(math.inf), picture(96, 640)
    settings = DreamSettings(layers=("Mixed_5b",), precision="float32", octaves=1)
    first = Dreamer(settings, budget=budget)
    guided = first.at(guide=textured(96, 128))
    assert guided._planner.geometry
    failing(monkeypatch, first.network, 1, torch.OutOfMemoryError("out of memory"))
    guided.compute_gradient(wide)
    assert budget.max_pixels < 96 * 640
    assert len(tiles_of(first.at(guide=textured(96, 128, 1)), wide)) > 1


def test_out_of_memory_for_the_smallest_tiles_is_an_error(shallow, monkeypatch):
    other = Dreamer(shallow.settings, network=shallow.network)
    assert other._planner.geometry
    failing(monkeypatch, shallow.network, 99, torch.OutOfMemoryError("out of memory"))
    with pytest.raises(DeviceError, match="`max_side`"):
        other.compute_gradient(picture(96, 640))


def test_other_errors_are_passed_on(shallow, monkeypatch):
    failing(monkeypatch, shallow.network, 99, RuntimeError("no"))
    with pytest.raises(RuntimeError, match="no"):
        shallow.compute_gradient(picture(96, 96))


# --- memory


def test_a_cap_counts_what_is_held():
    cpu = torch.device("cpu")
    held = memory.held(cpu)
    assert held > 2**26
    assert MemoryBudget(held // 2, cpu).bytes == 0
    assert 0 < MemoryBudget(held + 2**30, cpu).bytes <= 2**30 + 2**28
    assert 0 < MemoryBudget(None, cpu).bytes < 0.75 * memory.free(cpu) + 2**28


def test_a_container_s_limit_counts(tmp_path):
    names = str(tmp_path), "memory.max", "memory.current"
    assert memory._cgroup(*names) > 2**60
    for name, text in {
        "memory.max": "5000",
        "memory.current": "3000",
        "memory.stat": "anon 1000\ninactive_file 700\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert memory._cgroup(*names) == 2700
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._cgroup(*names) > 2**60
