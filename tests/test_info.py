"""What files say of how they were made."""

from __future__ import annotations

import hashlib
import io
import json
import math
import shlex
from dataclasses import replace
from pathlib import Path

import av
import pytest
from click.testing import CliRunner
from conftest import textured
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from media import make_clip
from PIL import Image

from vidream import Settings, VidreamError, dream_video, preset_settings
from vidream.cli import cli
from vidream.cli.command_line import command_line
from vidream.core.errors import InputError, SettingsError
from vidream.core.presets import PRESETS
from vidream.core.settings import schema
from vidream.media.metadata import embed_comment, read_comment
from vidream.media.places import parse_source
from vidream.networks.registry import find_network
from vidream.networks.weights import WeightsFile, digest_of
from vidream.render.record import Record, own_version

QUICK = {"octaves": 1, "steps": 1, "refine_steps": 1, "weak_steps": 0, "frames": 2}


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def told(*arguments):
    """What the command would dream: source, target and settings."""
    jobs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidream.render.run.run", lambda job: jobs.append(job) or 1)
        patch.setattr("vidream.render.job.Job.check", lambda _: None)
        done = run(*arguments)
    assert done.exit_code == 0, done.output
    return jobs[0].source.name, jobs[0].target.name, jobs[0].settings


def record_of(source, settings):
    """The record of a dream, without its weights."""
    return Record.of(parse_source(source), settings, {})


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_clip(
        tmp_path_factory.mktemp("info") / "a clip.mp4",
        [textured(96, 96, k) for k in range(3)],
        sound="aac",
        title="Clouds",
    )


@pytest.mark.parametrize(
    "name",
    ["d.mp4", "d.mov", "d.mkv", "d.webm", "d.gif", "d.webp", "f/%03d.png", "f/%03d.jpg"],
)
def test_every_container_says_how_it_was_made(source, tmp_path, name):
    settings = Settings().updated(effect="none", strength=0.5, seed=7, frames=2)
    dream_video(source, str(tmp_path / name), settings)
    made = str(tmp_path / name.replace("%03d", "001"))
    record = Record.find(read_comment(made))
    assert record.source == "a clip.mp4"
    assert record.version == own_version()
    assert record.given() == settings
    assert (record.settings["seed"], record.settings["strength"]) == (7, 0.5)
    # It still is what it was: it plays, and it says no more than it should.
    if name.endswith("webp"):
        with Image.open(made) as film:
            assert film.n_frames == 2
    else:
        with av.open(made) as film:
            assert len(list(film.decode(video=0))) == (1 if "f/" in name else 2)
    content = Path(made).read_bytes()
    assert str(tmp_path).encode() not in content
    assert str(Path(source).parent).encode() not in content
    assert b"creation_time" not in content


@pytest.mark.parametrize("name", ["d.png", "d.jpg", "d.webp"])
def test_a_picture_says_how_it_was_made(tmp_path, name):
    Image.fromarray(textured(96, 96)).save(tmp_path / "a.png")
    settings = Settings().updated(**QUICK | {"frames": None})
    dream_video(str(tmp_path / "a.png"), str(tmp_path / name), settings)
    record = Record.find(read_comment(str(tmp_path / name)))
    assert record.given() == settings
    # The pinned hash is that of the file that was read.
    bundled = find_network("inception").bundled.file
    assert record.weights == {bundled.name: bundled.sha256}
    with Image.open(tmp_path / name) as picture:
        picture.load()
        assert picture.size == (96, 96)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("mp4", "vp9"), ("mov", "prores"), ("mkv", "ffv1"), ("webm", "vp9"), ("gif", None),
     ("webp", None)],
)  # fmt: skip
def test_the_same_command_gives_the_same_bytes(source, tmp_path, name, codec):
    """Of what we write; x264 itself differs once in hundreds of times on a busy machine."""
    settings = Settings().updated(effect="none", codec=codec)
    for target in ("a", "b"):
        dream_video(source, str(tmp_path / f"{target}.{name}"), settings)
    assert (tmp_path / f"a.{name}").read_bytes() == (tmp_path / f"b.{name}").read_bytes()


def test_what_the_source_says_of_itself_stays(source, tmp_path):
    noted = str(tmp_path / "noted.mp4")
    with av.open(source) as old, av.open(noted, "w") as new:
        new.metadata.update({"title": "Clouds", "comment": "Seen from the train.\nüber Wolken"})
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    once, twice = str(tmp_path / "1.mp4"), str(tmp_path / "2.mp4")
    dream_video(noted, once, Settings().updated(effect="none"))
    dream_video(once, twice, Settings().updated(effect="none", seed=1))
    for made, seed in ((once, 0), (twice, 1)):
        comment = read_comment(made)
        assert comment.splitlines()[:2] == ["Seen from the train.", "über Wolken"]
        assert comment.count("vidream {") == 1
        assert Record.find(comment).settings["seed"] == seed
        with av.open(made) as film:
            assert film.metadata["title"] == "Clouds"


