"""What becomes of a dream before it is shown: masks, edges, colours; nothing feeds back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st
from media import make_clip
from PIL import Image
from test_cli import FAST, one_line, run

from vidream import Frame, PostprocessSettings, Settings, dream_frames, dream_video
from vidream.core.effect import Context
from vidream.core.errors import SettingsError
from vidream.core.images import to_picture, to_tensor
from vidream.core.settings import DreamSettings
from vidream.media.reader import Reader, open_reader
from vidream.postprocess.colour import luma, palette
from vidream.postprocess.masks import Mask
from vidream.postprocess.postprocess import PostProcessor, keep_edges
from vidream.timeline.timeline import Clock

HEIGHT, WIDTH = 48, 64
LOSSLESS = {"codec": "libx264rgb", "pixels": "rgb24", "options": {"qp": "0"}}


class Invert:
    """An effect whose image differs from the frame everywhere."""

    over_time = frozenset()

    def __init__(self, recurrent=False):
        self.recurrent = recurrent
        self.starts = []

    def step(self, init, frame, context, state):
        self.starts.append(init)
        return 1 - frame, {}


def contexts(frames, start=None, **values):
    """The context of each frame of a clip."""
    settings, clock = Settings(postprocess=PostprocessSettings(**values)), Clock(start)
    return [Context(frame.index, clock(frame), settings) for frame in frames]


def dreamed(pictures, start=None, **values):
    """What is shown of the dreams of some pictures: of their negatives."""
    numbered = enumerate(pictures)
    frames = [p if isinstance(p, Frame) else Frame(p, k, k) for k, p in numbered]
    with PostProcessor(PostprocessSettings(**values)) as postprocess:
        sources = [to_tensor(frame.image) for frame in frames]
        each = zip(sources, contexts(frames, start, **values), strict=True)
        return [to_picture(postprocess(1 - source, source, context)) for source, context in each]


def carried_on(pictures, effect, **values):
    """The same through the loop."""
    settings = Settings().updated(**values)
    return [frame.image for frame, _ in dream_frames(pictures, settings, effect=effect)]


def half(height=HEIGHT, width=WIDTH):
    """White in its right half."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, width // 2 :] = 255
    return picture


