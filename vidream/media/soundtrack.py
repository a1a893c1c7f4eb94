"""The audio of another file, in place of a clip's own."""

from collections.abc import Iterator
from fractions import Fraction

from vidream.core.closeable import Closeable
from vidream.core.errors import InputError, prefix_errors
from vidream.media.container import open_container
from vidream.media.demuxer import MICROSECOND
from vidream.media.streams import choose_audio
from vidream.media.tracks import Packets, SequentialTracks, TrackPacket


class Soundtrack(SequentialTracks, Closeable):
    """The first audio track of a file, cut where the video ends. A context manager.

    Args:
        start: time in it of the first frame, in seconds; None for its beginning.
    """

    def __init__(self, path: str, start: float | None = None) -> None:
        with prefix_errors("audio"):
            self._file = open_container(path)
        tracks = choose_audio(self._file)
        if not tracks:
            self._file.close()
            raise InputError(f"audio: {path} has no sound: give a file that has some")
        super().__init__(tracks[:1], self._read(start), ends_with_video=True)
        self._first: Fraction | None = None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def until(self, time: Fraction | None) -> Iterator[TrackPacket]:
        """Yield the next packets before a time; the audio begins at the time of the first call."""
        if self._first is None:
            self._first = time or Fraction(0)
        return super().until(time)

    def _read(self, start: float | None) -> Packets:
        container, (track,) = self._file.container, self.streams
        origin = (container.start_time or 0) * MICROSECOND
        begin = origin + Fraction(start or 0).limit_denominator(1_000_000)
        with prefix_errors("audio"):
            # Of all streams, as the worker wants it.
            for packet in self._file.worker.iterate(container.demux()):
                if packet.stream is not track or packet.dts is None or packet.pts is None:
                    continue
                # Without a start, an encoder's run-up before the beginning stays.
                if start is not None and packet.pts * packet.time_base < begin:
                    continue
                assert self._first is not None
                earlier = round((begin - self._first) / packet.time_base)
                packet.pts -= earlier
                packet.dts -= earlier
                yield TrackPacket(0, packet)
