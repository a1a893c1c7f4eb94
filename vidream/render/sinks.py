"""Sinks of frames: what they have in common, and those of streams and of single pictures."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidream.core.closeable import Closeable
from vidream.core.frames import Frame, to_eight_bits
from vidream.core.settings import WriteSettings
from vidream.media.atomic import cannot_write
from vidream.media.encoder import VideoEncoder
from vidream.media.places import StillTarget
from vidream.media.stills import Still, check_alpha, write_still
from vidream.render.checkpoint import Checkpoint

AT_RISK = 10.0
"""Seconds of work that may be lost: checkpoints are as far apart, or farther if saving is slow."""

_WORTH = 20  # how much longer the work takes than saving it


class Sink(Closeable):
    """Writes frames in order; the target appears when it is finished. A context manager."""

    def close(self) -> None:
        """Remove what is neither finished nor kept."""

    def wants_checkpoint(self, index: int, *, begins_scene: bool) -> bool:  # noqa: ARG002
        """Whether :meth:`write` should get the checkpoint after the next frame."""
        return False

    def write(
        self, frame: Frame, checkpoint: Checkpoint | None, *, begins_scene: bool = False
    ) -> None:
        """Write a frame, with which a scene may begin; raises OutputError."""
        raise NotImplementedError

    def finish(self, last: Checkpoint) -> None:
        """Complete the target after the last frame.

        Raises:
            OutputError: it cannot be written.
            CancelledError: the run was cancelled meanwhile.
        """

    def keep(self, last: Checkpoint, *, preview: bool = False) -> list[str]:  # noqa: ARG002
        """Keep what there is of a run that was stopped; raises nothing.

        Args:
            last: after the last frame.
            preview: make it playable: the user stopped the run, and not an error.

        Returns:
            What is kept, and how to resume, in phrases.
        """
        return []


class Pace:
    """The times of checkpoints."""

    def __init__(self) -> None:
        self._saved = time.monotonic()
        self._cost = 0.0

    def is_due(self, share: float = 1.0) -> bool:
        """Whether ``share`` of :data:`AT_RISK` has passed since the last checkpoint."""
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
    """Turn errors of the file system into :class:`OutputError`."""
    try:
        yield
    except OSError as error:
        raise cannot_write(name, error) from error


class StreamSink(Sink):
    """Encodes frames as they come: into pipes, of cameras, of animations."""

    def __init__(self, encoder: VideoEncoder, name: str) -> None:
        self._encoder, self._name = encoder, name

    def close(self) -> None:
        """Remove an unfinished file."""
        self._encoder.close()

    def write(
        self,
        frame: Frame,
        checkpoint: Checkpoint | None,  # noqa: ARG002
        *,
        begins_scene: bool = False,  # noqa: ARG002
    ) -> None:
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


class StillSink(Sink):
    """Writes a single picture, with the resolution and colour profile of the source."""

    def __init__(
        self, target: StillTarget, still: Still, settings: WriteSettings, comment: str
    ) -> None:
        self._target, self._still = target, still
        check_alpha(target.path, has_alpha=still.alpha is not None)
        self._settings, self._comment = settings, comment

    def write(
        self,
        frame: Frame,
        checkpoint: Checkpoint | None,  # noqa: ARG002
        *,
        begins_scene: bool = False,  # noqa: ARG002
    ) -> None:
        """Write the picture."""
        picture = self._still.replaced(to_eight_bits(frame.image), self._comment)
        write_still(self._target, picture, self._settings)
