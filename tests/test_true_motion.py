"""The warping error by true motion, on clips whose error can be reckoned."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import textured
from hypothesis import given, settings
from hypothesis import strategies as st
from media import make_clip

from vidream import Dreamer, DreamSettings
from vidream.cli import cli
from vidream.cli.table import lines
from vidream.core.errors import InputError
from vidream.measure import TrueMotion, measure_clip
from vidream.measure.true_motion import oval, sample_at

HEIGHT, WIDTH = 60, 80
SIDE = 200  # of the scene
MARGIN = 3  # pixels at each side of the earlier frame that bicubic interpolation looks beyond


def shifted(right, down):
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def panned(scene, ways):
    """What a camera sees of a scene that it moves over in whole pixels."""
    return [scene[y : y + HEIGHT, x : x + WIDTH] for x, y in ways]


def noise(seed, height=HEIGHT, width=WIDTH):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def still(frames, **more):
    return TrueMotion((WIDTH, HEIGHT), (np.eye(3),) * frames, **more)


def overlap(now, then, right, down):
    """Both frames where they show the same, by slices alone, as floats."""
    left, top = max(0, MARGIN - right), max(0, MARGIN - down)
    end, bottom = min(WIDTH, WIDTH - MARGIN - right), min(HEIGHT, HEIGHT - MARGIN - down)
    here = now[top:bottom, left:end]
    return here / 255, then[top + down : bottom + down, left + right : end + right] / 255


steps = st.integers(-7, 7)


@settings(max_examples=25)
@given(right=steps, down=steps, seed=st.integers(0, 99))
def test_a_pan_is_judged_as_slices_are(right, down, seed):
    """What moves with the scene has no error; any other dream that of the pixels that overlap."""
    scene = noise(seed, SIDE, SIDE)
    ways = [(60, 60), (60 + right, 60 + down)]
    source = panned(scene, ways)
    dream = [noise(seed + 1), noise(seed + 2)]
    motion = TrueMotion((WIDTH, HEIGHT), tuple(shifted(*way) for way in ways))
    (found,) = motion.errors(1, 1, (source[1], dream[1]), (source[0], dream[0]))
    now, then = overlap(dream[1], dream[0], right, down)
    assert found.dream == pytest.approx(np.square(now - then).mean(), rel=1e-4)
    assert found.source < 1e-8
    assert (found.lag, found.region, found.pixels) == (1, "all", now[..., 0].size)


def waves(x, y):
    """A smooth picture that is known at any place, in [0, 1]."""
    bands = [np.sin(x / 9 + y / 13), np.sin(x / 11 - y / 8), np.cos(x / 7)]
    return np.stack([0.5 + 0.4 * band for band in bands], -1)


@pytest.mark.parametrize("lag", [1, 2])
def test_a_camera_that_turns_and_zooms(lag):
    """The dream is known at any place of the scene: rounding and interpolation leave 0.6 levels."""
    ways = []
    for k in range(3):
        c, s = (1 + 0.02 * k) * np.cos(0.03 * k), (1 + 0.02 * k) * np.sin(0.03 * k)
        ways.append(shifted(50 + 2.3 * k, 40) @ [[c, -s, 0], [s, c, 0], [0, 0, 1]])
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    places = [np.tensordot(way, np.stack((x, y, 0 * x + 1)), 1) for way in ways]
    frames = [np.rint(255 * waves(*place[:2])).astype(np.uint8) for place in places]
    motion = TrueMotion((WIDTH, HEIGHT), tuple(ways))
    (found,) = motion.errors(2, lag, (frames[2],) * 2, (frames[2 - lag],) * 2)
    assert found.dream == found.source < (0.6 / 255) ** 2
    (wrong,) = still(3).errors(2, lag, (frames[2],) * 2, (frames[2 - lag],) * 2)
    assert wrong.dream > 100 * found.dream


def test_a_homography_divides():
    """By a matrix times any number a frame is seen as by the matrix."""
    turned = np.array([[0.9, 0.1, 3], [-0.1, 1.1, 2], [1e-4, 2e-4, 1]])
    now, then = (noise(1),) * 2, (noise(2),) * 2
    one, same = (
        TrueMotion((WIDTH, HEIGHT), (np.eye(3), way)).errors(1, 1, now, then)
        for way in (turned, 7 * turned)
    )
    assert same[0].dream == pytest.approx(one[0].dream, rel=1e-6)
    lost = np.array([[1, 0, 0], [0, 1, 0], [-1 / 40, 0, 1.0]])  # a column lies at infinity
    (found,) = TrueMotion((WIDTH, HEIGHT), (np.eye(3), lost)).errors(1, 1, now, then)
    assert 0 < found.dream < 1


def test_untextured_regions_are_those_of_the_map():
    """The dream changes by 20 levels on the left and 10 on the right, which alone is flat."""
    flat = torch.zeros(1, 1, SIDE, SIDE)
    flat[..., WIDTH // 2 :] = 1
    source = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    dream = source + 10
    dream[:, : WIDTH // 2] += 10
    found = {e.region: e for e in still(2, flat=flat).errors(1, 1, (source, dream), (source,) * 2)}
    assert found.keys() == {"all", "flat"}
    assert found["flat"].dream == pytest.approx((10 / 255) ** 2)
    assert found["all"].dream == pytest.approx((20**2 + 10**2) / 2 / 255**2)
    assert found["flat"].pixels * 2 == found["all"].pixels == (WIDTH - 6) * (HEIGHT - 6)


CUT = 30


def covered(place):
    """Where a cut-out whose middle is at a place hides the scene as a whole."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    across, down = (
        (v - m + CUT / 2) / (CUT - 1) * 2 - 1 for v, m in zip((x, y), place, strict=True)
    )
    inside = (abs(across) <= 1) & (abs(down) <= 1)
    return inside & (np.hypot(across, down * 0.85) <= 1 - 4 / CUT)


