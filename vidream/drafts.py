"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from vidream.errors import OutputError
from vidream.media import Place, is_pipe


class Draft:
    """A hidden file beside its target, moved onto it when it is finished.

    Args:
        target: what it shall become.
        overwrite: whether it may replace a file of that name.

    Raises:
        OutputError: it cannot be made there.
    """

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        self.target = target
        self._overwrite = overwrite
        self.path = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")
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
            if self._overwrite:
                self.path.replace(self.target)
            else:
                # A link, unlike a rename, fails if the name is taken, with no gap in between.
                os.link(self.path, self.target)
                self.path.unlink()
        except FileExistsError:
            self.discard()
            raise exists(self.target) from None
        except OSError as error:
            if not self._overwrite and not self.target.exists():
                self.path.replace(self.target)  # a file system without hard links
                return
            self.discard()
            raise cannot_write(self.target, error) from error

    def discard(self) -> None:
        """Remove it, if it is still there."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def exists(target: Path | str) -> OutputError:
    """Make the error for a target that is there already."""
    return OutputError(f"{target} is there already: choose another name, or say --overwrite")


def cannot_write(target: Path | str, error: OSError) -> OutputError:
    """Make the error for a target that the system will not let us write."""
    return OutputError(
        f"cannot write {target} ({error.strerror or error}): check the disk and permissions"
    )


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
