"""Rewrites of a network that give the same with less work.

For networks cut to their wanted layers and folded. What reads the output of an operation before a
rewrite reads the same values after it, so a wanted layer keeps its meaning.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from vidream.networks.graph import is_convolution, is_max_pool, is_relu
from vidream.networks.pooling import average_pool


def rewrite(network: fx.GraphModule) -> None:
    """Apply all rewrites; run :func:`~vidream.networks.graph.guard_in_place` afterwards."""
    _average_by_own_pool(network)
    _shrink_first(network)
    _join_siblings(network)
    network.delete_all_unused_submodules()
    network.recompile()


def _average_by_own_pool(network: fx.GraphModule) -> None:
    for node in network.graph.nodes:
        kernel = _average_kernel(node, network)
        if kernel is not None:
            node.target, node.args, node.kwargs = average_pool, (node.args[0], kernel), {}


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


def _shrink_first(network: fx.GraphModule) -> None:
    """Let what makes a map smaller run before what can as well run after it."""
    modules = dict(network.named_modules())
    for node in list(network.graph.nodes):
        before = _read_by_it_alone(node)
        if before is None:
            continue
        pooled_too_early = before.target is average_pool and _narrows(node, modules)
        rectified_too_early = is_relu(before, modules) and is_max_pool(node, modules)
        if pooled_too_early or rectified_too_early:
            _swap(before, node)


def _read_by_it_alone(node: fx.Node) -> fx.Node | None:
    """Give what an operation reads if nothing else reads it."""
    before = node.args[0] if node.args else None
    return before if isinstance(before, fx.Node) and len(before.users) == 1 else None


def _narrows(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Tell whether it maps each cell to fewer channels, which commutes with averaging.

    So does its bias, as an average of a constant is the constant; not so if padding were counted.
    """
    if not is_convolution(node, modules):
        return False
    conv: Any = modules[str(node.target)]
    plain = (conv.kernel_size, conv.stride, conv.padding) == ((1, 1), (1, 1), (0, 0))
    return plain and conv.groups == 1 and conv.out_channels < conv.in_channels


def _swap(first: fx.Node, second: fx.Node) -> None:
    """Let ``second`` run before ``first``, which only it reads."""
    source = first.args[0]
    assert isinstance(source, fx.Node)
    second.replace_all_uses_with(first)
    second.replace_input_with(first, source)
    first.replace_input_with(source, second)
    second.append(first)


def _join_siblings(network: fx.GraphModule) -> None:
    """Let convolutions that map the same cells to fewer channels run as one.

    Each alone would read the wide map, and in the backward pass make a gradient as wide, to be
    added to the others'. Wider convolutions gain nothing: joined, their outputs need copying.
    """
    modules = dict(network.named_modules())
    for source in list(network.graph.nodes):
        siblings = [node for node in source.users if _narrows(node, modules)]
        if len(siblings) > 1:
            _join(network, source, siblings)


def _join(network: fx.GraphModule, source: fx.Node, siblings: list[fx.Node]) -> None:
    """Replace convolutions of ``source`` by slices of one, which runs right behind it."""
    convs: list[Any] = [network.get_submodule(str(node.target)) for node in siblings]
    joined = nn.Conv2d(convs[0].in_channels, sum(c.out_channels for c in convs), 1, device="meta")
    joined.weight = nn.Parameter(torch.cat([conv.weight for conv in convs]))
    joined.bias = nn.Parameter(torch.cat([_bias(conv) for conv in convs]))
    name = f"{siblings[0].name}_and_siblings"  # the module may run elsewhere, with others
    network.add_submodule(name, joined)
    graph = network.graph
    with graph.inserting_before(source.next):
        whole = graph.call_module(name, (source,))
        parts = graph.call_method("split", (whole, [conv.out_channels for conv in convs], 1))
        for index, sibling in enumerate(siblings):
            part = graph.call_function(operator.getitem, (parts, index))
            sibling.replace_all_uses_with(part)
    for sibling in siblings:
        graph.erase_node(sibling)


def _bias(conv: nn.Conv2d) -> torch.Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
