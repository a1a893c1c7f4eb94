"""Loudness over time: envelopes of the bands of a clip's sound. Imports PyAV.

In one pass over the sound, before the first frame: how loud is loud depends on all of it.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vidream.core.errors import InputError
from vidream.core.settings import BANDS
from vidream.media.container import open_container
from vidream.media.places import Place, Source, VideoFile, parse_source
from vidream.media.streams import choose_audio

_log = logging.getLogger(__name__)

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EnvelopeSettings:
    """Constants of envelopes."""

    rate: int = 44_100  # samples a second that bands are measured in
    hop: int = 441  # samples from one measurement to the next: 10 ms
    window: int = 4096  # samples of a measurement: 93 ms, most of which fades in and out
    attack: float = 0.02  # seconds in which an envelope rises by 63 % of the way,
    release: float = 0.2  # and falls
    percentile: int = 95  # of the moments that are not silent, at which a band counts as loud: 1
    silent: float = 1e-4  # RMS, 80 dB under full scale: hiss, and what encoders make of nothing
    faint: float = 0.03  # of all bands together: what lies 30 dB under them is no beat
    max_seconds: int = 24 * 3600  # what lies later than a day is a wrong timestamp


SETTINGS = EnvelopeSettings()


@dataclass(frozen=True, slots=True)
class AudioEnvelope:
    """How loud each band is over time."""

    bands: Mapping[str, Samples] = field(repr=False)  # values in [0, 1], every 10 ms, by BANDS

    def at(self, band: str, time: Fraction | float) -> float:
        """Return a band's loudness at a time in seconds, 0 (silent) to 1 (loud)."""
        values = self.bands[band]
        place = float(time) * SETTINGS.rate / SETTINGS.hop
        before = math.floor(place)
        if not 0 <= place <= len(values) - 1:
            return 0.0
        after = min(before + 1, len(values) - 1)
        share = place - before
        return float((1 - share) * values[before] + share * values[after])


def analyze(place: Place | Source) -> AudioEnvelope:
    """Return the envelope of the first audio track of a file.

    Raises:
        InputError: it cannot be read twice, has no sound that can be decoded, or stalls.
    """
    source = parse_source(place)
    if source.is_live:
        raise InputError(
            "sound that settings follow is analyzed before the first frame, which a pipe or a "
            "camera cannot be: give its sound with `audio`"
        )
    if not isinstance(source, VideoFile):
        raise InputError(f"{source.name} has no sound to follow: give some with `audio`")
    levels = band_levels(_samples(source))
    if not len(levels):
        raise InputError(
            f"{source.name} has no sound that can be decoded: give another with `audio`"
        )
    return AudioEnvelope(envelopes(levels))


