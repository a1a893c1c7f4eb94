"""Graph optimizations of cut and folded networks: same activations and gradients, less work."""

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from vidream.networks.graph import is_convolution, is_max_pool, is_relu, sole_input
from vidream.networks.pooling import average_pool


def optimize_graph(network: fx.GraphModule) -> None:
    """Apply all; call :func:`~vidream.networks.graph.guard_in_place` afterwards."""
    _use_own_average_pool(network)
    _shrink_early(network)
    _merge_siblings(network)
    network.delete_all_unused_submodules()
    network.recompile()


def _use_own_average_pool(network: fx.GraphModule) -> None:
    for node in network.graph.nodes:
        kernel = _average_kernel(node, network)
        if kernel is not None:
            node.target, node.args, node.kwargs = average_pool, (node.args[0], kernel), {}


def _average_kernel(node: fx.Node, network: fx.GraphModule) -> int | None:
    """Return the kernel of an average pooling that :func:`average_pool` can replace."""
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


def _shrink_early(network: fx.GraphModule) -> None:
    """Move downsizing operations before those that commute with them."""
    modules = dict(network.named_modules())
    for node in list(network.graph.nodes):
        before = sole_input(node)
        if before is None:
            continue
        pooled_too_early = before.target is average_pool and _narrows(node, modules)
        rectified_too_early = is_relu(before, modules) and is_max_pool(node, modules)
        if pooled_too_early or rectified_too_early:
            _swap(before, node)


def _narrows(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether it is a 1×1 convolution to fewer channels, which commutes with averaging.

    So does its bias, unless the average counts the padding.
    """
    if not is_convolution(node, modules):
        return False
    conv: Any = modules[str(node.target)]
    plain = (conv.kernel_size, conv.stride, conv.padding) == ((1, 1), (1, 1), (0, 0))
    return plain and conv.groups == 1 and conv.out_channels < conv.in_channels


def _swap(first: fx.Node, second: fx.Node) -> None:
    source = first.args[0]
    assert isinstance(source, fx.Node)
    second.replace_all_uses_with(first)
    second.replace_input_with(first, source)
    first.replace_input_with(source, second)
    second.append(first)


def _merge_siblings(network: fx.GraphModule) -> None:
    """Merge 1×1 convolutions of the same map to fewer channels.

    Each alone reads the wide map, and its backward pass makes a gradient as wide. Wider ones gain
    nothing: merged, their outputs need copying.
    """
    modules = dict(network.named_modules())
    for source in list(network.graph.nodes):
        siblings = [node for node in source.users if _narrows(node, modules)]
        if len(siblings) > 1:
            _merge(network, source, siblings)


def _merge(network: fx.GraphModule, source: fx.Node, siblings: list[fx.Node]) -> None:
    convs: list[Any] = [network.get_submodule(str(node.target)) for node in siblings]
    merged = nn.Conv2d(convs[0].in_channels, sum(c.out_channels for c in convs), 1, device="meta")
    merged.weight = nn.Parameter(torch.cat([conv.weight for conv in convs]))
    merged.bias = nn.Parameter(torch.cat([_bias(conv) for conv in convs]))
    name = f"{siblings[0].name}_and_siblings"  # the module may run elsewhere, with others
    network.add_submodule(name, merged)
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
