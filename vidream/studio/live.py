"""The webcam of a page, dreamed: pictures come and go over a websocket."""

import asyncio
import struct
import time
from collections import deque
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from vidream.core.errors import VidreamError
from vidream.core.queues import Latest
from vidream.core.settings import Settings
from vidream.media.jpeg import from_jpeg, to_jpeg
from vidream.render.live import LiveSession
from vidream.studio.device import Device, Urgency
from vidream.studio.folder import Folder
from vidream.studio.renders import plain
from vidream.studio.requests import live_settings

MOST_BYTES = 2**21
"""Of a message."""

_MOST_PIXELS = 1920 * 1080
_MOST_MESSAGES = 240  # per second
_NUMBER = struct.Struct("<I")
_REFUSED, _BUSY = 1008, 1013


class LiveRoom:
    """Dreams the pictures of one page at a time; renders wait meanwhile.

    The page sends settings as JSON, ``{"preset", "values", "rate"}``, and pictures as a number,
    four bytes, and a JPEG. Each answer is JSON about a picture, then its number and a JPEG. Of
    pictures that come too fast the newest is dreamed.
    """

    def __init__(self, folder: Folder, device: Device) -> None:
        self._folder, self._device = folder, device
        self._is_taken = False

    async def serve(self, socket: WebSocket) -> None:
        """Talk to a page until it leaves."""
        await socket.accept()
        if self._is_taken:
            await socket.close(_BUSY, "another page is live")
            return
        self._is_taken = True
        talk = _Talk(socket, self._folder, self._device)
        try:
            with self._device.hold():
                await talk.run()
        finally:
            self._is_taken = False


class _Talk:
    """The conversation with one page."""

    def __init__(self, socket: WebSocket, folder: Folder, device: Device) -> None:
        self._socket, self._folder, self._device = socket, folder, device
        self._session: LiveSession | None = None
        self._pictures: Latest[tuple[int, bytes]] = Latest()
        self._times: deque[float] = deque(maxlen=_MOST_MESSAGES)
        self._encoding = 0.0  # seconds that the last picture took

    async def run(self) -> None:
        answers = asyncio.create_task(self._answer())
        try:
            await self._listen()
        except WebSocketDisconnect:
            pass
        finally:
            self._pictures.end()
            with suppress(WebSocketDisconnect, RuntimeError):  # an answer that nobody waits for
                await answers
            await self._do(self._close)

    async def _do(self, work: Any) -> Any:
        return await asyncio.wrap_future(self._device.submit(work, Urgency.LIVE))

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            now = time.monotonic()
            if len(self._times) == _MOST_MESSAGES and now - self._times[0] < 1:
                await self._socket.close(_REFUSED, "too many messages")
                return
            self._times.append(now)
            if (text := message.get("text")) is not None:
                await self._configure(text)
            elif (data := message.get("bytes")) and len(data) > _NUMBER.size:
                self._pictures.put((_NUMBER.unpack_from(data)[0], data[_NUMBER.size :]))

    async def _configure(self, text: str) -> None:
        try:
            settings, rate = live_settings(text, self._folder)
            await self._do(lambda: self._open(settings, rate))
        except VidreamError as error:
            await self._socket.send_json({"error": plain(error)})

    def _open(self, settings: Settings, rate: float) -> None:
        session = LiveSession(settings, rate)
        self._close()
        self._session = session

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    async def _answer(self) -> None:
        before = 0
        while (item := await run_in_threadpool(self._pictures.take)) is not None:
            number, data = item
            dropped, before = self._pictures.dropped - before, self._pictures.dropped
            try:
                made = await self._do(lambda: self._dream(data))  # noqa: B023  (it is awaited)
            except VidreamError as error:
                await self._socket.send_json({"error": plain(error)})
                continue
            if made is not None:
                about, picture = made
                await self._socket.send_json({"number": number, "dropped": dropped, **about})
                await self._socket.send_bytes(_NUMBER.pack(number) + picture)

    def _dream(self, data: bytes) -> tuple[dict[str, Any], bytes] | None:
        if self._session is None:
            return None
        began = time.perf_counter()
        picture = from_jpeg(data, _MOST_PIXELS)
        decoded = time.perf_counter() - began
        frame = self._session.push(picture, decoded + self._encoding)
        height, width = frame.size
        about = {
            "width": width,
            "height": height,
            "seconds": round(frame.seconds, 4),
            "steps": frame.steps,
            "depth": round(frame.depth, 3),
        }
        began = time.perf_counter()
        shown = to_jpeg(frame.picture)
        self._encoding = time.perf_counter() - began
        return about, shown
