"""Many sources, targets that are named after them, and configuration files."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vidream.cli import cli
from vidream.cli.config import merged, read_config, write_config
from vidream.cli.targets import plan_targets
from vidream.core.errors import InputError, SettingsError
from vidream.core.presets import PRESETS, preset_settings
from vidream.core.settings import KeyTerm, Settings
from vidream.render.record import Record


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture
def folder(clip, tmp_path, monkeypatch):
    """A working folder with clips of awkward names, and a picture."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "it's 100% b.mkv", "-c.avi"):
        shutil.copy(clip, name)
    Image.fromarray(textured(48, 64)).save("p.png")
    return tmp_path


@pytest.fixture
def made(monkeypatch):
    """What is rendered: the target holds the record, as a picture does, and fails on demand."""
    jobs, fails = [], set()

    def render(job):
        jobs.append(job)
        if job.source.name in fails:
            raise InputError(f"{job.source.name} is damaged")
        Path(job.target.name).write_text(Record.of(job.source, job.settings, {}).text)
        return 1

    monkeypatch.setitem(sys.modules, "vidream.render.run", SimpleNamespace(run=render))
    monkeypatch.setattr("vidream.media.metadata.read_comment", lambda path: Path(path).read_text())
    return SimpleNamespace(jobs=jobs, fails=fails)


def names(made):
    return [(job.source.name, job.target.name) for job in made.jobs]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("a.mp4", "a.dream.mp4"),
        ("it's 100% b.mkv", "it's 100% b.dream.mkv"),
        ("p.png", "p.dream.png"),
        ("./-c.avi", "-c.dream.mp4"),
    ],
)
def test_a_dream_lies_beside_its_source(folder, made, source, target):
    assert run(source).exit_code == 0
    assert names(made) == [(source.removeprefix("./"), target)]
    assert not made.jobs[0].settings.write.resume
    again = run(source)
    assert again.exit_code == 1
    assert "already exists (set --overwrite to replace it)" in again.output


def test_what_is_no_file_needs_a_target(folder, made):
    for source in ("-", "camera:0", "noise:64x64"):
        result = run(source)
        assert result.exit_code == 2
        assert "give -o FILE" in result.output
    assert run("a.mp4", "p.png", "-o", "d.mp4").exit_code == 2
    assert made.jobs == []


def test_many_go_into_a_folder_and_the_second_time_none(folder, made):
    sources = ["a.mp4", "it's 100% b.mkv", "p.png"]
    first = run(*sources, "-o", "dreams/", "--seed", 3)
    assert first.exit_code == 0
    assert [target for _, target in names(made)] == [f"dreams/{name}" for name in sources]
    assert first.output.count("is done") == 3
    # A video is gone on with, should there be something to go on with.
    assert [job.settings.write.resume for job in made.jobs] == [True, True, False]
    second = run(*sources, "-o", "dreams", "--seed", 3)
    assert second.output.count("is up to date") == 3
    assert len(made.jobs) == 3
    quiet = run(*sources, "-o", "dreams", "--seed", 3, "-q")
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_what_was_made_otherwise_is_not_up_to_date(folder, made):
    run("a.mp4", "-o", "dreams/")
    for changed in (["--seed", 1], ["--preset", "eyes"], ["--mask", "p.png"]):
        refused = run("a.mp4", "-o", "dreams/", *changed)
        assert refused.exit_code == 1
        assert "already exists" in refused.output
        assert "1 of 1 failed: a.mp4" in refused.output
    assert run("a.mp4", "-o", "dreams/", "--seed", 1, "--overwrite").exit_code == 0
    assert len(made.jobs) == 2
    later = Path("dreams/a.mp4").stat().st_mtime + 5
    os.utime("a.mp4", (later, later))
    assert run("a.mp4", "-o", "dreams/", "--seed", 1, "--overwrite").exit_code == 0
    assert len(made.jobs) == 3


def test_a_file_beside_the_settings_that_is_newer_makes_a_dream_stale(folder, made):
    run("a.mp4", "-o", "dreams/", "--mask", "p.png")
    later = Path("dreams/a.mp4").stat().st_mtime + 5
    os.utime("p.png", (later, later))
    assert run("a.mp4", "-o", "dreams/", "--mask", "p.png", "--overwrite").exit_code == 0
    assert len(made.jobs) == 2


def test_a_failure_does_not_end_it(folder, made):
    made.fails.add("a.mp4")
    result = run("a.mp4", "none.mp4", "p.png", "-o", "dreams/")
    assert result.exit_code == 1
    assert [target for _, target in names(made)] == ["dreams/a.mp4", "dreams/p.png"]
    lines = result.output.splitlines()
    assert lines[0] == "vidream: a.mp4 is damaged"
    assert "none.mp4 does not exist" in lines[1]
    assert lines[-1] == "vidream: 2 of 3 failed: a.mp4, none.mp4"


def test_two_sources_of_one_name_are_refused(folder, made):
    shutil.copy("a.mp4", "a.avi")
    result = run("a.mp4", "a.avi", "-o", "dreams/")
    assert result.exit_code == 2
    assert "a.mp4 and a.avi would both become dreams/a.mp4" in result.output
    assert made.jobs == []
    assert not Path("dreams").exists()


def test_a_folder_that_stays_empty_goes_again(folder, made):
    assert run("none.mp4", "-o", "dreams/").exit_code == 1
    assert not Path("dreams").exists()
    assert "output folder no does not exist" in run("a.mp4", "-o", "no/dreams/").output


