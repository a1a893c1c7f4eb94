"""Recordings and pictures that are damaged, lie, or mean harm: one line, and no more than that."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from conftest import textured
from media import leftovers, make_clip
from PIL import Image

from vidream import Settings, VidreamError, dream_video
from vidream.core.errors import DeviceError, InputError, WeightsError
from vidream.core.memory import check_frames
from vidream.core.settings import ReadSettings
from vidream.media import container
from vidream.media.metadata import read_comment
from vidream.media.places import parse_source
from vidream.media.reader import open_reader
from vidream.media.soundtrack import Soundtrack
from vidream.media.stills import read_still
from vidream.media.timeouts import (
    DecodeTimeoutError,
    ReadLimits,
    TimedWorker,
    decoding_threads,
)
from vidream.networks.state import load_state
from vidream.render.record import Record
from vidream.timeline.audio import analyze

NONE = Settings(effect="none")
FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz():
    """The benchmark, whose ways of damaging files are those of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FUZZ.parent))
        spec = importlib.util.spec_from_file_location("fuzz", FUZZ)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def frames(source, **settings):
    with open_reader(source, ReadSettings(**settings)) as reader:
        return list(reader)


# Damaged files of every kind


@pytest.mark.parametrize("seed", range(3))
def test_what_is_damaged_is_refused_in_a_line_or_made_into_what_plays(fuzz, tmp_path, seed):
    whole = tmp_path / "whole"
    whole.mkdir()
    clips = [*fuzz.make_clips(whole), *fuzz.make_pictures(whole), *fuzz.make_dressed(whole)]
    ends = set()
    for name, data in fuzz.mutations(clips, 2 * len(clips), seed):
        place = tmp_path / name
        place.mkdir()
        picture = "-picture." in name
        source = place / f"source{Path(name).suffix}"
        target = place / fuzz.target_of(name, picture=picture)
        source.write_bytes(data)
        wishes = fuzz.wishes(name, picture=picture)
        ended = fuzz.render(source, target, wishes, piped=not picture and name[4] == "0")
        assert ended["end"] in ("whole", "refused"), f"{name}: {ended}"
        ends.add(ended["end"])
        if ended["end"] == "whole":
            assert fuzz.plays(target, ended["frames"]), name
        assert leftovers(place, source.name, target.name) == []
    assert ends == {"whole", "refused"}


def test_ways_of_damaging_are_the_same_for_the_same_seed(fuzz, tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 8)
    clips = [tmp_path / "a.bin"]
    once, again, other = (dict(fuzz.mutations(clips, 30, seed)) for seed in (1, 1, 2))
    assert once == again
    assert once != other
    assert sum(data != clips[0].read_bytes() for data in once.values()) > 25


# What never comes back


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(TimedWorker, "limits", ReadLimits(open=0.1, read=0.1, poll=0.02))


@pytest.fixture
def never():
    """Waits until the test is over."""
    over = threading.Event()
    yield over.wait
    over.set()


