"""The work folder of a run: what lets it go on where it stopped, should it be cut short.

``.dream.mp4.vidream/`` lies beside ``dream.mp4`` while that is made. It is locked, names the source
and the settings that it belongs to, and holds what is finished and all that the next frame
depends on.
"""

from vidream.work.checkpoint import Point
from vidream.work.fingerprint import fingerprint
from vidream.work.folder import WorkFolder, open_work
from vidream.work.spool import Spool

__all__ = ["Point", "Spool", "WorkFolder", "fingerprint", "open_work"]
