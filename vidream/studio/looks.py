"""What settings give on one frame: pictures of a clip, previews, thumbnails."""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vidream.core.frames import Frame, to_eight_bits
from vidream.core.presets import preset_settings
from vidream.core.reporting import CancelToken
from vidream.core.settings import ReadSettings, Settings
from vidream.media.jpeg import to_jpeg
from vidream.media.noise import read_picture
from vidream.media.places import parse_source, parse_target
from vidream.media.reader import open_reader
from vidream.render.job import Job
from vidream.render.preview import PreviewSettings, Sessions, moments_of
from vidream.render.run import run

SIDES = (192, 256, 320, 384, 512)
"""Longer sides of previews, in pixels."""

THUMBNAIL = 160
"""Longer side of thumbnails, in pixels."""

MOVING_SECONDS = 2.0
"""Length of a preview that moves."""

MOVING_RATE = 12.0
"""Its frames per second."""

_PATIENCE = 0.8  # seconds that a preview may take
_CACHE = 2**26  # bytes


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame of a clip: its path, and the time in seconds."""

    path: Path
    time: float = 0.0

    @property
    def key(self) -> Hashable:
        """What names the frame as long as the file stays as it is."""
        return self.path, self.path.stat().st_mtime_ns, round(self.time, 3)


class _Cache:
    """JPEGs that were made, the latest ones."""

    def __init__(self, most: int = _CACHE) -> None:
        self._made: OrderedDict[Hashable, bytes] = OrderedDict()
        self._most, self._size = most, 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
            return self._made.get(key)

    def put(self, key: Hashable, data: bytes) -> bytes:
        with self._lock:
            if key not in self._made:
                self._made[key] = data
                self._size += len(data)
            while self._size > self._most:
                self._size -= len(self._made.popitem(last=False)[1])
        return data


class Looks:
    """Makes pictures; all but :meth:`frame` in the device's thread."""

    def __init__(self) -> None:
        self._sessions = Sessions(most=6)
        self._cache = _Cache()
        self._pace: dict[Hashable, float] = {}  # seconds per pixel

    def describe(self, path: Path) -> dict[str, Any]:
        """Return the size of a clip in pixels, its length in seconds, and its rate."""
        source = parse_source(str(path))
        if source.is_picture:
            height, width = read_picture(source, ReadSettings(), 0).image.shape[:2]
            return {"width": width, "height": height, "duration": 0.0, "rate": 0.0, "still": True}
        with open_reader(source) as reader:
            info = reader.info
            rate = float(info.rate or 25)
            length = (info.frames or 0) / rate
        found: dict[str, Any] = {"width": info.width, "height": info.height, "still": False}
        return {**found, "duration": length, "rate": rate}

    def frame(self, moment: Moment, side: int) -> bytes:
        """Return a frame as it is, as JPEG of a longer side."""
        key = "frame", moment.key, side
        made = self._cache.get(key)
        return made or self._cache.put(key, to_jpeg(self._read(moment, side)))

    def known(self, moment: Moment, settings: Settings, side: int) -> bytes | None:
        """Return a dream if it is there already."""
        return self._cache.get(self._key(moment, settings, side))

    def dream(self, moment: Moment, settings: Settings, side: int | None) -> tuple[bytes, int]:
        """Return a frame dreamed from scratch, as JPEG, and its longer side.

        Without a ``side`` it is the largest that is expected to take at most a second.
        """
        settings = _only_look(settings)
        pace = settings.dream.network, settings.dream.octaves, settings.dream.steps, settings.effect
        if side is None:
            side = self._side(pace)
        made = self.known(moment, settings, side)
        if made is not None:
            return made, side
        source = parse_source(str(moment.path))
        shown = moments_of(source, settings, PreviewSettings(at=(moment.time,), max_side=side))[0]
        with self._sessions.open(settings, source) as session:
            opened = time.perf_counter()
            dreamed = session.push(shown)
        self._pace[pace] = (time.perf_counter() - opened) / (shown.width * shown.height)
        data = to_jpeg(to_eight_bits(dreamed.image), 90)
        return self._cache.put(self._key(moment, settings, side), data), side

    def moving(self, moment: Moment, settings: Settings, target: Path, cancel: CancelToken) -> None:
        """Write two seconds of the dream as a small video."""
        side = self._side(None)
        look = _only_look(settings).updated(
            start=moment.time,
            duration=MOVING_SECONDS,
            fps=MOVING_RATE,
            max_side=side,
            overwrite=True,
            crf=20,
        )
        source = parse_source(str(moment.path))
        run(Job(source, parse_target(str(target), look.write), look, cancel=cancel))

    def thumbnail(self, moment: Moment, preset: str) -> bytes:
        """Return the dream of a preset, small."""
        return self.dream(moment, preset_settings(preset), THUMBNAIL)[0]

    def known_thumbnail(self, moment: Moment, preset: str) -> bytes | None:
        """Return a thumbnail if it is there already."""
        return self.known(moment, _only_look(preset_settings(preset)), THUMBNAIL)

    def _side(self, pace: Hashable) -> int:
        seconds = self._pace.get(pace)
        if seconds is None:
            return SIDES[1]
        pixels = _PATIENCE / seconds
        return next((s for s in reversed(SIDES) if s * s * 9 / 16 <= pixels), SIDES[0])

    def _key(self, moment: Moment, settings: Settings, side: int) -> Hashable:
        return moment.key, repr(settings), side

    def _read(self, moment: Moment, side: int) -> Any:
        wanted = PreviewSettings(at=(moment.time,), max_side=side)
        frame: Frame = moments_of(parse_source(str(moment.path)), Settings(), wanted)[0]
        return to_eight_bits(frame.image)


def _only_look(settings: Settings) -> Settings:
    """Return settings without what says which part of a clip is rendered, and how it is written."""
    kept = ReadSettings(audio=settings.read.audio)
    return replace(settings, read=kept, write=Settings().write)
