"""Average pooling of stride 1 whose backward pass is itself a pooling.

PyTorch's backward pass is parallel over the batch: with one image it runs on one thread, at five
to ten times the cost of the forward pass.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class _AveragePool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int) -> Tensor:
        ctx.kernel = kernel
        return F.avg_pool2d(x, kernel, 1, kernel // 2, count_include_pad=False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,), kernel = grads, ctx.kernel
        # Each cell gives grad / count to all it was the average of, and they lie around it as it
        # lies around them. Where the window is whole, kernel²/count is 1 and rounds nothing.
        heights, widths = (_whole_over_part(side, kernel, grad) for side in grad.shape[-2:])
        shares = grad * (heights[:, None] * widths)
        return F.avg_pool2d(shares, kernel, 1, kernel // 2, count_include_pad=True), None


def _whole_over_part(side: int, kernel: int, like: Tensor) -> Tensor:
    """Return kernel / (part of the window inside the map), ``[side]``."""
    place = torch.arange(side, device=like.device)
    part = (place + 1).clamp(max=kernel // 2 + 1) + (side - 1 - place).clamp(max=kernel // 2)
    return kernel / part.to(like.dtype)


def average_pool(x: Tensor, kernel: int) -> Tensor:
    """Average ``kernel × kernel`` cells (odd) of ``[B, C, H, W]``, without the padding."""
    pooled: Tensor = _AveragePool.apply(x, kernel)
    return pooled
