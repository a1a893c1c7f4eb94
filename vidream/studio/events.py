"""Tells pages what changes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

_PACE = 0.25  # seconds between two states


class Events:
    """Sends a state to every page that follows, when it has changed.

    Args:
        state: returns it, as JSON has it.
    """

    def __init__(self, state: Callable[[], dict[str, Any]]) -> None:
        self._state = state
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pages: set[asyncio.Event] = set()
        self._ended = False

    def begin(self) -> None:
        """Take the running loop."""
        self._loop = asyncio.get_running_loop()

    def changed(self) -> None:
        """Say that the state has changed; in any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def end(self) -> None:
        """Let all pages go."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        for page in self._pages:
            page.set()

    async def follow(self) -> AsyncIterator[str]:
        """Yield the state as server-sent events, at most four times a second."""
        changed = asyncio.Event()
        changed.set()
        self._pages.add(changed)
        try:
            while not self._ended:
                await changed.wait()
                changed.clear()
                if self._ended:
                    return
                yield f"data: {json.dumps(self._state())}\n\n"
                await asyncio.sleep(_PACE)
        finally:
            self._pages.discard(changed)
