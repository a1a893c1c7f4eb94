"""Reading video: frames and packets of sound, one demuxer, nothing kept.

``container`` opens files and chooses among their streams, ``cameras`` opens live ones; ``packets``
pulls packets and decodes them, on one clock that ``timestamps`` puts right, and ``guard`` sees to
it that none of this waits for ever; ``interlacing``, ``geometry``, ``conversion`` and ``tonemap``
make upright RGB pictures of frames; ``reader`` cuts, and puts it all together.
"""

from vidream.reader.cameras import is_live
from vidream.reader.container import choose_sound, open_container
from vidream.reader.reader import Reader, open_reader

__all__ = ["Reader", "choose_sound", "is_live", "open_container", "open_reader"]