def test_what_moves_in_front_is_judged_by_its_own_motion():
    places = [(30, 30), (38, 27)]
    front = tuple(shifted(CUT / 2 - x, CUT / 2 - y) for x, y in places)
    motion = still(2, front=front, cut=CUT)
    source = [np.zeros((HEIGHT, WIDTH, 3), np.uint8) for _ in places]
    scene, thing = noise(1), noise(2, CUT, CUT)
    dreams = []
    for k, (x, y) in enumerate(places):
        dream = scene.copy()
        top, left = y - CUT // 2, x - CUT // 2
        # What moves along is the same but for 8 levels.
        dream[top : top + CUT, left : left + CUT] = thing // 2 + 8 * k
        dreams.append(dream)
    found = {
        e.region: e for e in motion.errors(1, 1, (source[1], dreams[1]), (source[0], dreams[0]))
    }
    assert found.keys() == {"all", "front"}
    assert found["front"].dream == pytest.approx((8 / 255) ** 2, rel=1e-3)
    assert found["front"].pixels == pytest.approx(covered(places[1]).sum(), rel=0.02)
    hidden = found["all"].pixels - found["front"].pixels
    both = covered(places[0]) | covered(places[1])
    assert hidden == pytest.approx((WIDTH - 6) * (HEIGHT - 6) - both.sum(), rel=0.1)


