"""Previews and atlases: what settings give, side by side."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st
from media import make_clip
from PIL import Image
from test_cli import one_line, run

from vidream import CancelToken, Settings, preset_settings
from vidream.core.images import to_picture, to_tensor
from vidream.core.reporting import CancelledError
from vidream.dream.dreamer import Dreamer
from vidream.media.places import parse_source, parse_target
from vidream.media.reader import open_reader
from vidream.media.sheet import STYLE, Layout, draw_labels, put, square_wrap
from vidream.render.preview import PreviewSettings, Variant, preview_film, preview_sheet

NONE = Settings().updated(effect="none")


@pytest.fixture
def film(tmp_path):
    """A lossless clip of 30 frames, each of one grey level."""
    pictures = [np.full((48, 64, 3), 8 * k, np.uint8) for k in range(30)]
    return make_clip(tmp_path / "film.mkv", pictures, codec="ffv1", pixels="yuv444p", sound="aac")


def read(path):
    with Image.open(path) as opened:
        return np.array(opened.convert("RGB"))


def cell(sheet, layout, row, column):
    left, top = layout.place(row, column)
    width, height = layout.cell
    return sheet[top : top + height, left : left + width]


def sheet_of(source, target, variants, wanted, **how):
    done = []
    preview_sheet(
        parse_source(source),
        parse_target(target, moving=False),
        variants,
        wanted,
        lambda *counted: done.append(counted),
        **how,
    )
    return done


# --- the sheet


@given(st.integers(1, 30), st.integers(1, 6), st.integers(8, 90), st.integers(8, 90), st.booleans())
def test_no_cell_lies_over_another_or_outside(columns, rows, width, height, wrapped):
    labels = [str(k) for k in range(columns)]
    if wrapped:
        layout = Layout((width, height), labels, wrap=square_wrap(columns, (width, height)))
    else:
        layout = Layout((width, height), labels, [f"0:0{k}.0" for k in range(rows)])
    taken = np.zeros(layout.size[::-1], int)
    for row in range(len(layout.rows)):
        for column in range(columns):
            left, top = layout.place(row, column)
            taken[top : top + height, left : left + width] += 1
    assert taken.max() == 1
    assert taken.sum() == width * height * len(layout.rows) * columns
    assert not any(side % 2 for side in layout.size)


def test_labels_stand_over_their_cells_and_not_in_them():
    layout = Layout((80, 40), ["one", "a label that is much too long for its cell"], ["0:01.5"])
    sheet = draw_labels(layout)
    assert all((cell(sheet, layout, 0, column) == STYLE.ground).all() for column in range(2))
    left, top = layout.place(0, 0)
    assert (sheet[top - STYLE.label : top, left : left + 80] != STYLE.ground).any()
    assert (sheet[top : top + 40, :left] != STYLE.ground).any()
    beyond = sheet[top - STYLE.label : top, layout.place(0, 1)[0] + 80 :]
    assert (beyond == STYLE.ground).all()


def test_pictures_are_put_into_their_cells():
    layout = Layout((20, 10), ["a", "b"], ["1", "2"])
    white = np.full((50, 100, 3), 255, np.uint8)
    sheet = put(draw_labels(layout), layout, {(1, 0): white})
    assert (cell(sheet, layout, 1, 0) == 255).all()
    assert (cell(sheet, layout, 1, 1) == STYLE.ground).all()


# --- a preview


def test_rows_are_moments_and_columns_variants(film, tmp_path):
    variants = [Variant("as it is", NONE), Variant("half", NONE.updated(strength=0.5))]
    wanted = PreviewSettings(moments=3, cell=64)
    done = sheet_of(film, tmp_path / "s.png", variants, wanted)
    assert done == [(k + 1, 6) for k in range(6)]
    layout = Layout((64, 48), ["source", "a", "b"], ["0:00.2", "0:00.6", "0:01.0"])
    sheet = read(tmp_path / "s.png")
    assert sheet.shape[:2] == layout.size[::-1]
    for row, number in enumerate((5, 15, 25)):
        for column in range(3):
            assert abs(float(cell(sheet, layout, row, column).mean()) - 8 * number) < 4


def test_moments_are_those_that_are_asked_for(film, tmp_path):
    wanted = PreviewSettings(at=(0.4, 1.12), cell=64)
    sheet_of(film, tmp_path / "s.png", [Variant("a", NONE)], wanted)
    layout = Layout((64, 48), ["source", "a"], ["0:00.4", "0:01.1"])
    sheet = read(tmp_path / "s.png")
    for row, number in enumerate((10, 28)):
        assert abs(float(cell(sheet, layout, row, 1).mean()) - 8 * number) < 2


def test_settings_over_time_are_those_of_the_moment(film, tmp_path):
    dark = tmp_path / "dark.png"
    Image.new("L", (8, 8), 0).save(dark)
    keyed = Settings().updated(
        effect="none", keys=("strength: 0s=0, 1s=1 linear",), match_color=str(dark)
    )
    wanted = PreviewSettings(at=(0.0, 0.52, 1.0), cell=64)
    sheet_of(film, tmp_path / "s.png", [Variant("a", keyed)], wanted)
    layout = Layout((64, 48), ["source", "a"], ["0:00.0", "0:00.5", "0:01.0"])
    sheet = read(tmp_path / "s.png").astype(float)
    shown = [cell(sheet, layout, row, 1).mean() for row in range(3)]
    assert abs(shown[1] - 0.48 * 8 * 13) < 6
    assert shown[2] < 6


def test_a_cell_is_a_dream_from_scratch_at_the_size_that_is_asked_for(tmp_path):
    Image.fromarray(textured(96, 128)).save(tmp_path / "a.png")
    settings = preset_settings(octaves=1, steps=2, precision="float32", seed=3)
    variants = [Variant("a", settings), Variant("b", settings.updated(layers=("Mixed_5b",)))]
    sheet_of(tmp_path / "a.png", tmp_path / "s.png", variants, PreviewSettings(cell=128))
    layout = Layout((128, 96), ["source", "a", "b"], wrap=square_wrap(3, (128, 96)))
    sheet = read(tmp_path / "s.png")
    for column, variant in enumerate(variants, 1):
        dream = to_picture(Dreamer(variant.settings.dream).dream(to_tensor(textured(96, 128))))
        assert np.abs(cell(sheet, layout, 0, column).astype(int) - dream).max() <= 1


def test_variants_of_one_network_load_it_once(tmp_path, monkeypatch):
    loads = []
    from vidream.dream import dreamer as module  # noqa: PLC0415

    load = module.load_network
    monkeypatch.setattr(module, "load_network", lambda *a, **k: (loads.append(a), load(*a, **k))[1])
    Image.fromarray(textured(80, 96)).save(tmp_path / "a.png")
    base = preset_settings(octaves=1, steps=1)
    variants = [Variant(str(k), base.updated(seed=k)) for k in range(3)]
    variants.append(Variant("other", base.updated(layers=("Mixed_5b",))))
    sheet_of(tmp_path / "a.png", tmp_path / "s.png", variants, PreviewSettings(cell=32))
    assert len(loads) == 2


def test_a_preview_that_is_cancelled_leaves_nothing(film, tmp_path):
    cancel = CancelToken()
    cancel.cancel()
    for write, name in ((preview_sheet, "s.png"), (preview_film, "s.mp4")):
        with pytest.raises(CancelledError):
            write(
                parse_source(film),
                parse_target(tmp_path / name, moving=name.endswith("mp4")),
                [Variant("a", NONE)],
                PreviewSettings(),
                lambda *_: None,
                cancel=cancel,
            )
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.parametrize("suffix", ["mp4", "gif", "webm"])
def test_a_preview_may_move(film, tmp_path, suffix):
    preview_film(
        parse_source(film),
        parse_target(tmp_path / f"p.{suffix}"),
        [Variant("a", NONE), Variant("b", NONE)],
        PreviewSettings(at=(0.4,), seconds=0.4, cell=64),
        lambda *_: None,
    )
    layout = Layout((64, 48), ["source", "a", "b"], wrap=square_wrap(3, (64, 48)))
    with open_reader(tmp_path / f"p.{suffix}") as reader:
        frames = list(reader)
    assert [frame.time - frames[0].time for frame in frames] == [Fraction(k, 25) for k in range(10)]
    for number, frame in enumerate(frames):
        for column in range(3):
            shown = cell(frame.image, layout, 0, column).mean()
            assert abs(float(shown) - 8 * (10 + number)) < 8


# --- the command


def test_the_command_names_its_sheet_after_the_clip(film, tmp_path):
    result = run("preview", film, "--effect", "none", "--presets", "eyes,dogs", "--cell", "32")
    assert result.exit_code == 0, result.output
    sheet = read(tmp_path / "film.preview.jpg")
    layout = Layout((32, 24), ["source", "eyes", "dogs"], ["0:00.2", "0:00.6", "0:01.0"])
    assert sheet.shape[:2] == layout.size[::-1]
    assert "already exists" in one_line(run("preview", film, "--effect", "none"))
    moved = run(
        "preview", film, "--effect", "none", "--seeds", "1,2", "--moving", "--seconds", "0.2"
    )
    assert moved.exit_code == 0, moved.output
    assert (tmp_path / "film.preview.mp4").exists()


def test_columns_are_what_was_asked_for(film, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(
        "vidream.render.preview.preview_sheet",
        lambda _source, _target, variants, *_a, **_k: found.extend(variants),
    )
    arguments = (
        *("--presets", "eyes,psychedelic", "--layers", "Mixed_5b,Mixed_6d#408:0.5"),
        *(
            "--strengths",
            "0.5,2",
            "--seeds",
            "7",
            "--set",
            "octaves=2,4",
            "--set",
            "grey=false,true",
        ),
    )
    result = run("preview", film, "-o", tmp_path / "s.jpg", "--steps", "3", *arguments)
    assert result.exit_code == 0, result.output
    assert {variant.label: variant.settings for variant in found} == {
        "eyes": preset_settings("eyes", steps=3),
        "psychedelic": preset_settings("psychedelic", steps=3),
        "Mixed_5b": preset_settings(steps=3, layers=("Mixed_5b",)),
        "Mixed_6d#408:0.5": preset_settings(steps=3, layers=("Mixed_6d#408:0.5",)),
        "strength 0.5": preset_settings(steps=3, strength=0.5),
        "strength 2": preset_settings(steps=3, strength=2.0),
        "seed 7": preset_settings(steps=3, seed=7),
        "octaves 2": preset_settings(steps=3, octaves=2),
        "octaves 4": preset_settings(steps=3, octaves=4),
        "grey false": preset_settings(steps=3),
        "grey true": preset_settings(steps=3, grey=True),
    }


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--set", "nothing=1"], 2, "unknown setting"),
        (["--set", "octaves"], 2, "has no values"),
        (["--set", "grey=maybe"], 2, "is true or false"),
        (["--set", "octaves=99"], 2, "from 1 to 16"),
        (["--presets", "nothing"], 2, "unknown preset"),
        (["--at", "99"], 1, "is 1.2 s long"),
        (["--at", "soon"], 2, "not a time"),
        (["-o", "a.xyz"], 1, "unknown suffix"),
        (["-o", "%d.png"], 1, "one file"),
    ],
)
def test_what_makes_no_preview_is_a_line(film, tmp_path, monkeypatch, arguments, status, says):
    monkeypatch.chdir(tmp_path)
    result = run("preview", film, "--effect", "none", *arguments)
    assert result.exit_code == status, result.output
    assert says in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


def test_a_pipe_has_no_preview():
    assert "give a file" in one_line(run("preview", "-", "-o", "a.jpg"))


# --- the atlas


def test_an_atlas_shows_every_layer_whose_weights_are_there(tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(
        "vidream.render.preview.preview_sheet",
        lambda _source, _target, variants, *_a, **_k: found.extend(variants),
    )
    assert run("atlas", "inception", "-o", tmp_path / "a.jpg").exit_code == 0
    labels = [variant.label for variant in found]
    assert labels[0] == "Conv2d_1a_3x3"
    assert labels[-1] == "Mixed_6e"
    found.clear()
    assert (
        run("atlas", "inception", "--channels", "Mixed_5b", "-o", tmp_path / "a.jpg").exit_code == 0
    )
    assert [variant.label for variant in found] == [str(k) for k in range(256)]
    assert str(found[7].settings.dream.layers[0]) == "Mixed_5b#7"


def test_an_atlas_is_dreamed_on_the_picture_that_comes_along(tmp_path):
    options = ("--octaves", "1", "--steps", "1", "--cell", "64")
    result = run("atlas", "inception", "-o", tmp_path / "a.jpg", *options)
    assert result.exit_code == 0, result.output
    sheet = read(tmp_path / "a.jpg")
    labels = [str(k) for k in range(15)]
    layout = Layout((64, 36), labels, wrap=square_wrap(15, (64, 36)))
    assert sheet.shape[:2] == layout.size[::-1]
    cells = [cell(sheet, layout, 0, column).astype(float) for column in range(15)]
    assert all(30 < part.mean() < 200 for part in cells)
    assert min(np.abs(a - b).mean() for a, b in pairwise(cells)) > 0.3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing"], "unknown network"),
        (["inception", "--channels", "nothing"], "no layer nothing"),
    ],
)
def test_what_has_no_atlas_is_a_line(arguments, says):
    assert says in one_line(run("atlas", *arguments))


def test_previews_leave_randomness_alone(film, tmp_path):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    sheet_of(film, tmp_path / "s.png", [Variant("a", NONE)], PreviewSettings(cell=32))
    assert torch.equal(torch.random.get_rng_state(), before)
