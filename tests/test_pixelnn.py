"""PixelNN: hypercolumns, nearest neighbours against brute force, and what becomes of a clip."""

from __future__ import annotations

from itertools import pairwise

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from conftest import textured
from effect_runs import EffectRun, flicker, makes_each_on_its_own
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vidream import ExampleSettings, LayerTerm, Settings
from vidream.cli import cli
from vidream.cli.command_line import command_line
from vidream.core.effect import Resources
from vidream.core.errors import DeviceError, InputError, SettingsError
from vidream.core.images import to_picture, to_tensor
from vidream.core.memory import MemoryBudget
from vidream.effects.examples import CELL, as_keys, as_query, find_pictures, scaled
from vidream.effects.hypercolumns import Hypercolumns
from vidream.effects.nearest import FeatureGrid, Search, block_means, match
from vidream.effects.pixelnn import LAYERS, PixelNN, PixelNNPolicy
from vidream.effects.registry import load_effect
from vidream.media.places import parse_source
from vidream.networks.network import load_network
from vidream.render.record import Record

FULL = Settings().updated(effect="pixelnn", precision="float32", device="cpu")
AMPLE = 2**22  # bytes


@pytest.fixture(scope="module")
def network():
    """The default network as far as it is compared, with its real weights."""
    return load_network("inception", LAYERS["inception"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of several sizes, and what is none."""
    place = tmp_path_factory.mktemp("examples")
    save(place / "b.png", textured(64, 96, 1))
    save(place / "a.jpg", textured(50, 41, 2))
    save(place / "c.webp", 255 - textured(30, 90, 3))
    save(place / ".hidden.png", textured(20, 20, 4))
    (place / "notes.txt").write_text("no picture")
    (place / "deeper").mkdir()
    return place


def save(path, picture):
    Image.fromarray(picture).save(path)
    return str(path)


@pytest.fixture
def effect(network, folder):
    def make(budget=None, **values):
        settings = FULL.updated(**{"examples": (str(folder),), **values})
        memory = None if budget is None else MemoryBudget(None, torch.device("cpu"), budget)
        return EffectRun(PixelNN(settings, Resources(memory=memory), network=network), settings)

    return make


def frame(height=48, width=64, seed=0):
    return to_tensor(textured(height, width, seed))


def plain(run, image):
    return run.step(image)[0]


# Nearest neighbours


def a_field(size, seed, depth=5):
    random = torch.Generator().manual_seed(seed)
    pixels = F.normalize(torch.randn(*size, depth, generator=random), dim=-1)
    return FeatureGrid(pixels, block_means(pixels, CELL))


sides = st.tuples(st.integers(1, 19), st.integers(1, 19))


@settings(max_examples=30)
@given(sides, st.lists(sides, min_size=1, max_size=3), st.sampled_from([1, 3000, AMPLE]))
def test_where_all_is_searched_it_is_brute_force(size, others, max_bytes):
    wanted = a_field(size, 0)
    examples = [a_field(other, k + 1) for k, other in enumerate(others)]
    found = match(wanted, examples, Search(CELL, len(others), 19, max_bytes))
    everything = np.concatenate([e.pixels.numpy().reshape(-1, 5) for e in examples])
    places = [(k, y, x) for k, (h, w) in enumerate(others) for y in range(h) for x in range(w)]
    for y in range(size[0]):
        for x in range(size[1]):
            products = everything @ wanted.pixels[y, x].numpy()
            best = tuple(int(p[y, x]) for p in (found.example, found.row, found.column))
            assert best == places[int(products.argmax())]
            assert abs(float(found.score[y, x]) - products.max()) < 1e-6


def means(pixels):
    """The blocks of a field, one after the other."""
    height, width = pixels.shape[:2]
    corners = [(y, x) for y in range(0, height, CELL) for x in range(0, width, CELL)]
    cells = [pixels[y : y + CELL, x : x + CELL].reshape(-1, pixels.shape[2]) for y, x in corners]
    return corners, np.array([cell.mean(0) for cell in cells])


@settings(max_examples=20)
@given(sides, st.lists(sides, min_size=1, max_size=3), st.integers(0, 5), st.integers(1, 3))
def test_each_block_is_searched_around_the_blocks_most_like_it(size, others, reach, places):
    """The same in loops: best block of each example, the best examples, a window around each."""
    wanted = a_field(size, 7)
    examples = [a_field(other, k + 20) for k, other in enumerate(others)]
    found = match(wanted, examples, Search(CELL, places, reach, AMPLE))
    for (top, left), mean in zip(*means(wanted.pixels.numpy()), strict=True):
        best = []
        for k, example in enumerate(examples):
            corners, others_means = means(example.pixels.numpy())
            products = others_means @ mean
            best.append((products.max(), k, corners[int(products.argmax())]))
        best = sorted(best, reverse=True)[:places]
        for y in range(top, min(top + CELL, size[0])):
            for x in range(left, min(left + CELL, size[1])):
                expected = -np.inf
                for _, k, (row, column) in best:
                    pixels, side = examples[k].pixels.numpy(), CELL + 2 * reach
                    height, width = pixels.shape[:2]
                    r = max(0, min(row - reach, height - side))
                    c = max(0, min(column - reach, width - side))
                    window = pixels[r : r + side, c : c + side].reshape(-1, 5)
                    expected = max(expected, (window @ wanted.pixels[y, x].numpy()).max())
                assert abs(float(found.score[y, x]) - expected) < 1e-6
                own = examples[int(found.example[y, x])].pixels
                place = own[found.row[y, x], found.column[y, x]]
                assert abs(float(place @ wanted.pixels[y, x]) - expected) < 1e-6


def test_a_colour_that_is_wanted_takes_its_squared_distance_off():
    columns, colors = torch.randn(6, 7, 4), torch.rand(6, 7, 3)
    other, others = torch.randn(6, 7, 4), torch.rand(6, 7, 3)
    weight = torch.rand(6, 7, 1) * 5
    query = as_query(columns, colors, weight)
    given = (query.pixels * as_keys(other, others).pixels).sum(-1)
    alike = (columns * other).sum(-1)
    apart = (colors - others).square().sum(-1)
    same_for_all = weight[..., 0] * colors.square().sum(-1)
    assert torch.allclose(given, alike - weight[..., 0] * apart + same_for_all, atol=1e-5)


# Hypercolumns


@pytest.mark.parametrize(
    # Where the middle of the first cell lies, by hand: convolutions without padding, of 3 pixels,
    # move it by one of the cells that they read.
    ("layer", "stride", "middle"),
    [("Conv2d_1a_3x3", 2, 1.5), ("Conv2d_2b_3x3", 2, 3.5), ("Mixed_5b", 8, 13.5)],
)
def test_hypercolumns_are_compared_by_their_cosines(layer, stride, middle):
    """The same with NumPy: bilinear between the middles of cells, in all channels."""
    network = load_network("inception", [layer])
    columns = Hypercolumns(network, [LayerTerm(layer, 0.5)], components=512)
    images = [frame(64, 80, k) for k in range(2)]
    columns.learn(images)
    maps = [network.activations(F.pad(i, (32,) * 4, "reflect"))[layer][0] for i in images]

    def at(cells, y, x):
        (row, a), (column, b) = (divmod((p + 32.5 - middle) / stride, 1) for p in (y, x))
        corner = cells[:, int(row) : int(row) + 2, int(column) : int(column) + 2].numpy()
        return (corner * np.outer((1 - a, a), (1 - b, b))).sum((1, 2))

    for (y, x), (v, u) in [((3, 5), (40, 60)), ((20, 33), (21, 34)), ((63, 79), (0, 0))]:
        one, two = at(maps[0], y, x), at(maps[1], v, u)
        cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
        given = columns.of(images[0])[y, x] @ columns.of(images[1])[v, u]
        assert abs(float(given) - 0.5 * cosine) < 1e-4


def test_a_few_components_hold_nearly_as_much_as_all_channels(network):
    images = [frame(64, 80, k) for k in range(2)]
    terms = [LayerTerm(layer) for layer in LAYERS["inception"]]

    def products(*components):
        columns = Hypercolumns(network, terms, *components)
        columns.learn(images)
        one, two = (columns.of(image).flatten(0, 1)[::7] for image in images)
        return (one @ two.T).flatten()

    few, full = products(), products(512)
    assert torch.corrcoef(torch.stack((few, full)))[0, 1] > 0.98


def test_what_is_moved_has_the_same_hypercolumns_elsewhere(network):
    columns = Hypercolumns(network, [LayerTerm(layer) for layer in LAYERS["inception"]])
    whole = frame(128, 160)
    columns.learn([whole])
    part = columns.of(whole[..., 16:112, 24:136])
    apart = (columns.of(whole)[16:112, 24:136] - part)[32:-32, 32:-32]
    assert apart.abs().max() < 0.01


# Pictures


def test_pictures_are_found_in_folders_each_once(folder):
    files = find_pictures((str(folder / "b.png"), str(folder)))
    assert [f.rsplit("/", 1)[1] for f in files] == ["b.png", "a.jpg", "c.webp"]


@pytest.mark.parametrize(
    ("size", "shorter", "expected"),
    [
        ((360, 640), 240, (240, 427)),
        ((96, 64), 240, (96, 64)),
        ((1, 500), 16, (1, 500)),
        ((40, 10_000), 20, (20, 5000)),
    ],
)
def test_pictures_are_made_smaller_and_never_larger(size, shorter, expected):
    assert scaled(size, shorter) == expected


# Frames


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (16, 16), (37, 53), (64, 96)])
def test_every_size_is_kept(effect, size):
    image = torch.rand(1, 3, *size)
    given = plain(effect(), image)
    assert given.shape == image.shape
    assert given.dtype == torch.float32
    assert 0 <= float(given.min()) <= float(given.max()) <= 1


def test_a_frame_that_is_among_the_examples_comes_out_as_itself(effect, folder):
    with Image.open(folder / "b.png") as picture:
        itself = np.array(picture)
    # At two thirds of its size it is compared, and put together again of squares.
    for size in (240, 43):
        given = to_picture(plain(effect(match_size=size), to_tensor(itself)))
        assert (given == itself).all(-1).mean() > 0.99
        # Beside a pixel may lie one that is alike to the last digit.
        assert np.abs(given.astype(int) - itself).max() < 8


def test_every_pixel_is_a_pixel_of_an_example(effect, folder, tmp_path):
    flat = [(200, 30, 30), (20, 90, 200), (240, 240, 240)]
    places = []
    for k, color in enumerate(flat):
        picture = np.broadcast_to(np.array(color, np.uint8), (40 + k, 50, 3))
        places.append(save(tmp_path / f"{k}.png", np.ascontiguousarray(picture)))
    for size in (240, 20):
        given = to_picture(plain(effect(examples=tuple(places), match_size=size), frame()))
        assert {tuple(map(int, c)) for c in given.reshape(-1, 3)} <= set(flat)


def test_memory_changes_nothing_as_long_as_it_is_enough(effect, monkeypatch):
    expected = plain(effect(), frame())
    monkeypatch.setattr("vidream.effects.pixelnn._POLICY", PixelNNPolicy(max_search_bytes=2**14))
    assert torch.equal(plain(effect(budget=2**27), frame()), expected)


def test_with_little_memory_frames_are_compared_smaller(effect, caplog):
    run = effect(budget=2**24, example_size=16)
    assert plain(run, frame(64, 96)).shape == (1, 3, 64, 96)
    assert "39×26" in caplog.text


def test_examples_that_do_not_fit_are_one_line(effect):
    with pytest.raises(DeviceError, match="give fewer"):
        plain(effect(budget=2**20), frame())


# Time


def test_without_coherence_every_frame_is_composed_on_its_own(effect):
    assert makes_each_on_its_own(effect(coherence=0))


def test_what_is_composed_moves_with_the_scene(effect):
    assert flicker(effect()) < 0.5 * flicker(effect(coherence=0))


def test_noise_of_the_camera_does_not_flicker(effect):
    still = textured(64, 96, 5).astype(np.float32)
    random = np.random.default_rng(1)
    noisy = [
        (still + random.normal(0, 4, still.shape)).clip(0, 255).astype(np.uint8) for _ in range(5)
    ]

    def change(run):
        pictures = [picture / 255 for picture in run.shown(noisy)]
        return np.mean([np.square(a - b).mean() for a, b in pairwise(pictures[1:])])

    assert change(effect()) < 0.5 * change(effect(coherence=0))


# The command


def run(clip, tmp_path, *options):
    arguments = [clip, "-o", str(tmp_path / "made.mp4"), "--effect", "pixelnn", *options]
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def test_the_command_composes_a_clip(clip, folder, tmp_path):
    result = run(clip, tmp_path, "--example", folder, "--frames", 3, "--match-size", 40)
    assert result.exit_code == 0, result.output
    with av.open(str(tmp_path / "made.mp4")) as done:
        frames = list(done.decode(video=0))
    assert [(f.width, f.height) for f in frames] == [(96, 64)] * 3


def test_what_is_wrong_is_one_line(clip, folder, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    whole = (folder / "b.png").read_bytes()
    (broken / "half.png").write_bytes(whole[: len(whole) // 2])
    empty = tmp_path / "empty"
    empty.mkdir()
    for options, says in [
        ((), "--example"),
        (("--example", tmp_path / "none"), "does not exist"),
        (("--example", empty), "holds no PNG"),
        (("--example", broken), "half.png is not a picture"),
        (("--example", folder, "--network", "alexnet"), "--layer"),
        (("--example", folder, "--layer", "Mixed_5b#3"), "whole layers"),
        (("--example", folder, "--layer", "Mixed_5x"), "did you mean"),
    ]:
        result = run(clip, tmp_path, *options)
        assert result.exit_code == 1, result.output
        (line,) = result.output.strip().splitlines()
        assert says in line
        assert not (tmp_path / "made.mp4").exists()


def test_examples_without_their_effect_are_a_usage_error(clip, folder, tmp_path):
    arguments = [clip, "-o", str(tmp_path / "d.mp4"), "--example", str(folder)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "set --effect to pixelnn" in result.output


def test_it_is_found_by_name_and_needs_examples(tmp_path):
    with pytest.raises(SettingsError, match="`examples`"):
        load_effect(FULL)
    with pytest.raises(InputError, match="no examples"):
        load_effect(FULL.updated(examples=(str(tmp_path),)))


def test_a_record_names_the_examples_without_their_folders():
    wanted = Settings().updated(effect="pixelnn", examples=("/a/photos/", "/b/c.jpg"))
    record = Record.of(parse_source("clip.mp4"), wanted, {})
    command = command_line("clip.mp4", "out.mp4", record.given())
    assert "--example photos --example c.jpg" in command
    assert ExampleSettings(examples="photos").examples == ("photos",)
