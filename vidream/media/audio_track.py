"""An audio track of a file that is written: copied where possible, or encoded."""

import contextlib
import logging
from typing import Any

import av

from vidream.core.errors import OutputError
from vidream.media.codecs import Container
from vidream.media.layouts import in_order, keeps_layout, nearest_layout
from vidream.media.tracks import takes

_log = logging.getLogger(__name__)

# Errors of a packet, and not of the disc.
_DAMAGED = (av.error.InvalidDataError, av.error.ArgumentError)


def check_template(template: Any) -> None:
    """Raise :class:`OutputError` if a stream's file is closed: PyAV would read freed memory."""
    try:
        template.container.start_time  # noqa: B018
    except AssertionError as error:
        raise OutputError(
            "the source of the sound is closed already: write while its reader is open"
        ) from error


class AudioTrack:
    """An audio track, copied where the container allows it. Damaged packets are left out.

    Args:
        number: of the track, from 0, for messages.

    Raises:
        ValueError, av.FFmpegError: it cannot be encoded.
    """

    def __init__(
        self, out: av.container.OutputContainer, container: Container, number: int, template: Any
    ) -> None:
        self._out, self._number, self._lost = out, number, 0
        self._template = template
        known = template.codec_context.codec.canonical_name
        held = takes(out, container.copies, template)
        self._copied = held and keeps_layout(known, container.muxer, template)
        self._resamplers: dict[tuple[str, str, int], av.AudioResampler] = {}
        if not template.rate:
            raise ValueError("it has no sampling rate")
        if self._copied:
            self.stream: Any = out.add_stream_from_template(template)
            return
        encoder = str(container.audio)
        layout = nearest_layout(encoder, template.layout)
        self.stream = out.add_stream(encoder, rate=_encoded_rate(encoder, layout, template.rate))
        self.stream.layout = layout
        own = template.layout.name
        named = not own.endswith("channels")  # which have no places
        changed = f", {own} as {layout}" if named and own != layout else ""
        _log.info(
            "audio track %d: %s re-encoded to %s%s, as this container does not take it",
            number + 1, known, encoder.removeprefix("lib"), changed,
        )  # fmt: skip

    def write(self, packet: Any) -> None:
        """Copy or re-encode a packet."""
        try:
            if self._copied:
                packet.stream = self.stream
                self._out.mux(packet)
                return
            for frame in packet.decode():
                for uniform in self._uniform(in_order(frame, self._template)):
                    self._out.mux(self.stream.encode(uniform))
        except _DAMAGED as error:
            self._lost += 1
            _log.debug("a packet of sound is left out: %s", error)

    def _uniform(self, frame: Any) -> list[Any]:
        """Resample a frame to the format of the first: broadcasts switch from stereo to 5.1."""
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if not self._resamplers:
            self._resamplers[kind] = av.AudioResampler(*kind)
        first = next(iter(self._resamplers))
        if kind == first:
            return [frame]
        if kind not in self._resamplers:
            _log.info("sound changes to %s, %d Hz: made as it was", *kind[1:])
            self._resamplers[kind] = av.AudioResampler(*first)
        made: list[Any] = list(self._resamplers[kind].resample(frame))
        for part in made:  # the encoder goes by the clock of the first
            part.pts = round(part.pts * part.time_base / frame.time_base)
            part.time_base = frame.time_base
        return made

    def flush(self) -> None:
        """Write the frames that the encoder has buffered."""
        if not self._copied:
            try:
                self._out.mux(self.stream.encode(None))
            except _DAMAGED:
                self._lost += 1
        if self._lost:
            _log.info("audio track %d: %d damaged packets left out", self._number + 1, self._lost)


def _encoded_rate(encoder: str, layout: str, rate: int) -> int:
    """Return the sampling rate to encode at: the track's own where possible, or 48 kHz."""
    # Opus knows 48 kHz and its divisors only.
    for hertz in (48_000,) if encoder == "libopus" else (rate, 48_000):
        context: Any = av.CodecContext.create(encoder, "w")
        context.sample_rate, context.layout = hertz, layout
        context.format = context.codec.audio_formats[0]
        with contextlib.suppress(av.error.ArgumentError):
            context.open()
            return hertz
    raise ValueError(f"{encoder} does not take {layout} at {rate} Hz")
