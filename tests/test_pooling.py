"""Average pooling with its own backward pass, against PyTorch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from vidream.networks.pooling import average_pool


def both(x, kernel, grad):
    """Output and gradient: ours, then PyTorch's."""
    found = []
    for pool in (
        lambda x: average_pool(x, kernel),
        lambda x: F.avg_pool2d(x, kernel, 1, kernel // 2, count_include_pad=False),
    ):
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_(True)
        output = pool(leaf)
        found.append((output.detach(), *torch.autograd.grad(output, leaf, grad)))
    return found


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(7, 9), (1, 6), (2, 2), (1, 1), (3, 4)])
def test_it_is_pytorchs(kernel, size):
    x, grad = torch.randn(2, 2, 3, *size, dtype=torch.float64)
    ours, theirs = both(x, kernel, grad)
    assert torch.equal(ours[0], theirs[0])
    assert torch.allclose(ours[1], theirs[1], rtol=1e-12, atol=1e-12)


def test_gradients_are_slopes():
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: average_pool(x, 3), x)
    assert torch.autograd.gradgradcheck(lambda x: average_pool(x, 3), x)


def test_in_half_precision_it_is_no_further_from_the_truth():
    x, grad = torch.randn(2, 1, 16, 20, 30).to(torch.bfloat16)
    (_, truth), _ = both(x.double(), 3, grad.double())
    (_, ours), (_, theirs) = both(x, 3, grad)
    assert ours.dtype == torch.bfloat16
    assert (ours - truth).abs().max() < 1.5 * (theirs - truth).abs().max()


def test_channels_stay_last():
    x, grad = (t.to(memory_format=torch.channels_last) for t in torch.randn(2, 1, 8, 6, 5))
    for tensor in both(x, 3, grad)[0]:
        assert tensor.is_contiguous(memory_format=torch.channels_last)
