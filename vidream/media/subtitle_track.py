"""A subtitle track of a file that is written: copied."""

from typing import Any

import av

from vidream.media.codecs import Container


def holds_subtitles(out: av.container.OutputContainer, container: Container, template: Any) -> bool:
    """Whether a file can hold a subtitle track as it is."""
    allowed = out.supported_codecs if container.subtitles is None else container.subtitles
    codec = template.codec_context
    return codec.name in allowed or codec.codec.canonical_name in allowed


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
