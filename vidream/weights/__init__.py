"""Files of weights: where they come from, whether they are the right ones, how they are read.

``weights`` looks for them and reads them, ``download`` fetches what is nowhere to be found.
"""

from vidream.weights.download import Progress
from vidream.weights.weights import (
    FOLDERS_VARIABLE,
    State,
    WeightsFile,
    cache_folder,
    digest_of,
    find,
    load_state,
    torchvision_file,
)

__all__ = [
    "FOLDERS_VARIABLE",
    "Progress",
    "State",
    "WeightsFile",
    "cache_folder",
    "digest_of",
    "find",
    "load_state",
    "torchvision_file",
]
