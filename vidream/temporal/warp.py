"""Warping by optical flow, and masks of where the flow is reliable. Pure functions on tensors.

Flow is ``[1, 2, H, W]``: displacements right and down in pixels of its own grid, from the current
frame to an earlier one, ``current(x) ≈ earlier(x + w(x))``.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.filters import local_mean
from vidream.core.images import Size
from vidream.temporal.flow import FlowArray


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """Constants of the masks. Lengths are in pixels, differences of pictures in [0, 1].

    Consistency and boundary: Sundaram et al. 2010.
    """

    consistency: float = 0.01  # squared error there and back, as a share of both squared lengths,
    consistency_offset: float = 0.5  # and on top of that
    boundary: float = 0.01  # squared gradient, as a share of the squared length,
    boundary_offset: float = 0.002  # and on top of that
    static_gain: float = 1.2  # by which flow must explain the pictures better than no motion,
    static_margin: float = 0.5 / 255  # and difference by which it must do so,
    static_radius: int = 6  # averaged within this radius
    static_blur: int = 2  # radius over which the decision is averaged
    photometric_tolerance: float = 3 / 255  # difference up to which two places look the same,
    photometric_radius: int = 3  # averaged within this radius


SETTINGS = MaskSettings()


def to_flow(array: FlowArray, device: torch.device | str = "cpu") -> Tensor:
    """Return a ``[H, W, 2]`` flow as a ``[1, 2, H, W]`` tensor; what is not finite becomes 0."""
    flow = torch.from_numpy(array).to(device).permute(2, 0, 1).unsqueeze(0).contiguous()
    # One NaN of a foreign estimator would spread through every later frame.
    return flow.nan_to_num(0.0, 0.0, 0.0)


def resize_flow(flow: Tensor, size: Size) -> Tensor:
    """Resample flow to another grid, its displacements scaled to the new pixels."""
    height, width = flow.shape[-2:]
    if (height, width) == size:
        return flow
    scaled = F.interpolate(flow, size=size, mode="bilinear", align_corners=False)
    per_pixel = torch.tensor([size[1] / width, size[0] / height], device=flow.device)
    return scaled * per_pixel.view(1, 2, 1, 1)


def warp(image: Tensor, flow: Tensor, mode: str = "bicubic") -> Tensor:
    """Sample the earlier image, ``[1, C, H, W]``, at the current pixels: ``image(x + w(x))``.

    ``"bicubic"`` keeps detail over many frames; ``"bilinear"`` never overshoots. The image's border
    is repeated beyond it. Where the flow is 0 the image is returned bit for bit.
    """
    sampled = F.grid_sample(
        image, _sampling_grid(flow), mode, padding_mode="border", align_corners=False
    )
    # The grid's rounding is small, but still regions would gather it frame after frame.
    return torch.where(flow.any(1, keepdim=True), sampled, image)


def inside_mask(flow: Tensor) -> Tensor:
    """Return ``[1, 1, H, W]``: 1 where the flow leads inside the frame, else 0."""
    grid = _sampling_grid(flow)
    # A pixel's centre may lie half a pixel from the border's centre and still be in the picture.
    return (grid.abs() <= 1).all(-1).unsqueeze(1).float()


def forward_backward_mask(flow: Tensor, backward: Tensor, *, boundaries: bool = True) -> Tensor:
    """Return where flow to an earlier frame is reliable (Ruder, Dosovitskiy, Brox 2016).

    ``[1, 1, H, W]``: 0 where the way there and back does not return (disocclusion), outside the
    frame, and, unless not ``boundaries``, where flow is blurred between motions; else 1.
    """
    returned = warp(backward, flow, "bilinear")
    error = (flow + returned).square().sum(1, keepdim=True)
    length = flow.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
    good = error <= SETTINGS.consistency * length + SETTINGS.consistency_offset
    if boundaries:
        good &= ~motion_boundary_mask(flow)
    return good.float() * inside_mask(flow)


def motion_boundary_mask(flow: Tensor) -> Tensor:
    """Return, bool ``[1, 1, H, W]``, where ``|∇u|² + |∇v|²`` is large for the flow's length."""
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    slope = (across.square() + down.square()).sum(1, keepdim=True)
    # Negated, so that NaN counts as a boundary.
    return ~(
        slope <= SETTINGS.boundary * flow.square().sum(1, keepdim=True) + SETTINGS.boundary_offset
    )


def suppress_static_flow(flow: Tensor, current: Tensor, earlier: Tensor) -> Tensor:
    """Return the flow with 0 where it explains the pictures no better than standing still.

    Without texture an estimator invents motion, and a dream there would swim. The flow,
    ``[1, 2, H, W]``, leads from the current to the earlier picture, ``[1, C, H, W]`` in [0, 1].
    """
    radius = SETTINGS.static_radius
    moved = (current - warp(earlier, flow, "bilinear")).abs().mean(1, keepdim=True)
    still = (current - earlier).abs().mean(1, keepdim=True)
    moved, still = local_mean(moved, radius), local_mean(still, radius)
    moving = (still > SETTINGS.static_gain * moved + SETTINGS.static_margin).float()
    return flow * local_mean(moving, SETTINGS.static_blur)


def photometric_mask(
    flow: Tensor,
    current: Tensor,
    earlier: Tensor,
    flow_error: float = 0.0,
) -> Tensor:
    """Return, ``[1, 1, H, W]`` of 0 and 1, where the warped earlier picture looks like this one.

    As of :func:`suppress_static_flow`. The difference that an error of the flow, in pixels, makes
    with the texture there is tolerated.
    """
    difference = (current - warp(earlier, flow, "bilinear")).abs().mean(1, keepdim=True)
    if flow_error:
        padded = F.pad(current, (1, 0, 1, 0), mode="replicate")
        right = (current - padded[..., 1:, :-1]).abs()
        down = (current - padded[..., :-1, 1:]).abs()
        difference = difference - flow_error * (right + down).mean(1, keepdim=True)
    alike = local_mean(difference, SETTINGS.photometric_radius) < SETTINGS.photometric_tolerance
    return alike.float() * inside_mask(flow)


def feather_binary(mask: Tensor, radius: int) -> Tensor:
    """Shrink a mask of 0 and 1 by ``radius`` pixels, with a ramp of that width inside its border.

    What was 0 stays 0, so that nothing unreliable comes back through the blur.
    """
    if radius < 1:
        return mask
    # An average of 1 is a minimum of 1; a minimum itself, by pooling, costs six times as much.
    all_around = local_mean(mask, radius) > 1 - 0.5 / (2 * radius + 1) ** 2
    return local_mean(all_around.to(mask.dtype), radius)


def _sampling_grid(flow: Tensor) -> Tensor:
    """Return the grid of :func:`torch.nn.functional.grid_sample`, ``[1, H, W, 2]``."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + 0.5
    y = torch.arange(height, device=flow.device, dtype=flow.dtype) + 0.5
    across = (flow[:, 0] + x) * (2 / width) - 1
    down = (flow[:, 1] + y.unsqueeze(1)) * (2 / height) - 1
    return torch.stack((across, down), dim=-1)