def test_a_worker_returns_what_is_returned_and_raises_what_is_raised(clip):
    watched = TimedWorker(parse_source(clip))
    assert watched.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        watched.run(lambda: 1 // 0)
    closed = []
    watched.close(lambda: closed.append(1))
    assert closed


def test_what_does_not_come_back_is_given_up_once_and_for_all(clip, impatient, never):
    watched = TimedWorker(parse_source(clip))
    for call in (never, lambda: 7):
        with pytest.raises(
            DecodeTimeoutError, match=r"timed out: no data from .*clip\.mp4 for 0\.1 s"
        ):
            watched.run(call)
    watched.close(lambda: pytest.fail("the thread is still at it"))


def test_pipes_may_take_their_time_but_can_be_interrupted(impatient):
    watched = TimedWorker(parse_source(io.BytesIO()))
    assert watched.run(lambda: time.sleep(0.3) or 7) == 7
    over = threading.Event()
    threading.Timer(0.2, watched.interrupt).start()
    with pytest.raises(DecodeTimeoutError):
        watched.run(over.wait)
    over.set()


def test_a_file_that_never_opens_is_one_line(clip, tmp_path, impatient, never, monkeypatch):
    monkeypatch.setattr(container, "av_open", lambda *_: never())
    with pytest.raises(InputError, match="timed out: no data from") as error:
        dream_video(clip, tmp_path / "out.mp4", NONE)
    assert len(str(error.value).splitlines()) == 1
    assert leftovers(tmp_path) == []


def test_a_decoder_that_stops_leaves_what_it_gave(tmp_path, impatient, never, monkeypatch, caplog):
    clip = make_clip(tmp_path / "a.mp4", [textured(48, 64, k) for k in range(60)])
    calls = []
    run = TimedWorker.run

    def stuck_later(self, call):
        calls.append(call)
        return run(self, never if len(calls) == 90 else call)

    monkeypatch.setattr(TimedWorker, "run", stuck_later)
    with caplog.at_level(logging.INFO):
        assert 1 <= len(frames(clip)) < 60
    assert "cannot be read beyond" in caplog.text


def test_what_is_iterated_comes_in_order_and_so_does_what_is_raised(clip):
    def items():
        yield from range(1000)
        raise ZeroDivisionError

    for source in (clip, io.BytesIO()):
        watched, given = TimedWorker(parse_source(source)), []
        with pytest.raises(ZeroDivisionError):
            given.extend(watched.iterate(items()))
        assert given == list(range(1000))
        assert list(watched.iterate(iter(()))) == []
        watched.close(lambda: None)


def test_a_pipe_is_pulled_no_further_than_is_asked():
    pulled = []
    watched = TimedWorker(parse_source(io.BytesIO()))
    assert next(watched.iterate(pulled.append(k) or k for k in range(10))) == 0
    assert pulled == [0]
    watched.close(lambda: None)


class Stuck:
    """A container of which no more than some packets come.

    Args:
        opened: the container.
        most: how many packets come.
        wait: what is called in place of the next one.
    """

    def __init__(self, opened, most, wait):
        self._opened, self._most, self._wait = opened, most, wait

    def __getattr__(self, name):
        return getattr(self._opened, name)

    def demux(self, *streams):
        yield from islice(self._opened.demux(*streams), self._most)
        self._wait()


@pytest.fixture
def stuck(monkeypatch, impatient, never):
    """Lets what is opened from now on never open (None), or give so many packets and no more."""
    av_open = container.av_open

    def stick(most=None):
        def opened(*args):
            return never() if most is None else Stuck(av_open(*args), most, never)

        monkeypatch.setattr(container, "av_open", opened)

    return stick


def listen_in(path):
    with Soundtrack(path) as audio:
        return [packet for k in (*range(6), None) for packet in audio.until(k and Fraction(k, 5))]


@pytest.mark.parametrize("read", [analyze, listen_in])
@pytest.mark.parametrize("most", [None, 0, 7])
def test_a_sound_that_stops_is_one_line(tmp_path, stuck, read, most):
    path = make_clip(tmp_path / "a.mp4", rate=Fraction(5), sound="aac")
    read(path)
    stuck(most)
    with pytest.raises(InputError, match=r"no data from .*a\.mp4 for .*copy it again") as error:
        read(path)
    assert len(str(error.value).splitlines()) == 1
    assert str(error.value).startswith("audio: ") == (read is listen_in)


def test_what_came_of_a_sound_that_stops_is_given(tmp_path, stuck):
    path = make_clip(tmp_path / "a.mp4", rate=Fraction(5), sound="aac")
    whole = listen_in(path)
    stuck(12)
    given = []
    with Soundtrack(path) as audio, pytest.raises(InputError):
        given.extend(audio.until(None))
    assert 0 < len(given) < len(whole)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (av.error.InvalidDataError(1, "bad"), "a.mp4 breaks off (bad)"),
        (OSError(5, "bad disc"), "a.mp4 breaks off (bad disc)"),
        (IndexError("of a stream that appeared on the way"), None),
    ],
)
def test_a_sound_that_breaks_ends_there_with_a_line(tmp_path, monkeypatch, caplog, error, said):
    path = make_clip(tmp_path / "a.mp4", rate=Fraction(5), sound="aac")
    whole, heard = listen_in(path), analyze(path).bands["all"]
    av_open = container.av_open

    def give_up():
        raise error

    monkeypatch.setattr(container, "av_open", lambda *args: Stuck(av_open(*args), 12, give_up))
    with caplog.at_level(logging.INFO, "vidream"):
        assert 5 <= len(listen_in(path)) < len(whole)
        assert 0 < len(analyze(path).bands["all"]) < len(heard)
    assert caplog.text.count(said or "breaks off") == (2 if said else 0)


