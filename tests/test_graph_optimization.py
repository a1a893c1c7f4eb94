"""Optimised networks give what they gave before, and the same gradient."""

from __future__ import annotations

import operator

import pytest
import torch
from originals import needs_original
from torch import fx, nn
from torch.nn import functional as F

from vidream.networks import graph
from vidream.networks.graph_optimization import optimize_graph
from vidream.networks.network import load_network
from vidream.networks.pooling import average_pool


def relative(a, b):
    assert a.shape == b.shape
    return ((a - b).abs().max() / b.abs().max()).item()


def slopes(network, image):
    """Activations, and the gradient of what one would dream with them."""
    image = image.clone().requires_grad_(True)
    activations = network(image)
    objective = sum(a.square().mean() for a in activations.values())
    return activations, *torch.autograd.grad(objective, image)


@pytest.mark.parametrize(
    "layers",
    [
        ["Mixed_6b"],
        ["Conv2d_2b_3x3", "maxpool1", "Conv2d_4a_3x3.bn", "maxpool2"],
        ["Mixed_5b.branch_pool.conv", "Mixed_5c.branch_pool.bn", "Mixed_5d.branch_pool"],
        pytest.param(["Mixed_6c", "Mixed_6c.branch_pool", "Mixed_7c"], marks=needs_original),
    ],
)
def test_inception_is_what_it_was(layers, monkeypatch):
    network = load_network("inception", layers)
    monkeypatch.setattr("vidream.networks.network.optimize_graph", lambda body: None)
    plain = load_network("inception", layers)
    # Last in double precision: there rounding does not decide which of two cells is the maximum.
    for dtype, near in (torch.float32, 1e-5), (torch.float64, 1e-12):
        image = torch.rand(1, 3, 96, 107, dtype=dtype)
        activations, gradient = slopes(network.to(dtype), image)
        expected, slope = slopes(plain.to(dtype), image)
        for layer in layers:
            assert relative(activations[layer], expected[layer]) < near, layer
        cosine = torch.cosine_similarity(gradient.flatten(), slope.flatten(), dim=0)
        assert cosine > 1 - 1e-4
    assert relative(gradient, slope) < near


def test_pooling_in_inception_runs_on_what_is_small():
    body = load_network("inception").body
    modules = dict(body.named_modules())
    for node in body.graph.nodes:
        if node.target is average_pool:
            assert node.args[0].target is operator.getitem  # of convolutions that run as one
        if graph.is_relu(node, modules):
            assert not any(graph.is_max_pool(user, modules) for user in node.users)
            assert node.kwargs["inplace"] == (node.args[0].target is not operator.getitem)
    assert sum(node.target is average_pool for node in body.graph.nodes) == 4


class Pooled(nn.Module):
    """Average pooling before a convolution; a name for each, as layers of a network have."""

    def __init__(self, conv, **pool):
        super().__init__()
        self.conv, self.pool = conv, nn.Identity()
        self.options = {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False}
        self.options |= pool

    def forward(self, x):
        return self.conv(self.pool(F.avg_pool2d(x, **self.options)))


def targets(model, layers):
    traced = graph.trace(model)
    body = graph.cut(traced, layers)
    for node in list(body.graph.nodes):  # the identity is there for its name only
        if node.target == "pool":
            node.replace_all_uses_with(node.args[0])
            body.graph.erase_node(node)
    optimize_graph(body)
    graph.guard_in_place(body)
    body.graph.lint()
    x = torch.randn(2, 4, 6, 5)
    modules = dict(model.named_modules())
    plain = [node.target for node in traced.graph.nodes if node.op == "call_function"]
    assert plain == [F.avg_pool2d]
    expected = {"pool": F.avg_pool2d(x, **model.options), "conv": model(x)}
    for layer, given in zip(layers, body(x), strict=True):
        assert torch.allclose(given, expected[layer], atol=1e-6)
    return [
        "conv" if graph.is_convolution(node, modules) else node.target
        for node in body.graph.nodes
        if node.op.startswith("call")
    ]


def test_a_narrowing_convolution_runs_before_the_average():
    assert targets(Pooled(nn.Conv2d(4, 2, 1)), ["conv"]) == ["conv", average_pool]


@pytest.mark.parametrize(
    "conv",
    [nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 3), nn.Conv2d(4, 2, 1, 2), nn.Conv2d(4, 2, 1, padding=1)],
    ids=["as wide", "3×3", "stride", "padding"],
)
def test_other_convolutions_do_not(conv):
    assert targets(Pooled(conv), ["conv"]) == [average_pool, "conv"]


