"""Warping by optical flow, and where it can be relied on. Pure functions on tensors.

Fields of flow are ``[1, 2, H, W]``, displacements right and down in pixels of their own grid,
from the current frame to an earlier one: ``current(x) ≈ earlier(x + w(x))``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.flow import Field
from vidream.images import Size
from vidream.images.filters import local_mean


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
        ``[1, C, H, W]``; what lies outside the image repeats its border. Where the field is 0
        the image is given bit for bit.
    """
    fetched = F.grid_sample(image, _grid(flow), mode, padding_mode="border", align_corners=False)
    # The grid's rounding is small, but still ground would gather it frame after frame.
    return torch.where(flow.any(1, keepdim=True), fetched, image)


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
        good &= coherent(flow)
    return good.float() * inside(flow)


def coherent(flow: Tensor) -> Tensor:
    """Tell, bool ``[1, 1, H, W]``, where the field has no boundary of motion."""
    return _slope(flow) <= 0.01 * flow.square().sum(1, keepdim=True) + 0.002


def suppress_static_flow(flow: Tensor, current: Tensor, earlier: Tensor) -> Tensor:
    """Return the flow with 0 where the pictures do not show motion.

    On even ground an estimator invents motion, or drags along what moves beside it; a dream on it
    would swim. Motion is kept only where it explains the picture better than standing still by a
    fifth and a noise of half a level, averaged around each pixel.

    Args:
        flow: ``[1, 2, H, W]``, from the current picture to the earlier one.
        current: ``[1, C, H, W]`` in [0, 1].
        earlier: likewise.
    """
    moved = local_mean((current - warp(earlier, flow, "bilinear")).abs().mean(1, keepdim=True), 6)
    still = local_mean((current - earlier).abs().mean(1, keepdim=True), 6)
    moving = (still > 1.2 * moved + 0.5 / 255).float()
    return flow * local_mean(moving, 2)


def photometric_mask(flow: Tensor, current: Tensor, earlier: Tensor, astray: float = 0.0) -> Tensor:
    """Return, ``[1, 1, H, W]`` of 0 and 1, where the earlier picture, warped, looks like this one.

    What differs by less than three levels around a pixel is taken for the same, and so is what a
    flow astray by a fraction of a pixel would make of the texture there.

    Args:
        flow: ``[1, 2, H, W]``, from the current picture to the earlier one.
        current: ``[1, C, H, W]`` in [0, 1].
        earlier: likewise.
        astray: distance in pixels by which the flow may be wrong.
    """
    apart = (current - warp(earlier, flow, "bilinear")).abs().mean(1, keepdim=True)
    if astray:
        padded = F.pad(current, (1, 0, 1, 0), mode="replicate")
        right = (current - padded[..., 1:, :-1]).abs()
        down = (current - padded[..., :-1, 1:]).abs()
        apart = apart - astray * (right + down).mean(1, keepdim=True)
    return (local_mean(apart, 3) < 3 / 255).float() * inside(flow)


def soften(mask: Tensor, radius: int) -> Tensor:
    """Shrink a mask of 0 and 1 by ``radius`` pixels, with a ramp of that width inside its border.

    What was 0 stays 0, so that nothing unreliable comes back through the blur.
    """
    if radius < 1:
        return mask
    # An average of 1 is a minimum of 1; a minimum itself, by pooling, costs six times as much.
    all_around = local_mean(mask, radius) > 1 - 0.5 / (2 * radius + 1) ** 2
    return local_mean(all_around.to(mask.dtype), radius)


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