def test_an_oval():
    opacity = oval(CUT)[0, 0]
    assert float(opacity.max()) == 1
    assert float(opacity[CUT // 2, 0]) == float(opacity[0, 0]) == 0
    assert torch.allclose(opacity, opacity.flip(0).flip(1), atol=1e-5)


def test_sampling_what_lies_on_pixels_gives_them():
    image = torch.rand(1, 2, 9, 11)
    y, x = np.mgrid[0:9, 0:11].astype(float)
    assert torch.allclose(sample_at(image, np.stack((x, y))), image, atol=1e-5)
    assert torch.allclose(
        sample_at(image, np.stack((x + 1, y)))[..., :-1], image[..., 1:], atol=1e-5
    )


# --- in a measurement


def pairs(count):
    scene = textured(SIDE, SIDE)
    ways = [(40 + 2 * k, 40 + k) for k in range(count)]
    sources = panned(scene, ways)
    return [(s, s ^ (noise(k) >> 5)) for k, s in enumerate(sources)], ways


@pytest.fixture(scope="module")
def small() -> Dreamer:
    return Dreamer(DreamSettings(octaves=1, steps=1, layers=("Conv2d_2a_3x3",)))


def test_it_is_told_beside_the_error_by_flow(small):
    clip, ways = pairs(5)
    motion = TrueMotion((WIDTH, HEIGHT), tuple(shifted(*way) for way in ways))
    plain = measure_clip(clip, small, lags=[1, 3])
    report = measure_clip(clip, small, lags=[1, 3], true_motion=motion)
    assert report.summary.errors == plain.summary.errors
    assert plain.summary.true_errors == ()
    assert [(e.lag, e.region) for e in report.summary.true_errors] == [(1, "all"), (3, "all")]
    assert [len(f.true_errors) for f in report.frames] == [0, 1, 1, 2, 2]
    near = report.summary.true_errors[0]
    frames = [f.true_errors[0] for f in report.frames[1:]]
    pixels = sum(e.pixels for e in frames)
    assert near.dream == pytest.approx(sum(e.dream * e.pixels for e in frames) / pixels)
    assert (near.share, near.ratio) == (1, None)  # of a source that does not change
    assert any("true motion" in line for line in lines(report.summary))


def test_it_knows_of_no_scenes(small):
    """Frames are compared by it also where something else takes them for a cut."""
    one, other = textured(HEIGHT, WIDTH, 1), 255 - textured(HEIGHT, WIDTH, 5)
    clip = [(one, one)] * 2 + [(other, other)] * 2
    report = measure_clip(clip, small, lags=[1], true_motion=still(4))
    assert [len(f.errors) for f in report.frames] == [0, 1, 0, 1]
    assert [len(f.true_errors) for f in report.frames] == [0, 1, 1, 1]
    assert report.frames[2].true_errors[0].dream > 0.01


def test_a_region_of_a_few_pixels_tells_nothing(small):
    flat = torch.zeros(1, 1, HEIGHT, WIDTH)
    flat[..., 20:30, 20:30] = 1
    picture = textured(HEIGHT, WIDTH)
    report = measure_clip(
        [(picture, picture)] * 3, small, lags=[1], true_motion=still(3, flat=flat)
    )
    _, few = report.summary.true_errors
    assert (few.region, few.dream, few.source) == ("flat", None, None)
    assert 0 < few.share < 0.05


@pytest.mark.parametrize(
    ("motion", "says"),
    [
        (still(2), "ends after 2 frames"),
        (TrueMotion((64, 48), (np.eye(3),) * 3), "is of 64×48 and the dream 80×60"),
    ],
)
def test_motion_of_another_clip(small, motion, says):
    picture = textured(HEIGHT, WIDTH)
    with pytest.raises(InputError, match=f"true motion: it .*{says}"):
        measure_clip([(picture, picture)] * 3, small, true_motion=motion)


# --- files

GOOD = {"size": [WIDTH, HEIGHT], "back": [np.eye(3).tolist()] * 6}
FRONT = {"front": [np.eye(3).tolist()] * 6, "cut": CUT}


def written(path, content):
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text)
    return path


def test_what_is_written_is_read(tmp_path):
    path = written(tmp_path / "clip.json", GOOD | FRONT)
    motion = TrueMotion.load(path)
    assert (motion.size, motion.cut, len(motion.front)) == ((WIDTH, HEIGHT), CUT, 6)
    assert motion.flat is None
    np.save(tmp_path / "clip.flat.npy", np.full((3, 5), 0.5, np.float16))
    assert TrueMotion.load(path).flat.shape == (1, 1, 3, 5)
    assert TrueMotion.load(written(path, GOOD | {"cut": 7, "front": []})).front == ()


@pytest.mark.parametrize(
    "content",
    [
        *("", "Dear diary,", "[" * 100_000, "[]", "7", "{}", "null"),
        GOOD | {"size": [80]},
        GOOD | {"size": [80, 0]},
        GOOD | {"size": "80x60"},
        GOOD | {"back": []},
        GOOD | {"back": 3},
        GOOD | {"back": [[[1, 0], [0, 1]]]},
        GOOD | {"back": [np.zeros((3, 3)).tolist()]},
        GOOD | {"back": [[[1, 0, 0], [0, 1, "x"], [0, 0, 1]]]},
        GOOD | {"back": [[[1, 0, 0], [0, 1], [0, 0, 1]]]},
        GOOD | {"back": [[[1, 0, float("nan")], [0, 1, 0], [0, 0, 1]]]},
        GOOD | {"back": [[[float("inf"), 0, 0], [0, 1, 0], [0, 0, 1]]]},
        GOOD | FRONT | {"front": FRONT["front"][:2]},
        GOOD | FRONT | {"cut": 1},
        GOOD | {"front": FRONT["front"]},
    ],
)
def test_files_that_are_no_true_motion(tmp_path, content):
    with pytest.raises(InputError, match=r"true motion: .*clip\.json is not") as caught:
        TrueMotion.load(written(tmp_path / "clip.json", content))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"true motion: cannot read .*No such file"):
        TrueMotion.load(tmp_path / "none.json")
    with pytest.raises(InputError, match="true motion: cannot read"):
        TrueMotion.load(tmp_path)
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="is not JSON"):
        TrueMotion.load(tmp_path / "latin.json")