def test_a_sound_among_pictures_is_read_on_while_they_pass(tmp_path, monkeypatch, impatient):
    """What lies between is progress, however much it is."""
    pictures = [textured(48, 64, k) for k in range(12)]
    path = make_clip(tmp_path / "a.mp4", pictures, rate=Fraction(5), sound="aac")
    av_open = container.av_open

    class Slow(Stuck):
        def demux(self, *streams):
            for packet in self._opened.demux():
                time.sleep(0.03 if packet.stream.type == "video" else 0)
                if not streams or packet.stream in streams:
                    yield packet

    heard = analyze(path).bands["all"]
    monkeypatch.setattr(container, "av_open", lambda *args: Slow(av_open(*args), None, None))
    assert np.array_equal(analyze(path).bands["all"], heard)


def test_a_comment_that_never_comes_is_one_line(clip, stuck):
    stuck()
    with pytest.raises(InputError, match="timed out: no data from") as error:
        read_comment(clip)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("sent", [0, 2])
def test_ctrl_c_ends_the_wait_for_a_pipe(tmp_path, sent):
    pipe, target = tmp_path / "pipe.y4m", tmp_path / "out.mp4"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "vidream", str(pipe), "-o", str(target), "--effect", "none"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with pipe.open("wb", buffering=0) as file:  # waits until it is opened there
        header = b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n"
        file.write((header + (b"FRAME\n" + bytes(64 * 48 * 3 // 2)) * 30) if sent else b"")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert "stopped" in said
    assert "Traceback" not in said
    if target.exists():
        with av.open(str(target)) as made:
            assert sum(1 for _ in made.decode(video=0)) > 0
    assert leftovers(tmp_path, "pipe.y4m", "out.mp4") == []


def test_sound_that_no_picture_comes_with_is_not_kept_for_ever(tmp_path, monkeypatch):
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=48000)
        for k in range(40):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.int16), "s16", "mono")
            frame.rate, frame.pts = 48000, 4800 * k
            out.mux(sound.encode(frame))
        late = av.VideoFrame.from_ndarray(textured(48, 64), format="rgb24")
        late.pts = 200
        out.mux(video.encode(late))
        out.mux(video.encode(None))
    assert len(frames(path)) == 1
    monkeypatch.setattr(TimedWorker, "limits", ReadLimits(audio_before_video=2**18))
    with pytest.raises(InputError, match="no picture in its first"):
        frames(path)


# What unfolds


def test_frames_that_no_memory_is_there_for_are_refused():
    check_frames(1920, 1080, 2**30)
    with pytest.raises(DeviceError, match="`max_side`") as error:
        check_frames(8192, 8192, 2**30)
    side = int(str(error.value).split("`max_side` to ")[1].split()[0])
    check_frames(side, side, 2**30)


def test_a_small_file_of_huge_frames_is_one_line(tmp_path):
    path = tmp_path / "bomb.gif"
    huge = Image.new("P", (3000, 3000))
    huge.save(path, save_all=True, append_images=[Image.new("P", (3000, 3000), 1)])
    assert path.stat().st_size < 100_000
    with pytest.raises(DeviceError, match="`max_side`"):
        dream_video(path, tmp_path / "out.mp4", NONE.updated(memory="512M"))
    assert leftovers(tmp_path, "bomb.gif") == []
    assert dream_video(path, tmp_path / "o.mp4", NONE.updated(memory="512M", max_side=64)) == 2


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (2**31 - 1, 1), (100_000, 700)])
def test_pictures_that_unfold_are_not_unfolded(tmp_path, width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(InputError, match=r"bomb\.png"):
        read_still(tmp_path / "bomb.png", ReadSettings())


def test_text_in_a_picture_is_not_unfolded(tmp_path):
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 * 2**20)))
    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + bomb + chunk(b"IDAT", zlib.compress(bytes(4 * 13)))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b""))
    with pytest.raises(InputError, match=r"bomb\.png"):
        read_still(tmp_path / "bomb.png", ReadSettings())


