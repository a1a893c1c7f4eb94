"""Writing: dreams become a file, which has its name only when it is whole.

``codecs`` is what can be written, and ``writer`` encodes it. A run that may be cut short goes
through a ``recording``: its ``recorder`` keeps frames in the work folder as they come, those of a
video encoded in ``segments``, of which ``joining`` makes one file in the end.
"""

from vidream.writer.joining import OnJoin
from vidream.writer.recording import Dreamed, FrameReport, Progress, Recording, SoundUntil
from vidream.writer.writer import VideoWriter, Writer, check_target, open_writer

__all__ = [
    "Dreamed",
    "FrameReport",
    "OnJoin",
    "Progress",
    "Recording",
    "SoundUntil",
    "VideoWriter",
    "Writer",
    "check_target",
    "open_writer",
]
