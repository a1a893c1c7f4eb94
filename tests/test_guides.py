"""Guides that move: each frame of a clip is guided by what the video shows then."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from conftest import textured
from media import make_clip
from PIL import Image

from vidream import Dreamer, Settings, dream_video, open_session
from vidream.core.errors import InputError, SettingsError
from vidream.core.settings import DreamSettings
from vidream.media.reader import open_reader
from vidream.render.guides import GuideVideo, open_guide

SHOTS = [textured(90, 120, seed=7), 255 - textured(90, 120, seed=8)]


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    """A video of two pictures, 25 a second."""
    return make_clip(tmp_path_factory.mktemp("guide") / "guide.mp4", SHOTS)


def test_a_picture_does_not_move(guide):
    names = (None, "cat.png", "cat.jpg", guide)
    videos = [open_guide(DreamSettings(guide=name))[1] for name in names]
    assert videos[:3] == [None] * 3
    with videos[3] as video:
        assert isinstance(video, GuideVideo)


@pytest.mark.parametrize("by", ["match", "statistics"])
def test_each_frame_is_guided_by_what_is_shown_then(dreamer, guide, tmp_path, by):
    settings = replace(dreamer.settings, guide_by=by)
    guided = Dreamer(settings, network=dreamer.network)
    image = torch.rand(1, 3, 96, 96)
    with open_reader(guide) as reader, GuideVideo(guide) as video:
        for time, shown in zip((0, Fraction(1, 25)), list(reader), strict=True):
            still = tmp_path / "still.png"
            Image.fromarray(shown.image).save(still)
            alone = Dreamer(replace(settings, guide=str(still)), network=dreamer.network)
            picture = video.at(Fraction(time))
            found = guided.at(guide=picture).compute_gradient(image).gradient
            assert torch.allclose(found, alone.compute_gradient(image).gradient)
            assert video.at(Fraction(time)) is picture
        assert video.at(Fraction(9)) is picture  # the last one holds


def test_a_clip_follows_its_guide(guide, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", [textured(96, 96)] * 2)
    settings = Settings().updated(
        guide=guide, coherence=0.0, octaves=1, steps=2, step_size=0.05, precision="float32"
    )
    dream_video(clip, tmp_path / "o.mp4", settings)
    with av.open(str(tmp_path / "o.mp4")) as made:
        one, two = (frame.to_ndarray(format="rgb24").astype(int) for frame in made.decode(video=0))
    assert np.abs(one - two).mean() > 2  # the frames are the same, what they become is not


def test_a_guide_that_is_no_video(tmp_path):
    (tmp_path / "guide.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"^guide: "):
        GuideVideo(str(tmp_path / "guide.mp4"))


@pytest.mark.parametrize(("target", "film"), [("o.png", {}), ("o.mp4", {"zoom": 1.1, "frames": 2})])
def test_only_a_video_has_a_guide_that_moves(guide, tmp_path, target, film):
    still = tmp_path / "still.png"
    Image.fromarray(textured(96, 96)).save(still)
    settings = Settings().updated(guide=guide, octaves=1, steps=1, **film)
    with pytest.raises(InputError, match=r"^guide: .*guide\.mp4 .*: give a picture$"):
        dream_video(still, tmp_path / target, settings)
    assert not (tmp_path / target).exists()


def test_a_guide_that_is_not_there_is_told_from_a_source(tmp_path):
    settings = DreamSettings(guide=str(tmp_path / "cat.png"))
    with pytest.raises(InputError, match=r"^guide: .*cat\.png does not exist"):
        Dreamer(settings)


def test_an_effect_that_takes_no_guide(guide):
    with pytest.raises(SettingsError, match="effect dream"):
        open_session(Settings(effect="none").updated(guide=guide))
