"""Rewrites of a network that give the same with less work, by letting what shrinks run first.

For networks cut to their wanted layers and folded. After a swap, what read the second of the two
operations reads the one that now runs last, so a wanted layer keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx, nn
from torch.nn import functional as F

from vidream.networks.graph import is_convolution, is_max_pool, is_relu
from vidream.networks.pooling import average_pool


def rewrite(network: fx.GraphModule) -> None:
    """Apply all rewrites; run :func:`~vidream.networks.graph.guard_in_place` afterwards."""
    modules = dict(network.named_modules())
    for node in list(network.graph.nodes):
        kernel = _average_kernel(node, network)
        if kernel is not None:
            node.target, node.args, node.kwargs = average_pool, (node.args[0], kernel), {}
    for node in list(network.graph.nodes):
        before = _read_by_it_alone(node)
        if before is None:
            continue
        pooled_too_early = before.target is average_pool and _narrows(node, modules)
        rectified_too_early = is_relu(before, modules) and is_max_pool(node, modules)
        if pooled_too_early or rectified_too_early:
            _swap(before, node)
    network.recompile()


def _average_kernel(node: fx.Node, network: fx.GraphModule) -> int | None:
    """Give the kernel of an average pooling that :func:`average_pool` can replace."""
    if node.target is not F.avg_pool2d:
        return None
    arguments = node.normalized_arguments(network, normalize_to_only_use_kwargs=True)
    given = {} if arguments is None else dict(arguments.kwargs)
    kernel = given.get("kernel_size")
    if not isinstance(kernel, int) or kernel % 2 == 0:
        return None
    expected = {
        "stride": 1,
        "padding": kernel // 2,
        "count_include_pad": False,
        "divisor_override": None,
    }
    return kernel if expected.items() <= given.items() else None


def _read_by_it_alone(node: fx.Node) -> fx.Node | None:
    """Give what an operation reads if nothing else reads it."""
    before = node.args[0] if node.args else None
    return before if isinstance(before, fx.Node) and len(before.users) == 1 else None


def _narrows(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Tell whether it is a 1×1 convolution to fewer channels, which commutes with averaging.

    So does its bias, as an average of a constant is the constant; not so if padding were counted.
    """
    if not is_convolution(node, modules):
        return False
    conv: Any = modules[str(node.target)]
    plain = (conv.kernel_size, conv.stride, conv.padding) == ((1, 1), (1, 1), (0, 0))
    return plain and conv.out_channels < conv.in_channels


def _swap(first: fx.Node, second: fx.Node) -> None:
    """Let ``second`` run before ``first``, which only it reads."""
    source = first.args[0]
    assert isinstance(source, fx.Node)
    second.replace_all_uses_with(first)
    second.replace_input_with(first, source)
    first.replace_input_with(source, second)
    second.append(first)
