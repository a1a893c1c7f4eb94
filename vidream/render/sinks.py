"""Where frames go: one protocol, for files that can be resumed, for streams, and for pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self

from vidream.core.frames import Frame, to_eight_bits
from vidream.core.settings import WriteSettings
from vidream.media.atomic import cannot_write
from vidream.media.encoder import VideoEncoder
from vidream.media.places import StillTarget
from vidream.media.stills import Still, write_still
from vidream.render.checkpoint import Checkpoint

AT_RISK = 10.0
"""Seconds of work that may be lost: what is done is saved as often, or less if saving is slow."""

_WORTH = 20  # how much longer the work takes than saving it


class Sink(Protocol):
    """Takes frames in their order; the target appears when it is finished. A context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None:
        """Remove what is neither finished nor kept."""

    def wants_checkpoint(self, index: int) -> bool:
        """Whether the checkpoint after this frame should come with it."""

    def write(self, frame: Frame, checkpoint: Checkpoint | None) -> None:
        """Take a frame, and maybe the checkpoint after it.

        Raises:
            OutputError: it cannot be written.
        """

    def finish(self, last: Checkpoint) -> None:
        """Complete the target: there are no more frames.

        Raises:
            OutputError: it cannot be written.
            CancelledError: the run was cancelled meanwhile.
        """

    def keep(self, last: Checkpoint, *, preview: bool = False) -> list[str]:
        """Keep what there is, for the run was stopped; raises nothing.

        Args:
            last: after the last frame that was written.
            preview: whether the user wants to see what there is: it was not an error that stopped.

        Returns:
            What is kept, and how to go on, in phrases.
        """


class Pace:
    """Tells when it is time to save."""

    def __init__(self) -> None:
        self._saved = time.monotonic()
        self._cost = 0.0

    def is_due(self, share: float = 1.0) -> bool:
        """Whether so much is at risk, or this share of it, that it should be saved."""
        return time.monotonic() - self._saved >= max(share * AT_RISK, _WORTH * self._cost)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure how long it takes to save."""
        began = time.monotonic()
        yield
        self._saved = time.monotonic()
        self._cost = self._saved - began


@contextmanager
def as_output_error(name: Path) -> Iterator[None]:
    """Turn what goes wrong in the file system into an :class:`OutputError`."""
    try:
        yield
    except OSError as error:
        raise cannot_write(name, error) from error


class StreamSink:
    """Encodes frames as they come, for pipes, cameras and animations: what is made in one go.

    Args:
        encoder: of the target and its sound.
        name: of the target, for what is told of it.
    """

    def __init__(self, encoder: VideoEncoder, name: str) -> None:
        self._encoder, self._name = encoder, name

    def __enter__(self) -> Self:
        self._encoder.__enter__()
        return self

    def __exit__(self, *stopped: object) -> None:
        self._encoder.__exit__(*stopped)

    def wants_checkpoint(self, index: int) -> bool:  # noqa: ARG002
        """No: there is nothing to resume."""
        return False

    def write(self, frame: Frame, checkpoint: Checkpoint | None) -> None:  # noqa: ARG002
        """Encode a frame, and the sound before it."""
        self._encoder.write(frame)

    def finish(self, last: Checkpoint) -> None:  # noqa: ARG002
        """Complete the stream."""
        self._encoder.finish()

    def keep(self, last: Checkpoint, *, preview: bool = False) -> list[str]:
        """With ``preview`` complete the stream after the last whole frame."""
        if not last.frames or not preview:
            return []
        self.finish(last)
        return [f"{self._name} holds what was dreamed so far"]


class StillSink:
    """Writes a single picture.

    Args:
        target: the picture.
        still: the source, whose resolution and profile it keeps.
        settings: whether it may replace a file.
        comment: written into it.
    """

    def __init__(
        self, target: StillTarget, still: Still, settings: WriteSettings, comment: str
    ) -> None:
        self._target, self._still = target, still
        self._settings, self._comment = settings, comment

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left behind: the picture is written in one go."""

    def wants_checkpoint(self, index: int) -> bool:  # noqa: ARG002
        """No: there is one frame."""
        return False

    def write(self, frame: Frame, checkpoint: Checkpoint | None) -> None:  # noqa: ARG002
        """Write the picture."""
        picture = self._still.replaced(to_eight_bits(frame.image), self._comment)
        write_still(self._target, picture, self._settings)

    def finish(self, last: Checkpoint) -> None:
        """Do nothing: it is there."""

    def keep(self, last: Checkpoint, *, preview: bool = False) -> list[str]:  # noqa: ARG002
        """Return nothing: there is no half of a picture."""
        return []
