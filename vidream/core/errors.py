"""The errors. Every message is one line that says what to do."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class VidreamError(Exception):
    """Root of the errors that a user can fix.

    Messages name settings by their fields in backticks ("set `overwrite`"); see :meth:`rendered`.
    """

    def rendered(self, name: Callable[[str], str]) -> str:
        """Return the message in one line, each setting in it replaced by ``name(setting)``."""
        return re.sub(r"`(\w+)`", lambda match: name(match[1]), " ".join(str(self).split()))


class SettingsError(VidreamError, ValueError):
    """A setting is out of its range, or two settings do not go together."""


class InputError(VidreamError):
    """The source cannot be read as a video or a picture."""


class OutputError(VidreamError):
    """The target cannot be written."""


class NetworkError(VidreamError):
    """An unknown network or layer, or a network that cannot dream this frame."""


class WeightsError(VidreamError):
    """A weights file is missing, damaged, of another network, or could not be downloaded."""


class DeviceError(VidreamError):
    """The device is not there, or has too little memory."""


class ClusterError(VidreamError):
    """The scheduler or its workers cannot render."""


@contextmanager
def prefix_errors(role: str) -> Iterator[None]:
    """Prefix an :class:`InputError` with the role of the file: "guide: …"."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{role}: {error}") from error


def describe_error(error: BaseException) -> str:
    """Return why something failed: the system's own message where there is one."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def unknown(kind: str, name: str, valid: Iterable[str], hint: str) -> str:
    """Return the message for a name that is none of ``valid``, with close matches and ``hint``."""
    near = get_close_matches(name, list(valid), n=5, cutoff=0.5)
    did_you_mean = f"; did you mean {' or '.join(near)}?" if near else "."
    return f"unknown {kind} {name!r}{did_you_mean} {hint}"
