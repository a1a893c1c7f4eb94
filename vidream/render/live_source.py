"""A camera, or a file in real time, dreamed live."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction

from vidream.core.errors import InputError, VidreamError
from vidream.core.frames import Frame, to_eight_bits
from vidream.core.queues import Latest
from vidream.core.reporting import CancelToken, Reporter
from vidream.core.settings import LIVE_RATE, Settings
from vidream.media.info import VideoInfo
from vidream.media.places import Source
from vidream.media.reader import open_reader
from vidream.render.live import LiveFrame, LiveSession


class LiveSource:
    """Frames of a source as they come, dreamed at a rate; late ones are dropped.

    A file is shown in real time, to its end. To be entered as a context, and iterated once.

    Args:
        source: a camera or a file.
        settings: what to dream, and how the source is read.
        rate: frames per second.
        reporter: receives the progress of downloads.
        cancel: ends it.

    Raises:
        VidreamError: the source cannot be read, or the effect cannot be loaded.
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        rate: float = LIVE_RATE,
        *,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        if source.is_picture:
            raise InputError(f"{source.name} is a picture: live frames come of a camera or a clip")
        self._source, self._settings, self._rate = source, settings, rate
        self._reporter, self._cancel = reporter, cancel or CancelToken()
        self._stack = ExitStack()
        self._latest: Latest[tuple[float, Frame]] = Latest()
        self._error: BaseException | None = None

    def __enter__(self) -> "LiveSource":
        with ExitStack() as stack:
            self._session = stack.enter_context(
                LiveSession(self._settings, self._rate, reporter=self._reporter)
            )
            self._reader = stack.enter_context(open_reader(self._source, self._settings.read))
            stack.enter_context(self._cancel.calling(self._end))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._stack.close()

    @property
    def info(self) -> VideoInfo:
        """Size and colour of the frames, at the rate of the dream."""
        info, rate = self._reader.info, Fraction(self._rate).limit_denominator(1001)
        return VideoInfo(width=info.width, height=info.height, rate=rate, time_base=1 / rate)

    @property
    def dropped(self) -> int:
        """Frames that came too fast."""
        return self._latest.dropped

    def __iter__(self) -> Iterator[tuple[float, LiveFrame]]:
        """Yield dreamed frames with the times at which they came, in seconds from the first."""
        thread = threading.Thread(target=self._read, name="vidream-live", daemon=True)
        thread.start()
        due, spent = time.monotonic(), 0.0
        try:
            while (item := self._latest.take()) is not None:
                came, frame = item
                dreamed = self._session.push(to_eight_bits(frame.image), spent)
                began = time.monotonic()
                yield came, dreamed
                spent = time.monotonic() - began
                due = max(due + 1 / self._rate, time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))
        finally:
            self._end()
            thread.join(timeout=5)
        if self._error is not None and not self._cancel.cancelled:
            raise self._error

    def _read(self) -> None:
        begin, first = time.monotonic(), None
        try:
            for frame in self._reader:
                if self._latest.ended:
                    break
                first = frame.time if first is None else first
                if not self._source.is_live:
                    time.sleep(max(0.0, begin + float(frame.time - first) - time.monotonic()))
                self._latest.put((time.monotonic() - begin, frame))
        except VidreamError as error:
            self._error = error
        finally:
            self._latest.end()

    def _end(self) -> None:
        self._latest.end()
        self._reader.interrupt()
