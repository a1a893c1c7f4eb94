"""Files that appear under their name only when complete."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from vidream.core.errors import OutputError, describe_error

PART = ".part"  # before the suffix of an unfinished file


class AtomicFile:
    """A hidden file that is renamed to its target once complete.

    Args:
        folder: on the target's file system; by default the target's own.
        durable: whether :meth:`commit` waits for the disk.
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

    def commit(self) -> None:
        """Rename the file to its target; if that fails, the file is removed."""
        try:
            if self._durable:
                sync(self.path)
            self._move()
            if self._durable:
                sync(self.target.parent)
        except OSError as error:
            self.discard()
            if isinstance(error, FileExistsError):
                raise already_exists(self.target) from None
            raise cannot_write(self.target, error) from error

    def _move(self) -> None:
        if self._overwrite:
            self.path.replace(self.target)
            return
        try:
            # A link, unlike a rename, fails if the name is taken, with no gap in between.
            os.link(self.path, self.target)
            self.path.unlink()
        except OSError:
            if self.target.exists():
                raise
            self.path.replace(self.target)  # a file system without hard links

    def discard(self) -> None:
        """Remove the file, if it is still there."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a hidden path, and rename that to ``path``."""
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


def already_exists(target: Path | str) -> OutputError:
    """Return the error for a target that exists."""
    return OutputError(f"{target} already exists (set `overwrite` to replace it)")


def cannot_write(target: Path | str, error: OSError) -> OutputError:
    """Return the error for a target that cannot be written."""
    return OutputError(
        f"cannot write {target} ({describe_error(error)}): check the disk and permissions"
    )
