"""Which motion each region of the picture takes part in, also where it shows no texture.

A region without texture gives an estimator of optical flow nothing to hold on to. What moves it is
decided between *layers* (Wang and Adelson 1994): the global motions of the picture, standing still
among them, and the flow itself. Every textured place votes for the layer that explains it, and its
vote reaches into flat regions around it, the less the farther; where none arrives, the background's
motion holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.images import resize
from vidream.images.filters import local_mean
from vidream.temporal.warp import warp


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """Constants of the choice between layers.

    Args:
        window: reach of the window over which differences of the pictures are averaged, in pixels
            of half the flow's grid.
        gain: factor by which the flow must explain the picture better than a global motion,
        level: and difference of brightness by which it must do so.
        dead: difference that is taken for noise.
        evidence: further difference that counts 1 against a layer.
        most: what one place counts at most against a layer.
        prior: what counts against all layers but the background.
        far: what a neighbourhood full of votes counts for a layer, at each scale.
        texture: gradient of brightness per pixel, in the direction that has least, at which a
            place is half textured.
        near: distance in pixels up to which a flow may be a global motion's with small deviations.
        least: length in pixels by which deviations are shortened: the flow's error.
        reach: of the window over which deviations are averaged, in pixels of half the grid.
        hold: texture that deviations have to outweigh.
        better: factor by which they must explain the picture better than the motion without them,
        proof: and difference of brightness by which they must do so,
        ramp: and further difference from which they count in full.
    """

    window: int = 2
    gain: float = 1.2
    level: float = 0.5 / 255
    dead: float = 0.6 / 255
    evidence: float = 1.0 / 255
    most: float = 3.0
    prior: float = 0.8
    far: float = 1.0
    texture: float = 3 / 255
    near: float = 1.5
    least: float = 0.05
    reach: int = 4
    hold: float = 0.02
    better: float = 1.05
    proof: float = 0.05 / 255
    ramp: float = 0.1 / 255


SETTINGS = LayerSettings()


def layered_flow(
    flow: Tensor,
    motions: Sequence[Tensor],
    current: Tensor,
    earlier: Tensor,
    settings: LayerSettings = SETTINGS,
) -> Tensor:
    """Return the flow of the layer that each pixel belongs to.

    Where that is standing still, the flow is exactly 0. Where it is another global motion, it is
    that plus what the measured flow around deviates from it, as parallax and rolling shutter do.
    Where it is the flow itself, flat places take it from textured ones nearby.

    Args:
        flow: ``[1, 2, H, W]``, from the current picture to the earlier one, in pixels.
        motions: fields of the global motions, likewise; the background's first.
        current: brightness in [0, 1], ``[1, 1, H, W]``.
        earlier: likewise.
        settings: the constants.
    """
    height, width = flow.shape[-2:]
    now, then = local_mean(_halved(current), 1), local_mean(_halved(earlier), 1)
    texture = texture_confidence(now, settings)
    fields = [*(_halved(field) for field in motions), _halved(flow)]
    apart = [_differences(now, then, field, (height, width)) for field in fields]
    costs = _costs(apart, settings)
    winner = _lowest(costs)
    votes = texture * torch.cat([winner == k for k in range(len(fields))], 1)
    costs = costs - settings.far * _spread(votes)
    label = _lowest(resize(costs, (height, width)))
    own = votes[:, -1:]
    chosen = torch.zeros_like(flow)
    if own.any():
        spread = resize(_diffused(fields[-1], own, settings.hold), (height, width))
        chosen = torch.where(label == len(motions), spread, chosen)
    for k, motion in enumerate(motions):
        if motion.any():
            offset = fields[-1] - fields[k]
            small = offset.square().sum(1, keepdim=True) < settings.near**2
            deviation = _deviation(offset, votes[:, k : k + 1] * small, settings)
            along = _differences(now, then, fields[k] + deviation, (height, width))
            without, with_it = (local_mean(d, settings.reach) for d in (apart[k], along))
            better = without - settings.better * with_it - settings.proof
            deviation = deviation * (better / settings.ramp).clamp(0, 1)
            moved = motion + resize(deviation, (height, width))
            chosen = torch.where(label == k, moved, chosen)
    return chosen


def texture_confidence(image: Tensor, settings: LayerSettings = SETTINGS) -> Tensor:
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
    confidence: Tensor = smaller / (smaller + settings.texture**2)
    return confidence


def _costs(differences: list[Tensor], settings: LayerSettings) -> Tensor:
    """Return what speaks against each layer at each pixel, ``[1, L, h, w]``."""
    costs = local_mean(torch.cat(differences, 1), settings.window)
    # The flow was fitted to the pictures, noise included: it must do better than a global motion.
    costs[:, -1] = costs[:, -1] * settings.gain + settings.level
    worse = costs - costs.amin(1, keepdim=True) - settings.dead
    costs = (worse / settings.evidence).clamp(0, settings.most)
    costs[:, 1:] += settings.prior
    return costs


def _differences(now: Tensor, then: Tensor, field: Tensor, size: tuple[int, int]) -> Tensor:
    """Return by how much two halved pictures differ along a field in pixels of ``size``."""
    if not field.any():
        return (now - then).abs()
    h, w = now.shape[-2:]
    scale = now.new_tensor((w / size[1], h / size[0])).view(1, 2, 1, 1)
    return (now - warp(then, field * scale, "bilinear")).abs()


def _lowest(costs: Tensor) -> Tensor:
    """Return the index of the least channel, the first of equals, ``[1, 1, h, w]``."""
    least, index = costs[:, :1], torch.zeros_like(costs[:, :1], dtype=torch.uint8)
    for k in range(1, costs.shape[1]):
        lower = costs[:, k : k + 1] < least
        # An argmin over a few channels takes ten times as long.
        least, index = torch.where(lower, costs[:, k : k + 1], least), index.masked_fill(lower, k)
    return index


def _spread(votes: Tensor) -> Tensor:
    """Return the sum of the votes' local averages, at scales from twice the grid's to the frame."""
    levels = [votes]
    while min(levels[-1].shape[-2:]) > 4:
        levels.append(_halved(levels[-1]))
    total = torch.zeros_like(levels[-1])
    for level in reversed(levels[1:]):
        total = resize(total, (level.shape[-2], level.shape[-1])) + local_mean(level, 1)
    return resize(total, (votes.shape[-2], votes.shape[-1]))


def _deviation(offset: Tensor, weight: Tensor, settings: LayerSettings) -> Tensor:
    """Return the weighted local average of ``[1, 2, h, w]``, with what is short shrunk to 0."""
    sums = local_mean(torch.cat((offset * weight, weight), 1), settings.reach)
    mean = sums[:, :2] / (sums[:, 2:] + settings.hold)
    square = mean.square().sum(1, keepdim=True)
    return mean * (1 - settings.least**2 / square.clamp_min(1e-12)).clamp_min(0)


def _diffused(flow: Tensor, weight: Tensor, hold: float) -> Tensor:
    """Fill in a field where its weight is small, from the nearest places where it is not.

    By normalised convolution over a pyramid (pull-push, Gortler et al. 1996).
    """
    levels = [torch.cat((flow * weight, weight), 1)]
    while min(levels[-1].shape[-2:]) > 2:
        levels.append(_halved(levels[-1]))
    filled = levels[-1][:, :2] / (levels[-1][:, 2:] + 1e-6)
    for level in reversed(levels[:-1]):
        coarse = resize(filled, (level.shape[-2], level.shape[-1]))
        filled = (level[:, :2] + hold * coarse) / (level[:, 2:] + hold)
    return filled


def _halved(image: Tensor) -> Tensor:
    """Average 2×2 pixels; a last odd line is repeated."""
    height, width = image.shape[-2:]
    if height % 2 or width % 2:
        image = F.pad(image, (0, width % 2, 0, height % 2), mode="replicate")
    rows = image[..., ::2, :] + image[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4
