"""The original of the default network's weights, all layers in float32, where it is at hand."""

from __future__ import annotations

import pytest

from vidream.core.errors import WeightsError
from vidream.networks.builtin import INCEPTION
from vidream.networks.weights import find


def _find():
    try:
        return find(INCEPTION.weights).path
    except WeightsError:
        return None


ORIGINAL = _find()

needs_original = pytest.mark.skipif(
    ORIGINAL is None, reason="needs default_1.pt: tools/make_default_weights.py --fetch FOLDER"
)


@pytest.fixture
def original_file(monkeypatch):
    """The file, which is also found by itself."""
    monkeypatch.setenv("VIDREAM_WEIGHTS", str(ORIGINAL.parent))
    return str(ORIGINAL)
