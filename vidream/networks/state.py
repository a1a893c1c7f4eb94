"""From a network's description to its tensors: found, checked, converted, and kept converted."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidream.errors import WeightsError
from vidream.networks.spec import NetworkSpec
from vidream.weights import Progress, State, cache_folder, find, load_state

_log = logging.getLogger(__name__)

_COUNTERS = ".num_batches_tracked"  # of batch normalisation in training; some files lack them


def read_state(
    spec: NetworkSpec,
    needed: Mapping[str, Tensor],
    explicit: str | None = None,
    progress: Progress | None = None,
) -> State:
    """Read the tensors that a network needs, and no others.

    Args:
        spec: the network.
        needed: names and tensors of the right shape, which may be on the meta device.
        explicit: weights file that the user names.
        progress: told of a download.

    Returns:
        Float32 tensors on the CPU that no longer depend on the file.

    Raises:
        WeightsError: there is no such file, or it is not of this network.
    """
    names = [name for name in needed if not name.endswith(_COUNTERS)]
    if explicit is None and (kept := _read_kept(spec, names)) is not None:
        return kept
    located = find(spec.weights, explicit, progress)
    state = load_state(located.path, verified=located.verified)
    if spec.convert is not None:
        state = spec.convert(state)
    chosen = {name: _fitting(spec, located.path, state, name, needed[name]) for name in names}
    if spec.keep_converted and located.verified:
        _keep(spec, state)
    return chosen


def renumbered(state: State, network: nn.Module) -> State:
    """Name the tensors of a plain stack's file, which numbers its layers, as a network does.

    Args:
        state: tensors whose names begin with the number of a layer.
        network: with the same convolutions, in the same order; whatever lies between them.
    """
    theirs = sorted({int(first) for name in state if (first := name.split(".")[0]).isdigit()})
    ours = [name for name, part in network.named_modules() if isinstance(part, nn.Conv2d)]
    return {
        f"{name}.{kind}": state[f"{number}.{kind}"]
        for name, number in zip(ours, theirs, strict=False)
        for kind in ("weight", "bias")
    }


def _fitting(spec: NetworkSpec, path: Path, state: State, name: str, like: Tensor) -> Tensor:
    given = state.get(name)
    if given is None:
        raise WeightsError(
            f"{path} is not a weights file of {spec.name}: it has no {name}; "
            "pass the right one with --weights, or none"
        )
    if given.shape != like.shape:
        raise WeightsError(
            f"{path} is not a weights file of {spec.name}: its {name} has the shape "
            f"{list(given.shape)}, not {list(like.shape)}; pass the right one with --weights"
        )
    return _own(given, like.dtype)


def _own(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    # A copy: a tensor mapped from a file crashes the process if the file is cut short later.
    return tensor.detach().to(dtype, copy=True)


def kept_path(spec: NetworkSpec) -> Path:
    """Give the place in the cache where the converted tensors of a network are kept."""
    return cache_folder() / f"vidream-{spec.name}-{spec.weights.sha256[:8]}.pt"


def _read_kept(spec: NetworkSpec, names: list[str]) -> State | None:
    """Read converted tensors from the cache; None if they are not there or damaged."""
    path = kept_path(spec)
    if not spec.keep_converted or not path.is_file():
        return None
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if content["source_sha256"] != spec.weights.sha256:
            raise ValueError("it was made from another file")
        state = {name: _own(content["state"][name], torch.float32) for name in names}
        if any(_sum(tensor) != content["sums"][name] for name, tensor in state.items()):
            raise ValueError("its sums do not agree")
    except Exception as error:  # on a damaged file torch raises nearly anything
        _log.debug("%s is made anew: %s", path, error)
        return None
    return state


def _keep(spec: NetworkSpec, state: State) -> None:
    """Keep converted tensors in the cache. Failing to is no error: it only costs time."""
    path = kept_path(spec)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    content = {
        "source_sha256": spec.weights.sha256,
        "sums": {name: _sum(tensor) for name, tensor in state.items()},
        "state": state,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            torch.save(content, file)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        _log.debug("converted weights of %s are not kept: %s", spec.name, error)
    finally:
        with suppress(OSError):  # it is gone, or was never made
            temporary.unlink()


def _sum(tensor: Tensor) -> int:
    """Sum the bits of a float32 tensor as whole numbers: torch checks no content that it reads."""
    return int(tensor.contiguous().view(torch.int32).sum(dtype=torch.int64))
