"""The motion of the source, frame by frame: scene cuts, duplicates, and the ways back.

It depends on the source alone, never on the dream, so it can run ahead of the dreamer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vidream.flow import FlowEstimator
from vidream.frames import DeepPicture, Picture, to_eight_bits, to_picture, to_tensor
from vidream.images import Size, resize
from vidream.temporal.global_motion import fit_global_motions, homography_flow
from vidream.temporal.layers import layered_flow
from vidream.temporal.scenes import SceneDetector
from vidream.temporal.warp import (
    coherent,
    photometric_mask,
    soften,
    suppress_static_flow,
    to_flow,
)

KEEP_EVERY = 8
"""Every how many frames of a scene one is kept in long-term memory."""

_SPARSE = 3  # every how many pixels the search for cuts looks at the picture, each way
_SAME = 2  # levels; what encoding changes in a frame that is shown twice
_LOST = 0.75  # distrust from which a pixel counts as lost: more than a boundary's
_FOLLOWED = 0.25  # share of the frame that motion explains, from which there was no cut
_ENOUGH = 0.03  # share of the frame that is lost, below which no older frame is asked
_ASTRAY = 0.25  # pixels that flow may be astray, where the pictures show it
_FEATHER = 1  # pixels by which masks are shrunk, and width of their ramps
_BOUNDARY = 0.75  # trust at a boundary of motion: flow is vague there, but the ground is known


@dataclass(frozen=True, slots=True)
class Track:
    """The way from the current frame back to an earlier one.

    Args:
        index: number of the earlier frame in its clip.
        flow: ``[1, 2, h, w]`` from the current frame to the earlier one, in pixels of this grid.
        trust: ``[1, 1, h, w]``, 0 (another thing is seen there) to 1.
    """

    index: int
    flow: Tensor = field(repr=False)
    trust: Tensor = field(repr=False)


@dataclass(frozen=True, slots=True)
class Motion:
    """What is known of a frame from those before it.

    Args:
        cut: a scene begins here; nothing earlier is to be carried into it.
        duplicate: the frame shows the same as the one before.
        keep: the frame is worth remembering for long.
        tracks: ways back, to the previous frame first, then to older ones, closest first.
    """

    cut: bool
    duplicate: bool = False
    keep: bool = False
    tracks: tuple[Track, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame as motion is estimated on it.

    Args:
        index: number of the frame in its clip.
        picture: uint8 ``[h, w, 3]`` RGB, at the size of :func:`grid` or half of it.
        grey: ``[1, 1, h, w]`` in [0, 1].
    """

    index: int
    picture: Picture = field(repr=False)
    grey: Tensor = field(repr=False)

    @property
    def size(self) -> Size:
        """Height and width of the picture."""
        return self.picture.shape[0], self.picture.shape[1]


@dataclass(frozen=True, slots=True)
class Trail:
    """What a tracker has to know of the frames so far to follow those to come.

    Args:
        previous: the last frame that was no duplicate; None before the first.
        kept: older ones, closest first.
        since_cut: frames of this scene, without duplicates.
        last: picture that the search for cuts saw last, uint8 ``[h, w, 3]``.
    """

    previous: Seen | None = None
    kept: tuple[Seen, ...] = ()
    since_cut: int = 0
    last: Picture | None = field(default=None, repr=False)


