"""The smallest processor, and the example for one's own: frames pass through unchanged."""

from __future__ import annotations

from torch import Tensor

from vidream.settings import DreamSettings
from vidream.temporal import Memo, Start


class PassThrough:
    """Gives each source frame back as it came: input and output without a dream."""

    recurrent = False

    def __init__(self, settings: DreamSettings) -> None:
        """Take the settings, as every processor does; this one needs none of them."""

    def process(self, start: Start, source: Tensor, index: int) -> tuple[Tensor, Memo]:  # noqa: ARG002
        """Give the source."""
        return source, ()