def _samples(source: Source) -> Iterator[Samples]:
    """Yield the sound as mono float samples, from the file's beginning on.

    Raises:
        InputError: there is no sound, or no more comes though it has not ended.
    """
    with open_container(source) as file:
        container, tracks = file.container, choose_audio(file)
        if not tracks:
            raise InputError(f"{source.name} has no sound to follow: give some with `audio`")
        rate, origin = SETTINGS.rate, Fraction(container.start_time or 0, 1_000_000)
        heard = 0
        for frame in file.worker.iterate(_mono(container, tracks[0], rate)):
            if frame is None:
                continue
            samples: Samples = frame.to_ndarray()[0]
            if frame.pts is not None and frame.time_base is not None:
                begins = round((frame.pts * frame.time_base - origin) * rate)
                if begins < heard and not heard:
                    samples = samples[-begins:]  # an encoder's run-up, before the beginning
                elif begins - heard > rate // 20:
                    silence = min(begins, SETTINGS.max_seconds * rate) - heard
                    for _ in range(silence // rate):
                        yield np.zeros(rate, np.float32)
                    yield np.zeros(silence % rate, np.float32)
                    heard += silence
            heard += len(samples)
            yield samples


def _mono(
    container: av.container.InputContainer, track: av.AudioStream, rate: int
) -> Iterator[av.AudioFrame | None]:
    """Yield a track decoded and mixed down; None for a packet of another, or a damaged one."""
    mixer = av.AudioResampler(format="fltp", layout="mono", rate=rate)
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
                mixer = av.AudioResampler(format="fltp", layout="mono", rate=rate)
                yield from mixer.resample(frame)
    yield from mixer.resample(None)


def band_levels(samples: Iterable[Samples]) -> Samples:
    """Return the RMS of each band every 10 ms, ``[moments, bands]``.

    Args:
        samples: pieces of mono sound, full scale at ±1.
    """
    size, hop = SETTINGS.window, SETTINGS.hop
    window = _blackman_harris(size)
    hertz = np.arange(size // 2 + 1) * (SETTINGS.rate / size)
    inside = np.stack([(low <= hertz) & (hertz < high) for low, high in BANDS.values()], axis=1)
    scale = 2 / (size * float((window**2).sum()))
    found = []
    # A measurement is of the time in its middle.
    waiting = np.zeros(size // 2, np.float32)
    for piece in _gathered(samples):
        waiting = np.concatenate([waiting, piece])
        count = max(0, (len(waiting) - size) // hop + 1)
        if count:
            views = np.lib.stride_tricks.sliding_window_view(waiting, size)[::hop][:count]
            power = np.abs(np.fft.rfft(views * window, axis=1)) ** 2
            found.append(np.sqrt(scale * (power @ inside)).astype(np.float32))
            waiting = waiting[count * hop :]
    return np.concatenate(found) if found else np.zeros((0, len(BANDS)), np.float32)


def _blackman_harris(size: int) -> Samples:
    """Return the window of Blackman and Harris, whose leakage beyond 45 Hz is -92 dB.

    A tone next to a band would leak into it otherwise, where all that is faint is made loud.
    """
    phase = 2 * np.pi * np.arange(size) / size
    terms = (0.35875, -0.48829, 0.14128, -0.01168)
    window: Samples = sum(a * np.cos(k * phase) for k, a in enumerate(terms)).astype(np.float32)  # type: ignore[union-attr]
    return window


def _gathered(samples: Iterable[Samples]) -> Iterator[Samples]:
    """Yield pieces of at least a second, and at the end half a window of silence."""
    held: list[Samples] = []
    length = total = 0
    for piece in samples:
        held.append(piece)
        length, total = length + len(piece), total + len(piece)
        if length >= SETTINGS.rate:
            yield np.concatenate(held)
            held, length = [], 0
    if total:
        yield np.concatenate([*held, np.zeros(SETTINGS.window // 2, np.float32)])


def envelopes(levels: Samples) -> dict[str, Samples]:
    """Return the envelope of each band, 0 to 1, from the result of :func:`band_levels`.

    They rise fast, fall slowly, and are 1 where a band is loud.
    """

    def loud(column: Samples) -> float:
        heard = column[column > SETTINGS.silent]
        return float(np.percentile(heard, SETTINGS.percentile)) if len(heard) else 0.0

    smoothed = _smoothed(levels)
    peaks = {band: loud(smoothed[:, n]) for n, band in enumerate(BANDS)}
    faint = max(SETTINGS.silent, SETTINGS.faint * peaks["all"])
    return {
        band: (smoothed[:, n] / max(peaks[band], faint)).clip(0, 1) for n, band in enumerate(BANDS)
    }


def _smoothed(levels: Samples) -> Samples:
    """Return each column under a one-pole filter, with one time constant up and another down."""
    step = SETTINGS.hop / SETTINGS.rate
    rise, fall = 1 - np.exp(-step / SETTINGS.attack), 1 - np.exp(-step / SETTINGS.release)
    smoothed = np.empty_like(levels)
    now = np.zeros(levels.shape[1], np.float32)
    for moment, level in enumerate(levels):
        now = now + np.where(level > now, rise, fall).astype(np.float32) * (level - now)
        smoothed[moment] = now
    return smoothed