def test_dreams_of_an_earlier_run_are_no_sources(folder, made):
    assert run("a.mp4", "p.png").exit_code == 0
    assert run("a.dream.mp4", "a.mp4", "p.dream.png", "p.png").exit_code == 0
    assert len(made.jobs) == 2
    assert run("a.dream.mp4").exit_code == 0  # unless it is the one that is named
    assert names(made)[-1] == ("a.dream.mp4", "a.dream.dream.mp4")


def test_another_suffix(folder, made):
    assert run("a.mp4", "./-c.avi", "-o", "dreams/", "--suffix", "webm").exit_code == 0
    assert [target for _, target in names(made)] == ["dreams/a.webm", "dreams/-c.webm"]
    assert "unknown suffix" in run("a.mp4", "--suffix", ".xyz").output


def test_stills_become_animations(folder, made):
    assert run("zoom", "p.png").exit_code == 0
    assert run("octaves", "p.png", "-o", "p.webp").exit_code == 0
    assert run("p.png", "-o", "p.gif").exit_code == 0
    assert run("p.png", "-o", "q.webp").exit_code == 0
    assert [target for _, target in names(made)] == ["p.dream.mp4", "p.webp", "p.gif", "q.webp"]
    zoom, octaves, usual, still = (job.settings for job in made.jobs)
    assert (zoom.animation.zoom, zoom.dream.octaves) == (1.02, Settings().dream.octaves)
    assert octaves == usual == preset_settings("octaves")
    assert still == Settings()
    assert [job.is_still for job in made.jobs] == [False, False, False, True]
    assert "is no picture" in run("zoom", "a.mp4").output
    assert run("zoom", "p.png", "-o", "r.mp4", "--mask", "p.png").exit_code == 2
    keyed = run("zoom", "p.png", "-o", "r.mp4", "--key", "zoom: 0s=1.01, 2s=1.05")
    assert keyed.exit_code == 0
    assert run("zoom", "p.png", "-o", "s.png").exit_code == 1


@given(st.lists(st.sampled_from(["a", "b c", "x'y", "50%", "ä"]), min_size=1, unique=True))
def test_every_source_has_a_target_of_its_own(stems):
    plan = plan_targets([f"in/{stem}.mp4" for stem in stems], "out/", None, moving=False)
    assert [task.target for task in plan.tasks] == [f"out/{stem}.mp4" for stem in stems]


CONFIG = """
preset = "eyes"
step-size = 0.02
strength = 1
layer = ["Mixed_6b#3:0.5"]
memory = "4G"
start = "1:30"
[keys]
steps = "0s=1, 5s=3 linear"
color = { "0s" = 0.1, "2s" = "0.5 hold" }
"""


def test_a_configuration_file_takes_any_setting(folder, made):
    Path("c.toml").write_text(CONFIG)
    key = "color: 0s=1"
    result = run("a.mp4", "-o", "d.mp4", "--config", "c.toml", "--step-size", 0.03, "--key", key)
    assert result.exit_code == 0, result.output
    settings = made.jobs[0].settings
    expected = preset_settings(
        "eyes",
        step_size=0.03,
        strength=1.0,
        layers=("Mixed_6b#3:0.5",),
        memory=2**32,
        start=90.0,
        keys=(key, "steps: 0s=1, 5s=3 linear"),
    )
    assert settings == expected
    run("a.mp4", "-o", "e.mp4", "--config", "c.toml", "--preset", "dogs", "--steps", 5)
    assert made.jobs[1].settings.dream.steps == 5
    assert made.jobs[1].settings.dream.objective == "energy"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("strength = ", "is not TOML"),
        ("strenth = 1", "unknown setting 'strenth'; did you mean strength"),
        ("strength = 9", "--strength is a number from 0 to 2; not 9"),
        ('grey = "yes"', "--grey is true or false"),
        ('preset = "eye"', "did you mean eyes"),
        ("[keys]\nnetwork = '0s=1'", "can change over time are"),
        ("[keys]\nstrength = 3", "wants keys"),
        ("[dream]\nsteps = 3", "unknown setting 'dream'"),
    ],
)
def test_configuration_files_that_say_something_else(folder, made, text, says):
    Path("c.toml").write_text(text)
    result = run("a.mp4", "-o", "d.mp4", "--config", "c.toml")
    assert result.exit_code == 2
    assert says in result.output
    assert "c.toml" in result.output
    assert made.jobs == []


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_is_read_as_it_is_written(tmp_path, name):
    odd = {"mask": 'a "b" \\ \x7f\x1b ü 😀.png', "seed": 2**40, "until": 1e-7}
    keys = ("strength: 0s=0.2, 5s=1 linear", "color: 62s=0.5")
    for values in ({}, {**odd, "keys": keys, "audio_reactive": ("detail=bass:0.1..0.4",)}):
        settings = preset_settings(name, **values)
        (tmp_path / "c.toml").write_text(write_config(settings), encoding="utf-8")
        config = read_config(str(tmp_path / "c.toml"))
        assert preset_settings(config.pop("preset"), **config) == settings


def test_what_is_of_a_run_is_not_in_a_configuration():
    text = write_config(Settings().updated(resume=True, overwrite=True, keep_work=True))
    assert tomllib.loads(text) == {"preset": "creatures"}


def test_keys_of_the_command_line_go_over_those_of_the_file():
    file = {"keys": (KeyTerm.parse("strength: 0s=1"), KeyTerm.parse("color: 0s=1"))}
    over = {"keys": (KeyTerm.parse("color: 0s=0"),)}
    assert [str(term) for term in merged(file, over)["keys"]] == [
        "color: 0s=0",
        "strength: 0s=1",
    ]
    assert merged({}, {}) == {}
    with pytest.raises(SettingsError, match="cannot read"):
        read_config("no-such.toml")
