"""Answers of a studio: pictures, JSON, and refusals in one line."""

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vidream.core.errors import InputError, VidreamError
from vidream.studio.renders import plain

_MOST_JSON = 2**18  # bytes
_JPEG = "image/jpeg"


class Refused(Exception):
    """A request is refused with a status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def answer(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """Turn errors of a handler into answers."""

    async def handle(request: Request) -> Response:
        try:
            made: Response = await handler(request)
        except Refused as error:
            made = JSONResponse({"error": str(error)}, error.status)
        except VidreamError as error:
            made = JSONResponse({"error": plain(error)}, 422)
        return made

    return handle


def as_json(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """Answer with what a handler returns, as JSON."""

    async def handle(request: Request) -> Response:
        return JSONResponse(await handler(request))

    return answer(handle)


def picture(data: bytes, headers: dict[str, str] | None = None) -> Response:
    """Answer with a JPEG."""
    return Response(data, media_type=_JPEG, headers=headers)


def number(value: Any, default: float) -> float:
    """Return a number that is not negative; raises InputError."""
    try:
        found = float(default if value is None else value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{value!r} is no number") from error
    if not 0 <= found < 1e9:
        raise InputError(f"{value!r} is out of range")
    return found


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MOST_JSON:
            raise Refused(413, "that is too much")
    try:
        body = json.loads(data)
    except ValueError as error:
        raise InputError("that is no JSON") from error
    if not isinstance(body, dict):
        raise InputError("an object is needed")
    return body