def bar(place):
    """White in the eighth of that number."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, place * 8 : place * 8 + 8] = 255
    return picture


def saved(path, picture, **how):
    Image.fromarray(picture).save(path, **how)
    return str(path)


def shown_at(pictures, sources):
    """Which eighth of each picture is dreamed: the only one that is not the source."""
    places = []
    for picture, source in zip(pictures, sources, strict=True):
        columns = (picture != source).any((0, 2)).reshape(8, 8)
        assert (columns.all(1) == columns.any(1)).all()
        (place,) = np.flatnonzero(columns.all(1))
        places.append(int(place))
    return places


def bars(path, places, **how):
    return make_clip(path, [bar(k) for k in places], **{**LOSSLESS, **how})


def test_at_the_defaults_nothing_is_done():
    dream, source = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    postprocess = PostProcessor(PostprocessSettings())
    assert postprocess(dream, source, *contexts([Frame(textured(8, 8))])) is dream
    assert not postprocess.is_moving


# --- masks


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_what_is_masked_out_is_the_source_bit_for_bit(tmp_path, scale, suffix):
    mask = saved(tmp_path / f"m.{suffix}", half(HEIGHT * scale, WIDTH * scale), quality=95)
    source = textured(HEIGHT, WIDTH)
    (shown,) = dreamed([source], mask=mask, feather=4, keep_edges=0.5)
    assert np.array_equal(shown[:, : WIDTH // 2 - 2], source[:, : WIDTH // 2 - 2])
    (whole,) = dreamed([source], keep_edges=0.5)
    assert np.array_equal(shown[:, WIDTH // 2 + 6 :], whole[:, WIDTH // 2 + 6 :])


def test_a_soft_edge_lies_inside_of_what_is_shown(tmp_path):
    mask, source = saved(tmp_path / "m.png", half()), textured(HEIGHT, WIDTH) // 4
    (hard,), (soft,) = (dreamed([source], mask=mask, feather=width) for width in (0, 8))
    assert np.array_equal(hard[:, WIDTH // 2 :], 255 - source[:, WIDTH // 2 :])
    assert np.array_equal(soft[:, : WIDTH // 2], source[:, : WIDTH // 2])
    before, after = (p[:, WIDTH // 2 :].astype(float) for p in (source, soft))
    share = ((after - before) / (255 - 2 * before)).mean((0, 2))
    assert (np.diff(share[:9]) > 0.05).all()
    assert (share[8:] == 1).all()


def test_what_a_picture_says_of_where_to_look(tmp_path):
    grey = half()[..., 0]
    given = {
        "grey": grey,
        "opaque": np.dstack([half(), np.full_like(grey, 255)]),  # alpha that says nothing
        "alpha": np.dstack([textured(HEIGHT, WIDTH), grey]),
        "grey-alpha": np.dstack([255 - grey, grey]),
        "deep": grey.astype(np.uint16) * 257,
    }
    for name, picture in given.items():
        with Mask(saved(tmp_path / f"{name}.png", picture), 0) as mask:
            shown = mask.at(Fraction(0), (HEIGHT, WIDTH))
        assert np.array_equal(shown[0, 0].numpy() * 255, grey), name


def test_a_grey_mask_shows_the_dream_in_part(tmp_path):
    mask = saved(tmp_path / "m.png", np.full((8, 8), 128, np.uint8))
    source = textured(HEIGHT, WIDTH)
    (shown,) = dreamed([source], mask=mask)
    assert np.abs(shown.astype(int) - 127.5).max() <= 1


def test_a_mask_video_runs_in_step_and_its_last_frame_holds(tmp_path):
    places = [1, 4, 2, 6]
    mask = bars(tmp_path / "m.mkv", places)
    sources = [np.roll(textured(HEIGHT, WIDTH), 2 * k, 1) for k in range(6)]
    shown = dreamed(sources, mask=mask, feather=0)
    assert shown_at(shown, sources) == [1, 4, 2, 6, 6, 6]


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(Fraction(25, 2), [0, 0, 1, 1, 2, 2]), (Fraction(50), [0, 2, 4, 6, 7, 7])],
)
def test_a_mask_of_another_rate_is_matched_by_time(tmp_path, rate, expected):
    mask = bars(tmp_path / "m.mp4", range(8), rate=rate)
    sources = [np.roll(textured(HEIGHT, WIDTH), 2 * k, 1) for k in range(6)]
    assert shown_at(dreamed(sources, mask=mask, feather=0), sources) == expected


@given(st.integers(0, 7), st.sampled_from([Fraction(24000, 1001), Fraction(30), Fraction(60)]))
def test_times_that_a_container_has_rounded_are_the_same_times(tmp_path_factory, number, rate):
    """Matroska counts milliseconds, MP4 does not."""
    path = tmp_path_factory.getbasetemp() / f"bars-{rate.numerator}.mkv"
    if not path.exists():
        bars(path, range(8), rate=rate)
    with Mask(str(path), 0) as mask:
        seen = mask.at(number / rate, (HEIGHT, WIDTH))
    assert torch.equal(seen, to_tensor(bar(number))[:, :1])


def test_a_cut_of_the_clip_takes_its_cut_of_the_mask(tmp_path):
    mask = bars(tmp_path / "m.mkv", range(8))
    sources = [np.roll(textured(HEIGHT, WIDTH), 2 * k, 1) for k in range(3)]
    assert shown_at(dreamed(sources, mask=mask, feather=0, start=0.12), sources) == [3, 4, 5]


def test_a_clip_whose_times_begin_anywhere(tmp_path):
    mask = bars(tmp_path / "m.mkv", range(8))
    sources = [np.roll(textured(HEIGHT, WIDTH), 2 * k, 1) for k in range(3)]
    frames = [Frame(picture, k, 90_000 + k) for k, picture in enumerate(sources)]
    assert shown_at(dreamed(frames, mask=mask, feather=0), sources) == [0, 1, 2]


def test_black_that_encoding_has_touched_is_black(tmp_path):
    mask = make_clip(tmp_path / "m.mp4", [half()] * 3, options={"crf": "30"})
    sources = [np.roll(textured(HEIGHT, WIDTH), 2 * k, 1) for k in range(3)]
    for shown, source in zip(dreamed(sources, mask=mask), sources, strict=True):
        assert np.array_equal(shown[:, :24], source[:, :24])
        assert np.array_equal(shown[:, 48:], to_picture(1 - to_tensor(source))[:, 48:])


def test_levels_next_to_black_and_white_are_black_and_white(tmp_path):
    random = np.random.default_rng(0).integers(0, 3, (HEIGHT, WIDTH), np.uint8)
    nearly = np.where(half()[..., 0] > 0, 255 - random, random)
    source = textured(HEIGHT, WIDTH)
    clean, noisy = saved(tmp_path / "m.png", half()), saved(tmp_path / "n.png", nearly)
    (one,), (other,) = dreamed([source], mask=clean), dreamed([source], mask=noisy)
    assert np.array_equal(one, other)


@pytest.mark.parametrize("level", [0, 255])
def test_what_is_all_dream_or_all_source_is_not_even_rounded(tmp_path, level):
    mask = saved(tmp_path / "m.png", np.full((8, 8), level, np.uint8))
    dream, source = torch.rand(1, 3, 32, 40).sqrt(), torch.rand(1, 3, 32, 40).sqrt()
    with PostProcessor(PostprocessSettings(mask=mask)) as postprocess:
        shown = postprocess(dream, source, *contexts([Frame(textured(32, 40))], mask=mask))
    assert torch.equal(shown, dream if level else source)


def test_frames_of_another_size_have_their_mask_too(tmp_path):
    mask = saved(tmp_path / "m.png", half())
    sources = [textured(HEIGHT, WIDTH), textured(2 * HEIGHT, 2 * WIDTH)]
    for shown, source in zip(dreamed(sources, mask=mask), sources, strict=True):
        width = source.shape[1] // 2
        assert np.array_equal(shown[:, : width - 2], source[:, : width - 2])


# --- what is shown twice, and what is carried


def test_a_frame_shown_twice_is_shown_alike_unless_the_mask_moves(tmp_path):
    first = textured(HEIGHT, WIDTH)
    noisy = np.minimum(first, 254) + np.random.default_rng(0).integers(0, 2, first.shape, np.uint8)
    still, moving = saved(tmp_path / "m.png", half()), bars(tmp_path / "m.mkv", [1, 4, 4])
    processor = Invert(recurrent=True)
    one, two, three = carried_on([first, noisy, first], processor, mask=still)
    assert np.array_equal(one, two)
    assert np.array_equal(one, three)
    assert len(processor.starts) == 1
    processor = Invert(recurrent=True)
    one, two, three = carried_on([first, noisy, first], processor, mask=moving, feather=0)
    assert shown_at([one, two, three], [first] * 3) == [1, 4, 4]
    assert np.array_equal(two, three)
    assert len(processor.starts) == 1


def test_a_frame_shown_twice_is_postprocessed_once(monkeypatch):
    finished = []

    def call(self, image, frame, context):
        finished.append(context.index)
        return image

    monkeypatch.setattr(PostProcessor, "__call__", call)
    carried_on([textured(HEIGHT, WIDTH)] * 3, Invert(recurrent=True))
    assert finished == [0]


@pytest.mark.parametrize("finish", [{"luma_only": True}, {"keep_edges": 1.0}, {"mask": "black"}])
def test_nothing_of_the_postprocessing_is_propagated(tmp_path, finish):
    if "mask" in finish:
        finish = {"mask": saved(tmp_path / "m.png", np.zeros((8, 8), np.uint8))}
    sources = [np.roll(textured(HEIGHT, WIDTH), 2 * k, 1) for k in range(3)]
    raw, finished = Invert(recurrent=True), Invert(recurrent=True)
    carried_on(sources, raw)
    carried_on(sources, finished, **finish)
    for a, b in zip(raw.starts, finished.starts, strict=True):
        assert torch.equal(a.image, b.image)


# --- edges and colours


def test_edges_are_kept_as_far_as_is_asked():
    source = to_tensor(half(90, 120)) * 0.5 + 0.25
    dream = (source + 0.2 * (torch.rand(1, 3, 90, 120) - 0.5)).clamp(0, 1)
    whole = keep_edges(dream, source, 1.0)
    partly = keep_edges(dream, source, 0.25)
    assert torch.allclose(partly, dream + 0.25 * (whole - dream), atol=1e-5)
    assert (whole - source).std() < 0.3 * (dream - source).std()
    step = (whole[..., 60] - whole[..., 59]).mean()
    assert float(step) == pytest.approx(0.5, abs=0.05)


def test_a_dream_of_nothing_has_all_its_edges():
    source = to_tensor(textured(60, 80))
    assert torch.allclose(keep_edges(source, source, 1.0), source, atol=1e-6)


def test_kept_colour_through_the_pipeline():
    source = (textured(HEIGHT, WIDTH) // 4 + 96).astype(np.uint8)  # room for every brightness
    (shown,) = dreamed([source], luma_only=True)
    now, then = to_tensor(shown), to_tensor(source)
    assert (now - luma(now) - then + luma(then)).abs().max() < 1.5 / 255
    assert (luma(now) - luma(1 - then)).abs().max() < 1.5 / 255


def test_colours_are_matched_to_the_source_or_to_a_picture(tmp_path):
    source = (textured(HEIGHT, WIDTH) // 2 + 20).astype(np.uint8)
    other = (textured(HEIGHT, WIDTH, 1) // 3 + 100).astype(np.uint8)
    for match, target in (("source", source), (saved(tmp_path / "o.png", other), other)):
        (shown,) = dreamed([source], match_color=match)
        got, wanted = palette(to_tensor(shown)), palette(to_tensor(target))
        assert torch.allclose(got.mean, wanted.mean, atol=0.01)
        assert torch.allclose(got.covariance, wanted.covariance, atol=0.002)


# --- the whole way


def test_videos_and_stills_pass_through(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "vidream.effects.passthrough.PassThrough.step",
        lambda self, init, frame, context, state: (1 - frame, {}),
    )
    mask = saved(tmp_path / "m.png", half())
    settings = Settings(effect="none", postprocess=PostprocessSettings(mask=mask, feather=0))
    clip = make_clip(tmp_path / "c.mkv", **LOSSLESS)
    dream_video(clip, tmp_path / "d.mkv", settings.updated(codec="ffv1"))
    with open_reader(clip) as reader, open_reader(tmp_path / "d.mkv") as dream:
        for source, shown in zip(reader, dream, strict=True):
            apart = np.abs(shown.image.astype(int) - source.image).mean((0, 2))
            assert apart[:28].max() < 4  # what the encoding of colour costs
            assert apart[36:].min() > 20
    still = saved(tmp_path / "a.png", textured(HEIGHT, WIDTH))
    dream_video(still, tmp_path / "b.png", settings)
    with Image.open(tmp_path / "b.png") as shown:
        assert np.array_equal(np.array(shown)[:, :32], textured(HEIGHT, WIDTH)[:, :32])


def test_the_command_postprocesses_a_dream(tmp_path):
    source = textured(64, 80)
    saved(tmp_path / "a.png", source)
    mask = saved(tmp_path / "m.png", half())
    options = ["--mask", mask, "--feather", 0, "--luma-only", "--keep-edges", 0.5, *FAST]
    result = run(tmp_path / "a.png", "-o", tmp_path / "b.png", *options)
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "b.png") as shown:
        dream = np.array(shown)
    assert np.array_equal(dream[:, :39], source[:, :39])
    assert not np.array_equal(dream[:, 40:], source[:, 40:])


def test_files_that_cannot_be_used(clip, tmp_path):
    (tmp_path / "text.png").write_text("Dear diary")
    (tmp_path / "text.mp4").write_text("Dear diary")
    (tmp_path / "empty").mkdir()
    given = [
        (["--mask", tmp_path / "no.png"], f"mask: {tmp_path / 'no.png'} does not exist"),
        (["--mask", tmp_path / "no.mp4"], f"mask: {tmp_path / 'no.mp4'} does not exist"),
        (["--mask", tmp_path / "text.png"], "mask: "),
        (["--mask", tmp_path / "text.mp4"], "mask: "),
        (["--mask", tmp_path / "empty"], "is a folder"),
        (["--mask", "-"], "give a file"),
        (
            ["--match-color", tmp_path / "no.png"],
            f"match-color: {tmp_path / 'no.png'} does not exist",
        ),
        (["--match-color", tmp_path / "text.png"], "match-color: "),
        (["--match-color", clip], "match-color: "),
    ]
    for arguments, says in given:
        # Said before anything slow is done: there is no such network.
        line = one_line(run(clip, "-o", tmp_path / "d.mp4", "--network", "none", *arguments))
        assert says in line, line
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "text.mp4", "text.png"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"keep_edges": 1.5}, "`keep_edges` is a number from 0 to 1"),
        ({"feather": -1}, "feather"),
        ({"feather": 1.5}, "whole number"),
        ({"luma_only": True, "match_color": "source"}, "not both"),
    ],
)
def test_settings_that_cannot_be(values, says):
    with pytest.raises(SettingsError, match=says):
        PostprocessSettings(**values)


def test_settings_reach_the_postprocessing():
    settings = Settings().updated(keep_edges=0.5, octaves=2)
    assert settings.postprocess == PostprocessSettings(keep_edges=0.5)
    assert settings.dream == DreamSettings(octaves=2)


def test_a_mask_lets_go_of_its_file(tmp_path, monkeypatch):
    closed, close = [], Reader.close
    monkeypatch.setattr(Reader, "close", lambda self: (closed.append(self), close(self)))
    with PostProcessor(PostprocessSettings(mask=bars(tmp_path / "m.mkv", range(3)))):
        assert not closed
    assert len(closed) == 1
