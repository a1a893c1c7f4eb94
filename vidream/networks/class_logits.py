"""The logits of a classifier for each cell of the image."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn

from vidream.networks.classes import CLASSES
from vidream.networks.graph import Traced

_POOLS = (nn.AdaptiveAvgPool2d, F.adaptive_avg_pool2d)
_PASSES = (nn.Flatten, nn.Dropout, nn.Identity)  # what changes no numbers
_ONE = (1, (1, 1), [1, 1])


def add_classes(traced: Traced) -> None:
    """Add the layer :data:`CLASSES`, the logits.

    After global average pooling and linear layers these are ``[B, classes, h, w]``, the class
    activation maps of Zhou et al. 2016 plus the bias, whose mean over the cells is the network's
    output. Otherwise they are that output, ``[B, classes]``.
    """
    (output,) = (node for node in traced.graph.nodes if node.op == "output")
    result = output.args[0]
    assert isinstance(result, fx.Node)
    traced.outputs[CLASSES] = _per_cell(traced, result) or result


def _per_cell(traced: Traced, result: fx.Node) -> fx.Node | None:
    """Insert the node whose mean over the cells is ``result``, if there is one."""
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
            cells = graph.call_function(apply_linear, (cells, weight, bias))
    return cells


def _pools(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
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


def apply_linear(cells: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a linear layer to each cell of ``[B, C, h, w]``."""
    return F.conv2d(cells, weight[:, :, None, None], bias)
