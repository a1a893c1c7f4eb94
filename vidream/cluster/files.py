"""Files of a render on a worker: where the caller has them, or sent once and kept by content."""

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from vidream.render.fingerprint import identity

PIECE = 2**22  # bytes that are sent at once
_KEPT = 7 * 86_400  # seconds since its last use, after which a file is removed


class FileStore:
    """Files that were sent to a machine, by their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def locate(self, files: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
        """Return where files are that have a path and a content, and the paths of those missing."""
        found, missing = {}, []
        for path, content in files.items():
            kept = self._path(path, content)
            here = next((p for p in (path, str(kept)) if identity(p) == content), None)
            if here is None:
                missing.append(path)
                continue
            found[path] = here
            if here == str(kept):
                with contextlib.suppress(OSError):
                    os.utime(kept.parent)  # it is in use
        return found, missing

    def receive(self, path: str, content: str, offset: int, piece: bytes, sender: str) -> bool:
        """Take a piece of a file, in order; return whether the file is complete, and right.

        Raises:
            OSError: there is no room for it.
        """
        kept = self._path(path, content)
        draft = kept.with_name(f".{sender}.part")
        if offset == 0:
            self._tidy()
            kept.parent.mkdir(parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
        with draft.open("ab") as file:
            if file.tell() != offset:
                return False
            file.write(piece)
            if file.tell() < int(content.partition(" ")[0]):
                return False
        if identity(str(draft)) != content:
            return False
        draft.replace(kept)
        return True

    def _path(self, path: str, content: str) -> Path:
        key = hashlib.sha256(content.encode()).hexdigest()[:32]
        return self._folder / key / Path(path).name

    def _tidy(self) -> None:
        """Remove what nobody has used for a week."""
        with contextlib.suppress(OSError):
            for folder in self._folder.iterdir():
                if time.time() - folder.stat().st_mtime > _KEPT:
                    shutil.rmtree(folder, ignore_errors=True)
