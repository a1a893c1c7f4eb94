"""The classes of a classifier: their names, and what each cell of the image says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn

from vidream.errors import NetworkError, unknown
from vidream.networks.graph import Traced
from vidream.networks.registry import find_network
from vidream.networks.spec import NetworkSpec
from vidream.settings import ClassTerm, LayerTerm

CLASSES = "classes"
"""Name of the layer whose channels are the classes: see :func:`add_classes`."""

_POOLS = (nn.AdaptiveAvgPool2d, F.adaptive_avg_pool2d)
_PASSES = (nn.Flatten, nn.Dropout, nn.Identity)  # what changes no numbers
_ONE = (1, (1, 1), [1, 1])


def class_names(network: str) -> Sequence[str]:
    """List the classes that a network knows, in the order of their numbers.

    Raises:
        NetworkError: there is no such network, or it knows none.
    """
    return _names(find_network(network))


def class_terms(spec: NetworkSpec, classes: Sequence[ClassTerm]) -> tuple[LayerTerm, ...]:
    """Give the terms of an objective that raise classes.

    Raises:
        NetworkError: as :func:`find_class`.
    """
    return tuple(LayerTerm(CLASSES, term.weight, find_class(spec, term.name)) for term in classes)


def find_class(spec: NetworkSpec, name: str) -> int:
    """Give the index of a class: of its name, in any case if that is unambiguous, or its number.

    Raises:
        NetworkError: the network has no such class, or no classes.
    """
    names = _names(spec)
    if name.isdigit():
        if int(name) < len(names):
            return int(name)
        raise NetworkError(
            f"{spec.name} has no class {name}: choose one from 0 to {len(names) - 1}"
        )
    exact = [index for index, given in enumerate(names) if given == name]
    found = exact or [i for i, given in enumerate(names) if given.lower() == name.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise NetworkError(f"{name!r} is several classes of {spec.name}: {_told(names, found)}")
    # Those that hold what was asked for before those that are spelled like it.
    held = [given for given in names if name.lower() in given.lower()]
    parts = [given for given in names if set(name.lower().split()) & set(given.lower().split())]
    hint = f"See --list-classes {spec.name}."
    if near := list(dict.fromkeys([*held, *parts]))[:5]:
        raise NetworkError(f"unknown class {name!r}; did you mean {' or '.join(near)}? {hint}")
    raise NetworkError(unknown("class", name, names, hint))


def _names(spec: NetworkSpec) -> Sequence[str]:
    names = spec.classes()
    if not names:
        raise NetworkError(
            f"{spec.name} knows no classes: its weights end before them; choose a network that "
            "does, as in --network efficientnet_lite2 or --network resnet50"
        )
    return names


def _told(names: Sequence[str], found: Sequence[int]) -> str:
    """Tell classes of one name apart: by their numbers, and by the classes beside them."""

    def one(index: int) -> str:
        beside = [names[k] for k in (index - 1, index + 1) if 0 <= k < len(names)]
        return f"{index} (beside {' and '.join(beside)})"

    return f"{', '.join(one(index) for index in found)}; give the number"


def add_classes(traced: Traced) -> None:
    """Make a layer of what the network says of each class: :data:`CLASSES`.

    Where the network averages over the image and then only sums with weights, the weights are
    given to each cell instead: ``[B, classes, h, w]``, the maps of class activation of Zhou et al.
    2016 with the bias. Their mean over the cells is the network's output. Where it does more, the
    layer is that output, ``[B, classes]``.
    """
    (output,) = (node for node in traced.graph.nodes if node.op == "output")
    result = output.args[0]
    assert isinstance(result, fx.Node)
    traced.outputs[CLASSES] = _per_cell(traced, result) or result


def _per_cell(traced: Traced, result: fx.Node) -> fx.Node | None:
    """Give the node that ``result`` is the mean of over the cells, making it; None if none is."""
    modules, graph = dict(traced.model.named_modules()), traced.graph
    linear: list[str] = []
    node: Any = result
    while isinstance(node, fx.Node) and not _pools(node, modules):
        module = modules[str(node.target)] if node.op == "call_module" else None
        if isinstance(module, nn.Linear):
            linear.append(str(node.target))
        elif not _passes(node, module):
            return None
        node = node.args[0] if node.args else None
    if not isinstance(node, fx.Node):
        return None
    cells = node.args[0]
    assert isinstance(cells, fx.Node)
    with graph.inserting_before(result.next):
        for name in reversed(linear):
            weight = graph.get_attr(f"{name}.weight")
            bias = graph.get_attr(f"{name}.bias") if modules[name].bias is not None else None
            cells = graph.call_function(weigh, (cells, weight, bias))
    return cells


def _pools(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Tell whether a node is the mean over all cells."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        return isinstance(module, _POOLS[0]) and module.output_size in _ONE
    given = [*node.args[1:], *node.kwargs.values()]
    if node.target in _POOLS:
        return bool(given) and given[0] in _ONE
    return node.target == "mean" and bool(given) and list(given[0]) == [2, 3]  # type: ignore[arg-type]


def _passes(node: fx.Node, module: nn.Module | None) -> bool:
    if node.op == "call_module":
        return isinstance(module, _PASSES) or (
            isinstance(module, nn.Sequential) and not len(module)
        )
    return getattr(node.target, "__name__", node.target) in ("flatten", "dropout")


def weigh(cells: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a linear layer to each cell of ``[B, C, h, w]``."""
    return F.conv2d(cells, weight[:, :, None, None], bias)
