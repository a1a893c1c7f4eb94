"""Surgery on a network: name its layers, cut it behind the deepest wanted one, fold it.

Stands in for ``torchvision.models.feature_extraction``, whose import takes longer than all the
rest of starting the default network. Layer names are the same: the module's path, with ``_1``,
``_2`` … appended where one module runs several times.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from vidream.networks.pooling import average_pool

_IN_PLACE: dict[Any, Any] = {operator.iadd: operator.add, operator.imul: operator.mul}


class _Hollow(TorchFunctionMode):
    """Makes what ``torch.empty`` makes, which is how layers make their weights, without memory.

    The meta device for everything would not do: some networks compute with small tensors while
    they are built, and some keep tables that no weights file holds.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func is torch.empty:
            options["device"] = "meta"
        return func(*args, **options)


def build_hollow(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network in evaluation mode whose weights have shapes but no content."""
    hollow: AbstractContextManager[Any] = _Hollow()
    with hollow, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of initial weights, which are not used
        return build().eval()


class _NamingTracer(fx.Tracer):
    """Notes which node of the graph is the output of which module."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        result = super().call_module(m, forward, args, kwargs)
        if isinstance(result, fx.Proxy):
            path = name = self.path_of_module(m)
            again = 0
            while name in self.outputs:
                again += 1
                name = f"{path}_{again}"
            self.outputs[name] = result.node
        return result


@dataclass(frozen=True, slots=True)
class Traced:
    """A network as a graph. ``outputs`` gives the node of each layer, in the order they run."""

    model: nn.Module
    graph: fx.Graph
    outputs: dict[str, fx.Node]


def trace(model: nn.Module) -> Traced:
    """Trace a network in evaluation mode.

    Raises:
        Exception: whatever torch.fx raises for a network whose course depends on its input.
    """
    tracer = _NamingTracer()
    graph = tracer.trace(model)
    _follow_writes(graph, dict(model.named_modules()))
    return Traced(model, graph, tracer.outputs)


def _follow_writes(graph: fx.Graph, modules: Mapping[str, nn.Module]) -> None:
    """Let what reads a tensor after it was changed in place read the result of the change.

    ``x.mul_(2)`` as a statement has no reader in the graph, and would be cut away otherwise.
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
    """Give the layers that are not parts of a block, in the order they run.

    Only plain containers are looked into: ``layer3`` and ``layer3.5`` are listed, not
    ``layer3.5.conv2``.
    """
    modules = dict(traced.model.named_modules())

    def is_main(name: str) -> bool:
        parents = name.split(".")[:-1]
        return all(
            type(modules.get(".".join(parents[: i + 1]))) in (nn.Sequential, nn.ModuleDict)
            for i in range(len(parents))
        )

    return [name for name in traced.outputs if is_main(name)]


def three_quarters_deep(traced: Traced, spatial: Iterable[str]) -> str:
    """Choose a layer to dream on where nobody has: among the blocks, or the ReLUs if none.

    Args:
        traced: the network.
        spatial: its layers with more than one position.
    """
    modules, wide = dict(traced.model.named_modules()), set(spatial)
    main = [name for name in main_layers(traced) if name in wide]
    blocks = [n for n in main if n in modules and not _is_leaf(modules[n])]
    relus = [n for n in main if isinstance(modules.get(n), nn.ReLU)]
    candidates = blocks or relus or main
    return candidates[round(0.75 * (len(candidates) - 1))]


def _is_leaf(module: nn.Module) -> bool:
    return type(module) is nn.Sequential or not any(True for _ in module.children())


def cut(traced: Traced, layers: Iterable[str]) -> fx.GraphModule:
    """Give the part of a network that leads to ``layers``: its forward returns a tuple of them.

    The modules are shared with ``traced``; only those that are needed are in the result.
    """
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    wanted = list(layers)
    needed = _ancestors(traced.outputs[layer] for layer in wanted)
    for node in traced.graph.nodes:
        if node in needed:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[traced.outputs[layer]] for layer in wanted))
    return fx.GraphModule(traced.model, graph)


def _ancestors(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    seen: set[fx.Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += node.all_input_nodes
    return seen


def fold_batchnorm(network: fx.GraphModule) -> None:
    """Fold every batch normalisation into the convolution right before it, where it may be.

    It may not where the convolution's own output is wanted or where either module runs twice.
    """
    modules = dict(network.named_modules())
    runs: dict[str, int] = {}
    for node in network.graph.nodes:
        if node.op == "call_module":
            runs[node.target] = runs.get(node.target, 0) + 1
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
    before = node.args[0]
    if not is_convolution(before, modules) or not isinstance(before, fx.Node):
        return None
    return before if len(before.users) == 1 else None


def is_convolution(node: Any, modules: Mapping[str, nn.Module]) -> bool:
    """Tell whether something is the node of a two-dimensional convolution."""
    return isinstance(_module(node, modules), nn.Conv2d)


def is_relu(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Tell whether a node is a ReLU."""
    return node.target is F.relu or isinstance(_module(node, modules), nn.ReLU)


def is_max_pool(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Tell whether a node is a maximum pooling that gives no indices."""
    module = _module(node, modules)
    if isinstance(module, nn.MaxPool2d):
        return not module.return_indices
    return node.target is F.max_pool2d and not node.kwargs.get("return_indices")


def _module(node: Any, modules: Mapping[str, nn.Module]) -> nn.Module | None:
    is_call = isinstance(node, fx.Node) and node.op == "call_module"
    return modules[str(node.target)] if is_call else None


def guard_in_place(network: fx.GraphModule) -> None:
    """Let an operation work in place only on what nothing else reads, backward passes included.

    That is the output of a convolution or of a pooling. A network is written for its last output
    alone. Once an activation half-way is wanted, the in-place ReLU behind it would change it after
    the fact.
    """
    modules = dict(network.named_modules())
    unsafe: set[str] = set()
    for node in network.graph.nodes:
        source = node.args[0] if node.args else None
        if (
            isinstance(source, fx.Node)
            and len(source.users) == 1
            and _is_forgotten(source, modules)
        ):
            continue
        if node.op == "call_module":
            unsafe.add(str(node.target))
        else:
            _out_of_place(node)
    for name in unsafe:
        if getattr(modules[name], "inplace", False):
            modules[name].inplace = False
    network.recompile()


def _is_forgotten(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Tell whether the backward pass of an operation does without the operation's output."""
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
    """Give the shape of every layer's output for an image ``[1, 3, side, side]``.

    Needs no weights, and leaves the network on the meta device.
    """
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
