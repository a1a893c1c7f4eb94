"""A subtitle track of a file that is written: copied."""

from typing import Any

import av


class SubtitleTrack:
    """A subtitle track, copied."""

    def __init__(self, out: av.container.OutputContainer, template: Any) -> None:
        self._out = out
        self.stream: Any = out.add_stream_from_template(template)

    def write(self, packet: Any) -> None:
        """Copy a packet."""
        packet.stream = self.stream
        self._out.mux(packet)

    def flush(self) -> None:
        """Nothing is buffered."""
