"""Transparency: shown on black, kept where that is asked for, and taken for a mask."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from conftest import textured
from PIL import Image

from vidream import Settings, dream_video
from vidream.core.errors import OutputError
from vidream.core.settings import ReadSettings
from vidream.media.reader import open_reader
from vidream.postprocess.masks import Mask
from vidream.render.spool import Spool, read_spool

COPY = Settings().updated(effect="none")
WIDTH, HEIGHT = 64, 48
KINDS = {  # suffix, encoder, pixel format, options
    "vp8": ("webm", "libvpx", "yuva420p", {"auto-alt-ref": "0", "crf": "4", "b": "2M"}),
    "vp9": ("webm", "libvpx-vp9", "yuva420p", {"auto-alt-ref": "0", "crf": "5"}),
    "vp9 in mkv": ("mkv", "libvpx-vp9", "yuva420p", {"auto-alt-ref": "0", "crf": "5"}),
    "prores": ("mov", "prores_ks", "yuva444p10le", {"profile": "4"}),
    "qtrle": ("mov", "qtrle", "argb", {}),
    "png": ("mov", "png", "rgba", {}),
    "ffv1": ("mkv", "ffv1", "bgra", {}),
    "apng": ("apng", "apng", "rgba", {}),
}


def seen_through(number=0, hidden=True):
    """Return an RGBA picture: opaque to the left, transparent to the right, half in between."""
    picture = np.dstack((textured(HEIGHT, WIDTH, number), np.full((HEIGHT, WIDTH), 255, np.uint8)))
    picture[:, 20:44, 3] = 128
    picture[:, 44:, 3] = 0
    if not hidden:
        picture[:, 44:, :3] = 0
    return picture


def clip(folder, kind, pictures, name="a"):
    suffix, encoder, pixels, options = KINDS[kind]
    path = folder / f"{name}.{suffix}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(encoder, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        if suffix in ("webm", "mkv"):
            stream.metadata["alpha_mode"] = "1"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgba")
            out.mux(stream.encode(frame.reformat(format=pixels)))
        out.mux(stream.encode(None))
    return path


def stored(path):
    """Give the frames of a file as RGBA, decoded with their transparency."""
    if path.suffix in (".webp", ".png"):
        with Image.open(path) as opened:
            for number in range(getattr(opened, "n_frames", 1)):
                opened.seek(number)
                yield np.array(opened.convert("RGBA"))
        return
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        decoder = stream.codec_context
        if decoder.name == "vp9":
            decoder = av.CodecContext.create("libvpx-vp9", "r")
        for packet in file.demux(stream):
            for frame in decoder.decode(packet if packet.size else None):
                yield frame.to_ndarray(format="rgba")


def near(found, wanted, most=6):
    return np.abs(found.astype(int) - wanted).mean() < most


@pytest.mark.parametrize("kind", KINDS)
def test_transparency_is_shown_on_black(tmp_path, kind):
    pictures = [seen_through(k) for k in range(3)]
    with open_reader(clip(tmp_path, kind, pictures)) as reader:
        frames = list(reader)
    assert len(frames) == 3
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.alpha is None
        assert near(frame.image, picture[..., :3] * (picture[..., 3:] / 255))
        assert frame.image[:, 48:].max() <= 8


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read_beside_the_colours_where_it_is_kept(tmp_path, kind):
    pictures = [seen_through(k) for k in range(3)]
    with open_reader(clip(tmp_path, kind, pictures), ReadSettings(keep_alpha=True)) as reader:
        assert reader.info.has_alpha
        for frame, picture in zip(reader, pictures, strict=True):
            assert near(frame.alpha, picture[..., 3], 3)
            assert near(frame.image[:, :44], picture[:, :44, :3])


@pytest.mark.parametrize(
    ("target", "codec"),
    [
        ("out.webm", None),
        ("out.mov", None),
        ("out.mkv", None),
        ("out.mkv", "prores"),
        ("out.mkv", "ffv1"),
        ("out.webp", None),
        ("out%d.png", None),
        ("out%d.webp", None),
    ],
)
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (47, 63)])
def test_it_is_kept_by_what_can_hold_it(tmp_path, target, codec, size):
    height, width = size
    pictures = [seen_through(k, hidden=False)[:height, :width] for k in range(3)]
    source = clip(tmp_path, "qtrle", pictures)
    dream_video(source, tmp_path / target, COPY.updated(keep_alpha=True, codec=codec))
    files = sorted(tmp_path.glob("out*"))
    made = [picture for path in files for picture in stored(path)]
    assert len(made) == 3
    for found, picture in zip(made, pictures, strict=True):
        assert near(found[..., 3], picture[..., 3], 3)
        assert near(found[:, :20, :3], picture[:, :20, :3], 10)


def test_a_browser_is_told_of_it(tmp_path):
    source = clip(tmp_path, "qtrle", [seen_through()])
    dream_video(source, tmp_path / "out.webm", COPY.updated(keep_alpha=True))
    assert b"\x53\xc0\x81\x01" in (tmp_path / "out.webm").read_bytes()  # Matroska's AlphaMode


def test_the_dream_is_of_the_colours_and_the_transparency_stays(tmp_path):
    source = clip(tmp_path, "qtrle", [seen_through(hidden=False)] * 2)
    settings = Settings().updated(keep_alpha=True, octaves=1, steps=2, network="inception")
    dream_video(source, tmp_path / "out%d.png", settings)
    for path in sorted(tmp_path.glob("out*.png")):
        (found,) = stored(path)
        assert np.array_equal(found[..., 3], seen_through()[..., 3])
        assert not near(found[:, :20, :3], seen_through()[:, :20, :3], 1)


@pytest.mark.parametrize(
    ("target", "codec", "says"),
    [
        ("out.mp4", None, "holds no transparency: write .webm"),
        ("out.gif", None, "holds no transparency"),
        ("out.webm", "av1", "av1 holds no transparency: use vp9"),
        ("out%d.jpg", None, "JPEG holds no transparency"),
    ],
)
def test_what_cannot_hold_it_says_so(tmp_path, target, codec, says):
    source = clip(tmp_path, "qtrle", [seen_through()])
    with pytest.raises(OutputError, match=says):
        dream_video(source, tmp_path / target, COPY.updated(keep_alpha=True, codec=codec))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mov"]


def test_a_still_keeps_it(tmp_path):
    Image.fromarray(seen_through(hidden=False)).save(tmp_path / "a.png")
    dream_video(tmp_path / "a.png", tmp_path / "out.png", COPY.updated(keep_alpha=True))
    assert np.array_equal(next(stored(tmp_path / "out.png")), seen_through(hidden=False))
    dream_video(tmp_path / "a.png", tmp_path / "black.png", COPY)
    with Image.open(tmp_path / "black.png") as opened:
        assert opened.mode == "RGB"
    with pytest.raises(OutputError, match="JPEG holds no transparency"):
        dream_video(tmp_path / "a.png", tmp_path / "out.jpg", COPY.updated(keep_alpha=True))


def test_the_frames_of_an_unfinished_segment_keep_it(tmp_path):
    with open_reader(
        clip(tmp_path, "qtrle", [seen_through(k) for k in range(3)]), ReadSettings(keep_alpha=True)
    ) as reader:
        frames = list(reader)
    spool = Spool(tmp_path / "spool")
    for frame in frames:
        spool.append(frame)
    spool.close()
    for again, frame in zip(read_spool(tmp_path / "spool", 0, 3), frames, strict=True):
        assert np.array_equal(again.image, frame.image)
        assert np.array_equal(again.alpha, frame.alpha)


# --- mattes


def shown(place):
    with Mask(str(place), 0) as mask:
        return mask.at(Fraction(0), (HEIGHT, WIDTH))[0, 0].numpy()


def dark(left, right):
    """Return a picture in dark red, with these opacities to the left and right."""
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    picture[..., 0] = 96
    picture[:, : WIDTH // 2, 3], picture[:, WIDTH // 2 :, 3] = left, right
    return picture


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_matte_goes_by_opacity_as_a_picture_does(tmp_path, kind):
    Image.fromarray(dark(255, 0)).save(tmp_path / "m.png")
    for place in (tmp_path / "m.png", clip(tmp_path, kind, [dark(255, 0)] * 2)):
        mask = shown(place)
        assert mask[:, :24].min() > 0.98
        assert mask[:, 40:].max() < 0.02


def test_a_matte_that_opens_late_is_one_from_the_beginning(tmp_path):
    path = clip(tmp_path, "qtrle", [dark(255, 255), dark(255, 255), dark(255, 0)])
    with Mask(str(path), 0) as mask:
        assert mask.at(Fraction(0), (HEIGHT, WIDTH)).min() == 1
        assert mask.at(Fraction(2, 25), (HEIGHT, WIDTH))[..., 40:].max() == 0


def test_an_opaque_video_goes_by_brightness(tmp_path):
    grey = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    grey[:, 32:, :3] = 0
    mask = shown(clip(tmp_path, "qtrle", [grey]))
    assert mask[:, :30].min() == 1
    assert mask[:, 34:].max() == 0
