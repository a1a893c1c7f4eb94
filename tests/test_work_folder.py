"""The work folder: its lock, what it is known by, and what is saved in it."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st

from vidream import Frame, Settings, StyleSettings, WriteSettings
from vidream.core.errors import OutputError
from vidream.media.places import parse_source
from vidream.render import checkpoint
from vidream.render.checkpoint import Checkpoint
from vidream.render.fingerprint import difference, fingerprint, identity
from vidream.render.lock import Lock
from vidream.render.spool import Spool, read_spool
from vidream.render.work_folder import open_work
from vidream.temporal.flow import NoFlow
from vidream.temporal.propagation import DreamState, Keyframe
from vidream.temporal.tracking import MotionTracker, TrackedFrame, TrackerState


def image(seed, height=4, width=6):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def full_checkpoint():
    picture = textured(12, 18)
    wide = image(0).to(memory_format=torch.channels_last)
    state = DreamState(
        7,
        wide,
        image(1),
        (Keyframe(3, image(2).half()),),
        {"a": torch.tensor([0.1, 1 / 3, float("inf"), 1e-300], dtype=torch.float64)},
    )
    seen = TrackedFrame(7, picture, image(3)[:, :1])
    tracker_state = TrackerState(seen, (seen,), 5, picture[::3, ::3])
    return Checkpoint(
        8, Fraction(1001, 30000), state, tracker_state, picture, (2**31, float("inf"))
    )


def same(one, other):
    """Equal to the last bit, with the same strides."""
    if isinstance(one, torch.Tensor):
        return (
            one.dtype == other.dtype and one.stride() == other.stride() and torch.equal(one, other)
        )
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if hasattr(one, "__dataclass_fields__"):
        names = one.__dataclass_fields__
        return type(one) is type(other) and all(
            same(getattr(one, name), getattr(other, name)) for name in names
        )
    return one == other


def test_a_checkpoint_is_saved_to_the_last_bit(tmp_path):
    saved = full_checkpoint()
    checkpoint.save(saved, tmp_path / "state.pt")
    assert same(saved, checkpoint.load(tmp_path / "state.pt", "cpu"))
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def test_a_view_is_saved_without_what_it_is_a_view_of(tmp_path):
    wide = torch.zeros(1, 3, 512, 512)
    state = DreamState(0, wide[..., :2, :2], wide[..., :2, :2])
    checkpoint.save(Checkpoint(1, state=state), tmp_path / "state.pt")
    assert (tmp_path / "state.pt").stat().st_size < 10_000


def test_a_damaged_checkpoint_is_one_line(tmp_path):
    (tmp_path / "state.pt").write_bytes(b"PK nonsense")
    with pytest.raises(OutputError, match=r"is damaged: remove .* to begin anew"):
        checkpoint.load(tmp_path / "state.pt", "cpu")


def test_a_failed_save_leaves_the_old_one(tmp_path, monkeypatch):
    checkpoint.save(Checkpoint(1), tmp_path / "state.pt")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vidream.media.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(full_checkpoint(), tmp_path / "state.pt")
    assert checkpoint.load(tmp_path / "state.pt", "cpu") == Checkpoint(1)
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


@given(cut=st.integers(0, 7), first=st.booleans())
def test_a_tracker_goes_on_where_another_stopped(cut, first):
    """Cuts, what is kept and duplicates: the same whether there was a stop or not."""
    pan = [np.roll(textured(48, 64), 3 * k, axis=1) for k in range(4)]
    other = 255 - textured(48, 64, 3)
    clip = [*pan, pan[-1], other, other, np.roll(other, 2, axis=0)]
    if first:
        clip = clip[::-1]
    flow = NoFlow(torch.device("cpu"))
    whole = MotionTracker(flow, 2)
    expected = [whole.track(picture, k) for k, picture in enumerate(clip)]
    tracker = MotionTracker(flow, 2)
    found = [tracker.track(picture, k) for k, picture in enumerate(clip[:cut])]
    tracker = MotionTracker(flow, 2, state=tracker.state)
    found += [tracker.track(picture, cut + k) for k, picture in enumerate(clip[cut:])]
    assert all(same(*pair) for pair in zip(found, expected, strict=True))


@given(
    st.lists(
        st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 2**20)), min_size=1, max_size=4
    ),
    st.integers(0, 300),
)
def test_a_spool_gives_back_whole_frames(tmp_path_factory, times, lost):
    """Also where the last one was cut off in its middle."""
    path = tmp_path_factory.mktemp("spool") / "a.frames"
    base = Fraction(1001, 30000)
    frames = [Frame(textured(8, 9, k), 5 + k, p, base, d) for k, (p, d) in enumerate(times)]
    spool = Spool(path)
    for frame in frames:
        spool.append(frame)
    spool.sync()
    spool.close()
    size = path.stat().st_size
    each = size // len(frames)
    with path.open("r+b") as file:
        file.truncate(max(0, size - lost))
    whole = (size - lost) // each if lost <= size else 0
    back = list(read_spool(path, 5, 5 + len(frames)))
    assert len(back) == max(0, whole)
    for one, other in zip(back, frames, strict=False):
        assert np.array_equal(one.image, other.image)
        assert (one.index, one.pts, one.time_base, one.duration) == (
            *(other.index, other.pts, other.time_base, other.duration),
        )


def test_a_spool_keeps_sixteen_bits(tmp_path):
    frame = Frame(textured(8, 9).astype(np.uint16) * 257, 0)
    spool = Spool(tmp_path / "a.frames")
    spool.append(frame)
    spool.close()
    (back,) = read_spool(spool.path, 0, 1)
    assert back.is_hdr
    assert np.array_equal(back.image, frame.image)
    saved = Checkpoint(1, picture=frame.image)
    checkpoint.save(saved, tmp_path / "state.pt")
    loaded = checkpoint.load(tmp_path / "state.pt", "cpu").picture
    assert loaded.dtype == np.uint16
    assert np.array_equal(loaded, frame.image)


def test_a_spool_is_cut_off_where_one_goes_on(tmp_path):
    frames = [Frame(textured(8, 9, k), k, k) for k in range(4)]
    spool = Spool(tmp_path / "a.frames")
    for frame in frames:
        spool.append(frame)
    spool.close()
    assert [f.index for f in read_spool(spool.path, 0, 2)] == [0, 1]
    again = Spool(spool.path)
    again.append(frames[2])
    again.close()
    assert [f.index for f in read_spool(spool.path, 0, 9)] == [0, 1, 2]


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / "lock"
    script = (
        "import sys, os\n"
        "from pathlib import Path\n"
        "from vidream.render.lock import Lock\n"
        f"lock = Lock(Path({str(path)!r}))\n"
        "print('locked', flush=True)\n"
        "sys.stdin.readline()\n"
        "os._exit(1)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(BlockingIOError):
            Lock(path)
        other.kill()
        other.wait()
    Lock(path).release()


def test_a_file_is_known_by_its_content(tmp_path):
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_bytes(bytes(5_000_000))
    other.write_bytes(bytes(5_000_000))
    assert identity(str(one)) == identity(str(other))
    for place in (0, 2_500_000, 4_999_999):
        changed = bytearray(5_000_000)
        changed[place] = 1
        other.write_bytes(changed)
        assert identity(str(one)) != identity(str(other))


def test_a_folder_is_known_by_the_files_in_it(tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    before = identity(str(tmp_path))
    assert identity(str(tmp_path)) == before
    (tmp_path / "b.png").write_bytes(b"two")
    assert identity(str(tmp_path)) != before


def test_settings_that_shape_nothing_are_not_in_a_fingerprint(clip):
    before = fingerprint(parse_source(clip), Settings())
    assert json.loads(json.dumps(before)) == before
    idle = Settings().updated(overwrite=True, resume=True, keep_work=True)
    assert difference(before, fingerprint(parse_source(clip), idle)) == ""


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"layers": ("Mixed_6b:0.5",)}, "layers has changed"),
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"effect": "none"}, "effect was dream and is none"),
        ({"guide_by": "statistics"}, "guide-by was match and is statistics"),
    ],
)
def test_a_difference_is_named(clip, changed, says):
    before = fingerprint(parse_source(clip), Settings())
    assert says in difference(
        before, fingerprint(parse_source(clip), Settings().updated(**changed))
    )


def test_pictures_that_settings_name_are_looked_at(clip, tmp_path):
    name = str(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(b"one")
    for settings in (
        Settings().updated(guide=name),
        Settings(style=StyleSettings(styles=(name,))),
        Settings().updated(mask=name),
    ):
        (tmp_path / "a.png").write_bytes(b"one")
        before = fingerprint(parse_source(clip), settings)
        (tmp_path / "a.png").write_bytes(b"two")
        assert "has changed" in difference(before, fingerprint(parse_source(clip), settings))


def test_a_journal_drops_a_line_that_was_cut_off(tmp_path):
    with open_work(tmp_path / "d.mp4", {}, WriteSettings(keep_work=True)) as work:
        work.note([{"number": 0}, {"number": 1}])
        with (work.path / "journal.jsonl").open("a") as file:
            file.write('{"num')
        assert [entry["number"] for entry in work.journal()] == [0, 1]
        work.note([{"number": 2}])
        assert [entry["number"] for entry in work.journal()] == [0, 1, 2]


def test_a_folder_that_holds_nothing_goes(tmp_path):
    with open_work(tmp_path / "d.mp4", {}, WriteSettings()):
        assert (tmp_path / ".d.mp4.vidream").is_dir()
    assert not list(tmp_path.iterdir())


def test_a_run_from_a_folder_of_sources_has_a_fingerprint(tmp_path, monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("vidream.render.record.version", version)
    assert (
        fingerprint(parse_source(tmp_path / "clip.mp4"), Settings())["version of vidream"]
        == "unknown"
    )


def test_a_file_in_a_folder_that_may_not_be_entered_is_told_later(monkeypatch):
    def look(path):
        raise PermissionError(path)

    monkeypatch.setattr(Path, "is_dir", look)
    assert identity("locked/brush.png") == "not to be read"
