"""What can go wrong, as one tree. Every message is one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class VidreamError(Exception):
    """Root of every error that a user can mend."""


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
    """The device that was asked for is not there, or has too little memory."""


@contextmanager
def naming(role: str) -> Iterator[None]:
    """Let an :class:`InputError` of a file beside the source say whose it is: "guide: …"."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{role}: {error}") from error


def reason(error: BaseException) -> str:
    """Tell why something failed, in the words of the system where it has any."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def unknown(kind: str, name: str, valid: Iterable[str], hint: str) -> str:
    """One line for a name that is none of ``valid``: the near ones if any, and ``hint``."""
    near = get_close_matches(name, list(valid), n=5, cutoff=0.5)
    did_you_mean = f"; did you mean {' or '.join(near)}?" if near else "."
    return f"unknown {kind} {name!r}{did_you_mean} {hint}"
