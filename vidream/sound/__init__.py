"""What is heard: of a clip, or in place of it.

``sound`` tells how loud a clip is from moment to moment, for settings that follow it;
``soundtrack`` gives it another sound.
"""

from vidream.sound.sound import Sound, hear
from vidream.sound.soundtrack import Soundtrack

__all__ = [
    "Sound",
    "Soundtrack",
    "hear",
]