def test_nor_where_the_average_is_wanted():
    assert targets(Pooled(nn.Conv2d(4, 2, 1)), ["pool", "conv"]) == [average_pool, "conv"]


@pytest.mark.parametrize(
    "pool",
    [
        {"count_include_pad": True},
        {"stride": 2},
        {"padding": 0},
        {"divisor_override": 5},
        {"kernel_size": 2},
        {"kernel_size": (3, 3)},
    ],
    ids=str,
)
def test_other_averages_stay_as_they_are(pool):
    assert targets(Pooled(nn.Conv2d(4, 2, 1), **pool), ["conv"]) == [F.avg_pool2d, "conv"]


class Rectified(nn.Module):
    def __init__(self, pool):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), pool

    def forward(self, x):
        return self.pool(self.relu(self.conv(x)))


class Function(nn.Module):
    """Maximum pooling as a function in the graph."""

    def forward(self, x):
        return F.max_pool2d(x, 2)


@pytest.mark.parametrize(
    "pool",
    [nn.MaxPool2d(3, 2), nn.MaxPool2d(3, 1, 1), nn.MaxPool2d(2, ceil_mode=True), Function()],
    ids=str,
)
def test_relu_runs_after_the_maximum_and_nothing_changes(pool):
    model = Rectified(pool)
    body = graph.cut(graph.trace(model), ["pool"])
    optimize_graph(body)
    graph.guard_in_place(body)
    modules = dict(body.named_modules())
    calls = [node for node in body.graph.nodes if node.op.startswith("call")]
    assert graph.is_max_pool(calls[1], modules)
    assert graph.is_relu(calls[2], modules)
    assert body.relu.inplace
    # Steps of a quarter make ties, between which both must choose alike.
    x = (4 * torch.randn(1, 3, 11, 12)).round() / 4
    (expected, slope), (given, ours) = (
        slopes(lambda x, m=m: {"pool": m(x)}, x) for m in (model, lambda x: body(x)[0])
    )
    assert torch.equal(given["pool"], expected["pool"])
    assert torch.equal(ours, slope)


def test_relu_stays_where_it_is_wanted():
    body = graph.cut(graph.trace(Rectified(nn.MaxPool2d(2))), ["relu", "pool"])
    optimize_graph(body)
    order = [node.target for node in body.graph.nodes if node.op == "call_module"]
    assert order == ["conv", "relu", "pool"]


def test_a_pooling_that_gives_indices_is_left_alone():
    class Indices(nn.Module):
        def forward(self, x):
            return F.max_pool2d(F.relu(x), 2, return_indices=True)[1]

    body = fx.symbolic_trace(Indices())
    x = torch.randn(1, 2, 4, 4) - 5
    expected = Indices()(x)
    optimize_graph(body)
    assert torch.equal(body(x), expected)


class Siblings(nn.Module):
    """Three convolutions that can be one, and others that cannot, of the same map."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(8, 3, 1), nn.Conv2d(8, 5, 1, bias=False)
        self.wide, self.grouped = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1, groups=2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = x * 2
        first = self.relu(self.a(x))
        second = self.relu(self.b(x) + self.grouped(x)[:, :1])
        return torch.cat([first, self.relu(self.wide(x)), second, self.a(x)], 1)


def test_siblings_run_as_one():
    model = Siblings()
    traced = graph.trace(model)
    traced.outputs["all"] = next(n for n in traced.graph.nodes if n.target is torch.cat)
    body = graph.cut(traced, ["a", "all"])
    optimize_graph(body)
    graph.guard_in_place(body)
    body.graph.lint()
    assert {name for name, _ in body.named_children()} == {
        "a_and_siblings",
        "wide",
        "grouped",
        "relu",
    }
    assert body.a_and_siblings.out_channels == 3 + 5 + 3
    x = torch.randn(1, 8, 4, 5)
    (given, slope), (expected, expected_slope) = (
        slopes(both, x)
        for both in (
            lambda x: dict(zip(["a", "all"], body(x), strict=True)),
            lambda x: {"a": model.a(x * 2), "all": model(x)},
        )
    )
    assert relative(given["a"], expected["a"]) < 1e-6
    assert relative(given["all"], expected["all"]) < 1e-6
    assert relative(slope, expected_slope) < 1e-6