def test_names_are_kept_and_folders_are_not():
    settings = Settings().updated(
        guide="/home/me/cat.jpg", mask="/home/me/m.png", match_color="/home/me/c.jpg",
        weights="w/own.pth", effect="adain", styles=("/home/me/a:b.jpg:0.5",),
        audio_reactive=("strength=bass",), audio="/home/me/song.mp3",
    )  # fmt: skip
    record = record_of("/home/me/clip.mp4", settings)
    assert "/home" not in record.text
    assert "w/own" not in record.text
    again = record.given()
    assert (again.dream.guide, again.postprocess.mask) == ("cat.jpg", "m.png")
    assert [str(term) for term in again.style.styles] == ["a:b.jpg:0.5"]
    assert record_of(io.BytesIO(), Settings()).source == "-"
    assert record_of("noise:64x64", Settings()).source == "noise:64x64"


def test_the_weights_of_ones_own_are_hashed(tmp_path):
    own = tmp_path / "own.pth"
    own.write_bytes(b"weights")
    file = WeightsFile("a.pth", None, "", "MIT", "me")
    assert digest_of(file, str(own)) == hashlib.sha256(b"weights").hexdigest()


def values_of(setting):
    """Values that an option may have."""
    option = setting.option
    if option.choices:
        return st.sampled_from(option.choices)
    if setting.type is bool:
        return st.booleans()
    high = option.maximum if option.maximum is not None else 1e4
    if setting.type is int:
        return st.integers(math.ceil(option.minimum), int(high))
    if setting.type is float:
        return st.floats(option.minimum, high)
    return st.text("abc d'\"$&;é", min_size=1).map(lambda name: f"{name}.png")


DRAWN = {
    name: values_of(setting)
    for name, setting in schema().items()
    if not setting.multiple and name not in ("overwrite", "resume", "keep_work", "audio")
}


@profile(max_examples=60)
@given(
    st.dictionaries(st.sampled_from(sorted(DRAWN)), st.none(), max_size=6).flatmap(
        lambda names: st.fixed_dictionaries({name: DRAWN[name] for name in names})
    ),
    st.sampled_from(["clip.mp4", "it's a clip.mp4", "-x.mp4", "measure", "p.png", "noise:64x64"]),
    st.sampled_from(sorted(PRESETS)),
)
def test_the_command_makes_the_same_settings(values, name, preset):
    try:
        settings = preset_settings(preset, **values)
    except SettingsError:
        return  # they do not go together
    record = Record.find(record_of(name, settings).text)
    assert record.given() == settings
    program, *arguments = shlex.split(command_line(record.source, "out.mp4", settings))
    assert program == "vidream"
    source, target, again = told(*arguments)
    assert target == "out.mp4"
    assert Path(source).name == name
    # An animation has no options for what has no effect on it.
    command = cli.commands.get(arguments[0], cli.commands["dream"])
    known = {param.name for param in command.params}
    assert [(n, v) for n, v in again.values().items() if n in known] == [
        (n, v) for n, v in settings.values().items() if n in known
    ]
    if settings.animation.asked or not record_is_of_a_still(name):
        assert again.animation.animate == settings.animation.animate


def record_is_of_a_still(name):
    return parse_source(name).is_picture


def test_a_command_says_only_what_it_must():
    assert command_line("c.mp4", "d.mp4", Settings()) == "vidream c.mp4 -o d.mp4"
    eyes = preset_settings("eyes", strength=0.5)
    expected = "vidream c.mp4 -o d.mp4 --preset eyes --strength 0.5"
    assert command_line("c.mp4", "d.mp4", eyes) == expected
    octaves = preset_settings("octaves")
    assert command_line("a.jpg", "d.gif", octaves) == "vidream octaves a.jpg -o d.gif"
    usual = command_line("a.jpg", "d.gif", preset_settings(animate="octaves"))
    assert usual == "vidream octaves a.jpg -o d.gif --preset creatures"
    zoom = Settings().updated(zoom=1.04, mask="m.png")
    assert command_line("a.jpg", "d.mp4", zoom) == "vidream zoom a.jpg -o d.mp4 --zoom 1.04"
    keyed = Settings().updated(keys=("strength: 0s=0.2, 5s=1",))
    assert command_line("c.mp4", "d.mp4", keyed).endswith("--key 'strength: 0s=0.2, 5s=1'")
    moved = Settings().updated(keys=("zoom: 0s=1.01, 5s=1.1",))
    assert command_line("a.jpg", "d.mp4", moved).startswith("vidream zoom a.jpg -o d.mp4 --key")
    assert told(*shlex.split(command_line("a.jpg", "d.mp4", moved))[1:])[2] == moved


