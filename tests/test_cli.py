"""The command, as a user runs it."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import av
import click
import pytest
from click.testing import CliRunner
from conftest import textured
from PIL import Image

from vidream.cli import _Progress, cli
from vidream.cli import dream as command
from vidream.cli.terminal import stoppable
from vidream.presets import PRESETS, preset_settings

FAST = ["--octaves", "1", "--steps", "1", "--carried-steps", "1", "--jitter", "2"]


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def one_line(result, status=1):
    """The line that a failing run says, and nothing else."""
    assert result.exit_code == status, result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1, lines
    assert "Traceback" not in result.output
    return lines[0]


def test_dreams_a_clip(clip, tmp_path):
    result = run(clip, "-o", tmp_path / "d.mp4", "--frames", 2, *FAST)
    assert result.exit_code == 0, result.output
    assert result.output == ""
    with av.open(str(tmp_path / "d.mp4")) as done:
        assert sum(1 for _ in done.decode(video=0)) == 2


def test_every_option_is_derived_from_a_setting_and_states_its_default():
    text = run("--help").output
    flat = " ".join(text.split())
    for says in ("[default: creatures]", "--octaves", "--layer LAYER", "Input:"):
        assert says in flat
    defaults = preset_settings()
    assert f"[default: {defaults.dream.steps}]" in flat
    assert f"[default: {defaults.dream.step_size}]" in flat
    assert f"[default: {defaults.dream.coherence}]" in flat
    assert isinstance(command, click.Command)


def test_the_help_begins_with_what_most_people_need_and_names_everything_once():
    sections = run("--help").output.split("\n\n")
    (first,) = [part for part in sections if part.startswith("Most used:")]
    begins = re.compile(r"^  (?:-\w, )?(--[\w-]+)", re.MULTILINE)
    assert begins.findall(first) == [
        *("--output", "--preset", "--layer", "--coherence", "--strength", "--mask"),
        *("--start", "--duration", "--width", "--overwrite", "--resume"),
    ]
    listed = [name for part in sections if ":\n" in part for name in begins.findall(part)]
    assert sections.index(first) == next(k for k, part in enumerate(sections) if "  -" in part)
    known = [param.opts[-1] for param in command.params if isinstance(param, click.Option)]
    assert sorted(listed) == sorted([*known, "--help"])
    assert "Most used" not in run("measure", "--help").output


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--list-networks"], ["inception", "vgg19", "resnet50"]),
        (["--list-layers", "vgg19"], ["features.22", "relu4_3", "block4_conv3"]),
        (["--list-layers", "inception"], ["Mixed_6b", "768 channels"]),
        (["--list-presets"], [*PRESETS, "(default)"]),
        (["--version"], ["version"]),
    ],
)
def test_lists(option, says):
    result = run(*option)
    assert result.exit_code == 0
    assert all(word in result.output for word in says)


def test_an_unknown_network_to_list():
    assert "inception" in one_line(run("--list-layers", "inceptoin"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--octaves", "0"], "octaves is a number from 1"),
        (["--octaves", "many"], "not a valid integer"),
        (["--layer", "a:b:c"], "is not a layer"),
        (["--start", "soon"], "not a time"),
        (["--preset", "nothing"], "Invalid value"),
        (["--normalize", "max"], "Invalid value"),
    ],
)
def test_usage_errors_end_with_2(clip, tmp_path, arguments, says):
    result = run(clip, "-o", tmp_path / "d.mp4", *arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert not list(tmp_path.iterdir())


def test_zero_is_a_value(clip, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(
        "vidream.pipeline.dream_video", lambda *a, **_: given.update(settings=a[2]) or 0
    )
    run(clip, "-o", tmp_path / "d.mp4", "--carry", 0, "--smoothing", 0, "--jitter", 0)
    dream = given["settings"].dream
    assert (dream.carry, dream.smoothing, dream.jitter) == (0, 0, 0)


def test_a_missing_output_is_a_usage_error(clip):
    assert run(clip).exit_code == 2


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_sources_that_are_no_video(tmp_path):
    given = {
        tmp_path / "missing.mp4": "there is no file",
        tmp_path: "is a folder",
        write(tmp_path, "empty.mp4", b""): "is empty",
        write(tmp_path, "text.mp4", b"Dear diary,\n" * 50): "not a video",
        write(tmp_path, "text.png", b"Dear diary,\n" * 50): "not a",
        "https://example.com/a.mp4": "download it first",
    }
    for source, says in given.items():
        line = one_line(run(source, "-o", tmp_path / "d.mp4"))
        assert says in line, line
        assert not (tmp_path / "d.mp4").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part.mp4")]


def test_targets_that_cannot_be(clip, tmp_path):
    there = write(tmp_path, "there.mp4", b"precious")
    given = {
        there: "--overwrite",
        clip: "source itself",
        tmp_path: "is a folder",
        tmp_path / "none" / "d.mp4": "mkdir -p",
        tmp_path / "d.xyz": ".mp4",
        tmp_path / "d.png": "frames/%05d.png",
    }
    for target, says in given.items():
        line = one_line(run(clip, "-o", target))
        assert says in line, line
    assert there.read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["there.mp4"]
    assert run(clip, "-o", there, "--overwrite", "--effect", "none").exit_code == 0
    assert there.read_bytes() != b"precious"


def test_networks_layers_and_weights_that_are_not_there(clip, tmp_path):
    weights = write(tmp_path, "weights.pth", b"not weights")
    for arguments, says in [
        (["--network", "incepton"], "did you mean inception"),
        (["--layer", "Mixed_6x"], "did you mean Mixed_6"),
        (["--layer", "Mixed_6b#9999"], "channel"),
        (["--weights", weights], "weights.pth"),
        (["--weights", tmp_path / "no.pth"], "no.pth"),
        (["--effect", "nothing"], "effect"),
    ]:
        line = one_line(run(clip, "-o", tmp_path / "d.mp4", *arguments))
        assert says in line, line
    assert [p.name for p in tmp_path.iterdir()] == ["weights.pth"]


def test_stills(tmp_path):
    Image.fromarray(textured(48, 64)).save(tmp_path / "a.png")
    assert run(tmp_path / "a.png", "-o", tmp_path / "b.png", *FAST).exit_code == 0
    with Image.open(tmp_path / "b.png") as dream:
        assert dream.size == (64, 48)


def test_quiet_and_verbose(clip, tmp_path):
    loud = run(clip, "-o", tmp_path / "a.gif", "--effect", "none")
    assert "sound" in loud.output
    quiet = run(clip, "-o", tmp_path / "b.gif", "--effect", "none", "--quiet")
    assert quiet.output == ""
    assert run(clip, "-o", tmp_path / "c.gif", "--effect", "none", "-v").exit_code == 0


def vidream(*arguments, **how):
    return subprocess.run(
        [sys.executable, "-m", "vidream", *map(str, arguments)],
        capture_output=True,
        check=True,
        **how,
    )


def test_a_pipe_in_and_out(clip):
    out = vidream(clip, "-o", "-", "--effect", "none").stdout
    assert out.startswith(b"YUV4MPEG2")
    back = vidream("-", "-o", "-", "--format", "nut", "--effect", "none", input=out)
    with av.open(io.BytesIO(back.stdout)) as done:
        assert sum(1 for _ in done.decode(video=0)) == 6


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_what_ends_the_program_lets_it_go_on(name, clip, tmp_path):
    """Interrupted in the middle: what was dreamed so far plays, and a line says how to go on."""
    target = tmp_path / "d.mp4"
    script = (
        "import vidream.cli, vidream.pipeline, os, signal\n"
        # The tests themselves may run in the background, where these are ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "real = vidream.cli._Progress.__call__\n"
        "def call(self, report):\n"
        "    real(self, report)\n"
        f"    if report.index == 1: os.kill(os.getpid(), signal.{name})\n"
        "vidream.cli._Progress.__call__ = call\n"
        "vidream.cli.main()\n"
    )
    command = [sys.executable, "-c", script, clip, "-o", str(target), "--effect", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.Signals[name]
    work = tmp_path / ".d.mp4.vidream"
    assert list(tmp_path.iterdir()) == [work]
    # The frame that was being made is finished.
    assert (
        "stopped after 3 of 6 frames; 3 frames are kept: go on with the same command and --resume"
        in done.stderr
    )
    assert len(done.stderr.splitlines()) == 1
    with av.open(str(work / "so-far.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 3
    assert "--resume" in one_line(run(clip, "-o", target, "--effect", "none"))
    assert run(clip, "-o", target, "--effect", "none", "--resume").exit_code == 0
    assert list(tmp_path.iterdir()) == [target]
    with av.open(str(target)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 6


def test_a_second_wish_to_end_does_not_wait():
    with stoppable() as stopping:
        stopping.heed()  # from here on there is a frame to wait for
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stopping.heed()


def test_a_pipe_cannot_be_gone_on_with(clip, tmp_path):
    for source, target in ((clip, "-"), ("-", tmp_path / "d.mp4")):
        result = run(source, "-o", target, "--resume")
        assert result.exit_code == 2
        assert "pipe" in result.output


def test_a_signal_that_is_ignored_stays_so():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_progress_of_a_download_and_of_nothing(capsys):
    with _Progress(hidden=True) as progress:
        progress.download(5, 10)
        progress.download(10, 10)
        assert "nothing was written" in progress.how_far("d.mp4")
    assert capsys.readouterr().err == ""


def run_python(script, **environment):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    rest = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-c", script],
        env=rest | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


def test_help_needs_no_pytorch():
    assert run_python("import sys, vidream.cli; print('torch' in sys.modules)") == ["False"]


@pytest.mark.parametrize(
    ("given", "spins"),
    [
        ({}, "10000"),
        ({"GOMP_SPINCOUNT": "5"}, "5"),
        ({"OMP_WAIT_POLICY": "passive"}, "None"),
    ],
)
def test_threads_that_wait_sleep_soon_unless_told_otherwise(given, spins):
    script = (
        "import os, sys, vidream.cli\n"
        "sys.argv = ['vidream', '--version']\n"
        "try: vidream.cli.main()\n"
        "except SystemExit: print(os.environ.get('GOMP_SPINCOUNT'))\n"
    )
    assert run_python(script, **given)[-1] == spins
