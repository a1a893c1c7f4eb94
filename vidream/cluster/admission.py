"""Workers are looked at before they get work: what they are, and whether they have the files."""

import logging
import secrets
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from distributed import Client

from vidream.cluster.calls import Call, call, offer
from vidream.cluster.files import PIECE
from vidream.cluster.orders import Order
from vidream.core.errors import ClusterError, VidreamError
from vidream.render.fingerprint import Fingerprint, with_weights

_log = logging.getLogger(__name__)


class Admission:
    """Looks at the workers of a scheduler, each in a thread of the caller.

    Args:
        client: of the scheduler.
        order: that is to be rendered.
        present: returns the addresses of the workers there are.
        differs: given a machine, returns how it differs from those before; empty if in nothing.
        call: what is called on workers.
    """

    def __init__(
        self,
        client: Client,
        order: Order,
        present: Callable[[], Collection[str]],
        differs: Callable[[Fingerprint], str],
        call: Call = call,
    ) -> None:
        self._client, self._order, self._call = client, order, call
        self._present, self._differs = present, differs

    def admit(self, address: str) -> int:
        """Return the bytes that a dream may take on a worker, which gets work from now on.

        Raises:
            ClusterError: it cannot render the order; the message is one line.
        """
        found = self._describe(address)
        if missing := found["missing"]:
            for path in missing:
                self._send(path, address)
            found = self._describe(address)
            if found["missing"]:
                raise ClusterError(f"{found['missing'][0]} does not arrive there")
        shared = self._order.shared
        if shared is not None and not self._ask(address, "sees", shared):
            raise ClusterError(f"it does not see the shared folder {shared}")
        self._client.run(offer, 1, workers=[address])
        return int(found["memory"])

    def _describe(self, address: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._ask(address, "describe", self._order.to_json())
        except (ImportError, AttributeError) as error:
            raise ClusterError(
                f"it has no vidream of this version ({error}): install the same there"
            ) from error
        if "error" in found:
            raise ClusterError(found["error"])
        if not found["missing"] and (changed := self._differs(_whole(found))):
            raise ClusterError(f"{changed}: its pictures would differ")
        return found

    def _ask(self, address: str, name: str, *given: Any) -> Any:
        """Call a function on a worker, as long as it is there."""
        future = self._client.submit(
            self._call, name, *given, workers=[address], pure=False, priority=10, retries=0
        )
        while True:
            try:
                return future.result(timeout=1)
            except TimeoutError:
                if address not in self._present():
                    raise ClusterError("it is gone") from None

    def _send(self, path: str, address: str) -> None:
        """Send a file to a worker, in pieces."""
        content = self._order.files[path]
        if not Path(path).is_file():
            raise ClusterError(f"it does not see {path}: put it where all workers see it")
        _log.info("%s is sent to %s", path, address)
        sender, offset, answer = secrets.token_hex(4), 0, "more"
        try:
            with Path(path).open("rb") as file:
                while piece := file.read(PIECE):
                    given = path, content, offset, piece, sender
                    answer = self._ask(address, "receive", *given)
                    offset += len(piece)
                    if answer not in ("more", "done"):
                        break
        except OSError as error:
            raise VidreamError(f"{path} cannot be read: {error.strerror}") from error
        if answer != "done":
            raise ClusterError(f"{path} cannot be kept there ({answer})")


def _whole(found: dict[str, Any]) -> Fingerprint:
    return with_weights(found["machine"], found["weights"])
