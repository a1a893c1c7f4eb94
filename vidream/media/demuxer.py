"""Packets of a container, on one clock."""

import logging
import time
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import av

from vidream.core.errors import describe_error
from vidream.media.container import OpenInput
from vidream.media.timeouts import DecodeTimeoutError
from vidream.media.timestamps import DiscontinuityFixer, clamp_ticks

_log = logging.getLogger(__name__)

MICROSECOND = Fraction(1, 1_000_000)

_BROADCAST = ("mpegts", "mpeg", "wtv")  # clocks that begin anywhere, and have no pauses
_INDEXED = "mov,mp4,m4a,3gp,3g2,mj2"  # whose times are trusted
_SHORT = 0.02  # fraction of a recording that may be missing without a warning


class Demuxer:
    """Packets of some streams of a container, in file order, with jumps of its clock joined."""

    def __init__(self, file: OpenInput, streams: list[Any]) -> None:
        self._file, self._streams = file, streams
        kind = file.container.format.name
        self.is_broadcast = kind in _BROADCAST
        self._clock = DiscontinuityFixer(forward=self.is_broadcast) if kind != _INDEXED else None
        self.reached = Fraction(0)
        self.start = (file.container.start_time or 0) * MICROSECOND
        self._packets = self._demux()

    def seek(self, time: Fraction) -> None:
        """Seek to a key frame before a time, where the container can find one."""
        try:
            self._file.worker.run(partial(self._file.container.seek, int(time / MICROSECOND)))
        except (av.FFmpegError, OSError) as error:  # a seek of the file itself raises the latter
            _log.debug("cannot seek (%s): reading from the beginning", error)

    def __iter__(self) -> Iterator[Any]:
        return self._packets

    def _demux(self) -> Iterator[Any]:
        worker, packets, waited = self._file.worker, self._pull(), 0.0
        while True:
            try:
                packet = worker.run(partial(next, packets, None))
            except av.error.BlockingIOError as error:  # a camera that has nothing new yet
                if waited >= worker.limits.camera:
                    self._log_break(error)
                    return
                time.sleep(worker.limits.camera_poll)
                waited, packets = waited + worker.limits.camera_poll, self._pull()
                continue
            except DecodeTimeoutError as error:
                if not worker.extended:
                    raise
                if not worker.interrupted:
                    self._log_break(error)
                return
            except (av.FFmpegError, OSError) as error:
                self._log_break(error)
                return
            except IndexError:  # PyAV at the end of a file in which further streams have appeared
                return
            if packet is None:
                return
            waited = 0.0
            self._place(packet)
            yield packet

    def _pull(self) -> Iterator[Any]:
        return iter(self._file.container.demux(self._streams))

    def _log_break(self, error: Exception) -> None:
        if not self.reached:  # an error follows
            return
        _log.info(
            "%s cannot be read beyond %.1f s (%s): what is before that is taken",
            self._file.source.name, float(self.reached), describe_error(error),
        )  # fmt: skip

    def _place(self, packet: Any) -> None:
        """Move a packet to its time in the whole recording."""
        when = packet.pts if packet.dts is None else packet.dts
        if when is None:
            return
        base, duration = packet.time_base, packet.duration or 0
        if self._clock is not None:
            shift = self._clock.shift(
                packet.stream.index, float(when * base), float(duration * base)
            )
            if shift:
                ticks = round(shift * MICROSECOND / base)
                packet.pts = None if packet.pts is None else clamp_ticks(packet.pts + ticks)
                packet.dts = None if packet.dts is None else clamp_ticks(packet.dts + ticks)
        shown = packet.dts if packet.pts is None else packet.pts
        self.reached = max(self.reached, (shown + duration) * base - self.start)

    def log_faults(self) -> None:
        """Log errors of the clock and the length."""
        if self._clock is not None and self._clock.jumps:
            _log.info("%s of the clock joined", count(self._clock.jumps, "jump"))
            return  # what the container said of its length means nothing then
        promised = (self._file.container.duration or 0) * MICROSECOND
        if self.reached and promised - self.reached > max(1, _SHORT * promised):
            _log.info(
                "%s says it is %.1f s long, and ends after %.1f s: what there is is taken",
                self._file.source.name, float(promised), float(self.reached),
            )  # fmt: skip


def count(number: int, what: str) -> str:
    """Return a number and what it counts, in the plural where it is one."""
    return f"{number} {what}{'' if number == 1 else 's'}"
