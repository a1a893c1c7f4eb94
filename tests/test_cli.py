"""The command, as a user runs it."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import click
import pytest
from click.testing import CliRunner
from conftest import textured
from PIL import Image

from vidream.cli import cli
from vidream.cli.dream import dream as command
from vidream.cli.terminal import ProgressBar, Stopped, handled_signals
from vidream.core.presets import PRESETS, preset_settings
from vidream.core.reporting import CancelledError, FrameReport
from vidream.core.settings import schema

FAST = ["--octaves", "1", "--steps", "1", "--refine-steps", "1", "--jitter", "2"]


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def one_line(result, status=1):
    """The line that a failing run says, and nothing else."""
    assert result.exit_code == status, result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1, lines
    assert "Traceback" not in result.output
    return lines[0]


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that the command runs; they are not run."""
    found = []
    fake = SimpleNamespace(run=lambda job: found.append(job) or 1)
    monkeypatch.setitem(sys.modules, "vidream.render.run", fake)
    return found


def test_dreams_a_clip(clip, tmp_path):
    result = run(clip, "-o", tmp_path / "d.mp4", "--frames", 2, *FAST)
    assert result.exit_code == 0, result.output
    assert result.output == ""
    with av.open(str(tmp_path / "d.mp4")) as done:
        assert sum(1 for _ in done.decode(video=0)) == 2


def test_every_option_is_made_of_a_setting_and_states_its_default():
    flat = " ".join(run("--help").output.split())
    for says in ("[default: creatures]", "--octaves", "--layer LAYER", "Input:", "-o, --output"):
        assert says in flat
    defaults = preset_settings()
    assert f"default: {defaults.dream.steps}]" in flat
    assert f"default: {defaults.dream.color:g}]" in flat
    assert f"default: {defaults.dream.coherence:g}]" in flat
    assert isinstance(command, click.Command)
    known = {param.name for param in command.params}
    animations = {n for n, s in schema().items() if s.part == "animation"}
    assert set(schema()) - known == animations
    for animation in ("zoom", "octaves"):
        known |= {param.name for param in cli.commands[animation].params}
    assert set(schema()) - known == {"animate"}


BEGINS = re.compile(r"^  (?:-\w, )?(--[\w-]+)", re.MULTILINE)


@pytest.mark.parametrize("width", [80, 88, 100])
def test_the_help_is_one_page_in_groups(width):
    text = CliRunner().invoke(cli, ["--help"], terminal_width=width).output
    assert len(BEGINS.findall(text)) <= 35
    assert len(text.splitlines()) <= 100
    assert max(map(len, text.splitlines())) <= width
    groups = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert {"Dream", "Ascent", "Motion", "Over time", "Input", "Output", "General"} <= set(groups)
    assert len(groups) == len(set(groups))


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_all_of_the_help_names_every_option_once(name):
    shown = run(name, "--help").output
    every = run(name, "--help-all")
    text = every.output if every.exit_code == 0 else shown
    known = [p.opts[-1] for p in cli.commands[name].params if isinstance(p, click.Option)]
    assert sorted(BEGINS.findall(text)) == sorted([*known, "--help"])
    assert set(BEGINS.findall(shown)) <= set(BEGINS.findall(text))


def test_the_commands_show_their_own_options():
    assert {"--zoom", "--rotate", "--loop"} <= set(BEGINS.findall(run("zoom", "--help").output))
    assert {"--every", "--blend"} <= set(BEGINS.findall(run("octaves", "--help").output))
    assert "--mask" not in run("zoom", "--help-all").output
    for name in ("zoom", "octaves", "measure", "info", "list"):
        assert name in run("--help").output


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (["networks"], ["inception", "vgg19", "resnet50"]),
        (["layers", "vgg19"], ["features.22", "relu4_3", "block4_conv3"]),
        (["layers", "inception"], ["Mixed_6b", "768 channels"]),
        (["classes", "efficientnet_lite2"], ["980", "volcano"]),
        (["presets"], [*PRESETS, "(default)"]),
        (["flows"], ["dis", "raft", "farneback"]),
        (["effects"], ["dream", "adain", "pixelnn"]),
    ],
)
def test_lists(what, says):
    result = run("list", *what)
    assert result.exit_code == 0
    assert all(word in result.output for word in says)


