"""Warping by optical flow, and where it can be relied on. Pure functions on tensors.

Fields of flow are ``[1, 2, H, W]``, displacements right and down in pixels of their own grid,
from the current frame to an earlier one: ``current(x) ≈ earlier(x + w(x))``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.flow import Field

Size = tuple[int, int]


def to_flow(field: Field, device: torch.device | str = "cpu") -> Tensor:
    """Turn a ``[H, W, 2]`` field into a ``[1, 2, H, W]`` tensor; what is not finite becomes 0."""
    flow = torch.from_numpy(field).to(device).permute(2, 0, 1).unsqueeze(0).contiguous()
    # One NaN of a foreign estimator would spread through every later frame.
    return flow.nan_to_num(0.0, 0.0, 0.0)


def resize_flow(flow: Tensor, size: Size) -> Tensor:
    """Resample a field to another grid; its displacements are scaled to the new pixels."""
    height, width = flow.shape[-2:]
    if (height, width) == size:
        return flow
    scaled = F.interpolate(flow, size=size, mode="bilinear", align_corners=False)
    per_pixel = torch.tensor([size[1] / width, size[0] / height], device=flow.device)
    return scaled * per_pixel.view(1, 2, 1, 1)


def warp(image: Tensor, flow: Tensor, mode: str = "bicubic") -> Tensor:
    """Fetch each pixel of the current frame from the earlier image: ``image(x + w(x))``.

    Args:
        image: ``[1, C, H, W]``, the earlier frame, or what belongs to it.
        flow: ``[1, 2, H, W]``.
        mode: ``"bicubic"`` keeps detail over many frames; ``"bilinear"`` never overshoots.

    Returns:
        ``[1, C, H, W]``; what lies outside the image repeats its border.
    """
    return F.grid_sample(image, _grid(flow), mode, padding_mode="border", align_corners=False)


def inside(flow: Tensor) -> Tensor:
    """Tell, ``[1, 1, H, W]`` of 0 and 1, which pixels the field leads to inside the frame."""
    grid = _grid(flow)
    # A pixel's centre may lie half a pixel from the border's centre and still be in the picture.
    return (grid.abs() <= 1).all(-1).unsqueeze(1).float()


def reliability(flow: Tensor, back: Tensor, *, edges: bool = True) -> Tensor:
    """Tell where a field can be relied on: Ruder et al. 2016, constants of Sundaram et al. 2010.

    Args:
        flow: from the current frame to the earlier one.
        back: from the earlier frame to the current one.
        edges: also distrust the boundaries of motion, where flow is blurred.

    Returns:
        ``[1, 1, H, W]``: 0 where the way there and back does not return (disocclusion), at
        boundaries of motion and outside the frame; 1 elsewhere.
    """
    returned = warp(back, flow, "bilinear")
    apart = (flow + returned).square().sum(1, keepdim=True)
    length = flow.square().sum(1, keepdim=True)
    span = length + returned.square().sum(1, keepdim=True)
    good = apart <= 0.01 * span + 0.5
    if edges:
        good &= _slope(flow) <= 0.01 * length + 0.002
    return good.float() * inside(flow)


def soften(mask: Tensor, radius: int) -> Tensor:
    """Shrink a mask by ``radius`` pixels and give it a ramp of that width inside its border.

    What was 0 stays 0, so that nothing unreliable comes back through the blur.
    """
    if radius < 1:
        return mask
    window = 2 * radius + 1
    shrunk = -F.max_pool2d(-mask, window, stride=1, padding=radius)
    return F.avg_pool2d(F.pad(shrunk, (radius,) * 4, mode="replicate"), window, stride=1)


def _slope(flow: Tensor) -> Tensor:
    """``|∇u|² + |∇v|²`` by central differences, ``[1, 1, H, W]``."""
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return (across.square() + down.square()).sum(1, keepdim=True)


def _grid(flow: Tensor) -> Tensor:
    """Give the sampling grid of :func:`torch.nn.functional.grid_sample`, ``[1, H, W, 2]``."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + 0.5
    y = torch.arange(height, device=flow.device, dtype=flow.dtype) + 0.5
    across = (flow[:, 0] + x) * (2 / width) - 1
    down = (flow[:, 1] + y.unsqueeze(1)) * (2 / height) - 1
    return torch.stack((across, down), dim=-1)
