"""A network as a graph: named layers, cut behind the deepest wanted one, folded.

Layers are named as by ``torchvision.models.feature_extraction``, whose import is slow: the path of
the module, with ``_1``, ``_2`` … appended where it runs again.
"""

import operator
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate, chain, count
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from vidream.networks.pooling import average_pool

_IN_PLACE: dict[Any, Any] = {operator.iadd: operator.add, operator.imul: operator.mul}


class _MetaWeights(TorchFunctionMode):
    """Redirects ``torch.empty``, which allocates weights, to the meta device.

    Other tensors stay: some networks have tables that no weights file contains.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        if func is torch.empty:
            options["device"] = "meta"
        return func(*args, **options)


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network in evaluation mode whose weights are on the meta device."""
    on_meta: AbstractContextManager[Any] = _MetaWeights()
    with on_meta, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of initial weights, which are not used
        return build().eval()


class _NamingTracer(fx.Tracer):
    """Records the output node of each module."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        result = super().call_module(m, forward, args, kwargs)
        if isinstance(result, fx.Proxy):
            path = self.path_of_module(m)
            names = chain([path], (f"{path}_{again}" for again in count(1)))
            self.outputs[next(name for name in names if name not in self.outputs)] = result.node
        return result


@dataclass(frozen=True, slots=True)
class Traced:
    """A network as a graph; ``outputs`` are the nodes of its layers, in execution order."""

    model: nn.Module
    graph: fx.Graph
    outputs: dict[str, fx.Node]


def trace(model: nn.Module) -> Traced:
    """Trace a network in evaluation mode, whose control flow must not depend on its input."""
    tracer = _NamingTracer()
    graph = tracer.trace(model)
    _follow_writes(graph, dict(model.named_modules()))
    return Traced(model, graph, tracer.outputs)


def _follow_writes(graph: fx.Graph, modules: Mapping[str, nn.Module]) -> None:
    """Rewire readers of a tensor that was changed in place to the result.

    ``x.mul_(2)`` as a statement has no reader in the graph, and would be removed otherwise.
    """
    order = {node: index for index, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        changed = node.args[0] if node.args else None
        if isinstance(changed, fx.Node) and _works_in_place(node, modules):
            for reader in [user for user in changed.users if order[user] > order[node]]:
                reader.replace_input_with(changed, node)


def _works_in_place(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    named = node.op == "call_method" and _is_in_place_name(str(node.target))
    return named or node.target in _IN_PLACE or bool(node.kwargs.get("inplace"))


def _is_in_place_name(method: str) -> bool:
    return method.endswith("_") and not method.endswith("__")


def main_layers(traced: Traced) -> list[str]:
    """Return the layers that are not inside a block: ``layer3.5``, not ``layer3.5.conv2``."""
    modules = dict(traced.model.named_modules())

    def is_main(name: str) -> bool:
        parents = accumulate(name.split(".")[:-1], "{}.{}".format)
        return all(type(modules.get(p)) in (nn.Sequential, nn.ModuleDict) for p in parents)

    return [name for name in traced.outputs if is_main(name)]


def cut(traced: Traced, layers: Iterable[str]) -> fx.GraphModule:
    """Return the part of a network that computes ``layers``, as a tuple."""
    outputs = [traced.outputs[layer] for layer in layers]
    needed = set(outputs)
    for node in reversed(traced.graph.nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in traced.graph.nodes:
        if node in needed:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in outputs))
    return fx.GraphModule(traced.model, graph)


def fold_batchnorm(network: fx.GraphModule) -> None:
    """Fold batch normalization into the convolution before it.

    Unless the convolution's own output is used, or either module runs twice.
    """
    modules = dict(network.named_modules())
    runs = Counter(node.target for node in network.graph.nodes if node.op == "call_module")
    for node in list(network.graph.nodes):
        conv = _convolution_before(node, modules)
        if conv is None or runs[node.target] > 1 or runs[str(conv.target)] > 1:
            continue
        folded = fuse_conv_bn_eval(modules[str(conv.target)], modules[node.target])
        network.set_submodule(str(conv.target), folded)
        node.replace_all_uses_with(conv)
        network.graph.erase_node(node)
    network.delete_all_unused_submodules()
    network.recompile()


def _convolution_before(node: fx.Node, modules: Mapping[str, nn.Module]) -> fx.Node | None:
    if node.op != "call_module" or not isinstance(modules[str(node.target)], nn.BatchNorm2d):
        return None
    before = sole_input(node)
    return before if is_convolution(before, modules) else None


def sole_input(node: fx.Node) -> fx.Node | None:
    """Return the first input of an operation if nothing else reads it."""
    before = node.args[0] if node.args else None
    return before if isinstance(before, fx.Node) and len(before.users) == 1 else None


def is_convolution(node: Any, modules: Mapping[str, nn.Module]) -> bool:
    """Whether this is the node of a two-dimensional convolution."""
    return isinstance(_module(node, modules), nn.Conv2d)


def is_relu(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether a node is a ReLU."""
    return node.target is F.relu or isinstance(_module(node, modules), nn.ReLU)


def is_max_pool(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether a node is a max pooling that returns no indices."""
    module = _module(node, modules)
    if isinstance(module, nn.MaxPool2d):
        return not module.return_indices
    return node.target is F.max_pool2d and not node.kwargs.get("return_indices")


def _module(node: Any, modules: Mapping[str, nn.Module]) -> nn.Module | None:
    is_call = isinstance(node, fx.Node) and node.op == "call_module"
    return modules[str(node.target)] if is_call else None


def guard_in_place(network: fx.GraphModule) -> None:
    """Keep only in-place operations on outputs of convolutions and poolings read once.

    Others would change an activation that is wanted, or that the backward pass needs.
    """
    modules = dict(network.named_modules())
    for node in network.graph.nodes:
        source = sole_input(node)
        if source is not None and _is_not_saved(source, modules):
            continue
        if node.op == "call_module":
            if getattr(modules[str(node.target)], "inplace", False):
                modules[str(node.target)].inplace = False
        else:
            _out_of_place(node)
    network.recompile()


def _is_not_saved(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether the backward pass of an operation does not need its output."""
    pools = node.target in (average_pool, F.avg_pool2d) or is_max_pool(node, modules)
    return pools or is_convolution(node, modules)


def _out_of_place(node: fx.Node) -> None:
    if node.op == "call_function":
        node.target = _IN_PLACE.get(node.target, node.target)
    elif node.op == "call_method" and _is_in_place_name(str(node.target)):
        node.target = str(node.target).rstrip("_")
    if node.kwargs.get("inplace"):
        node.kwargs = {**node.kwargs, "inplace": False}


def shapes(traced: Traced, side: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all layers for ``[1, 3, side, side]``; moves the network to meta."""
    found: dict[fx.Node, tuple[int, ...]] = {}

    class Watcher(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            if isinstance(result, Tensor):
                found[n] = tuple(result.shape)
            return result

    model = fx.GraphModule(traced.model.to("meta"), traced.graph)
    with torch.no_grad():
        Watcher(model).run(torch.empty(1, 3, side, side, device="meta"))
    return {name: found[node] for name, node in traced.outputs.items() if node in found}