def test_what_cannot_be_listed():
    assert "inception" in one_line(run("list", "layers", "inceptoin"))
    assert "want a network" in run("list", "layers").output
    assert "want no network" in run("list", "presets", "vgg19").output
    assert run("list", "things").exit_code == 2


def test_the_version():
    assert "version" in run("--version").output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--octaves", "0"], "--octaves is a whole number from 1"),
        (["--octaves", "many"], "--octaves is a whole number; not 'many'"),
        (["--layer", "a:b:c"], "is not a layer"),
        (["--start", "soon"], "not a time"),
        (["--preset", "nothing"], "Invalid value"),
        (["--normalize", "max"], "--normalize is one of mean, std"),
        (["--end", "1", "--duration", "2"], "give either --end or --duration"),
        (["--luma-only", "--match-color", "source"], "either --luma-only or --match-color"),
        (["--speed", "3"], "No such option"),
        (["--carry", "1"], "No such option"),
        (["--zoom", "1.02"], "No such option"),
    ],
)
def test_usage_errors_end_with_2(clip, tmp_path, arguments, says):
    result = run(clip, "-o", tmp_path / "d.mp4", *arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert not list(tmp_path.iterdir())


def test_zero_is_a_value_and_no_is_an_answer(clip, tmp_path, jobs):
    run(clip, "-o", tmp_path / "d.mp4", "--coherence", 0, "--smoothing", 0, "--jitter", 0)
    dream = jobs[0].settings.dream
    assert (dream.coherence, dream.smoothing, dream.jitter) == (0, 0, 0)
    (tmp_path / "c.toml").write_text("grey = true\n")
    run(clip, "-o", tmp_path / "d.mp4", "--config", tmp_path / "c.toml", "--no-grey")
    run(clip, "-o", tmp_path / "d.mp4", "--config", tmp_path / "c.toml")
    assert [job.settings.dream.grey for job in jobs[1:]] == [False, True]


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_sources_that_are_no_video(tmp_path):
    (tmp_path / "empty").mkdir()
    given = {
        tmp_path / "missing.mp4": "does not exist",
        tmp_path / "empty": "is a folder",
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
        there: "already exists (set --overwrite to replace it)",
        clip: "source itself",
        tmp_path / "none" / "d.mp4": "does not exist",
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
        "import vidream.cli, vidream.cli.terminal, os, signal\n"
        # The tests themselves may run in the background, where these are ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "real = vidream.cli.terminal.ProgressBar.frame\n"
        "def frame(self, report):\n"
        "    real(self, report)\n"
        f"    if report.index == 1: os.kill(os.getpid(), signal.{name})\n"
        "vidream.cli.terminal.ProgressBar.frame = frame\n"
        "vidream.cli.main()\n"
    )
    command = [sys.executable, "-c", script, clip, "-o", str(target), "--effect", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.Signals[name]
    work = tmp_path / ".d.mp4.vidream"
    assert list(tmp_path.iterdir()) == [work]
    # The frame that was being made is finished.
    assert re.search(r"stopped after [23] of 6 frames; [23] frames are kept", done.stderr)
    assert "--resume" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    with av.open(str(work / "so-far.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) in (2, 3)
    assert "--resume" in one_line(run(clip, "-o", target, "--effect", "none"))
    assert run(clip, "-o", target, "--effect", "none", "--resume").exit_code == 0
    assert list(tmp_path.iterdir()) == [target]
    with av.open(str(target)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 6


def test_a_second_wish_to_end_does_not_wait():
    with handled_signals() as signals:
        cancel = signals.new_run(waits=True)
        signals.frames_began()  # from here on there is a frame to wait for
        signal.raise_signal(signal.SIGTERM)
        assert cancel.cancelled
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):  # nor is another run begun
            signals.new_run(waits=True)


@pytest.mark.parametrize("waits", [True, False])
def test_where_there_is_nothing_to_wait_for_a_wish_to_end_does_not_wait(waits):
    with handled_signals() as signals:
        cancel = signals.new_run(waits=waits)
        if not waits:  # of a camera the next frame may never come
            signals.frames_began()
        with pytest.raises(Stopped) as stop:
            signal.raise_signal(signal.SIGTERM)
        assert stop.value.number == signal.SIGTERM
        assert not cancel.cancelled


def test_a_signal_that_is_ignored_stays_so():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handled_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_that_is_stopped_says_what_it_left(clip, tmp_path, monkeypatch):
    def cancelled(job):
        job.reporter.frame(FrameReport(0, 6, 0.0, 0.1, False))
        signal.raise_signal(signal.SIGTERM)
        assert job.cancel.cancelled
        raise CancelledError("stopped after 1 of 6 frames; set `resume` to go on")

    def interrupted(job):
        job.reporter.frame(FrameReport(2, 6, 0.0, 0.1, True))
        stop = KeyboardInterrupt()
        stop.add_note("3 frames are kept")
        raise stop

    for fake, status, says in [
        (cancelled, 128 + signal.SIGTERM, "after 1 of 6 frames; set --resume to go on"),
        (interrupted, 128 + signal.SIGINT, "stopped after 3 of 6 frames; 3 frames are kept"),
    ]:
        monkeypatch.setitem(sys.modules, "vidream.render.run", SimpleNamespace(run=fake))
        assert says in one_line(run(clip, "-o", tmp_path / "d.mp4"), status)


def test_a_pipe_cannot_be_gone_on_with(clip, tmp_path):
    for source, target in ((clip, "-"), ("-", tmp_path / "d.mp4")):
        result = run(source, "-o", target, "--resume")
        assert result.exit_code == 2
        assert "pipe" in result.output


def test_progress_never_raises(capsys, monkeypatch):
    with ProgressBar(hidden=True) as progress:
        progress.download(5, 10)
        progress.download(10, 10)
        assert "nothing was written" in progress.describe_stop()
        progress.step(1, 2)
        progress.frame(FrameReport(4, 6, 0.0, 0.1, True))
        progress.join(1, 6)
        progress.join(6, 6)
        assert "after 5 of 6 frames" in progress.describe_stop()
    assert capsys.readouterr().err == ""

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    with ProgressBar(hidden=False) as progress:
        progress._disable = False
        progress.frame(FrameReport(0, 6, 0.0, 0.1, True))
        progress.step(1, 2)
        progress.frame(FrameReport(1, 6, 0.0, 0.1, True))


def test_progress_shows_while_a_single_picture_takes_long(monkeypatch):
    class Bar:
        def __init__(self, total, **_):
            self.total, self.n, self.desc, self.closed = total, 0, "", False
            bars.append(self)

        def update(self, by):
            self.n += by

        def set_description_str(self, text, refresh):
            self.desc = text

        def close(self):
            self.closed = True

    bars = []
    monkeypatch.setattr("tqdm.tqdm", Bar)
    with ProgressBar(hidden=False) as progress:
        for done in (10, 20, 30):
            progress.step(done, 100)
        progress.frame(FrameReport(0, 5, 0.0, 0.1, False))
        (bar,) = bars
        assert (bar.n, bar.total, bar.desc, bar.closed) == (30, 100, "frame 1 of 5 ", False)
        assert "stopped after 1 of 5 frames" in progress.describe_stop()
    assert bar.closed


def run_python(script, *arguments, **environment):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    rest = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=rest | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


RAN = (
    "import sys, vidream.cli\n"
    "try: vidream.cli.main()\n"
    "except SystemExit as end: print(end.code, 'torch' in sys.modules)\n"
)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["--help-all"], 0),
        (["list", "presets"], 0),
        (["list", "networks"], 0),
        (["list", "layers", "vgg19"], 0),
        (["list", "flows"], 0),
        (["missing.mp4", "-o", "d.mp4"], 1),
        (["CLIP", "-o", "there.mp4"], 1),
        (["CLIP", "-o", "d.xyz"], 1),
        (["CLIP", "-o", "none/d.mp4"], 1),
        (["CLIP", "-o", "d.mp4", "--padding", "none"], 2),
        (["CLIP", "-o", "d.mp4", "--config", "none.toml"], 2),
        (["missing.mp4", "CLIP", "-o", "none/no/"], 1),
        (["measure", "missing.mp4", "CLIP"], 1),
        (["info", "missing.mp4"], 1),
        (["info", "CLIP"], 1),
    ],
)
def test_what_is_quickly_told_needs_no_pytorch(clip, tmp_path, arguments, status):
    (tmp_path / "there.mp4").write_bytes(b"precious")
    arguments = [clip if a == "CLIP" else a for a in arguments]
    assert run_python(f"import os; os.chdir({str(tmp_path)!r})\n" + RAN, *arguments)[-2:] == [
        str(status),
        "False",
    ]


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