def test_a_dream_tells_the_file_that_makes_it_again(source, tmp_path):
    made, config = tmp_path / "d.mp4", tmp_path / "d.toml"
    options = ["--effect", "none", "--strength", 0.5, "--key", "strength: 0s=0.5, 1s=1"]
    assert run(source, "-o", made, *options).exit_code == 0
    config.write_text(run("info", made, "--toml").output)
    assert config.read_text().startswith("# made by vidream")
    assert told(source, "-o", made, "--config", config)[2] == told(source, "-o", made, *options)[2]


def test_the_command_info(source, tmp_path):
    made = tmp_path / "d.mp4"
    given_options = ["--effect", "none", "--strength", 0.5, "--layer", "Mixed_5d:0.5", "--start", 0]
    assert run(source, "-o", made, *given_options).exit_code == 0
    done = run("info", made)
    assert done.exit_code == 0
    assert "made by vidream" in done.output
    assert "of a clip.mp4" in done.output
    command = next(line for line in done.output.splitlines() if line.startswith("vidream "))
    name, target, settings = told(*shlex.split(command)[1:])
    assert (name, target) == ("a clip.mp4", str(made))
    assert settings == told(source, "-o", made, *given_options)[2]
    for line in ("strength         0.5", "seed             0", "network          inception"):
        assert line in done.output
    content = json.loads(run("info", made, "--json").output)
    assert content["command"] == command
    assert content["settings"]["layers"] == ["Mixed_5d:0.5"]
    assert content["version"] == own_version()


def test_one_of_many_pictures_knows_their_pattern(source, tmp_path):
    dream_video(source, str(tmp_path / "f1/p%04d.png"), Settings().updated(effect="none"))
    line = run("info", tmp_path / "f1/p0002.png").output.splitlines()[2]
    assert shlex.split(line)[3] == str(tmp_path / "f1/p%04d.png")


@pytest.mark.parametrize("name", ["c.mp4", "c.png", "c.gif", "none.mp4", "none.png", "t.webp", "-"])
def test_files_that_say_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make_clip("c.mp4", title="vidream")
    Image.fromarray(textured(16, 16)).save("c.png")
    Image.fromarray(textured(16, 16)).save("c.gif", comment=b"vidream {no json")
    Path("t.webp").write_text("Dear diary")
    done = run("info", name)
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    says = {"c": "does not say how it was made", "n": "does not exist", "t": "not a picture"}
    assert says.get(name[0], "pipe") in done.output


@pytest.mark.parametrize(
    "settings",
    [{"sharpness": 3}, {"strength": 99}, {"strength": "a"}, {"layers": 3}, {"keys": [None]}],
)
def test_a_record_of_another_version_is_shown_all_the_same(tmp_path, settings):
    record = Record("c.mp4", settings, {}, "99.0")
    with pytest.raises(VidreamError, match=r"vidream 99\.0 made it"):
        record.given()
    Image.fromarray(textured(16, 16)).save(tmp_path / "d.jpg", comment=record.text.encode())
    done = run("info", tmp_path / "d.jpg")
    assert done.exit_code == 0
    assert "Only vidream 99.0 can make it again" in done.output
    assert json.loads(run("info", tmp_path / "d.jpg", "--json").output)["command"] is None


def test_what_a_file_says_does_not_command_a_terminal(tmp_path):
    record = replace(record_of("c.mp4", Settings()), source="\x1b[2Jc.mp4\n$(rm x)")
    Image.fromarray(textured(16, 16)).save(tmp_path / "d.jpg", comment=record.text.encode())
    done = run("info", tmp_path / "d.jpg")
    assert "\x1b" not in done.output
    assert "'?[2Jc.mp4?$(rm x)'" in done.output


@pytest.mark.parametrize(
    "line", ["vidream", "vidream {", "vidream []", 'vidream {"settings": 3}', "vidream null", ""]
)
def test_lines_that_are_no_record(line):
    assert Record.find(f"a\n{line}\nb") is None


def test_a_long_comment_in_a_gif(tmp_path):
    path = tmp_path / "a.gif"
    Image.fromarray(textured(16, 16)).quantize().save(path)
    text = "x" * 1000 + "é"
    embed_comment(path, "gif", text)
    assert read_comment(str(path)) == text
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]
    with pytest.raises(InputError):
        read_comment(io.BytesIO())
