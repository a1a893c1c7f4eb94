"""Fetches one file over http: resumes what breaks off, checks the hash, appears only when whole."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from vidream.errors import WeightsError, reason

Progress = Callable[[int, int | None], None]
"""Called while a file is downloaded with the bytes so far and the total, None if unknown."""

_BLOCK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte before a connection counts as lost
_PAUSES = (0.5, 2.0)  # seconds before the second and the third attempt
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


def download(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    progress: Progress | None = None,
    pauses: Sequence[float] = _PAUSES,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Download ``url`` to ``target``, whose folder is made if it is missing.

    Two processes may do this at once: each writes a file of its own and moves it into place when
    it is whole and right. Nothing else is left behind, whatever happens.

    Args:
        url: an http or https address.
        target: the file to make; replaced if it is there.
        sha256: hex digits that the SHA-256 of the file begins with; empty if not known.
        progress: told of every block that arrives.
        pauses: seconds to wait before each further attempt.
        sleep: waits; for tests.

    Raises:
        WeightsError: the server refuses, the connection fails in every attempt, the hash is
            wrong, or the folder cannot be written. One line, without a remedy.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise WeightsError(f"{url} is not an http or https address")
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            part = _Part(file)
            _fetch_persistently(url, part, progress, (*pauses, None), sleep)
        digest = part.digest.hexdigest()
        if not digest.startswith(sha256):
            raise WeightsError(
                f"{url} gave another file than {target.name}: its SHA-256 begins with "
                f"{digest[:12]}, not {sha256[:12]}; nothing was kept"
            )
        temporary.replace(target)
    except OSError as error:
        raise WeightsError(
            f"cannot write {target.name} into {target.parent}: {reason(error)}"
        ) from None
    finally:
        with suppress(OSError):  # also after Ctrl-C; it may never have been made
            temporary.unlink()


@dataclass(slots=True)
class _Part:
    """The part of a file that has arrived, and its hash so far."""

    file: IO[bytes]
    digest: Any = field(default_factory=hashlib.sha256)
    size: int = 0
    tag: str | None = None
    """Strong ETag of the file, if the server gives one."""

    def restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.digest, self.size = hashlib.sha256(), 0

    def write(self, block: bytes) -> None:
        self.file.write(block)
        self.digest.update(block)
        self.size += len(block)


class _LostError(Exception):
    """An attempt failed in a way that the next one may not."""


def _fetch_persistently(
    url: str,
    part: _Part,
    progress: Progress | None,
    pauses: Sequence[float | None],
    sleep: Callable[[float], object],
) -> None:
    """Fetch ``url``, trying once for each pause; the last one is None."""
    for pause in pauses:
        try:
            _fetch(url, part, progress)
        except _LostError as error:
            if pause is None:
                raise WeightsError(f"cannot download {url}: {error}") from None
            sleep(pause)
        else:
            return


def _fetch(url: str, part: _Part, progress: Progress | None) -> None:
    """Make one attempt at the rest of a file.

    Raises:
        _LostError: the connection failed, or the file came short: worth another attempt.
        WeightsError: the server or the address refuses for good.
    """
    with _answer(url, part) as answer:
        total = _begin(part, answer)
        while True:
            try:
                block = answer.read1(_BLOCK)
            except (OSError, HTTPException) as error:
                raise _LostError(f"the connection broke off ({reason(error)})") from None
            if not block:
                break
            part.write(block)
            if progress is not None:
                progress(part.size, total)
    if total is not None and part.size != total:
        raise _LostError(f"the connection broke off after {part.size} of {total} bytes")


def _answer(url: str, part: _Part) -> Any:
    headers = {"User-Agent": "vidream"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
        if part.tag is not None:
            headers["If-Range"] = part.tag  # a file that changed meanwhile comes from the start
    try:
        request = urllib.request.Request(url, headers=headers)
        return _opener().open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {error.reason}"
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.size:
            part.restart()
        elif error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in _PASSING:
            raise WeightsError(f"cannot download {url}: {answer}") from None
        raise _LostError(answer) from None
    except (OSError, HTTPException, ValueError) as error:
        inner = getattr(error, "reason", error)
        if not isinstance(inner, (OSError, HTTPException)):  # not an address, or not of a server
            raise WeightsError(f"cannot download {url}: {inner}") from None
        raise _LostError(reason(inner)) from None


def _opener() -> urllib.request.OpenerDirector:
    """Make an opener that knows http and https only: no redirect leads to ftp or to a file."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _begin(part: _Part, answer: Any) -> int | None:
    """Note what an answer says of the file; give the size of the whole file if it is known."""
    goes_on = re.match(rf"bytes {part.size}-", answer.headers.get("Content-Range", ""))
    if part.size and not (answer.status == HTTPStatus.PARTIAL_CONTENT and goes_on):
        part.restart()
    tag = answer.headers.get("ETag", "")
    part.tag = tag if tag.startswith('"') else None  # a weak one (W/…) says nothing of the bytes
    length = answer.headers.get("Content-Length", "")
    return part.size + int(length) if length.isdecimal() else None
