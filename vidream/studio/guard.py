"""Who may talk to a studio: a token, the Host and the Origin of requests, their size."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE = frozenset(("GET", "HEAD"))
_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        b"media-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_NO_TOKEN = (
    "This studio asks for the token that it printed when it started: open the whole address, "
    "?token=... included.\n"
)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may talk to a studio.

    Args:
        token: secret in the address.
        port: of the studio.
        hosts: names by which it is called; none for any.
    """

    token: str
    port: int
    hosts: frozenset[str] = frozenset()

    @property
    def cookie(self) -> str:
        """Name of the cookie; cookies do not tell ports apart."""
        return f"vidream-{self.port}"

    def is_called_by(self, host: str) -> bool:
        """Whether a Host header is one of this studio."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        return port == self.port and (not self.hosts or name in self.hosts)

    def is_own_page(self, origin: str | None, host: str) -> bool:
        """Whether an Origin header is absent, or that of the page itself."""
        return origin is None or origin in (f"http://{host}", f"https://{host}")

    def is_known(self, token: str | None) -> bool:
        """Whether a token is right."""
        return token is not None and hmac.compare_digest(token.encode(), self.token.encode())


class Guard:
    """Lets requests of the page pass, and refuses all others, also of websockets."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        else:
            await refusal(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        return self._foreign(scope, headers) or self._unknown(scope, headers)

    def _foreign(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """Refuse what comes by another name, or from another page."""
        access, host = self._access, headers.get("host", "")
        if not access.is_called_by(host):
            return PlainTextResponse(f"This studio is not called {host}.\n", 421)
        if scope["type"] == "websocket":
            is_marked = "origin" in headers
        else:  # by a header that forms of other pages cannot set
            is_marked = scope["method"] in _SAFE or "x-vidream" in headers
        if is_marked and access.is_own_page(headers.get("origin"), host):
            return None
        return PlainTextResponse("Requests of other pages are refused.\n", 403)

    def _unknown(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """Refuse what comes without the token; it moves from the address into a cookie."""
        access = self._access
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [None])[0]
        if scope["type"] == "http" and scope["path"] == "/" and access.is_known(given):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(access.cookie, access.token, httponly=True, samesite="strict")
            return answer
        if access.is_known(_cookie(headers.get("cookie", ""), access.cookie)):
            return None
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if access.is_known(bearer):
            return None
        return PlainTextResponse(_NO_TOKEN, 403)


def _cookie(header: str, name: str) -> str | None:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return found.value if found else None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            if b"cache-control" not in names:
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*headers, *_HEADERS]}
        await send(message)

    return sending