def test_large_frames_are_decoded_by_few_threads():
    assert decoding_threads(640, 360) == 0
    assert decoding_threads(3840, 2160) == 10
    assert decoding_threads(8192, 8192) == 1


# What points elsewhere


@pytest.fixture
def listener():
    """A server on this machine, and whether somebody has called."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def called(server):
    try:
        server.accept()
    except BlockingIOError:
        return False
    return True


def pointers(url, other):
    """Files that name others, in every language that FFmpeg knows."""
    return {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
        "b.mp4": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:2,\n{other}\n',
        "c.mp4": f"ffconcat version 1.0\nfile '{other}'\n",
        "d.mpd": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'>"
        f"<Period><AdaptationSet><Representation id='0'><BaseURL>{url}</BaseURL>"
        "</Representation></AdaptationSet></Period></MPD>",
        "e.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "f.ismc": f"<SmoothStreamingMedia><StreamIndex Url='{url}'/></SmoothStreamingMedia>",
        "g.avi": f"RIFF....AVI LIST\n#EXTM3U\n#EXTINF:2,\n{url}\n",
        "h.ram": f"{url}\n",
        "i.asx": f"<asx version='3.0'><entry><ref href='{url}'/></entry></asx>",
        "j.f4m": f"<manifest xmlns='http://ns.adobe.com/f4m/1.0'><media url='{url}'/></manifest>",
    }


def test_files_that_name_others_lead_nowhere(tmp_path, listener):
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.ts"
    other = make_clip(tmp_path / "other.mp4")
    out = tmp_path / "out"
    out.mkdir()
    for name, text in pointers(url, other).items():
        (tmp_path / name).write_text(text)
        with pytest.raises(VidreamError) as error:
            dream_video(tmp_path / name, out / "out.mp4", NONE)
        assert len(str(error.value).splitlines()) == 1
    with pytest.raises(InputError, match="address"):
        dream_video(url, out / "out.mp4", NONE)
    assert not called(listener)
    assert leftovers(out) == []


def alias(path):
    """An entry of a movie's data references that names another file by its whole path."""
    name = os.fsencode(path)
    record = bytes(10) + bytes([1]) + b"x".ljust(27, b"\0") + bytes(12)
    record += bytes([1]) + b"x".ljust(63, b"\0") + bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    record += struct.pack(">HH", 2, len(name)) + name + bytes(len(name) % 2)
    record += struct.pack(">HH", 0xFFFF, 0)
    return struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record


def pointing_at(movie, path):
    """Make a movie whose index is its own and whose pictures are another file's."""
    data = bytearray(movie)
    at = data.index(b"dref") + 12
    (length,) = struct.unpack(">I", data[at : at + 4])
    entry = alias(path)
    # All boxes that hold it grow; the index lies behind the pictures, so that they stay in place.
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        place = data.rindex(kind, 0, at) - 4
        (size,) = struct.unpack(">I", data[place : place + 4])
        data[place : place + 4] = struct.pack(">I", size + len(entry) - length)
    data[at : at + length] = entry
    return bytes(data)


