"""What is heard from moment to moment: how loud each band of a clip's sound is. Imports PyAV.

In one pass over the sound alone, ahead of the pictures: how loud is loud depends on all of it. Of
each second 100 numbers a band are kept, 6 MB of an hour.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vidream.errors import InputError
from vidream.media import Place
from vidream.reader import choose_sound, is_live, open_container
from vidream.settings import BANDS

_log = logging.getLogger(__name__)

Samples = npt.NDArray[np.float32]

RATE = 44_100
"""Samples a second that bands are measured in."""

HOP = 441
"""Samples from one measurement to the next: 10 ms."""

WINDOW = 4096
"""Samples of a measurement: 93 ms, most of which fades in and out."""

ATTACK, RELEASE = 0.02, 0.2
"""Seconds in which an envelope rises, and falls, by 63 % of the way."""

LOUD = 95
"""Percentile of the moments that are not silent, at which a band counts as loud: 1."""

_SILENT = 1e-4  # RMS, 80 dB under full scale: hiss, and what encoders make of nothing
_FAINT = 0.03  # of all bands together: what lies 30 dB under them is no beat, but a trace
_MOST = 24 * 3600 * RATE  # samples: what lies later than a day is a wrong timestamp


class Sound:
    """How loud each band is over time.

    Args:
        envelopes: for each of :data:`~vidream.settings.BANDS`, values in [0, 1], one every 10 ms
            from the beginning on.
    """

    def __init__(self, envelopes: dict[str, Samples]) -> None:
        self.envelopes = envelopes

    def at(self, band: str, time: Fraction | float) -> float:
        """Give a band's loudness at a time in seconds, 0 (silent) to 1 (loud)."""
        envelope = self.envelopes[band]
        place = float(time) * RATE / HOP
        before = math.floor(place)
        if not 0 <= place <= len(envelope) - 1:
            return 0.0
        after = min(before + 1, len(envelope) - 1)
        share = place - before
        return float((1 - share) * envelope[before] + share * envelope[after])


def hear(place: Place) -> Sound:
    """Listen to the first sound track of a file.

    Raises:
        InputError: it cannot be read twice, holds no sound that can be decoded, or stalls.
    """
    if is_live(place):
        raise InputError(
            "sound that settings follow is heard before the first frame, which a pipe or a camera "
            "cannot be: give its sound with --audio FILE"
        )
    name = os.fspath(place)  # type: ignore[arg-type]
    levels = band_levels(_samples(name))
    if not len(levels):
        raise InputError(f"{name} has no sound that can be decoded: give another with --audio FILE")
    return Sound(envelopes(levels))


