"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from vidream.errors import OutputError, reason
from vidream.media import Place, is_pipe

PART = ".part"
"""What names of unfinished files have before their suffix."""


class Draft:
    """A hidden file, moved onto its target when it is finished.

    Args:
        target: what it shall become.
        overwrite: whether it may replace a file of that name.
        folder: where it lies until then, on the same file system; beside its target if left out.
        durable: whether it shall be there even if power fails, once it has its name.

    Raises:
        OutputError: it cannot be made there.
    """

    def __init__(
        self, target: Path, *, overwrite: bool, folder: Path | None = None, durable: bool = True
    ) -> None:
        self.target = target
        self._overwrite, self._durable = overwrite, durable
        name = f".{target.stem}.{secrets.token_hex(4)}{PART}{target.suffix}"
        self.path = (folder or target.parent) / name
        try:
            self.path.touch(exist_ok=False)
        except OSError as error:
            raise cannot_write(target, error) from error

    def publish(self) -> None:
        """Give the file its name.

        Raises:
            OutputError: the name was taken meanwhile, or the move failed; the draft is gone.
        """
        try:
            if self._durable:
                sync(self.path)
            self._move()
            if self._durable:
                sync(self.target.parent)
        except FileExistsError:
            self.discard()
            raise exists(self.target) from None
        except OSError as error:
            self.discard()
            raise cannot_write(self.target, error) from error

    def _move(self) -> None:
        if self._overwrite:
            self.path.replace(self.target)
            return
        try:
            # A link, unlike a rename, fails if the name is taken, with no gap in between.
            os.link(self.path, self.target)
            self.path.unlink()
        except FileExistsError:
            raise
        except OSError:
            if self.target.exists():
                raise
            self.path.replace(self.target)  # a file system without hard links

    def discard(self) -> None:
        """Remove it, if it is still there."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk and not only on their way.

    Raises:
        OSError: the disk is full, or gone.
    """
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that there is the old one or the new one under its name, and never a part.

    Args:
        path: its name.
        write: called with the name to write it under.

    Raises:
        OSError: it cannot be written; the old one is as it was.
    """
    draft = path.with_name(f".{path.name}{PART}")
    try:
        write(draft)
        sync(draft)
        draft.replace(path)
        sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def exists(target: Path | str) -> OutputError:
    """Make the error for a target that is there already."""
    return OutputError(f"{target} is there already: choose another name, or say --overwrite")


def cannot_write(target: Path | str, error: OSError) -> OutputError:
    """Make the error for a target that the system will not let us write."""
    return OutputError(f"cannot write {target} ({reason(error)}): check the disk and permissions")


def check_place(target: Path, source: Place, *, overwrite: bool) -> None:
    """Find out early whether a file can be put there.

    Raises:
        OutputError: it cannot.
    """
    if target.is_dir():
        raise OutputError(f"{target} is a folder: give the name of a file")
    if not target.parent.is_dir():
        raise OutputError(f"there is no folder {target.parent}: make it with mkdir -p first")
    if not is_pipe(source) and target.exists():
        with contextlib.suppress(OSError):
            if target.samefile(os.fspath(source)):  # type: ignore[arg-type]
                raise OutputError(f"{target} is the source itself: choose another name")
    if target.exists() and not overwrite:
        raise exists(target)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write into {target.parent}: change its permissions")