def test_a_movie_shows_no_other_files_pictures(tmp_path):
    black, white = (np.full((48, 64, 3), level, np.uint8) for level in (16, 240))
    options = {"codec": "mjpeg", "pixels": "yuvj420p"}
    own = make_clip(tmp_path / "own.mov", [black] * 2, **options)
    secret = make_clip(tmp_path / "secret.mov", [white] * 2, **options)
    movie = tmp_path / "movie.mov"
    movie.write_bytes(pointing_at(Path(own).read_bytes(), secret))
    # That it would be followed if it were allowed to be.
    allowed = {"enable_drefs": "1", "use_absolute_path": "1", "protocol_whitelist": "file"}
    with av.open(str(movie), container_options=allowed) as followed:
        assert next(followed.decode(video=0)).to_ndarray(format="gray").mean() > 200
    try:
        shown = frames(movie)
    except InputError:
        return
    assert all(frame.image.mean() < 60 for frame in shown)


# What lies


def test_a_damaged_packet_of_sound_costs_nothing_but_itself(tmp_path, caplog):
    path = Path(make_clip(tmp_path / "a.ts", sound="aac"))
    data = bytearray(path.read_bytes())
    for packet in range(0, len(data), 188):  # the head of an ADTS frame, wherever there is one
        found = data.find(b"\xff\xf1", packet, packet + 188)
        if found >= 0 and packet > len(data) // 3:
            data[found : found + 7] = b"\xff\xf1\xff\xff\xff\xff\xff"
    path.write_bytes(data)
    with caplog.at_level(logging.INFO):
        assert dream_video(path, tmp_path / "out.mp4", NONE) == 5
    assert "damaged" in caplog.text


def test_sound_whose_places_are_unknown_is_encoded_all_the_same(tmp_path):
    path = make_clip(tmp_path / "a.nut", codec="ffv1", sound="pcm_s16le")
    assert dream_video(path, tmp_path / "out.mp4", NONE) == 5
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert made.streams.audio


def test_a_clip_of_one_frame_is_one_at_any_rate(tmp_path):
    path = make_clip(tmp_path / "a.mp4", [textured(48, 64)])
    assert [frame.pts for frame in frames(path, fps=10)] == [0]


def test_a_picture_that_shows_for_years_is_not_repeated_for_years(tmp_path):
    pictures = [textured(48, 64, k) for k in range(4)]
    path = make_clip(
        tmp_path / "a.mkv", pictures, times=[0, 40, 10**9, 10**9 + 200],
        time_base=Fraction(1, 1000),
    )  # fmt: skip
    shown = frames(path, fps=25)
    assert len(shown) == 2 + 6
    assert [frame.time for frame in shown[:3]] == [0, Fraction(1, 25), 10**6]
    assert shown[-1].time == 10**6 + Fraction(1, 5)


@pytest.mark.parametrize("old", [False, True])
def test_damaged_weights_are_one_line(fuzz, tmp_path, old):
    state = {f"layer{k}.weight": torch.rand(8, 3, 3, 3) for k in range(4)}
    path = tmp_path / "whole.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    for name, data in fuzz.mutations([path], 40, 0):
        (tmp_path / name).write_bytes(data)
        try:
            loaded = load_state(tmp_path / name)
        except WeightsError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert all(isinstance(tensor, torch.Tensor) for tensor in loaded.values())


@pytest.mark.parametrize("text", ["[" * 100_000, '{"settings": 1}', "null", "\0"])
def test_a_record_that_is_none_is_a_comment_like_any_other(text):
    assert Record.find(f"vidream {text}") is None
