"""The studio by its requests: what it answers, what it renders, and what it refuses."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st
from media import make_clip
from PIL import Image
from scenes import scenes_clip
from studio_server import StudioServer
from test_cli import one_line, run
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync import client

from vidream.core.errors import InputError
from vidream.core.settings import Settings, schema
from vidream.core.settings_file import read_settings
from vidream.studio.device import Device, Urgency
from vidream.studio.folder import OWN, Folder, safe_name
from vidream.studio.guard import Access
from vidream.studio.requests import asked_settings, describe_settings

LITTLE = {"octaves": 1, "steps": 2, "jitter": 2}
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


def pan(count=12, height=64, width=96):
    picture = textured(height, width + 200)
    return [np.ascontiguousarray(picture[:, 3 * k : 3 * k + width]) for k in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("studio") / "clips"
    (root / "more").mkdir(parents=True)
    make_clip(root / "film.mp4", pan(), sound="aac")
    make_clip(root / "more" / "other.mp4", pan(6))
    Image.fromarray(textured(64, 96)).save(root / "still.png")
    outside = root.parent / "outside"
    outside.mkdir()
    make_clip(outside / "secret.mp4", pan(3))
    (root / "link.mp4").symlink_to(outside / "secret.mp4")
    (root / "way").symlink_to(outside)
    (root / "notes.txt").write_text("no clip")
    return root


@pytest.fixture(scope="module")
def studio(folder, tmp_path_factory):
    server = StudioServer(folder, tmp_path_factory.mktemp("presets"), "--max-upload", "2M")
    yield server
    server.stop()
    assert server.process.returncode in (0, -15)


def size_of(data):
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.format == "JPEG"
        return opened.size


# --- clips and looks


def test_clips_are_listed_without_those_that_lie_outside(studio):
    assert studio.json("GET", "/api/clips")["clips"] == ["film.mp4", "still.png", "more/other.mp4"]


def test_a_clip_is_described(studio):
    found = studio.json("GET", "/api/clip", query={"clip": "film.mp4"})
    assert (found["width"], found["height"], found["rate"]) == (96, 64, 25)
    assert found["duration"] == pytest.approx(12 / 25, abs=0.05)
    assert studio.json("GET", "/api/clip", query={"clip": "still.png"})["still"]


def test_frames_differ_along_the_clip(studio):
    shown = {studio.get("/api/frame", clip="film.mp4", time=t, side=96)[2] for t in (0, 0.2, 0.4)}
    assert len(shown) == 3
    assert {size_of(data) for data in shown} == {(96, 64)}


def test_a_frame_is_dreamed_by_the_settings(studio):
    ask = {"clip": "film.mp4", "time": 0.2, "preset": "creatures", "side": 96}
    vivid = {**ask, "values": {**LITTLE, "color": 0.0}}
    first, again, other = (
        studio.request("POST", "/api/dream", sent=body)
        for body in ({**ask, "values": LITTLE}, {**ask, "values": LITTLE}, vivid)
    )
    assert [answer[0] for answer in (first, again, other)] == [200] * 3
    assert first[2] == again[2] != other[2]
    assert size_of(first[2]) == (96, 64)
    assert first[1]["x-side"] == "96"


def test_a_thumbnail_shows_a_preset_on_this_frame(studio):
    status, _, data = studio.get("/api/thumbnail", clip="film.mp4", time=0, preset="eyes")
    assert status == 200
    assert max(size_of(data)) <= 160


def test_two_seconds_move(studio):
    body = {"clip": "film.mp4", "time": 0, "preset": "creatures", "values": LITTLE}
    url = studio.json("POST", "/api/moving", body)["url"]
    status, headers, data = studio.request("GET", f"/{url}")
    assert (status, headers["content-type"]) == (200, "video/mp4")
    assert data[4:8] == b"ftyp"
    status, headers, part = studio.request("GET", f"/{url}", headers={"Range": "bytes=0-99"})
    assert (status, len(part)) == (206, 100)  # players seek by it


def test_the_schema_holds_every_setting(studio):
    found = studio.json("GET", "/api/schema")
    named = {setting["name"] for setting in found["settings"]}
    assert named == {n for n, s in schema().items() if not s.option.per_run}
    names = [preset["name"] for preset in found["presets"]]
    assert names[0] == found["default"] == "creatures"
    assert "octaves" not in names  # it animates stills
    assert set(found["presets"][0]["values"]) == set(schema())
    assert json.loads(json.dumps(describe_settings())) == found["settings"]


def test_the_recipe_makes_the_same(studio, tmp_path):
    body = {"clip": "film.mp4", "target": "a.webm", "preset": "eyes", "values": {"color": 0.25}}
    made = studio.json("POST", "/api/recipe", body)
    assert made["command"] == "vidream film.mp4 -o a.webm --preset eyes --color 0.25"
    path = tmp_path / "a.toml"
    path.write_text(made["toml"])
    assert read_settings(str(path)) == {"preset": "eyes", "color": 0.25}


def test_settings_become_a_preset(studio):
    body = {"preset": "dogs", "values": {"color": 0.5}, "name": "my-dogs"}
    assert studio.json("POST", "/api/presets", body) == {"name": "my-dogs"}
    found = {p["name"]: p for p in studio.json("GET", "/api/schema")["presets"]}
    assert found["my-dogs"]["own"]
    assert found["my-dogs"]["values"]["color"] == 0.5
    assert "already" in studio.refusal("POST", "/api/presets", body)[1]
    assert studio.json("DELETE", "/api/presets/my-dogs") == {}
    assert "no preset" in studio.refusal("DELETE", "/api/presets/my-dogs")[1]
    assert "another name" in studio.refusal("POST", "/api/presets", {**body, "name": "eyes"})[1]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"clip": "film.mp4", "values": {"color": 7}}, "from 0 to 1"),
        ({"clip": "film.mp4", "values": {"colr": 0.1}}, "color"),
        ({"clip": "film.mp4", "preset": "creaturs"}, "creatures"),
        ({"clip": "film.mp4", "values": [1]}, "values"),
        ({"clip": "film.mp4", "values": {"layers": ["Mixed_9z"]}, "side": 64}, "Mixed_9z"),
        ({"clip": "film.mp4", "time": "soon"}, "no number"),
        ({"clip": "film.mp4", "time": 99}, "film.mp4"),
        ({"clip": ""}, "name of a file"),
        ({"clip": "gone.mp4"}, "not there"),
        ({"clip": "notes.txt"}, "notes.txt"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(studio, body, says):
    status, text = studio.refusal("POST", "/api/dream", body)
    assert status == 422
    assert says in text
    assert "\n" not in text


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"{}" + b" " * 2**19])
def test_a_body_that_is_no_object_is_refused(studio, body):
    status, _, _ = studio.request("POST", "/api/dream", body=body)
    assert status in (413, 422)


# --- renders


def render(studio, target, **values):
    body = {"clip": "film.mp4", "target": target, "preset": "creatures"}
    return studio.json("POST", "/api/renders", {**body, "values": {**LITTLE, **values}})


def by_command(folder, target, tmp_path, **values):
    """Return the bytes of what the command makes of the same."""
    options = [
        f"--{name.replace('_', '-')}={value}" for name, value in {**LITTLE, **values}.items()
    ]
    made = tmp_path / target
    result = run(folder / "film.mp4", "-o", made, *options)
    assert result.exit_code == 0, result.output
    return made.read_bytes()


def test_a_render_makes_what_the_command_makes(studio, folder, tmp_path):
    made = studio.wait_for(render(studio, "a.mp4")["id"], "done")
    assert made["done"] == made["expected"] == 12
    assert len(made["strengths"]) == 12
    expected = by_command(folder, "a.mp4", tmp_path)
    assert (folder / "a.mp4").read_bytes() == expected
    status, headers, data = studio.request(
        "GET", f"/api/renders/{made['id']}/file", query={"download": 1}
    )
    assert (status, data) == (200, expected)
    assert "attachment" in headers["content-disposition"]
    assert size_of(studio.get(f"/api/renders/{made['id']}/frame")[2]) == (96, 64)
    assert not list(folder.glob(".a.mp4*"))


def test_a_render_that_was_stopped_goes_on_to_the_same(studio, folder, tmp_path):
    slow = {"steps": 6, "octaves": 2}
    id = render(studio, "stopped.mp4", **slow)["id"]
    studio.wait_for(id, "running", done=2)
    studio.json("POST", f"/api/renders/{id}/stop")
    stopped = studio.wait_for(id, "stopped")
    assert 2 <= stopped["done"] < 12
    assert "stopped after" in stopped["message"]
    assert not (folder / "stopped.mp4").exists()
    studio.json("POST", f"/api/renders/{id}/resume")
    studio.wait_for(id, "done")
    assert (folder / "stopped.mp4").read_bytes() == by_command(
        folder, "stopped.mp4", tmp_path, **slow
    )


def test_workers_render_what_the_command_makes(tmp_path):
    """A studio on a cluster of this machine: one worker, with all of its cores."""
    pytest.importorskip("distributed")
    clips = tmp_path / "clips"
    scenes_clip((clips.mkdir(), clips / "film.mp4")[1], (9, 10, 8), (64, 96))
    server = StudioServer(clips, tmp_path / "presets", "--cluster", "local:1")
    try:
        made = server.wait_for(render(server, "a.mp4")["id"], "done")
    finally:
        server.stop()
    assert (made["done"], made["expected"]) == (27, 27)
    assert (clips / "a.mp4").read_bytes() == by_command(clips, "a.mp4", tmp_path)
    assert not list(clips.glob(".a.mp4*"))


def test_renders_wait_for_each_other_with_settings_of_their_own(studio, folder):
    ids = [render(studio, f"queue-{k}.mp4", color=k / 2)["id"] for k in range(3)]
    states = []
    while not all(studio.render(id)["status"] == "done" for id in ids):
        states.append([studio.render(id)["status"] for id in ids])
        time.sleep(0.1)
        assert len(states) < 600
    assert all(state.count("running") <= 1 for state in states)
    assert len({(folder / f"queue-{k}.mp4").read_bytes() for k in range(3)}) == 3


def test_one_that_waits_can_be_taken_out(studio, folder):
    first = render(studio, "long.mp4", steps=8, octaves=2)["id"]
    waits = render(studio, "never.mp4")["id"]
    studio.json("POST", f"/api/renders/{waits}/stop")
    assert studio.render(waits)["status"] == "stopped"
    assert studio.refusal("DELETE", f"/api/renders/{first}")[1] == "stop it first"
    studio.json("POST", f"/api/renders/{first}/stop")
    studio.wait_for(first, "stopped", "done")
    for id in (first, waits):
        studio.json("DELETE", f"/api/renders/{id}")
    assert not (folder / "never.mp4").exists()


def test_what_is_there_is_not_overwritten(studio, folder):
    before = (folder / "film.mp4").read_bytes()
    made = render(studio, "film.mp4")
    assert made["target"] == "film-2.mp4"
    studio.wait_for(made["id"], "done")
    assert (folder / "film.mp4").read_bytes() == before


def test_an_impossible_render_is_refused_at_once(studio):
    body = {"clip": "film.mp4", "target": "a.xyz", "preset": "creatures", "values": {}}
    assert "suffix" in studio.refusal("POST", "/api/renders", body)[1]
    assert studio.refusal("POST", "/api/renders/none/stop")[0] == 422


def test_a_preview_passes_a_render(studio):
    id = render(studio, "passed.mp4", steps=10, octaves=2)["id"]
    studio.wait_for(id, "running", done=1)
    ask = {"clip": "film.mp4", "time": 0.1, "values": {**LITTLE, "seed": 5}, "side": 64}
    assert studio.request("POST", "/api/dream", sent=ask)[0] == 200
    assert studio.render(id)["status"] == "running"
    studio.json("POST", f"/api/renders/{id}/stop")
    studio.wait_for(id, "stopped", "done")


def test_pages_show_the_same(studio):
    draft = {"clip": "film.mp4", "time": 0.2, "preset": "eyes", "values": {}, "page": "one"}
    studio.json("PUT", "/api/draft", draft)
    states = [studio.state() for _ in range(2)]
    assert states[0] == states[1]
    assert states[0]["draft"] == draft


def test_a_studio_that_is_ended_goes_on_with_the_next(folder, tmp_path):
    first = StudioServer(folder, tmp_path / "presets")
    id = render(first, "ended.mp4", steps=6, octaves=2)["id"]
    first.wait_for(id, "running", done=2)
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(timeout=30) == 130
    assert "the studio has ended" in first.said[-1]
    second = StudioServer(folder, tmp_path / "presets")
    try:
        assert second.wait_for(id, "done")["done"] == 12
    finally:
        second.stop()


# --- who may talk to it


def raw(studio, request, *headers, body=""):
    """Send a request with no other headers than these, and return the beginning of the answer."""
    own = (f"Host: {studio.host}", f"Authorization: Bearer {studio.token}")
    lines = (f"{request} HTTP/1.1", *own, *headers, "", body)
    with socket.create_connection(studio.host.split(":"), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(4096)


@pytest.mark.parametrize("path", ["/", "/main.js", "/api/clips", "/api/events", "/api/schema"])
def test_nothing_is_shown_without_the_token(studio, path):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "vidream-1=x"}):
        status, _, data = studio.request("GET", path, token=False, headers=headers)
        assert status == 403
        assert b"token" in data
    assert studio.request("GET", "/?token=wrong", token=False)[0] == 403


def test_the_address_sets_a_cookie_that_scripts_cannot_read(studio):
    status, headers, _ = studio.request("GET", f"/?token={studio.token}", token=False)
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    name_and_value = cookie.partition(";")[0]
    status, headers, page = studio.request(
        "GET", "/", token=False, headers={"Cookie": name_and_value}
    )
    assert status == 200
    assert b"vidream" in page
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "[::1", ""])
def test_another_host_is_refused(studio, host):
    assert studio.request("GET", "/api/clips", headers={"Host": host})[0] in (400, 421)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:1"])
def test_another_origin_is_refused(studio, origin):
    for method, path in (("GET", "/api/clips"), ("POST", "/api/renders"), ("PUT", "/api/clips")):
        assert studio.request(method, path, headers={"Origin": origin}, body=b"")[0] == 403


def test_what_forms_of_other_pages_can_send_is_refused(studio):
    answer = raw(studio, "POST /api/renders", "Content-Length: 2", body="{}")
    assert b" 403 " in answer


@given(st.text(max_size=40))
def test_only_its_own_names_are_a_studio(host):
    access = Access("secret", 8765, frozenset(("127.0.0.1", "localhost")))
    assert access.is_called_by("127.0.0.1:8765")
    assert access.is_called_by("LOCALHOST:8765")
    if access.is_called_by(host):
        assert host.lower().rpartition("@")[2] in ("127.0.0.1:8765", "localhost:8765")


# --- what it may touch

OUTSIDE = ("../outside/secret.mp4", "link.mp4", "way/secret.mp4", "/etc/passwd", "more/../../x")


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_path_leads_out(studio, folder, name):
    before = sorted(p.name for p in folder.parent.rglob("*"))
    ask = {"clip": name, "time": 0, "preset": "creatures", "values": {}}
    for path in ("clip", "frame", "thumbnail"):
        query = {"clip": name, "preset": "eyes"}
        status, text = studio.refusal("GET", f"/api/{path}", query=query)
        assert (status, "outside" in text) == (422, True)
    for path in ("dream", "moving", "renders"):
        assert "outside" in studio.refusal("POST", f"/api/{path}", ask)[1]
    assert (
        "outside"
        in studio.refusal("POST", "/api/renders", {**ask, "clip": "film.mp4", "target": name})[1]
    )
    for setting in ("guide", "mask", "match_color", "weights", "audio"):
        body = {**ask, "clip": "film.mp4", "values": {setting: name}}
        assert "outside" in studio.refusal("POST", "/api/dream", body)[1]
    body = {**ask, "clip": "film.mp4", "values": {"styles": [f"{name}:2"]}}
    assert "outside" in studio.refusal("POST", "/api/recipe", body)[1]
    assert sorted(p.name for p in folder.parent.rglob("*")) == before


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/%2e%2e/app.py", "/..%2fapp.py", "/api/moving/..%2frenders.json"],
)
def test_the_page_gives_no_other_files(studio, path):
    assert studio.request("GET", path)[0] == 404


@given(st.text(max_size=60))
def test_a_name_that_is_sent_is_one_of_a_file(name):
    made = safe_name(name)
    assert made
    assert not set(made) & set("/\\\0")
    assert made not in (".", "..")
    assert not made.startswith(".")


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_a_folder_confines_any_name(name):
    folder = Folder.__new__(Folder)
    folder.root = Path("/nowhere/at/all")
    with contextlib.suppress(InputError):
        assert folder.inside(name).is_relative_to(folder.root)


def test_what_the_studio_keeps_is_no_clip(folder):
    with pytest.raises(InputError, match="outside"):
        Folder(folder).inside(f"{OWN}/renders.json")


def test_settings_are_confined_to_the_folder(folder):
    inside = asked_settings({"values": {"mask": "still.png"}}, Folder(folder))
    assert inside.postprocess.mask == str(folder / "still.png")
    assert asked_settings({"values": {"match_color": "source"}}, Folder(folder)) == (
        Settings().updated(match_color="source")
    )


# --- uploads


def put(studio, name, body, **how):
    return studio.request("PUT", "/api/clips", query={"name": name}, body=body, **how)


def test_a_clip_is_uploaded_and_never_over_another(studio, folder):
    data = (folder / "more" / "other.mp4").read_bytes()
    names = [json.loads(put(studio, "../../up.mp4", data)[2])["name"] for _ in range(2)]
    assert names == ["up.mp4", "up-2.mp4"]
    assert (folder / "up.mp4").read_bytes() == data
    assert not (folder.parent.parent / "up.mp4").exists()


@pytest.mark.parametrize("name", ["text.mp4", "text.png", "noname"])
def test_what_is_no_clip_leaves_nothing(studio, folder, name):
    before = sorted(p.name for p in folder.rglob("*"))
    status, _, data = put(studio, name, b"this is only text, " * 100)
    assert status == 422
    assert name in json.loads(data)["error"]
    assert sorted(p.name for p in folder.rglob("*")) == before


def test_two_gibibytes_are_refused_before_they_are_sent(studio):
    length = f"Content-Length: {2**31}"
    answer = raw(studio, "PUT /api/clips?name=big.mp4", "X-Vidream: 1", length)
    assert b" 413 " in answer


@LINUX
def test_an_upload_without_a_length_ends_at_the_limit(studio, folder):
    before, names = studio.memory(), sorted(p.name for p in folder.rglob("*"))

    def chunks():
        for _ in range(400):
            yield bytes(2**18)  # 100 MB in all

    try:
        status, _, data = put(studio, "big.mp4", chunks())
        assert status == 422
        assert "max-upload" in json.loads(data)["error"]
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has hung up, as it may
    assert studio.memory() - before < 64 * 2**20
    assert sorted(p.name for p in folder.rglob("*")) == names


# --- live


def live(studio, **how):
    headers = {"Authorization": f"Bearer {studio.token}"}
    origin = how.pop("origin", f"http://{studio.host}")
    return client.connect(
        f"ws://{studio.host}/api/live",
        origin=origin,
        additional_headers=headers if how.pop("token", True) else {},
        max_size=2**24,
        **how,
    )


def jpeg(picture):
    made = io.BytesIO()
    Image.fromarray(picture).save(made, "JPEG", quality=90)
    return made.getvalue()


def configured(socket, **values):
    socket.send(json.dumps({"preset": "creatures", "values": {**LITTLE, **values}, "rate": 10}))


def wait_until_free(studio):
    deadline = time.monotonic() + 20
    while studio.state()["live"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_pictures_come_back_dreamed(studio):
    pictures = pan(20, 120, 160)
    with live(studio) as talk:
        configured(talk)
        numbers = []
        for k, picture in enumerate(pictures):
            talk.send(struct.pack("<I", k) + jpeg(picture))
            about = json.loads(talk.recv(timeout=30))
            data = talk.recv(timeout=30)
            numbers.append(struct.unpack_from("<I", data)[0])
            assert about["number"] == numbers[-1]
            assert size_of(data[4:]) == (160, 120)
    assert numbers == list(range(20))
    wait_until_free(studio)


def test_late_pictures_are_dropped_and_never_queued(studio):
    with live(studio) as talk:
        configured(talk, steps=6)
        for k in range(40):
            talk.send(struct.pack("<I", k) + jpeg(pan(1, 120, 160)[0]))
        dropped, numbers = 0, []
        while not numbers or numbers[-1] < 39:
            about = json.loads(talk.recv(timeout=30))
            talk.recv(timeout=30)
            dropped += about["dropped"]
            numbers.append(about["number"])
    assert numbers == sorted(numbers)
    assert dropped == 40 - len(numbers) > 0
    wait_until_free(studio)


def test_settings_change_while_it_is_live_and_mistakes_are_said(studio):
    with live(studio) as talk:
        configured(talk, color=9)
        assert "from 0 to 1" in json.loads(talk.recv(timeout=30))["error"]
        talk.send("not json")
        assert "JSON" in json.loads(talk.recv(timeout=30))["error"]
        configured(talk, mask="../outside/secret.mp4")
        assert "outside" in json.loads(talk.recv(timeout=30))["error"]
        configured(talk)
        talk.send(struct.pack("<I", 0) + b"no picture")
        assert "JPEG" in json.loads(talk.recv(timeout=30))["error"]
        talk.send(struct.pack("<I", 1) + jpeg(np.zeros((2000, 3000, 3), np.uint8)))
        assert "too large" in json.loads(talk.recv(timeout=30))["error"]
        talk.send(struct.pack("<I", 2) + jpeg(pan(1)[0]))
        assert json.loads(talk.recv(timeout=30))["number"] == 2
    wait_until_free(studio)


def test_one_page_at_a_time_is_live(studio):
    with live(studio) as first:
        configured(first)
        with live(studio) as second, pytest.raises(ConnectionClosed) as closed:
            second.recv(timeout=20)
        assert closed.value.rcvd.code == 1013
    wait_until_free(studio)


@pytest.mark.parametrize(
    "how", [{"token": False}, {"origin": "http://evil.example"}, {"origin": None}]
)
def test_others_are_not_let_in(studio, how):
    with pytest.raises((InvalidStatus, ConnectionClosed)), live(studio, **how) as talk:
        talk.recv(timeout=10)


@LINUX
def test_a_flood_is_cut_off_and_takes_no_memory(studio):
    before = studio.memory()
    picture = struct.pack("<I", 0) + jpeg(pan(1, 120, 160)[0])
    with pytest.raises(ConnectionClosed) as closed, live(studio) as talk:
        configured(talk)
        for _ in range(5000):
            talk.send(picture)
        while True:
            talk.recv(timeout=20)
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1008
    wait_until_free(studio)
    with pytest.raises(ConnectionClosed) as closed, live(studio) as talk:
        talk.send(bytes(2**23))  # larger than any message may be
        talk.recv(timeout=20)
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    wait_until_free(studio)
    assert studio.memory() - before < 200 * 2**20
    assert studio.json("GET", "/api/clips")["clips"]


def test_a_render_waits_while_a_page_is_live(studio):
    id = render(studio, "patient.mp4", steps=6, octaves=2)["id"]
    studio.wait_for(id, "running", done=1)
    with live(studio) as talk:
        configured(talk)
        talk.send(struct.pack("<I", 0) + jpeg(pan(1)[0]))
        talk.recv(timeout=30)
        time.sleep(0.3)
        before = studio.render(id)["done"]
        time.sleep(1)
        assert studio.render(id)["done"] == before < 12
    studio.wait_for(id, "done")


# --- the device


def test_what_is_urgent_goes_first_and_only_the_latest_of_a_series():
    device, order = Device(), []
    gate = device.submit(lambda: time.sleep(0.3), Urgency.RENDER)
    late = [device.submit(lambda: order.append("render"), Urgency.RENDER)]
    late.append(device.submit(lambda: order.append("thumbnail"), Urgency.THUMBNAIL))
    old = device.submit(lambda: order.append("old"), Urgency.LOOK, instead_of="a")
    late.append(device.submit(lambda: order.append("new"), Urgency.LOOK, instead_of="a"))
    late.append(device.submit(lambda: order.append("live"), Urgency.LIVE))
    for future in (gate, *late):
        future.result(timeout=10)
    device.close()
    assert old.cancelled()
    assert order == ["live", "new", "thumbnail", "render"]


def test_an_error_is_the_callers():
    device = Device()
    with pytest.raises(ZeroDivisionError):
        device.submit(lambda: 1 / 0, Urgency.LOOK).result(timeout=10)
    assert device.submit(lambda: 1, Urgency.LOOK).result(timeout=10) == 1
    device.close()


# --- the command


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--host", "0.0.0.0"], 2, "--allow-remote"),
        (["--host", "192.0.2.1"], 2, "unencrypted"),
        (["--max-upload", "much"], 2, "--max-upload"),
        (["--host", "192.0.2.1", "--allow-remote"], 1, "cannot listen"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, options, status, says):
    result = run("studio", tmp_path, "--no-open", *options)
    assert result.exit_code == status
    assert says in result.output.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_must_be_there_and_a_port_free(tmp_path):
    assert "not a folder" in one_line(run("studio", tmp_path / "none", "--no-open"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("studio", tmp_path, "--no-open", "--port", port)
    assert result.exit_code == 1
    assert "--port" in one_line(result)