@pytest.mark.parametrize(
    "flat", [np.zeros(3), np.full((2, 2), np.nan), np.zeros((0, 4)), np.array([["x"]]), None, b""]
)
def test_maps_that_are_none(tmp_path, flat):
    path, beside = written(tmp_path / "clip.json", GOOD), tmp_path / "clip.flat.npy"
    if flat is None:
        np.save(beside, np.array([{}], object), allow_pickle=True)  # never unpickled
    elif isinstance(flat, bytes):
        beside.write_bytes(flat)
    else:
        np.save(beside, flat)
    with pytest.raises(InputError, match=r"true motion: .*clip\.flat\.npy is not a map") as caught:
        TrueMotion.load(path)
    assert "\n" not in str(caught.value)


# --- the command


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("true")
    made, ways = pairs(6)
    motion = GOOD | {"back": [shifted(*way).tolist() for way in ways]}
    paths = [
        make_clip(folder / f"{name}.mp4", frames, options={"crf": "4"})
        for name, frames in zip(("clip", "dream"), zip(*made, strict=True), strict=True)
    ]
    np.save(folder / "clip.flat.npy", np.ones((SIDE, SIDE), np.float16))
    return (*paths, str(written(folder / "clip.json", motion)))


def run(*arguments):
    options = ("--layer", "Conv2d_2a_3x3", "-q")
    return CliRunner().invoke(cli, ["measure", *map(str, arguments), *options])


def test_the_command(clips, tmp_path):
    source, dream, motion = clips
    result = run(source, dream, "--true-motion", motion, "--json", "--plot", tmp_path / "p.png")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    near, flat, far = report["summary"]["true_errors"][:3]
    assert (near["lag"], near["region"], flat["region"], far["lag"]) == (1, "all", "flat", 5)
    assert near["dream"] == flat["dream"] > 3 * near["source"]
    assert report["frames"][1]["true_errors"][0].keys() == {
        *("lag", "region", "dream", "source", "pixels")
    }
    assert (tmp_path / "p.png").exists()
    table = run(source, dream, "--true-motion", motion).stdout
    assert "1 frame apart, flat" in table
    assert max(map(len, table.splitlines())) <= 88


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--true-motion", "none.json"], 1, "true motion: cannot read none.json"),
        (["--true-motion", "CLIP", "--start", "0.1"], 2, "leave --start and --fps out"),
    ],
)
def test_command_lines_that_are_wrong(clips, tmp_path, monkeypatch, arguments, status, says):
    monkeypatch.chdir(tmp_path)
    result = run(*clips[:2], *(clips[2] if a == "CLIP" else a for a in arguments))
    assert result.exit_code == status, result.output
    assert says in result.output
    assert status == 2 or len(result.output.strip().splitlines()) == 1
