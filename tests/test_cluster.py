"""Scenes on the workers of a Dask scheduler: the same bytes, whatever happens to them."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import torch
from conftest import Reports
from scenes import DREAM, digest, hidden, job_of, scenes_clip
from studio_server import VIDREAM

from vidream.core.errors import ClusterError, SettingsError
from vidream.core.presets import preset_settings
from vidream.core.reporting import CancelledError, CancelToken
from vidream.render.run import run

pytest.importorskip("distributed")

from dask_processes import DaskProcesses

from vidream.cluster.engine import Engine, EnginePolicy
from vidream.cluster.files import PIECE, FileStore
from vidream.cluster.run import run_job_on_cluster, run_on_cluster
from vidream.cluster.schedulers import connect, local_workers
from vidream.render.fingerprint import identity

BENCHMARK = Path(__file__).parents[1] / "benchmarks/cluster.py"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return scenes_clip(tmp_path_factory.mktemp("scenes") / "scenes.mp4", sound="aac")


@pytest.fixture(scope="module")
def whole(clip, tmp_path_factory):
    target = tmp_path_factory.mktemp("whole") / "dream.mp4"
    run(job_of(clip, target, **DREAM))
    return digest(target)


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    processes = DaskProcesses(tmp_path_factory.mktemp("dask"))
    yield processes
    processes.close()


@pytest.fixture(scope="module")
def two(dask):
    """Two workers, which last for the tests that follow."""
    dask.clear()
    dask.add()
    dask.add()
    return dask


class Parts(Reports):
    """Calls back when so many parts are done, once."""

    def __init__(self, parts=0, call=lambda: None):
        super().__init__()
        self.seen = []
        self._parts, self._call = parts, call

    def parts(self, report):
        if self._call is not None and report.parts >= self._parts:
            self._call, call = None, self._call
            call()
        self.seen.append(report)


# ---- two workers


def test_two_workers_make_the_bytes_of_one_run(clip, whole, two, tmp_path):
    target, reports = tmp_path / "dream.mp4", Parts()
    run_job_on_cluster(job_of(clip, target, reports, **DREAM), two.address)
    assert digest(target) == whole
    assert not hidden(tmp_path)
    last = reports.seen[-1]
    assert (last.frames, last.expected, last.parts, last.of) == (98, 98, 8, 8)
    assert last.workers == 2


def test_through_a_shared_folder(clip, whole, two, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    target = tmp_path / "dream.mp4"
    run_job_on_cluster(job_of(clip, target, **DREAM), two.address, shared=shared)
    assert digest(target) == whole
    assert not list(shared.iterdir())


def test_several_clips_share_the_workers(clip, two, tmp_path):
    """One that cannot be rendered stops none of the others."""
    short = scenes_clip(tmp_path / "short.mp4", (9, 8, 12))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(short.read_bytes()[:600])
    ended = {}
    jobs = [
        job_of(source, tmp_path / f"dream-{source.name}", **DREAM)
        for source in (clip, broken, short)
    ]
    run_on_cluster(jobs, two.address, lambda job, error: ended.update({job.target.name: error}))
    errors = {Path(name).name: error for name, error in ended.items()}
    assert errors["dream-scenes.mp4"] is None
    assert errors["dream-short.mp4"] is None
    assert "broken.mp4" in str(errors["dream-broken.mp4"])
    run(job_of(short, tmp_path / "one.mp4", **DREAM))
    assert digest(tmp_path / "one.mp4") == digest(tmp_path / "dream-short.mp4")


def test_pieces_of_a_long_scene(two, tmp_path):
    long = scenes_clip(tmp_path / "long.mp4", (80, 10))
    run(job_of(long, tmp_path / "one.mp4", split=1.5, **DREAM))
    run_job_on_cluster(job_of(long, tmp_path / "many.mp4", split=1.5, **DREAM), two.address)
    assert digest(tmp_path / "one.mp4") == digest(tmp_path / "many.mp4")


def test_a_stop_and_going_on(clip, whole, two, tmp_path):
    target, token = tmp_path / "dream.mp4", CancelToken()
    stopping = Parts(3, token.cancel)
    with pytest.raises(CancelledError, match=r"stopped; \d of 8 scenes are kept: go on with"):
        run_job_on_cluster(job_of(clip, target, stopping, token, **DREAM), two.address)
    kept = {path.name for path in (tmp_path / ".dream.mp4.vidream").glob("part-*")}
    assert 3 <= len(kept) < 8
    going_on = Parts()
    run_job_on_cluster(job_of(clip, target, going_on, resume=True, **DREAM), two.address)
    assert going_on.seen[0].parts in (0, len(kept))  # before and after the plan is read
    assert min(report.parts for report in going_on.seen[5:]) >= len(kept)
    assert digest(target) == whole


def test_the_command_and_ctrl_c(clip, whole, two, tmp_path):
    target = tmp_path / "dream.mp4"
    flags = ["--octaves", "2", "--steps", "2", "--jitter", "4", "--layer", "Mixed_5b"]
    command = [*VIDREAM, str(clip), "-o", str(target), "--cluster", two.address, *flags]
    how = {"stderr": subprocess.PIPE, "text": True, "env": os.environ}
    first = subprocess.Popen(command, **how)
    work = tmp_path / ".dream.mp4.vidream"
    deadline = time.monotonic() + 120
    while not list(work.glob("part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=60)[1]
    assert first.returncode == 130
    assert said.startswith("vidream: stopped; ")
    assert said.endswith(" scenes are kept: go on with --resume\n")
    again = subprocess.run([*command, "--resume"], **how, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert digest(target) == whole


# ---- workers that are not as they should be


def test_a_worker_of_another_version_is_refused(clip, whole, two, tmp_path, caplog):
    other = (
        "import vidream.render.fingerprint as f; f.own_version = lambda: '0.0.7'; "
        "f.describe_device = lambda device: 'cpu OTHER';"
    )
    bad = two.add(other)
    try:
        with caplog.at_level("WARNING", "vidream"):
            target = tmp_path / "dream.mp4"
            run_job_on_cluster(job_of(clip, target, **DREAM), two.address)
    finally:
        two.workers.remove(bad)
        bad.kill()
        bad.wait()
    refused = [r.getMessage() for r in caplog.records if "gets no work" in r.getMessage()]
    # The first that is looked at is the rule.
    assert 1 <= len(refused) <= 2
    assert all("version of vidream was 0." in line for line in refused)
    assert all("its pictures would differ" in line for line in refused)
    if len(refused) == 1:
        assert digest(target) == whole


def test_what_a_worker_cannot_render_is_said(clip, dask, tmp_path):
    dask.clear()
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "inception-2015-mixed6e-fp16.safetensors").write_bytes(b"other weights")
    dask.add(VIDREAM_WEIGHTS=str(weights))
    policy = EnginePolicy(alone=0.5)
    with connect(dask.address) as scheduler, Engine(scheduler, policy=policy) as engine:
        errors = []
        engine.run(
            [job_of(clip, tmp_path / "dream.mp4", **DREAM)], lambda _, error: errors.append(error)
        )
    (error,) = errors
    assert isinstance(error, ClusterError)
    assert "no worker can render" in str(error)
    assert "is damaged or another file" in str(error)
    assert not hidden(tmp_path)


def test_a_source_that_a_worker_does_not_see_is_sent_once(clip, whole, dask, tmp_path, caplog):
    dask.clear()
    blind = (
        "import vidream.cluster.files as f; own = f.identity; "
        f"f.identity = lambda p: 'not to be read' if p == {str(clip)!r} else own(p);"
    )
    dask.add(blind)
    dask.add(blind)
    with caplog.at_level("INFO", "vidream"):
        for name in ("one.mp4", "two.mp4"):
            run_job_on_cluster(job_of(clip, tmp_path / name, **DREAM), dask.address)
            assert digest(tmp_path / name) == whole
    sent = [r.getMessage() for r in caplog.records if "is sent to" in r.getMessage()]
    assert 1 <= len(sent) <= 2  # both workers may ask for it before the first has it
    kept = list((dask.folder / "vidream-files").rglob("scenes.mp4"))
    kept += list((dask.folder / "dask-scratch-space" / "vidream-files").rglob("scenes.mp4"))
    assert [path.read_bytes() for path in kept] == [clip.read_bytes()]


def test_files_are_received_in_pieces(tmp_path):
    whole = os.urandom(2 * PIECE + 5)
    source = tmp_path / "source.bin"
    source.write_bytes(whole)
    content, store = identity(str(source)), FileStore(tmp_path / "store")
    source.unlink()
    assert store.locate({str(source): content}) == ({}, [str(source)])
    pieces = [(at, whole[at : at + PIECE]) for at in range(0, len(whole), PIECE)]
    assert [store.receive(str(source), content, *piece, "me") for piece in pieces] == [
        False,
        False,
        True,
    ]
    (found,) = store.locate({str(source): content})[0].values()
    assert Path(found).read_bytes() == whole
    # A piece that is missing, or other bytes: nothing is kept under the name.
    other = FileStore(tmp_path / "other")
    assert not other.receive(str(source), content, *pieces[0], "me")
    assert not other.receive(str(source), content, *pieces[2], "me")
    assert other.locate({str(source): content})[0] == {}


# ---- workers and schedulers that go away


def test_a_worker_is_killed_in_the_middle_of_a_scene(clip, whole, dask, tmp_path):
    dask.clear()
    workers = [dask.add(), dask.add()]
    target = tmp_path / "dream.mp4"

    def kill():
        workers[0].kill()
        threading.Thread(target=dask.add, daemon=True).start()

    killing = Parts(1, kill)
    run_job_on_cluster(job_of(clip, target, killing, **DREAM), dask.address)
    assert digest(target) == whole
    assert min(report.workers for report in killing.seen) >= 0


def test_a_worker_that_hangs_is_given_up(clip, whole, dask, tmp_path, caplog):
    dask.clear()
    hanging = dask.add()
    dask.add()
    target = tmp_path / "dream.mp4"
    reports = Parts(1, lambda: hanging.send_signal(signal.SIGSTOP))
    policy = EnginePolicy(silence=8)
    with connect(dask.address) as scheduler:
        with Engine(scheduler, reporter=reports, policy=policy) as engine:
            errors = []
            engine.run([job_of(clip, target, **DREAM)], lambda _, error: errors.append(error))
        assert errors == [None]
    assert digest(target) == whole


def test_a_worker_whose_disk_is_full(clip, whole, dask, tmp_path, caplog):
    dask.clear()
    dask.add(
        "import vidream.render.part_renderer as p, vidream.core.errors as e\n"
        "def full(self, *given): raise e.OutputError('cannot write: No space left on device')\n"
        "p.PartRenderer.render = full\n"
        "import vidream.render.fingerprint as f; f._own_code = lambda: 'same'\n"
    )
    dask.add("import vidream.render.fingerprint as f; f._own_code = lambda: 'same'\n")
    with caplog.at_level("INFO", "vidream"):
        run_job_on_cluster(job_of(clip, tmp_path / "dream.mp4", **DREAM), dask.address)
    assert digest(tmp_path / "dream.mp4") == whole
    given_on = [r.getMessage() for r in caplog.records if "to another worker" in r.getMessage()]
    assert given_on
    assert all("No space left on device" in line for line in given_on)


def test_a_scheduler_that_goes_away(clip, whole, tmp_path):
    processes = DaskProcesses(tmp_path)
    try:
        processes.add()
        target = tmp_path / "dream.mp4"
        reports = Parts(2, processes.scheduler.kill)
        began = time.monotonic()
        with pytest.raises(ClusterError, match=r"the scheduler is gone; \d of 8 scenes are kept"):
            run_job_on_cluster(job_of(clip, target, reports, **DREAM), processes.address)
        assert time.monotonic() - began < 120
    finally:
        processes.close()
    assert not target.exists()
    run_job_on_cluster(job_of(clip, target, resume=True, **DREAM), "local:1")
    assert digest(target) == whole


# ---- a cluster of this machine's own


def test_two_devices_of_this_machine_render_a_clip(clip, tmp_path):
    """As ``--device cuda:0,cuda:1`` does, here with the CPU twice: one thread for each."""
    target = tmp_path / "dream.mp4"
    flags = ["--octaves", "2", "--steps", "2", "--jitter", "4", "--layer", "Mixed_5b"]
    command = [*VIDREAM, str(clip), *flags]
    how = {"capture_output": True, "text": True}
    ran = subprocess.run([*command, "-o", target, "--device", "cpu,cpu"], **how, check=True)
    assert ran.stderr == ""
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    subprocess.run(
        [*command, "-o", tmp_path / "one.mp4", "--device", "cpu"],
        **how,
        env=environment,
        check=True,
    )
    assert digest(target) == digest(tmp_path / "one.mp4")


def test_a_device_that_is_not_there(clip, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    command = [*VIDREAM, str(clip), "-o", tmp_path / "dream.mp4", "--device", "cuda:0,cuda:1"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("vidream: no CUDA device")
    assert not hidden(tmp_path)


def test_places_of_clusters():
    assert local_workers("tcp://host:8786") is None
    assert local_workers("local:3") == 3
    assert local_workers("local", ("cuda:0", "cuda:1", "cuda:2")) == 3
    assert local_workers("local") >= 1
    for wrong in ("local:0", "local:x"):
        with pytest.raises(SettingsError, match="is no cluster: write local, local:4"):
            local_workers(wrong)


def test_no_scheduler_answers(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("vidream.cluster.schedulers._TIMEOUT", 1)
    with pytest.raises(ClusterError, match=r"no scheduler answers at tcp://127.0.0.1:9 "):
        run_job_on_cluster(job_of(clip, tmp_path / "dream.mp4", **DREAM), "tcp://127.0.0.1:9")
    assert not hidden(tmp_path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--part", "1/2", "--cluster", "local"], "give either --part, or --cluster"),
        (["--shared", "."], "--shared is for --cluster: give both"),
        (["--cluster", "local", "--shared", "/none"], "--shared: there is no folder /none"),
        (["--cluster", "tcp://a:1", "--device", "cuda:0,cuda:1"], "workers have a --device of"),
        (["--device", "gpu"], "'gpu' is not a device: write auto, cpu, cuda"),
    ],
)
def test_options_that_do_not_go_together(clip, tmp_path, flags, message):
    command = [*VIDREAM, str(clip), "-o", tmp_path / "dream.mp4", *flags]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert message in ran.stderr


def test_a_setting_of_devices():
    assert preset_settings(device="cuda:0, cuda:1").dream.device == "cuda:0,cuda:1"
    for wrong in ("auto,cpu", "cuda:x", "", "cuda:0,,cuda:1"):
        with pytest.raises(SettingsError, match="is not a device"):
            preset_settings(device=wrong)


# ---- many


def test_nothing_grows_with_the_number_of_scenes(monkeypatch):
    """A thousand scenes, on a real scheduler: it knows of no more than its workers have."""
    spec = importlib.util.spec_from_file_location("cluster_benchmark", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    most = []
    run_one = Engine.run

    def watched(self, jobs, ended):
        done = threading.Event()

        def watch():
            while not done.wait(0.05):
                most.append(self._client.run_on_scheduler(_known_tasks))

        threading.Thread(target=watch, daemon=True).start()
        try:
            run_one(self, jobs, ended)
        finally:
            done.set()

    monkeypatch.setattr(Engine, "run", watched)
    benchmark.simulate(4, [8] * 1000, [0.001] * 1000)
    assert len(most) > 10
    assert max(most) <= 3 * 4


def _known_tasks(dask_scheduler) -> int:
    return len(dask_scheduler.tasks)
