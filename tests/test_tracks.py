"""Sound, subtitles, chapters and covers: what goes with a film into another container."""

from __future__ import annotations

import io
import logging
from fractions import Fraction

import av
import numpy as np
import pytest
from conftest import textured
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vidream import Settings, dream_video
from vidream.media.layouts import nearest_layout

COPY = Settings().updated(effect="none")
DEFAULT = av.stream.Disposition.default
MS = Fraction(1, 1000)
CHAPTERS = [(0, 400, "One"), (400, 800, "Two"), (800, 1000, "Three")]
RATE = 48_000


def film(path, *, video="libx264", sound=(), seconds=1.0, dress=None, labels=()):
    """Write a film of 25 frames a second; ``sound`` is (encoder, layout) a track."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(video, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        tracks = [out.add_stream(encoder, rate=RATE) for encoder, _ in sound]
        for track, (_, layout) in zip(tracks, sound, strict=True):
            track.layout = layout
        for track, (language, title, default) in zip(tracks, labels, strict=False):
            track.metadata.update(language=language, title=title)
            track.disposition = DEFAULT if default else av.stream.Disposition(0)
        if dress is not None:
            dress(out)
        picture = textured(48, 64)
        for index in range(round(25 * seconds)):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, index, 1), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for track in tracks:
            for frame in tones(track, seconds):
                out.mux(track.encode(frame))
            out.mux(track.encode(None))
    return path


def tones(track, seconds):
    """Give sound in which each channel has a tone of its own, as loud as it is far to the right."""
    context = track.codec_context
    kind = context.format or context.codec.audio_formats[0]
    at = np.arange(round(RATE * seconds)) / RATE
    channels = track.layout.nb_channels
    wave = np.stack(
        [(k + 1) / (2 * channels) * np.sin(2 * np.pi * 200 * at) for k in range(channels)]
    )
    # Side by side: PyAV reads beyond eight planes.
    packed = np.ascontiguousarray(wave.T.astype(np.float32)).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=track.layout.name)
    frame.rate, frame.pts = RATE, 0
    resampler = av.AudioResampler(kind.name, track.layout.name, RATE, context.frame_size or 1024)
    return resampler.resample(frame)


def copy(source, target, **values):
    dream_video(source, target, COPY.updated(**values))
    return target


# --- layouts

PLACED = "mono stereo 2.1 3.0 3.1 4.0 quad quad(side) 4.1 5.0 5.0(side) 5.1 5.1(side) 6.1 7.0 7.1"


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("5.1(side)", "5.1"),
        ("5.0(side)", "5.1"),
        ("quad(side)", "quad"),
        ("2.1", "5.1"),
        ("4.0", "5.1"),
        ("7.0", "7.1"),
        ("6.1", "7.1"),
        ("downmix", "stereo"),
    ],
)
def test_the_nearest_layout_loses_and_adds_the_least(layout, expected):
    assert nearest_layout("libopus", av.AudioLayout(layout)) == expected


@given(st.sampled_from(PLACED.split()), st.sampled_from(["aac", "libopus"]))
def test_no_channel_is_lost_and_what_can_stay_stays(layout, encoder):
    found = nearest_layout(encoder, av.AudioLayout(layout))
    own, other = (av.AudioLayout(name) for name in (layout, found))
    assert other.nb_channels >= own.nb_channels
    assert nearest_layout(encoder, other) == found
    context = av.CodecContext.create(encoder, "w")
    context.sample_rate, context.layout = RATE, found
    context.format = context.codec.audio_formats[0]
    context.open()


@pytest.mark.parametrize(
    ("codec", "container"), [("ac3", "mkv"), ("eac3", "ts"), ("flac", "mkv"), ("pcm_s16le", "mov")]
)
@pytest.mark.parametrize("layout", ["5.1(side)", "2.1", "4.0", "stereo"])
def test_sound_is_mapped_where_only_its_layout_is_in_the_way(
    tmp_path, caplog, codec, container, layout
):
    source = film(tmp_path / f"a.{container}", sound=[(codec, layout)])
    caplog.set_level(logging.INFO, "vidream")
    copy(source, tmp_path / "out.webm")
    wanted = nearest_layout("libopus", av.AudioLayout(layout))
    with av.open(str(tmp_path / "out.webm")) as made:
        (track,) = made.streams.audio
        heard = np.concatenate([f.to_ndarray() for f in made.decode(track)], axis=1)
        assert track.layout.name == wanted
    assert np.abs(heard).max() > 0.1
    (line,) = [line for line in caplog.messages if "re-encoded to opus" in line]
    assert (f"{layout} as {wanted}" in line) == (layout != wanted)


def test_side_channels_are_heard_behind_as_loud_as_they_were(tmp_path):
    source = film(tmp_path / "a.mkv", sound=[("flac", "5.1(side)")])
    copy(source, tmp_path / "out.webm")
    loud = []
    for path in (source, tmp_path / "out.webm"):
        with av.open(str(path)) as file:
            heard = np.concatenate(list(levels(file)), axis=1)
        loud.append(np.sqrt((heard**2).mean(1)))
    assert np.allclose(loud[0][[0, 1, 2, 4, 5]], loud[1][[0, 1, 2, 4, 5]], rtol=0.1)


@pytest.mark.parametrize("layout", ["6.1", "7.1"])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
@pytest.mark.parametrize("end", ["mkv", "webm", "mp4", "mov", "nut"])
def test_channels_in_an_order_of_their_own_come_into_the_usual_one(tmp_path, codec, layout, end):
    """MOV has an order for these, of which PyAV frees memory that is not its own."""
    source = film(tmp_path / "a.mov", sound=[(codec, layout)], seconds=0.5)
    copy(source, tmp_path / f"out.{end}")
    if end in ("mov", "nut"):  # whose channels are in this order again, or have no places
        return
    with av.open(str(tmp_path / f"out.{end}")) as made:
        places = [channel.name for channel in made.streams.audio[0].layout.channels]
        heard = np.sqrt((np.concatenate(list(levels(made)), axis=1) ** 2).mean(1))
    own = [channel.name for channel in av.AudioLayout(layout).channels]
    loud = (1 + np.arange(len(own))) / (2 * len(own)) / np.sqrt(2)
    for place, level in zip(own, loud, strict=True):
        if place in places and place != "LFE":
            assert abs(heard[places.index(place)] - level) < 0.15 * level + 0.02, place


@pytest.mark.parametrize("layout", ["2.1", "3.0", "quad", "4.0", "5.0", "5.1", "5.1(side)", "7.1"])
@pytest.mark.parametrize("end", ["webm", "mp4"])
def test_every_channel_stays_in_its_place(tmp_path, layout, end):
    source = film(tmp_path / "a.mkv", sound=[("flac", layout)], seconds=0.5)
    copy(source, tmp_path / f"out.{end}")
    loud = []
    for path in (source, tmp_path / f"out.{end}"):
        with av.open(str(path)) as file:
            places = [channel.name for channel in file.streams.audio[0].layout.channels]
            heard = np.sqrt((np.concatenate(list(levels(file)), axis=1) ** 2).mean(1))
        loud.append(dict(zip(places, heard, strict=True)))
    for place in loud[0].keys() & loud[1].keys():
        assert abs(loud[0][place] - loud[1][place]) < 0.04, place


@pytest.mark.parametrize(
    ("layout", "copied"), [("5.1(side)", True), ("stereo", True), ("2.1", False), ("4.0", False)]
)
def test_flac_is_copied_into_mp4_only_where_its_layout_is_known_there(tmp_path, layout, copied):
    source = film(tmp_path / "a.mkv", sound=[("flac", layout)])
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as made:
        track = made.streams.audio[0]
        assert (track.codec_context.name == "flac") == copied
        assert track.layout.nb_channels >= av.AudioLayout(layout).nb_channels


def levels(file):
    resampler = av.AudioResampler("flt")
    for frame in file.decode(audio=0):
        for part in resampler.resample(frame):
            yield part.to_ndarray().reshape(-1, part.layout.nb_channels).T


def test_aac_is_written_in_layouts_that_players_know(tmp_path):
    source = film(tmp_path / "a.mkv", sound=[("flac", "5.1(side)")])
    copy(source, tmp_path / "out.mov")
    with av.open(str(tmp_path / "out.mov")) as made:
        first = made.streams.audio[0]
        assert (first.codec_context.name, first.layout.name) == ("aac", "5.1")
        assert first.codec_context.extradata[1] >> 3 & 15 == 6  # not "in a list of its own"


@pytest.mark.parametrize("codec", ["pcm_s16be", "pcm_s24be", "pcm_s16le"])
def test_pcm_of_either_order_is_copied_into_mov(tmp_path, codec):
    source = film(tmp_path / "a.mov", sound=[(codec, "stereo")])
    copy(source, tmp_path / "out.mov")
    packets = []
    for path in (source, tmp_path / "out.mov"):
        with av.open(str(path)) as file:
            packets.append(b"".join(bytes(p) for p in file.demux(audio=0)))
            assert file.streams.audio[0].codec_context.name == codec
    assert packets[0] == packets[1]


# --- languages, titles, defaults


@pytest.mark.parametrize("start", ["mp4", "mkv", "webm"])
@pytest.mark.parametrize("end", ["mp4", "mov", "mkv", "webm", "nut"])
def test_languages_titles_and_defaults_go_along(tmp_path, start, end):
    codecs = ("libvpx-vp9", "libopus") if start == "webm" else ("libx264", "aac")
    labels = [("deu", "Film", False), ("fra", "Talk", True)]
    source = film(
        tmp_path / f"a.{start}",
        video=codecs[0],
        sound=[(codecs[1], "mono")] * 2,
        labels=labels,
        seconds=0.2,
    )
    copy(source, tmp_path / f"out.{end}")
    with av.open(str(tmp_path / f"out.{end}")) as made:
        for track, (language, title, default) in zip(made.streams.audio, labels, strict=True):
            said = track.metadata
            assert {"ger": "deu"}.get(said["language"], said["language"]) == language
            assert said.get("title", said.get("name")) == title
            assert bool(track.disposition & DEFAULT) == default


def test_the_title_of_an_ogg_is_not_that_of_its_tracks(tmp_path):
    source = tmp_path / "a.ogg"
    film(source, video="libvpx", sound=[("libopus", "mono")], dress=titled)
    copy(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as made:
        assert made.metadata["title"] == "The film"
        assert "title" not in made.streams.audio[0].metadata


def titled(out):
    for stream in out.streams:
        stream.metadata["title"] = "The film"


def test_a_language_that_mov_does_not_know_is_named(tmp_path, caplog):
    source = film(tmp_path / "a.mkv", sound=[("aac", "mono")], labels=[("gsw", "T", True)])
    caplog.set_level(logging.INFO, "vidream")
    copy(source, tmp_path / "out.mov")
    assert [line for line in caplog.messages if "language gsw" in line]


def test_without_a_default_track_the_first_one_is(tmp_path):
    source = film(tmp_path / "a.avi", video="mpeg4", sound=[("libmp3lame", "mono")] * 2)
    copy(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as made:
        assert [bool(s.disposition & DEFAULT) for s in made.streams] == [True, True, False]


# --- chapters and covers


def jpeg():
    data = io.BytesIO()
    Image.new("RGB", (32, 24), (200, 30, 30)).save(data, "JPEG")
    return data.getvalue()


def with_chapters(out):
    out.set_chapters(
        [
            {"id": n, "start": a, "end": b, "time_base": MS, "metadata": {"title": title}}
            for n, (a, b, title) in enumerate(CHAPTERS, 1)
        ]
    )


def with_cover(out):
    if out.format.name == "matroska":
        out.add_attachment("cover.jpg", "image/jpeg", jpeg())
        return
    stream = out.add_mux_stream("mjpeg", width=32, height=24)
    stream.disposition = av.stream.Disposition.attached_pic
    packet = av.Packet(jpeg())
    packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
    out.mux(packet)


def chapters(path):
    with av.open(str(path)) as file:
        found = file.chapters()
    return [
        (
            *(round(c[end] * c["time_base"] * 1000) for end in ("start", "end")),
            c["metadata"]["title"],
        )
        for c in found
    ]


@pytest.mark.parametrize("start", ["mp4", "mkv"])
@pytest.mark.parametrize("end", ["mp4", "mov", "mkv", "webm", "nut"])
def test_chapters_go_along(tmp_path, start, end):
    source = film(tmp_path / f"a.{start}", dress=with_chapters)
    assert chapters(copy(source, tmp_path / f"out.{end}")) == CHAPTERS


@pytest.mark.parametrize("end", ["mp4", "mkv"])
def test_chapters_are_shifted_and_cut_with_the_clip(tmp_path, end):
    source = film(tmp_path / "a.mp4", dress=with_chapters)
    cut = copy(source, tmp_path / f"cut.{end}", start=0.2, duration=0.4)
    assert chapters(cut) == [(0, 200, "One"), (200, 400, "Two")]
    few = copy(source, tmp_path / f"few.{end}", frames=12)
    assert chapters(few) == [(0, 400, "One"), (400, 480, "Two")]


@pytest.mark.parametrize("end", ["gif", "webp", "y4m"])
def test_what_a_file_does_not_hold_is_said_in_one_line(tmp_path, caplog, end):
    source = film(tmp_path / "a.mp4", sound=[("aac", "mono")], dress=with_chapters, seconds=0.2)
    caplog.set_level(logging.INFO, "vidream")
    copy(source, tmp_path / f"out.{end}")
    (line,) = [line for line in caplog.messages if "holds no" in line]
    assert line.endswith("holds no sound, chapters: left out")


def test_a_chapter_track_is_not_called_data_that_is_left_out(tmp_path, caplog):
    source = film(tmp_path / "a.mp4", dress=with_chapters)
    caplog.set_level(logging.INFO, "vidream")
    copy(source, tmp_path / "out.mp4")
    assert caplog.messages == []


@pytest.mark.parametrize("start", ["mp4", "mkv"])
@pytest.mark.parametrize("end", ["mp4", "m4v", "mkv"])
def test_a_cover_goes_along_bit_for_bit(tmp_path, start, end):
    source = film(tmp_path / f"a.{start}", dress=with_cover)
    copy(source, tmp_path / f"out.{end}")
    with av.open(str(tmp_path / f"out.{end}")) as made:
        marked = av.stream.Disposition.attached_pic
        (cover,) = [s for s in made.streams.video if s.disposition & marked]
        assert bytes(next(made.demux(cover))) == jpeg()
    with av.open(str(tmp_path / f"out.{end}")) as made:
        assert sum(1 for _ in made.decode(video=0)) == 25


def test_a_cover_that_has_no_place_is_named(tmp_path, caplog):
    source = film(tmp_path / "a.mp4", dress=with_cover, seconds=0.2)
    caplog.set_level(logging.INFO, "vidream")
    copy(source, tmp_path / "out.webm")
    assert [line for line in caplog.messages if line.endswith("holds no cover: left out")]


# --- subtitles

TEXTS = {
    "srt": b"1\n00:00:00,100 --> 00:00:00,300\nHello\n\n2\n00:00:00,600 --> 00:00:00,900\nWorld\n",
    "webvtt": b"WEBVTT\n\n00:00.100 --> 00:00.300\nHello\n\n00:00.600 --> 00:00.900\nWorld\n",
}


def spoken(path, form, sound=()):
    """Write a film with subtitles of a form, in German."""

    def dress(out):
        with av.open(io.BytesIO(TEXTS[form]), format=form) as file:
            template = file.streams.subtitles[0]
            stream = out.add_stream_from_template(template)
            stream.metadata["language"] = "ger"
            for packet in file.demux(template):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)

    video = "libvpx-vp9" if form == "webvtt" else "libx264"
    return film(path, video=video, sound=sound, dress=dress)


def subtitles(path):
    with av.open(str(path)) as file:
        (track,) = file.streams.subtitles
        return track.metadata.get("language"), [
            (float(p.pts * p.time_base), float(p.duration * p.time_base), bytes(p))
            for p in file.demux(track)
            if p.size
        ]


@pytest.mark.parametrize(
    ("form", "start", "end"),
    [("srt", "mkv", "mkv"), ("webvtt", "webm", "webm"), ("webvtt", "webm", "mkv")],
)
@pytest.mark.parametrize("sound", [(), [("libopus", "mono")]])
def test_subtitles_are_copied_where_the_container_can(tmp_path, form, start, end, sound):
    source = spoken(tmp_path / f"a.{start}", form, sound)
    language, found = subtitles(copy(source, tmp_path / f"out.{end}"))
    assert language == "ger"
    assert found == [(0.1, 0.2, b"Hello"), (0.6, 0.3, b"World")]


def test_subtitles_are_shifted_and_cut_with_the_clip(tmp_path):
    source = spoken(tmp_path / "a.mkv", "srt", [("aac", "mono")])
    _, found = subtitles(copy(source, tmp_path / "out.mkv", start=0.2, duration=0.6))
    assert found == [(0, pytest.approx(0.1), b"Hello"), (0.4, 0.3, b"World")]


def test_subtitles_stay_with_another_sound(tmp_path):
    source = spoken(tmp_path / "a.mkv", "srt", [("aac", "mono")])
    song = film(tmp_path / "song.mkv", sound=[("flac", "stereo")])
    _, found = subtitles(copy(source, tmp_path / "out.mkv", audio=str(song)))
    assert [text for *_, text in found] == [b"Hello", b"World"]
    with av.open(str(tmp_path / "out.mkv")) as made:
        (track,) = made.streams.audio
        assert track.codec_context.name == "flac"


def test_subtitles_that_a_container_does_not_take_are_named(tmp_path, caplog):
    source = spoken(tmp_path / "a.mkv", "srt")
    caplog.set_level(logging.INFO, "vidream")
    copy(source, tmp_path / "out.mp4")
    (line,) = caplog.messages
    assert line == "subtitle track 1 is left out: this container does not take subrip"
