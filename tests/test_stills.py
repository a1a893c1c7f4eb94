"""Pictures: orientation, depth, transparency, profiles."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import textured
from PIL import Image, ImageCms

from vidream.core.errors import InputError, OutputError
from vidream.core.settings import ReadSettings, WriteSettings
from vidream.media.places import StillTarget
from vidream.media.stills import Still, read_still, write_still


def read(path, **settings):
    return read_still(path, ReadSettings(**settings))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".PNG"])
def test_written_and_read(tmp_path, suffix):
    picture, path = textured(48, 64), tmp_path / f"a{suffix}"
    write_still(StillTarget(path), Still(picture), WriteSettings())
    assert np.abs(read(path).image.astype(int) - picture).mean() < (0.1 if suffix == ".png" else 6)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right of the stored picture
    picture = textured(48, 64)
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read(tmp_path / "a.png").image, np.rot90(picture, -1))


def test_modes(tmp_path):
    deep = (np.full((32, 32), 30000)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert abs(read(tmp_path / "deep.png").image.mean() - 30000 / 257) < 1
    Image.new("RGBA", (32, 32), (200, 100, 0, 0)).save(tmp_path / "clear.png")
    assert read(tmp_path / "clear.png").image.max() == 0
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "ink.jpg")
    assert read(tmp_path / "ink.jpg").image[0, 0, 0] > 200
    Image.new("L", (32, 32), 77).save(tmp_path / "grey.png")
    assert (read(tmp_path / "grey.png").image == 77).all()
    Image.new("P", (32, 32)).save(tmp_path / "palette.png")
    assert read(tmp_path / "palette.png").image.shape == (32, 32, 3)


def test_profile_and_size(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(textured(48, 64)).save(tmp_path / "a.jpg", icc_profile=profile)
    still = read(tmp_path / "a.jpg", max_side=32)
    assert still.image.shape == (24, 32, 3)
    write_still(StillTarget(tmp_path / "b.png"), still, WriteSettings())
    with Image.open(tmp_path / "b.png") as done:
        assert done.info["icc_profile"] == profile


def test_what_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "text.png").write_text("Dear diary")
    (tmp_path / "dir.png").mkdir()
    for name, says in [
        ("none.png", "does not exist"),
        ("dir.png", "folder"),
        ("text.png", "damaged"),
    ]:
        with pytest.raises(InputError, match=says):
            read(tmp_path / name)
    Image.fromarray(textured(48, 64)).save(tmp_path / "big.png")
    monkeypatch.setattr("vidream.media.pictures.MAX_PIXELS", 1000)
    with pytest.raises(InputError, match="64×48"):
        read(tmp_path / "big.png")


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "a.png").write_text("precious")
    with pytest.raises(OutputError, match="set `overwrite`"):
        write_still(StillTarget(tmp_path / "a.png"), Still(textured(48, 64)), WriteSettings())
    assert (tmp_path / "a.png").read_text() == "precious"
    with pytest.raises(OutputError, match="cannot write"):
        write_still(
            StillTarget(tmp_path / "none" / "a.png"), Still(textured(48, 64)), WriteSettings()
        )
