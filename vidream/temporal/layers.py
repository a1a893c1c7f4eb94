"""Layers of motion: how each region of the picture moves, also where it shows no texture.

*Layers* (Wang and Adelson 1994) are the global motions, standing still among them, and the flow
itself. Every textured pixel votes for the layer that explains it, and its vote reaches into flat
regions around it, the less the farther; where none arrives, the background's motion holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.filters import local_mean
from vidream.core.images import Size, resize, size_of
from vidream.temporal.warp import warp


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """Constants of the choice between layers.

    Differences of brightness are in [0, 1]; radii are in pixels of half the flow's grid.
    """

    cost_radius: int = 2  # over which differences of the pictures are averaged
    flow_gain: float = 1.2  # by which flow must explain the pictures better than a global motion,
    flow_margin: float = 0.5 / 255  # and difference by which it must do so
    noise: float = 0.6 / 255  # difference that counts nothing against a layer
    evidence: float = 1.0 / 255  # further difference that counts 1,
    max_cost: float = 3.0  # up to this
    prior: float = 0.8  # what counts against all layers but the background
    vote_weight: float = 1.0  # what a neighbourhood full of votes counts for a layer, at each scale
    texture: float = 3 / 255  # least gradient of brightness per pixel, at half confidence
    max_deviation: float = 1.5  # pixels by which flow may deviate from a global motion
    flow_error: float = 0.05  # pixels by which deviations are shortened
    deviation_radius: int = 4  # over which deviations are averaged
    regularization: float = 0.02  # confidence that deviations have to outweigh
    deviation_gain: float = 1.05  # by which they must explain the pictures better than none,
    deviation_margin: float = 0.05 / 255  # and difference by which they must do so,
    deviation_ramp: float = 0.1 / 255  # and further difference from which they count in full


SETTINGS = LayerSettings()


def layered_flow(
    flow: Tensor,
    motions: Sequence[Tensor],
    current: Tensor,
    earlier: Tensor,
) -> Tensor:
    """Return the flow of the layer that each pixel belongs to.

    For standing still exactly 0; to another global motion the deviation of the flow nearby is
    added, as of parallax and rolling shutter; flow itself is filled in from textured pixels nearby.

    All flows are ``[1, 2, H, W]``, from the current picture to the earlier one, those of the global
    motions with the background's first; pictures are brightness in [0, 1], ``[1, 1, H, W]``.
    """
    size = size_of(flow)
    now, then = local_mean(_halved(current), 1), local_mean(_halved(earlier), 1)
    texture = texture_confidence(now)
    flows = [*(_halved(motion) for motion in motions), _halved(flow)]
    errors = [_differences(now, then, layer, size) for layer in flows]
    costs = _costs(errors)
    winner = _lowest(costs)
    votes = texture * torch.cat([winner == k for k in range(len(flows))], 1)
    costs = costs - SETTINGS.vote_weight * _sum_over_scales(votes)
    label = _lowest(resize(costs, size))
    own = votes[:, -1:]
    chosen = torch.zeros_like(flow)
    if own.any():
        filled = resize(_filled(flows[-1], own, SETTINGS.regularization), size)
        chosen = torch.where(label == len(motions), filled, chosen)
    for k, motion in enumerate(motions):
        if motion.any():
            offset = flows[-1] - flows[k]
            small = offset.square().sum(1, keepdim=True) < SETTINGS.max_deviation**2
            deviation = _deviation(offset, votes[:, k : k + 1] * small)
            along = _differences(now, then, flows[k] + deviation, size)
            without = local_mean(errors[k], SETTINGS.deviation_radius)
            with_it = local_mean(along, SETTINGS.deviation_radius)
            better = without - SETTINGS.deviation_gain * with_it - SETTINGS.deviation_margin
            deviation = deviation * (better / SETTINGS.deviation_ramp).clamp(0, 1)
            chosen = torch.where(label == k, motion + resize(deviation, size), chosen)
    return chosen


def texture_confidence(image: Tensor) -> Tensor:
    """Return how well a picture ``[1, 1, h, w]`` determines flow at each pixel, 0 to 1.

    By the smaller eigenvalue of the structure tensor: an edge alone leaves its direction open.
    """
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    tensor = local_mean(torch.cat((right * right, down * down, right * down), 1), 2)
    xx, yy, xy = tensor[:, :1], tensor[:, 1:2], tensor[:, 2:]
    smaller: Tensor = (xx + yy) / 2 - (((xx - yy) / 2).square() + xy.square()).sqrt()
    smaller = smaller.clamp_min(0)
    return smaller / (smaller + SETTINGS.texture**2)


def _costs(differences: list[Tensor]) -> Tensor:
    """Return the cost of each layer at each pixel, ``[1, L, h, w]``."""
    costs = local_mean(torch.cat(differences, 1), SETTINGS.cost_radius)
    # The flow was fitted to the pictures, noise included: it must do better than a global motion.
    costs[:, -1] = costs[:, -1] * SETTINGS.flow_gain + SETTINGS.flow_margin
    worse = costs - costs.amin(1, keepdim=True) - SETTINGS.noise
    costs = (worse / SETTINGS.evidence).clamp(0, SETTINGS.max_cost)
    costs[:, 1:] += SETTINGS.prior
    return costs


def _differences(now: Tensor, then: Tensor, flow: Tensor, size: Size) -> Tensor:
    """Return by how much two halved pictures differ along a flow in pixels of ``size``."""
    if not flow.any():
        return (now - then).abs()
    h, w = now.shape[-2:]
    scale = now.new_tensor((w / size[1], h / size[0])).view(1, 2, 1, 1)
    return (now - warp(then, flow * scale, "bilinear")).abs()


def _lowest(costs: Tensor) -> Tensor:
    """Return the index of the least channel, the first of equals, ``[1, 1, h, w]``."""
    least, index = costs[:, :1], torch.zeros_like(costs[:, :1], dtype=torch.uint8)
    for k in range(1, costs.shape[1]):
        lower = costs[:, k : k + 1] < least
        # An argmin over a few channels takes ten times as long.
        least, index = torch.where(lower, costs[:, k : k + 1], least), index.masked_fill(lower, k)
    return index


def _sum_over_scales(votes: Tensor) -> Tensor:
    """Return the sum of local averages at all scales, from twice the grid's to the frame's."""
    levels = [votes]
    while min(levels[-1].shape[-2:]) > 4:
        levels.append(_halved(levels[-1]))
    total = torch.zeros_like(levels[-1])
    for level in reversed(levels[1:]):
        total = resize(total, size_of(level)) + local_mean(level, 1)
    return resize(total, size_of(votes))


def _deviation(offset: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted local average of ``[1, 2, h, w]``, with what is short shrunk to 0."""
    sums = local_mean(torch.cat((offset * weight, weight), 1), SETTINGS.deviation_radius)
    mean = sums[:, :2] / (sums[:, 2:] + SETTINGS.regularization)
    square = mean.square().sum(1, keepdim=True)
    return mean * (1 - SETTINGS.flow_error**2 / square.clamp_min(1e-12)).clamp_min(0)


def _filled(flow: Tensor, weight: Tensor, regularization: float) -> Tensor:
    """Fill in flow where its weight is small, from the nearest pixels where it is not.

    By normalised convolution over a pyramid (pull-push, Gortler et al. 1996).
    """
    levels = [torch.cat((flow * weight, weight), 1)]
    while min(levels[-1].shape[-2:]) > 2:
        levels.append(_halved(levels[-1]))
    filled = levels[-1][:, :2] / (levels[-1][:, 2:] + 1e-6)
    for level in reversed(levels[:-1]):
        coarse = resize(filled, size_of(level))
        filled = (level[:, :2] + regularization * coarse) / (level[:, 2:] + regularization)
    return filled


def _halved(image: Tensor) -> Tensor:
    """Average 2×2 pixels; a last odd line is repeated."""
    height, width = image.shape[-2:]
    if height % 2 or width % 2:
        image = F.pad(image, (0, width % 2, 0, height % 2), mode="replicate")
    rows = image[..., ::2, :] + image[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4
