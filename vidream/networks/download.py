"""HTTP downloads that resume, retry, check the hash and replace the target atomically.

``torch.hub.download_url_to_file`` has no retry, no timeout, no progress callback, and follows
redirects to ftp.
"""

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

from vidream.core.errors import WeightsError, describe_error

OnDownload = Callable[[int, int | None], None]
"""Called while a file is downloaded with the bytes so far and the total, None if unknown."""

_BLOCK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte before a connection counts as lost
_PAUSES = (0.5, 2.0)  # seconds before the second and the third attempt
_TEMPORARY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


def download(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    progress: OnDownload | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Download a file; safe for concurrent processes, and leaves no partial file behind.

    Args:
        url: http or https.
        target: file to create or replace; its folder is created.
        sha256: first hex digits; empty if unknown.
        progress: called for each block.
        sleep: waits between attempts.

    Raises:
        WeightsError: the server refuses, every attempt fails, the hash differs, or it cannot be
            written.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise WeightsError(f"{url} is not an http or https address")
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            part = _Part(file)
            _fetch_persistently(url, part, progress, sleep)
        digest = part.digest.hexdigest()
        if not digest.startswith(sha256):
            raise WeightsError(
                f"{url} gave another file than {target.name}: its SHA-256 begins with "
                f"{digest[:12]}, not {sha256[:12]}; nothing was kept"
            )
        temporary.replace(target)
    except OSError as error:
        raise WeightsError(
            f"cannot write {target.name} into {target.parent}: {describe_error(error)}"
        ) from None
    finally:
        with suppress(OSError):  # also after Ctrl-C; it may never have been made
            temporary.unlink()


@dataclass(slots=True)
class _Part:
    """The received part of a file, its hash and its strong ETag."""

    file: IO[bytes]
    digest: Any = field(default_factory=hashlib.sha256)
    size: int = 0
    tag: str | None = None

    def restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.digest, self.size = hashlib.sha256(), 0

    def write(self, block: bytes) -> None:
        self.file.write(block)
        self.digest.update(block)
        self.size += len(block)


class _LostError(Exception):
    """A failed attempt that is worth a retry."""


def _fetch_persistently(
    url: str, part: _Part, progress: OnDownload | None, sleep: Callable[[float], object]
) -> None:
    pauses: Sequence[float | None] = (*_PAUSES, None)
    for pause in pauses:
        try:
            _fetch(url, part, progress)
        except _LostError as error:
            if pause is None:
                raise WeightsError(f"cannot download {url}: {error}") from None
            sleep(pause)
        else:
            return


def _fetch(url: str, part: _Part, progress: OnDownload | None) -> None:
    with _open(url, part) as response:
        total = _begin(part, response)
        while True:
            try:
                block = response.read1(_BLOCK)
            except (OSError, HTTPException) as error:
                raise _LostError(f"the connection broke off ({describe_error(error)})") from None
            if not block:
                break
            part.write(block)
            if progress is not None:
                progress(part.size, total)
    if total is not None and part.size != total:
        raise _LostError(f"the connection broke off after {part.size} of {total} bytes")


def _open(url: str, part: _Part) -> Any:
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
        elif error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in _TEMPORARY:
            raise WeightsError(f"cannot download {url}: {answer}") from None
        raise _LostError(answer) from None
    except (OSError, HTTPException, ValueError) as error:
        inner = getattr(error, "reason", error)
        if not isinstance(inner, (OSError, HTTPException)):  # not an address, or not of a server
            raise WeightsError(f"cannot download {url}: {inner}") from None
        raise _LostError(describe_error(inner)) from None


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for http and https only: no redirect leads to ftp or to a file."""
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


def _begin(part: _Part, response: Any) -> int | None:
    """Restart if the response does; return the size of the whole file if known."""
    resumes = re.match(rf"bytes {part.size}-", response.headers.get("Content-Range", ""))
    if part.size and not (response.status == HTTPStatus.PARTIAL_CONTENT and resumes):
        part.restart()
    tag = response.headers.get("ETag", "")
    part.tag = tag if tag.startswith('"') else None  # a weak one (W/…) says nothing of the bytes
    length = response.headers.get("Content-Length", "")
    return part.size + int(length) if length.isdecimal() else None
