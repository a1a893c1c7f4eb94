"""The README says what is so: its help, its presets, its Python."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from vidream.cli import cli
from vidream.core.presets import OCTAVE_PRESET, PRESETS

README = Path(__file__).parents[1] / "README.md"
DOCS = README.parent / "docs"


def test_the_readme_shows_the_help():
    """To renew it: UPDATE_README=1 pytest tests/test_docs.py."""
    text = README.read_text()
    shown = re.search(r"<!-- help:.*?-->\n```text\n(.*?)```\n<!-- /help -->", text, re.DOTALL)
    given = CliRunner().invoke(cli, ["--help"], prog_name="vidream", terminal_width=88).output
    if os.environ.get("UPDATE_README"):
        README.write_text(text[: shown.start(1)] + given + text[shown.end(1) :])
    else:
        assert shown.group(1) == given


def test_the_readme_names_and_shows_every_preset():
    row = re.compile(r"^\| `([\w-]+)`(?: \(default\))? \| (.*) \| !\[\1\]\((.*)\) \|$", re.M)
    rows = {name: (shows, picture) for name, shows, picture in row.findall(README.read_text())}
    shown = {name: shows for name, (shows, _) in rows.items()}
    assert shown == {name: preset.shows for name, preset in PRESETS.items()}
    assert [
        name for name, (_, picture) in rows.items() if not (DOCS.parent / picture).exists()
    ] == []


def test_the_page_of_presets_says_what_each_one_shows():
    sections = re.split(r"^## ", (DOCS / "presets.md").read_text(), flags=re.M)[1:]
    told = {section.split("\n", 1)[0]: section.lower() for section in sections}
    assert set(told) == set(PRESETS) - {OCTAVE_PRESET, "painted"}
    for name, section in told.items():
        assert PRESETS[name].shows.lower() in section
        assert (DOCS / "presets" / f"{name}-strip.jpg").exists()


def test_the_readmes_python_runs(clip, tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "clip.mp4").write_bytes(Path(clip).read_bytes())
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in blocks:  # each goes on from the one before
        exec(compile(code, "README.md", "exec"), names)
    assert (tmp_path / "dream.mp4").exists()
    assert "(96, 128, 3)" in capsys.readouterr().out
    assert names["shown"][0].shape == (96, 128, 3)


def commands(page: Path) -> list[str]:
    """The commands that a page shows."""
    return re.findall(r"^\$ (vidream [^|#\n]*)", page.read_text(), re.M)


@pytest.mark.parametrize("line", commands(README) + commands(DOCS / "gallery.md"))
def test_the_commands_of_the_pages_are_spelt_right(line):
    """Every option that a recipe uses is one that the command has."""
    name, *_ = [word for word in line.split()[1:2] if word in cli.commands] or ["dream"]
    command = cli.commands[name]
    if isinstance(command, click.Group):
        command = command.commands[line.split()[2]]
    known = {text for param in command.params for text in (*param.opts, *param.secondary_opts)}
    assert set(re.findall(r"(?<=\s)(-{1,2}[a-z][\w-]*)", line)) <= known
