"""What of a clip is kept, container by container: makes the table in docs/formats.md.

usage: python benchmarks/roundtrip.py [--write | --check]

Clips that have everything (times of their own, two sound tracks, chapters, tags, a cover,
subtitles, a rotation, pixels that are not square, colour tags, HDR, transparency) are rendered with
the effect "none" into every container, and what comes out is compared with what went in. --write
puts the table into the page, --check fails if the page has another one.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from vidream import Settings, VidreamError, dream_video

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
BEGIN, END = "<!-- made by benchmarks/roundtrip.py -->\n", "<!-- end -->\n"
TARGETS = (
    *("dream.mp4", "dream.mov", "dream.mkv", "dream.webm", "dream.gif", "dream.webp"),
    *("dream.nut", "dream.y4m", "dream%03d.png"),
)
SIZE = (64, 48)
TIMES = [0, 33, 67, 100, 400, 433, 467, 500]  # ms; the last frame shows for 33
SUBTITLE = {"subrip": b"Hello", "webvtt": b"Hello", "mov_text": b"\0\5Hello"}
CHAPTERS = [(0, 250, "One"), (250, 533, "Two")]
TAGS = {
    **{"title": "T", "artist": "A", "album": "L", "date": "2020", "comment": "C"},
    **{"description": "D", "copyright": "R", "location": "+48.1000-011.5000/"},
    "creation_time": "2021-05-04T10:00:00.000000Z",
}
ASS = b"""[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
_MS = Fraction(1, 1000)
_DEFAULT = av.stream.Disposition.default


def picture(number: int) -> np.ndarray:
    """Return a picture, uint8 RGBA: colours that move, half of it seen through."""
    down, across = np.indices((SIZE[1], SIZE[0]))
    parts = [(down * c + across + 20 * number) % 256 for c in (1, 2, 3)]
    return np.stack([*parts, np.where(across < SIZE[0] // 2, 255, 64)], -1).astype(np.uint8)


def make(path: Path, codec: str = "libx264", pixels: str = "yuv420p", **wanted: Any) -> Path:
    """Write a clip; ``wanted`` says what it has besides: sound, subtitles, aspect."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=30, options=wanted.get("options", {}))
        video.width, video.height, video.pix_fmt = *SIZE, pixels
        video.time_base = video.codec_context.time_base = _MS
        context = video.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = (
            wanted.get("colour", (5, 6, 5, 1))
        )
        if "aspect" in wanted:
            context.sample_aspect_ratio = wanted["aspect"]
        if "rotation" in wanted:
            video.set_display_rotation(wanted["rotation"])
        if pixels.startswith("yuva"):
            video.metadata["alpha_mode"] = "1"
        sound = [out.add_stream("aac", rate=48_000) for _ in range(wanted.get("sound", 0))]
        for track, language, title in zip(sound, ("deu", "fra"), ("Film", "Talk"), strict=False):
            track.layout = "stereo"
            track.metadata.update(language=language, title=title)
            track.disposition = _DEFAULT if language == "fra" else av.stream.Disposition(0)
        with spoken(wanted.get("subtitles")) as (template, packet):
            words = out.add_stream_from_template(template) if template is not None else None
            if sound:
                dress(out)
            for number, time in enumerate(TIMES):
                frame = av.VideoFrame.from_ndarray(picture(number), format="rgba")
                frame = frame.reformat(format=pixels)
                frame.pts, frame.time_base, frame.duration = time, _MS, 33
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
            for track in sound:
                silence = np.zeros((2, 24_000), np.float32)
                heard = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
                heard.rate, heard.pts = 48_000, 0
                out.mux(track.encode(heard))
                out.mux(track.encode(None))
            if words is not None:
                packet.stream = words
                out.mux(packet)
    return path


@contextmanager
def spoken(codec: str | None) -> Iterator[tuple[Any, Any]]:
    """Give the template of a subtitle track, and its packet; None without."""
    if codec is None:
        yield None, None
        return
    form = {"subrip": "srt", "webvtt": "webvtt", "mov_text": "srt"}[codec]
    texts = {
        "srt": b"1\n00:00:00,100 --> 00:00:00,300\nHello\n",
        "webvtt": b"WEBVTT\n\n00:00.100 --> 00:00.300\nHello\n",
    }
    with av.open(io.BytesIO(texts[form]), format=form) as file:
        stream: Any = file.streams.subtitles[0]
        packet = next(file.demux(stream))
        if codec != "mov_text":
            yield stream, packet
            return
        with tempfile.TemporaryDirectory() as folder:
            yield from timed_text(Path(folder, "a.mp4"))


def timed_text(path: Path) -> Iterator[tuple[Any, Any]]:
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("mov_text")
        stream.codec_context.subtitle_header = ASS
        stream.time_base = _MS
        packet = av.Packet(SUBTITLE["mov_text"])
        packet.stream, packet.time_base = stream, _MS
        packet.pts = packet.dts = 100
        packet.duration = 200
        out.mux(packet)
    with av.open(str(path)) as file:
        track: Any = file.streams.subtitles[0]
        packets = [packet for packet in file.demux(track) if b"Hello" in bytes(packet)]
        yield track, packets[0]


def dress(out: av.container.OutputContainer) -> None:
    """Add tags, chapters and a cover."""
    out.metadata.update(TAGS)
    out.set_chapters(
        [
            {"id": n, "start": a, "end": b, "time_base": _MS, "metadata": {"title": title}}
            for n, (a, b, title) in enumerate(CHAPTERS, 1)
        ]
    )
    data = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(data, "JPEG")
    out.add_attachment("cover.jpg", "image/jpeg", data.getvalue())


@dataclass
class Outcome:
    """What came of one render."""

    target: Path
    lines: list[str]  # that were said
    error: str | None = None

    def said(self, *words: str) -> str:
        """Return whether a line says it."""
        text = " ".join([*self.lines, self.error or ""])
        return ", with a line" if any(word in text for word in words) else ""

    @property
    def files(self) -> list[Path]:
        return sorted(self.target.parent.glob("dream*"))

    @contextmanager
    def opened(self) -> Iterator[Any]:
        with av.open(str(self.files[0])) as file:
            yield file


def render(source: Path, name: str, folder: Path, **values: Any) -> Outcome:
    """Render a clip into a folder of its own."""
    place = Path(tempfile.mkdtemp(dir=folder))
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("vidream")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    outcome = Outcome(place / name, lines)
    try:
        dream_video(source, outcome.target, Settings(effect="none").updated(**values))
    except VidreamError as error:
        outcome.error = str(error)
    finally:
        log.removeHandler(handler)
    return outcome


# What is looked at: each gives a cell of the table.


def pictures(outcome: Outcome) -> list[tuple[int, int | None]]:
    """Return when each picture begins, and how long it shows, in ms; without times, from 0 on."""
    if outcome.target.suffix == ".png":
        return [(0, None)] * len(outcome.files)
    if outcome.target.suffix in (".gif", ".webp"):
        found: list[tuple[int, int | None]] = []
        time = 0
        with Image.open(outcome.files[0]) as opened:
            for number in range(opened.n_frames):
                opened.seek(number)
                opened.load()
                found.append((time, opened.info["duration"]))
                time += opened.info["duration"]
        return found
    with outcome.opened() as file:
        frames = [(f.pts * f.time_base, f.duration * f.time_base) for f in file.decode(video=0)]
    first = frames[0][0]
    return [(round((at - first) * 1000), round(shown * 1000)) for at, shown in frames]


def frames(outcome: Outcome) -> str:
    count = len(pictures(outcome))
    if count == len(TIMES):
        return "kept"
    return "repeated" + outcome.said("repeated") if count > len(TIMES) else f"{count} LOST"


def times(outcome: Outcome) -> str:
    found = pictures(outcome)
    if outcome.target.suffix == ".png":
        return "no"
    if len(found) > len(TIMES):
        length = found[-1][0] + (found[-1][1] or 0)
        assert abs(length - 533) < 40, length
        return "constant rate, as long" + outcome.said("repeated")
    ends = [*TIMES[1:], TIMES[-1] + 33]
    off = max(abs(at - wanted) for (at, _), wanted in zip(found, TIMES, strict=True))
    last = found[-1][0] + (found[-1][1] or 0) - ends[-1]
    unit = {0: "kept"} | dict.fromkeys(range(1, 6), "to 1/100 s")
    return unit[max(off, abs(last))]


def sound(outcome: Outcome) -> str:
    if outcome.target.suffix in (".gif", ".webp", ".y4m", ".png"):
        return "no" + outcome.said("sound")
    with outcome.opened() as file:
        assert len(file.streams.audio) == 2
        codec = file.streams.audio[0].codec_context.name
    return "copied" if codec == "aac" else f"as {codec.title()}" + outcome.said("re-encoded")


def labels(name: str, wanted: list[str]) -> Callable[[Outcome], str]:
    def look(outcome: Outcome) -> str:
        if outcome.target.suffix in (".gif", ".webp", ".y4m", ".png"):
            return "no"
        with outcome.opened() as file:
            found = [s.metadata.get(name, s.metadata.get("name")) for s in file.streams.audio]
        found = [{"ger": "deu"}.get(label, label) for label in found]
        return "kept" if found == wanted else f"no: {found}"

    return look


def default(outcome: Outcome) -> str:
    if outcome.target.suffix in (".gif", ".webp", ".y4m", ".png"):
        return "no"
    with outcome.opened() as file:
        found = [bool(s.disposition & _DEFAULT) for s in file.streams.audio]
    return "kept" if found == [False, True] else f"no: {found}"


def chapters(outcome: Outcome) -> str:
    found = []
    if outcome.target.suffix != ".png":
        with outcome.opened() if outcome.target.suffix != ".webp" else nothing() as file:
            for chapter in file.chapters() if file is not None else ():
                begin, end = (
                    round(chapter[k] * chapter["time_base"] * 1000) for k in ("start", "end")
                )
                found.append((begin, end, chapter["metadata"].get("title")))
    return "kept" if found == CHAPTERS else "no" + outcome.said("chapters")


@contextmanager
def nothing() -> Iterator[None]:
    yield None


def tags(outcome: Outcome) -> str:
    if outcome.target.suffix in (".webp", ".png"):
        with Image.open(outcome.files[0]) as opened:
            text = str(opened.info.get("Comment") or opened.getexif().get(0x010E))
        return "comment" if text.startswith("C\n") else "no"
    with outcome.opened() as file:
        found = {name.lower(): value for name, value in file.metadata.items()}
    kept = [n for n, value in TAGS.items() if found.get(n, "").split("\n")[0] == value]
    if set(kept) == set(TAGS):
        return "kept"
    if len(kept) > len(TAGS) // 2:
        return "all but " + ", ".join(n for n in TAGS if n not in kept)
    return ", ".join(kept) or "no"


def cover(outcome: Outcome) -> str:
    if outcome.target.suffix not in (".webp", ".png"):
        with outcome.opened() as file:
            if any(s.disposition & av.stream.Disposition.attached_pic for s in file.streams.video):
                return "kept"
    return "no" + outcome.said("cover")


def subtitles(outcomes: dict[str, Outcome]) -> str:
    kept, lost = [], ""
    for codec, outcome in outcomes.items():
        found = []
        if outcome.target.suffix not in (".webp", ".png"):
            with outcome.opened() as file:
                for track in file.streams.subtitles:
                    found += [(p.pts * p.time_base, bytes(p)) for p in file.demux(track) if p.size]
        if any(SUBTITLE[codec] in text and at == Fraction(1, 10) for at, text in found):
            kept.append(codec)
        else:
            lost = outcome.said("subtitle")
    return ", ".join(kept) + (f"; others no{lost}" if lost else "") if kept else "no" + lost


def rotation(outcome: Outcome) -> str:
    suffix = outcome.target.suffix
    if suffix in (".webp", ".png"):
        with Image.open(outcome.files[0]) as opened:
            size = opened.size
    else:
        with outcome.opened() as file:
            frame = next(file.decode(video=0))
            assert not frame.rotation
            size = (frame.width, frame.height)
    return "turned upright" if size == SIZE[::-1] else f"no: {size}"


def aspect(outcome: Outcome) -> str:
    if outcome.target.suffix in (".webp", ".png"):
        with Image.open(outcome.files[0]) as opened:
            width, height = opened.size
    else:
        with outcome.opened() as file:
            stream = file.streams.video[0]
            width, height = stream.width, stream.height
            assert stream.sample_aspect_ratio in (None, 0, 1)
    return "made square" if Fraction(width, height) == Fraction(8, 3) else f"no: {width}×{height}"


def colour(outcome: Outcome) -> str:
    if outcome.target.suffix in (".gif", ".webp", ".png"):
        return "as sRGB" if outcome.target.suffix != ".webp" else "no"
    with outcome.opened() as file:
        frame = next(file.decode(video=0))
        found = [int(v) for v in (frame.color_primaries, frame.color_trc, frame.colorspace)]
        found.append(int(frame.color_range))
    names = ("primaries", "transfer", "matrix", "range")
    kept = [n for n, a, b in zip(names, found, (5, 6, 5, 1), strict=True) if a == b]
    return "kept" if len(kept) == 4 else ", ".join(kept) or "no"


def hdr(outcome: Outcome) -> str:
    if outcome.error:
        return "no" + outcome.said("HDR")
    with outcome.opened() as file:
        frame = next(file.decode(video=0))
        bits = max(component.bits for component in frame.format.components)
        assert (int(frame.color_primaries), int(frame.color_trc)) == (9, 16)
        name = file.streams.video[0].codec_context.name
    name = {"hevc": "HEVC", "libdav1d": "AV1", "av1": "AV1", "prores": "ProRes"}.get(name, name)
    return f"{bits} bits, {name}" if bits >= 10 else "no"


def alpha(outcome: Outcome) -> str:
    if outcome.error:
        return "no" + outcome.said("transparency")
    if outcome.target.suffix in (".webp", ".png"):
        with Image.open(outcome.files[0]) as opened:
            seen, name = np.array(opened.convert("RGBA"))[..., 3], ""
    else:
        with outcome.opened() as file:
            stream = file.streams.video[0]
            decoder = stream.codec_context
            name = decoder.name
            if name == "vp9":
                decoder = av.CodecContext.create("libvpx-vp9", "r")
            frame = next(f for p in file.demux(stream) for f in decoder.decode(p))
            seen = frame.to_ndarray(format="rgba")[..., 3]
    name = {"vp9": "VP9", "prores": "ProRes 4444", "": "kept"}.get(name, name)
    half = SIZE[0] // 2
    right = np.abs(seen[:, half + 4 :].astype(int) - 64).max() <= 4
    return name if right and seen[:, : half - 4].min() >= 251 else "LOST"


LOOKS: dict[str, Callable[[Outcome], str]] = {
    "frames": frames,
    "times": times,
    "sound, two tracks": sound,
    "their languages": labels("language", ["deu", "fra"]),
    "their titles": labels("title", ["Film", "Talk"]),
    "their default": default,
    "chapters": chapters,
    "tags": tags,
    "cover": cover,
    "colour tags": colour,
}


def measure(folder: Path) -> dict[str, list[str]]:
    """Return the cells of each row."""
    whole = make(folder / "whole.mkv", sound=2)
    spoken_in = {
        "subrip": make(folder / "subrip.mkv", subtitles="subrip"),
        "webvtt": make(folder / "webvtt.mkv", subtitles="webvtt"),
        "mov_text": make(folder / "text.mp4", subtitles="mov_text"),
    }
    turned = make(folder / "turned.mp4", rotation=90)
    wide = make(folder / "wide.mkv", aspect=Fraction(2))
    ten = {"x265-params": "log-level=error:transfer=16"}
    bright = make(folder / "hdr.mkv", "libx265", "yuv420p10le", colour=(9, 16, 9, 1), options=ten)
    seen_through = make(
        folder / "alpha.webm", "libvpx-vp9", "yuva420p", options={"auto-alt-ref": "0", "crf": "5"}
    )
    rows: dict[str, list[str]] = {name: [] for name in LOOKS}
    for name in TARGETS:
        outcome = render(whole, name, folder)
        for row, look in LOOKS.items():
            rows[row].append(look(outcome))
        said = {codec: render(path, name, folder) for codec, path in spoken_in.items()}
        for row, cell in (
            ("subtitles", subtitles(said)),
            ("rotation", rotation(render(turned, name, folder))),
            ("pixels that are not square", aspect(render(wide, name, folder))),
            ("HDR, with `--keep-hdr`", hdr(render(bright, name, folder, keep_hdr=True))),
            (
                "transparency, with `--keep-alpha`",
                alpha(render(seen_through, name, folder, keep_alpha=True)),
            ),
        ):
            rows.setdefault(row, []).append(cell)
    return rows


def table(rows: dict[str, list[str]]) -> str:
    """Return the rows as Markdown, containers downward: there are fewer of them."""
    heads = ["pictures" if "%" in name else Path(name).suffix[1:].upper() for name in TARGETS]
    heads = [{"WEBM": "WebM", "WEBP": "WebP"}.get(head, head) for head in heads]
    lines: list[Sequence[str]] = [["", *heads], ["---"] * (1 + len(heads))]
    lines += [[row, *cells] for row, cells in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        made = table(measure(Path(folder)))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    old, _, after = rest.partition(END)
    if options.write:
        PAGE.write_text(f"{before}{BEGIN}{made}{END}{after}")
    elif options.check:
        if made != old:
            sys.exit(f"{PAGE} has another table than this one:\n{made}")
    else:
        print(made, end="")


if __name__ == "__main__":
    main()
