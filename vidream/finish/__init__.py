"""The finish: what becomes of a dream before it is shown, and never of what is carried on.

``finish`` sees to strength, colours and edges, and to ``masks``, which say where it is to be seen.
"""

from vidream.finish.finish import Finish

__all__ = [
    "Finish",
]
