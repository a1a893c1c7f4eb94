"""Runs a studio on an address."""

import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from vidream.core.errors import OutputError, describe_error
from vidream.studio import LOOPBACK
from vidream.studio.app import Recipe, Studio, StudioSettings
from vidream.studio.guard import Access
from vidream.studio.live import MOST_BYTES

_WILDCARDS = frozenset(("0.0.0.0", "::"))


def serve(
    folder: Path,
    host: str,
    port: int,
    max_upload: int,
    recipe: Recipe,
    ready: Callable[[str], None],
    cluster: str | None = None,
) -> None:
    """Serve a folder until a signal comes.

    Args:
        folder: may be read and written.
        host: address that is listened to.
        port: 0 for a free one.
        max_upload: bytes of an upload.
        recipe: for the command that makes the same.
        ready: called with the address to open, token included.
        cluster: place of a cluster that renders.

    Raises:
        VidreamError: the address cannot be used.
    """
    listening = _listen(host, port)
    token, port = secrets.token_urlsafe(24), listening.getsockname()[1]
    hosts = frozenset(() if host in _WILDCARDS else (*LOOPBACK, host))
    settings = StudioSettings(folder, Access(token, port, hosts), max_upload, cluster)
    studio = Studio(settings, recipe)
    config = uvicorn.Config(
        studio.app(),
        log_level="warning",
        ws="websockets-sansio",
        ws_max_size=MOST_BYTES,
        ws_max_queue=8,
        limit_concurrency=256,
        timeout_graceful_shutdown=3,
        server_header=False,
        proxy_headers=False,
    )
    named = f"[{host}]" if ":" in host else host
    ready(f"http://{'127.0.0.1' if host in _WILDCARDS else named}:{port}/?token={token}")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        why = describe_error(error)
        raise OutputError(
            f"cannot listen at {host}:{port}: {why}; choose another --port"
        ) from error
    except BaseException:
        listening.close()
        raise
    return listening