def _samples(name: str) -> Iterator[Samples]:
    """Give the sound as mono float samples at :data:`RATE`, from the file's beginning on.

    Raises:
        InputError: there is no sound, or no more comes though it has not ended.
    """
    container, guard = open_container(name, name)
    with guard.closing(container):
        tracks = choose_sound(container)
        if not tracks:
            raise InputError(f"{name} has no sound to follow: give some with --audio FILE")
        origin = Fraction(container.start_time or 0, 1_000_000)
        heard = 0
        for frame in guard.pulled(_mono(container, tracks[0])):
            if frame is None:
                continue
            samples: Samples = frame.to_ndarray()[0]
            if frame.pts is not None and frame.time_base is not None:
                begins = round((frame.pts * frame.time_base - origin) * RATE)
                if begins < heard and not heard:
                    samples = samples[-begins:]  # an encoder's run-up, before the beginning
                elif begins - heard > RATE // 20:
                    silence = min(begins, _MOST) - heard
                    for _ in range(silence // RATE):
                        yield np.zeros(RATE, np.float32)
                    yield np.zeros(silence % RATE, np.float32)
                    heard += silence
            heard += len(samples)
            yield samples


def _mono(
    container: av.container.InputContainer, track: av.AudioStream
) -> Iterator[av.AudioFrame | None]:
    """Decode a track, mixed down; None for each packet of another, or that cannot be decoded."""
    mixer = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    packets: Iterator[Any] = container.demux()
    for packet in packets:
        if packet.stream is not track:
            yield None
            continue
        try:
            decoded = packet.decode()
        except av.FFmpegError as error:
            _log.debug("a packet of sound cannot be decoded: %s", error)
            yield None
            continue
        for frame in decoded:
            try:
                yield from mixer.resample(frame)
            except ValueError:  # its rate or layout has changed on the way
                yield from mixer.resample(None)
                mixer = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
                yield from mixer.resample(frame)
    yield from mixer.resample(None)


def band_levels(samples: Iterable[Samples]) -> Samples:
    """Measure how strong each band is, every 10 ms.

    Args:
        samples: pieces of mono sound at :data:`RATE`, full scale at ±1.

    Returns:
        ``[moments, bands]``: root mean square of what lies in the band, in the order of
        :data:`~vidream.settings.BANDS`.
    """
    window = _window()
    hertz = np.arange(WINDOW // 2 + 1) * (RATE / WINDOW)
    inside = np.stack([(low <= hertz) & (hertz < high) for low, high in BANDS.values()], axis=1)
    scale = 2 / (WINDOW * float((window**2).sum()))
    found = []
    # A measurement is of the time in its middle.
    waiting = np.zeros(WINDOW // 2, np.float32)
    for piece in _gathered(samples):
        waiting = np.concatenate([waiting, piece])
        count = max(0, (len(waiting) - WINDOW) // HOP + 1)
        if count:
            views = np.lib.stride_tricks.sliding_window_view(waiting, WINDOW)[::HOP][:count]
            power = np.abs(np.fft.rfft(views * window, axis=1)) ** 2
            found.append(np.sqrt(scale * (power @ inside)).astype(np.float32))
            waiting = waiting[count * HOP :]
    return np.concatenate(found) if found else np.zeros((0, len(BANDS)), np.float32)


def _window() -> Samples:
    """Give the window of Blackman and Harris: beyond 45 Hz it leaks 92 dB less than there is.

    A tone next to a band would be heard in it otherwise, where all that is faint is made loud.
    """
    phase = 2 * np.pi * np.arange(WINDOW) / WINDOW
    terms = (0.35875, -0.48829, 0.14128, -0.01168)
    window: Samples = sum(a * np.cos(k * phase) for k, a in enumerate(terms)).astype(np.float32)  # type: ignore[union-attr]
    return window


def _gathered(samples: Iterable[Samples]) -> Iterator[Samples]:
    """Put pieces together until they are of a second, and end with half a window of silence."""
    held: list[Samples] = []
    length = total = 0
    for piece in samples:
        held.append(piece)
        length, total = length + len(piece), total + len(piece)
        if length >= RATE:
            yield np.concatenate(held)
            held, length = [], 0
    if total:
        yield np.concatenate([*held, np.zeros(WINDOW // 2, np.float32)])


def envelopes(levels: Samples) -> dict[str, Samples]:
    """Make envelopes of levels: they rise fast, fall slowly, and are 1 where a band is loud.

    Args:
        levels: ``[moments, bands]`` as :func:`band_levels` gives them.

    Returns:
        For each band values in [0, 1].
    """
    smoothed = _followed(levels)
    loud = {band: _loud(smoothed[:, n]) for n, band in enumerate(BANDS)}
    faint = max(_SILENT, _FAINT * loud["all"])
    return {
        band: (smoothed[:, n] / max(loud[band], faint)).clip(0, 1) for n, band in enumerate(BANDS)
    }


def _loud(levels: Samples) -> float:
    heard = levels[levels > _SILENT]
    return float(np.percentile(heard, LOUD)) if len(heard) else 0.0


def _followed(levels: Samples) -> Samples:
    """Let each column follow its levels, by one pole up and another down."""
    step = HOP / RATE
    rise, fall = 1 - np.exp(-step / ATTACK), 1 - np.exp(-step / RELEASE)
    smoothed = np.empty_like(levels)
    now = np.zeros(levels.shape[1], np.float32)
    for moment, level in enumerate(levels):
        now = now + np.where(level > now, rise, fall).astype(np.float32) * (level - now)
        smoothed[moment] = now
    return smoothed