class MotionTracker:
    """Follows the motion of a clip. Frames are to be given in their order.

    Args:
        estimator: of optical flow.
        recall: how many older frames are kept; 0 for none but the previous one.
        device: where masks are computed, and where they are wanted.
        trail: what another tracker left before the first frame that this one is given.
    """

    def __init__(
        self,
        estimator: FlowEstimator,
        recall: int,
        device: torch.device | str = "cpu",
        trail: Trail | None = None,
    ) -> None:
        self._estimator, self._recall, self._device = estimator, recall, device
        trail = trail or Trail()
        self._scenes = SceneDetector(trail.last)
        self._previous, self._kept = trail.previous, trail.kept
        self._since_cut = trail.since_cut

    @property
    def trail(self) -> Trail:
        """What there is to know after the last frame that was given."""
        return Trail(self._previous, self._kept, self._since_cut, self._scenes.last)

    def track(self, image: Picture | DeepPicture, index: int) -> Motion:
        """Give what is known of the next frame, a ``[H, W, 3]`` picture."""
        image = to_eight_bits(image)
        seen = self._look(image, index)
        before = self._previous
        cut = self._cut(seen, before)
        if before is not None and not cut and _same(seen, before):
            # The earlier one stays the reference: a slow change must add up until it shows.
            return Motion(cut=False, duplicate=True)
        if cut:
            self._since_cut, self._kept, before = 0, (), None
        keep = self._recall > 0 and self._since_cut % KEEP_EVERY == 0
        motion = Motion(cut=cut, keep=keep, tracks=self._tracks(seen, before))
        self._previous = seen
        if keep:
            self._kept = (_halved(seen), *self._kept)[: self._recall]
        self._since_cut += 1
        return motion

    def _look(self, image: Picture, index: int) -> Seen:
        return _seen(index, image, grid(image.shape[0], image.shape[1]), self._device)

    def _cut(self, seen: Seen, before: Seen | None) -> bool:
        if before is not None and before.picture.shape != seen.picture.shape:
            self._scenes = SceneDetector()
            before = None
        if not self._scenes.cut(seen.picture[::_SPARSE, ::_SPARSE]):
            return False
        if before is None:
            return True
        return not followed(self._flow(seen, before).cpu(), seen.picture, before.picture)

    def _tracks(self, seen: Seen, before: Seen | None) -> tuple[Track, ...]:
        """Follow the frame back, as far as there is ground whose past is still unknown."""
        if before is None:
            return ()
        flow = self._layered(self._flow(seen, before), seen, before)
        tracks = [_track(flow, seen, before)]
        kept = [older for older in self._kept if older.index != before.index]
        if not kept:
            return tuple(tracks)
        small = _halved(seen)
        unknown = 1 - resize(tracks[0].trust, small.size)
        for older in kept:
            if float((unknown > _LOST).float().mean()) < _ENOUGH:
                break
            # What was hidden and comes back is a small part of the frame: the search for global
            # motion would take longer than all else.
            flow = self._flow(small, older)
            flow = suppress_static_flow(flow, small.grey, older.grey)
            tracks.append(_track(flow, small, older))
            unknown = unknown * (1 - tracks[-1].trust)
        return tuple(tracks)

    def _layered(self, raw: Tensor, seen: Seen, earlier: Seen) -> Tensor:
        """Return the flow with regions that show no texture moved as those around them."""
        now, then = (s.grey[0, 0].cpu().numpy() for s in (seen, earlier))
        motions = fit_global_motions(raw[0].permute(1, 2, 0).cpu().numpy(), now, then)
        fields = [to_flow(homography_flow(m, *now.shape), self._device) for m, _ in motions]
        return layered_flow(raw, fields, seen.grey, earlier.grey)

    def _flow(self, seen: Seen, other: Seen) -> Tensor:
        return to_flow(self._estimator(seen.picture, other.picture), self._device)


def _track(flow: Tensor, seen: Seen, earlier: Seen) -> Track:
    """Return the way back along a flow, with how far it can be relied on."""
    sharp = soften(coherent(flow).float(), _FEATHER)
    # The flow back is not asked for: it would cost as much again, and where the pictures agree
    # along the flow to within a fraction of a pixel, it tells less than they do.
    known = photometric_mask(flow, seen.grey, earlier.grey, _ASTRAY)
    trust = soften(known, _FEATHER)
    return Track(earlier.index, flow, trust * (_BOUNDARY + (1 - _BOUNDARY) * sharp))


def _seen(index: int, image: Picture, size: Size, device: torch.device | str) -> Seen:
    picture, tensor = image, to_tensor(image, device)
    if size != image.shape[:2]:
        tensor = resize(tensor, size)
        picture = to_picture(tensor)
    return Seen(index, picture, tensor.mean(1, keepdim=True))


def _halved(seen: Seen) -> Seen:
    """Give the frame at half the size: enough for what comes back, at a quarter of the cost."""
    height, width = seen.size
    half = max(1, height // 2), max(1, width // 2)
    return _seen(seen.index, seen.picture, half, seen.grey.device)


def followed(flow: Tensor, picture: Picture, earlier: Picture) -> bool:
    """Tell whether motion leads from one picture to the other, so that no cut is between them.

    A fast pan over a colourful scene changes as much as a cut does; but it can be followed.

    Args:
        flow: ``[1, 2, H, W]``, from the picture to the earlier one, on the CPU.
        picture: uint8 ``[H, W, 3]``.
        earlier: likewise.
    """
    now, then = to_tensor(picture), to_tensor(earlier)
    return (
        float(photometric_mask(suppress_static_flow(flow, now, then), now, then).mean())
        >= _FOLLOWED
    )


def grid(height: int, width: int) -> Size:
    """Give the size at which motion is estimated: half the frame's, from 480 to 960 pixels wide.

    Flow is smooth, and an estimate at full size costs four times as much for a few percent less
    warping error.
    """
    longer = max(height, width)
    wanted = min(longer, max(480, min(longer // 2, 960)))
    return max(1, round(height * wanted / longer)), max(1, round(width * wanted / longer))


def _same(seen: Seen, before: Seen) -> bool:
    apart = np.abs(seen.picture.astype(np.int16) - before.picture)
    return int(apart.max()) <= _SAME
