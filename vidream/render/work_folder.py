"""The work folder of a target, which an interrupted run leaves."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from vidream.core.closeable import Closeable
from vidream.core.errors import OutputError
from vidream.core.settings import WriteSettings
from vidream.media.atomic import atomic_write, cannot_write, sync
from vidream.render.checkpoint import Checkpoint, load, save
from vidream.render.fingerprint import Fingerprint, difference
from vidream.render.lock import Lock
from vidream.render.sinks import as_output_error

_LOCK, _RUN, _STATE, _JOURNAL = "lock", "run.json", "state.pt", "journal.jsonl"

DIVIDED = "divided.json"
"""What the run of a work folder depends on whose scenes are rendered one by one."""


def open_work(
    target: Path, run: Fingerprint, settings: WriteSettings, device: torch.device | str = "cpu"
) -> "WorkFolder":
    """Open the work folder of a target: a new one, or that of an interrupted run to be resumed.

    ``run`` is what it depends on; the checkpoint's tensors go to ``device``.

    Raises:
        OutputError: another run uses it, or its interrupted run cannot or shall not be resumed.
    """
    work = WorkFolder(target, keep=settings.keep_work)
    try:
        work.prepare(run, settings, device)
    except BaseException:
        work.close()
        raise
    return work


class WorkFolder(Closeable):
    """A locked folder next to the target. A context manager.

    On leaving it is removed, unless ``keep``, if the target is complete or nothing can be resumed.
    With ``shared`` other processes may use it as well, if they share it.

    Raises:
        OutputError: it cannot be made, or another run uses it.
    """

    def __init__(self, target: Path, *, keep: bool = False, shared: bool = False) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.vidream")
        self.checkpoint = Checkpoint()
        self.done = False
        self._keep = keep
        self._made_folder = not target.parent.exists()
        try:
            self._lock = self._locked(shared=shared)
        except BlockingIOError:
            raise OutputError(
                f"another run is making {target}: wait for it, or choose another name"
            ) from None
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _locked(self, *, shared: bool) -> Lock:
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            # It may be removed in between, by a run that ends.
            with contextlib.suppress(FileNotFoundError):
                return Lock(self.path / _LOCK, shared=shared)

    def close(self) -> None:
        """Unlock the folder, and remove it unless it is still of use."""
        if not self._keep and (self.done or not self.is_of_use):
            shutil.rmtree(self.path, ignore_errors=True)
        if self._made_folder:
            with contextlib.suppress(OSError):  # it is not empty
                self.target.parent.rmdir()
        self._lock.release()

    def is_alone(self) -> bool:
        """Whether no other process shares the folder, nor can from now on."""
        return self._lock.claim()

    @property
    def is_of_use(self) -> bool:
        """Whether there is something to be resumed."""
        return self.checkpoint.frames > 0

    def prepare(self, run: Fingerprint, settings: WriteSettings, device: Any) -> None:
        """Load the checkpoint of an interrupted run, or empty the folder; see :func:`open_work`."""
        if (self.path / DIVIDED).exists() and not settings.overwrite:
            self.checkpoint = Checkpoint(1)  # it is of use
            raise OutputError(
                f"{self.path} holds scenes of a render that was divided: go on as it was begun "
                "(`cluster`, `part`, `split`), or set `overwrite` to begin anew"
            )
        before = self.read_run(_RUN, _STATE)
        if before is not None and (settings.resume or not settings.overwrite):
            self.checkpoint = load(self.path / _STATE, device)
            if not settings.resume:
                raise OutputError(
                    f"{self.path} holds {self.checkpoint.frames} frames of an interrupted run: "
                    "set `resume` to go on, or `overwrite` to begin anew"
                )
            if changed := difference(before, run):
                raise OutputError(
                    f"{self.target} was begun otherwise: {changed}; go on as it was begun, or "
                    f"remove {self.path} to begin anew"
                )
            return
        self.begin(run, _RUN)

    def begin(self, run: Fingerprint, name: str) -> None:
        """Empty the folder for a run, and note what it depends on."""
        with as_output_error(self.path):
            for path in self.path.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != _LOCK and path.suffix != ".lock":
                    path.unlink()
            atomic_write(self.path / name, lambda draft: draft.write_text(json.dumps(run)))

    def read_run(self, name: str, needed: str) -> Fingerprint | None:
        """Return what an interrupted run depends on; None if there is none to be resumed."""
        with contextlib.suppress(OSError, ValueError):
            if (self.path / needed).exists():
                found: Fingerprint = json.loads((self.path / name).read_text())
                return found
        return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Save a checkpoint; raises OSError, and leaves the one before."""
        save(checkpoint, self.path / _STATE)
        self.checkpoint = checkpoint.position

    def kept(self) -> list[str]:
        """Return, in phrases, what can be resumed."""
        frames = self.checkpoint.frames
        return [f"{frames} frames are kept: go on with `resume`"] if frames else []

    def journal(self) -> list[dict[str, Any]]:
        """Return the entries of the journal, without a line that a crash left half written."""
        entries = []
        with contextlib.suppress(OSError, ValueError):
            for line in (self.path / _JOURNAL).read_text().splitlines():
                entries.append(json.loads(line))
        return entries

    def note(self, entries: list[dict[str, Any]]) -> None:
        """Append entries to the journal, durably; raises OSError."""
        if not entries:
            return
        path = self.path / _JOURNAL
        before = path.read_bytes() if path.exists() else b""
        if before and not before.endswith(b"\n"):  # a crash in the middle of a line
            before = before[: before.rfind(b"\n") + 1]
            atomic_write(path, lambda draft: draft.write_bytes(before))
        with path.open("ab") as file:
            file.write("".join(f"{json.dumps(entry)}\n" for entry in entries).encode())
        sync(path)
        sync(self.path)
