"""Presets of one's own: kept as files, and used by name wherever a preset is."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cli import one_line, run

from vidream import Settings, dream_video, preset_settings
from vidream.core.errors import SettingsError
from vidream.core.own_presets import own_presets, preset_path, presets_folder, read_preset
from vidream.core.presets import PRESETS, preset_names


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDREAM_PRESETS", str(tmp_path / "presets"))
    return tmp_path / "presets"


def write(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(text)


def test_what_is_saved_is_what_a_preset_gives(folder):
    given_options = ("--preset", "eyes", "--octaves", "6", "--key", "strength: 0s=0, 5s=1")
    result = run("preset", "save", "mine", *given_options, "--color", "0.2")
    assert result.exit_code == 0, result.output
    wanted = preset_settings("eyes", octaves=6, color=0.2, keys=("strength: 0s=0, 5s=1",))
    assert preset_settings("mine") == wanted
    assert preset_settings("mine", octaves=2) == wanted.updated(octaves=2)
    assert list(own_presets()) == ["mine"]
    assert preset_names() == (*PRESETS, "mine")
    assert [path.name for path in folder.iterdir()] == ["mine.toml"]


def test_it_is_listed_shown_exported_and_removed(tmp_path):
    run("preset", "save", "mine", "--steps", "3")
    assert run("preset", "list").output == "mine\n"
    assert "mine " in run("list", "presets").output
    shown = tomllib.loads(run("preset", "show", "mine").output)
    assert shown == {"preset": "creatures", "steps": 3}
    assert tomllib.loads(run("preset", "show", "beasts").output)["layers"] == ["Mixed_6c"]
    assert run("preset", "export", "mine", "-o", tmp_path / "m.toml").exit_code == 0
    assert "already exists" in one_line(run("preset", "export", "mine", "-o", tmp_path / "m.toml"))
    assert run("preset", "remove", "mine").exit_code == 0
    assert run("preset", "list").exit_code == 0
    assert "no preset mine" in one_line(run("preset", "remove", "mine"))
    assert run("preset", "save", "again", "--config", tmp_path / "m.toml").exit_code == 0
    assert preset_settings("again") == preset_settings(steps=3)


def test_a_dream_is_made_by_it(clip, tmp_path):
    run("preset", "save", "mine", "--effect", "none", "--strength", "0.5")
    result = run(clip, "-o", tmp_path / "out.mp4", "--preset", "mine", "-q")
    assert result.exit_code == 0, result.output
    assert run("preset", "save", "ours", "--from", tmp_path / "out.mp4").exit_code == 0
    assert preset_settings("ours") == Settings().updated(effect="none", strength=0.5)


def test_what_belongs_to_a_clip_is_not_in_a_preset_of_its_dream(clip, tmp_path):
    settings = Settings().updated(effect="none", width=32, start=0.05, crf=30, overwrite=True)
    dream_video(clip, tmp_path / "out.mp4", settings)
    run("preset", "save", "ours", "--from", tmp_path / "out.mp4")
    assert preset_settings("ours") == Settings().updated(effect="none")


def test_files_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("preset", "save", "masked", "--mask", "m.png")
    assert preset_settings("masked").postprocess.mask == str(tmp_path / "m.png")


def test_a_preset_may_change_another_of_ones_own_but_not_itself(folder):
    write(folder, "a", 'preset = "b"\nsteps = 3\n')
    write(folder, "b", 'preset = "eyes"\noctaves = 2\n')
    assert preset_settings("a") == preset_settings("eyes", octaves=2, steps=3)
    write(folder, "b", 'preset = "a"\n')
    with pytest.raises(SettingsError, match="unknown preset 'a'"):
        preset_settings("a")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["save", "eyes"], "is a preset of vidream"),
        (["save", "a b"], "no name for a preset"),
        (["save", "../a"], "no name for a preset"),
        (["save", "there"], "already (set --overwrite"),
        (["save", "new", "--preset", "nothing"], "unknown preset"),
        (["save", "new", "--octaves", "99"], "from 1 to 16"),
    ],
)
def test_what_cannot_be_saved_is_a_line(folder, arguments, says):
    write(folder, "there", "steps = 3\n")
    result = run("preset", *arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert [path.name for path in folder.iterdir()] == ["there.toml"]


def test_one_is_replaced_only_where_that_is_asked_for():
    run("preset", "save", "mine", "--steps", "3")
    assert run("preset", "save", "mine", "--steps", "4", "--overwrite").exit_code == 0
    assert preset_settings("mine").dream.steps == 4


@pytest.mark.parametrize("text", ["steps = 'many'", "no toml", "nothing = 1"])
def test_a_damaged_file_is_a_line_that_names_it(folder, clip, text):
    write(folder, "bad", text)
    result = run(clip, "-o", "out.mp4", "--preset", "bad")
    assert result.exit_code == 2
    assert "bad.toml" in result.output


@given(st.text(max_size=20))
def test_no_name_leads_out_of_the_folder(name):
    try:
        path = preset_path(name)
    except SettingsError:
        assert read_preset(name) is None
        return
    assert path.parent == presets_folder()


def test_the_folder_is_where_the_system_keeps_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv("VIDREAM_PRESETS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert presets_folder() == tmp_path / "vidream" / "presets"
    monkeypatch.setattr("sys.platform", "darwin")
    assert presets_folder().parts[-4:] == ("Library", "Application Support", "vidream", "presets")
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))
    assert presets_folder() == tmp_path / "roaming" / "vidream" / "presets"
