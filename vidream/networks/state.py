"""Weights files to tensors: found, read, converted, checked."""

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vidream.core.errors import WeightsError
from vidream.networks.download import OnDownload
from vidream.networks.spec import NetworkSpec
from vidream.networks.weights import State, find, require_file

_COUNTERS = ".num_batches_tracked"  # of batch normalisation in training; some files lack them


def read_state(
    spec: NetworkSpec,
    needed: Mapping[str, Tensor],
    explicit: str | None = None,
    progress: OnDownload | None = None,
) -> State:
    """Read the tensors that a network needs, of the names, shapes and dtypes of ``needed``.

    Raises:
        WeightsError: the file is missing, or is not of this network.
    """
    names = [name for name in needed if not name.endswith(_COUNTERS)]
    weights = spec.weights_for(names) if explicit is None else spec.weights
    located = find(weights, explicit, progress)
    state = load_state(located.path, verified=located.verified)
    if spec.convert is not None:
        state = spec.convert(state)
    return {name: _matching(spec, located.path, state, name, needed[name]) for name in names}


def renumbered(state: State, network: nn.Module) -> State:
    """Rename tensors numbered by layer to a network of the same convolutions."""
    theirs = sorted({int(first) for name in state if (first := name.split(".")[0]).isdigit()})
    ours = [name for name, part in network.named_modules() if isinstance(part, nn.Conv2d)]
    return {
        f"{name}.{kind}": state[f"{number}.{kind}"]
        for name, number in zip(ours, theirs, strict=False)
        for kind in ("weight", "bias")
    }


def _matching(spec: NetworkSpec, path: Path, state: State, name: str, like: Tensor) -> Tensor:
    given = state.get(name)
    if given is None:
        raise WeightsError(
            f"{path} is not a weights file of {spec.name}: it has no {name}; "
            "set `weights` to the right one, or to none"
        )
    if given.shape != like.shape:
        raise WeightsError(
            f"{path} is not a weights file of {spec.name}: its {name} has the shape "
            f"{list(given.shape)}, not {list(like.shape)}; set `weights` to the right one"
        )
    # A copy: a tensor mapped from a file crashes the process if the file is cut short later.
    return given.detach().to(like.dtype, copy=True)


def load_state(path: Path, *, verified: bool = False) -> State:
    """Read the tensors of a weights file on the CPU; nothing but tensors is unpickled.

    A PyTorch state dict (or one under ``state_dict``), safetensors, or TorchScript, which holds
    code and must be ``verified``: its hash is pinned. The tensors may be memory-mapped.

    Raises:
        WeightsError: the file is missing or is none of these.
    """
    require_file(path)
    try:
        with warnings.catch_warnings():
            # Of other programs' pickles, and of TorchScript, which is deprecated.
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
        return load_file(path, device="cpu")
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
