"""The folder itself: where it lies, whose it is, and when it goes."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from vidream.core.errors import OutputError
from vidream.core.settings import WriteSettings
from vidream.media.atomic import atomic_write, cannot_write, sync
from vidream.render.checkpoint import Checkpoint, load, save
from vidream.render.fingerprint import Fingerprint, difference
from vidream.render.lock import Lock

_LOCK, _RUN, _STATE, _JOURNAL = "lock", "run.json", "state.pt", "journal.jsonl"


def open_work(
    target: Path, run: Fingerprint, settings: WriteSettings, device: torch.device | str = "cpu"
) -> WorkFolder:
    """Open the work folder of a target: the one that an interrupted run left, or a new one.

    Args:
        target: what is to be made.
        run: what it depends on.
        settings: whether to go on, or to begin anew.
        device: where the tensors of what is gone on from are wanted.

    Raises:
        OutputError: another run is at work there; or there is the work of one that was
            interrupted, and it is not this one, or nobody said what shall become of it.
    """
    work = WorkFolder(target, keep=settings.keep_work)
    try:
        work.prepare(run, settings, device)
    except BaseException:
        work.close()
        raise
    return work


class WorkFolder:
    """A locked folder beside the target. A context manager.

    On leaving it is removed if the target is there, or if there is nothing in it that is worth
    going on from.

    Args:
        target: what is to be made.
        keep: whether it stays where it is even then.

    Raises:
        OutputError: it cannot be made, or another run is at work there.
    """

    def __init__(self, target: Path, *, keep: bool = False) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.vidream")
        self.checkpoint = Checkpoint()
        self.done = False
        self._keep = keep
        self._made_folder = not target.parent.exists()
        try:
            self._lock = self._locked()
        except BlockingIOError:
            raise OutputError(
                f"another run is making {target}: wait for it, or choose another name"
            ) from None
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _locked(self) -> Lock:
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            # It may be removed in between, by a run that ends.
            with contextlib.suppress(FileNotFoundError):
                return Lock(self.path / _LOCK)

    def __enter__(self) -> WorkFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unlock it, and remove it unless it is still of use."""
        if self.done and not self._keep:
            self.checkpoint = Checkpoint()
        if not self.checkpoint.frames and not self._keep:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._made_folder:
            with contextlib.suppress(OSError):  # not empty: there is something in it
                self.target.parent.rmdir()
        self._lock.release()

    def prepare(self, run: Fingerprint, settings: WriteSettings, device: Any) -> None:
        """Load what there is, or empty the folder.

        Raises:
            OutputError: there is the work of a run that was interrupted, and it is not this one,
                or nobody said what shall become of it.
        """
        before = self._read_run()
        if before is not None and (settings.resume or not settings.overwrite):
            self.checkpoint = load(self.path / _STATE, device)
        if before is not None and settings.resume:
            if changed := difference(before, run):
                raise OutputError(
                    f"{self.target} was begun otherwise: {changed}; go on as it was begun, or "
                    f"remove {self.path} to begin anew"
                )
            return
        if before is not None and not settings.overwrite:
            raise OutputError(
                f"{self.path} holds {self.checkpoint.frames} frames of an interrupted run: set "
                "`resume` to go on, or `overwrite` to begin anew"
            )
        self.checkpoint = Checkpoint()
        try:
            self._empty()
            atomic_write(self.path / _RUN, lambda draft: draft.write_text(json.dumps(run)))
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _read_run(self) -> Fingerprint | None:
        """Give what an interrupted run depends on; None if there is nothing to go on from."""
        if not (self.path / _STATE).exists():
            return None
        try:
            found: Fingerprint = json.loads((self.path / _RUN).read_text())
        except (OSError, ValueError):
            return None
        return found

    def _empty(self) -> None:
        for path in self.path.iterdir():
            if path.name == _LOCK:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep what the next frame depends on.

        Raises:
            OSError: it cannot be written; what was kept before is there still.
        """
        save(checkpoint, self.path / _STATE)
        self.checkpoint = checkpoint.position

    def kept(self) -> list[str]:
        """Return, in phrases, what there is to go on from."""
        if not self.checkpoint.frames:
            return []
        return [f"{self.checkpoint.frames} frames are kept: go on with `resume`"]

    def journal(self) -> list[dict[str, Any]]:
        """Give what was noted, in its order; a line that a crash left half written is dropped."""
        noted = []
        with contextlib.suppress(OSError, ValueError):
            for line in (self.path / _JOURNAL).read_text().splitlines():
                noted.append(json.loads(line))
        return noted

    def note(self, entries: list[dict[str, Any]]) -> None:
        """Note what is finished, for good.

        Raises:
            OSError: it cannot be written.
        """
        if not entries:
            return
        path = self.path / _JOURNAL
        before = path.read_bytes() if path.exists() else b""
        lines = "".join(f"{json.dumps(entry)}\n" for entry in entries).encode()
        if before and not before.endswith(b"\n"):  # a crash in the middle of a line
            before = before[: before.rfind(b"\n") + 1]
            atomic_write(path, lambda draft: draft.write_bytes(before))
        with path.open("ab") as file:
            file.write(lines)
        sync(path)
        sync(self.path)
