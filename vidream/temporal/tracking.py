"""The motion of the clip, frame by frame: scene cuts, duplicates, and flow to earlier frames.

It depends on the source alone, never on the dream, so it can run ahead of the effect.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from vidream.core.frames import HdrPicture, Picture, to_eight_bits
from vidream.core.images import Size, resize, to_picture, to_tensor
from vidream.temporal.flow import FlowEstimator
from vidream.temporal.global_motion import fit_global_motions
from vidream.temporal.homography import homography_flow
from vidream.temporal.layers import layered_flow
from vidream.temporal.scenes import may_begin_scene
from vidream.temporal.warp import (
    feather_binary,
    motion_boundary_mask,
    photometric_mask,
    suppress_static_flow,
    to_flow,
)


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Constants of tracking."""

    keyframe_interval: int = 8  # frames of a scene from one that is kept to the next
    cut_stride: int = 3  # pixels between those that cuts are searched by, each way
    duplicate_levels: int = 2  # largest difference that encoding makes in a repeated frame
    min_explained: float = 0.25  # share that motion explains, from which there is no cut
    lost: float = 0.75  # 1 − confidence of a lost pixel: more than at a motion boundary
    min_lost: float = 0.03  # share of lost pixels, under which no keyframe is searched
    flow_error: float = 0.25  # pixels by which flow may be wrong
    feather: int = 1  # radius in pixels by which masks are shrunk and blurred
    boundary_confidence: float = 0.75  # flow is vague there, but the region is known


SETTINGS = TrackingSettings()


@dataclass(frozen=True, slots=True)
class FlowField:
    """The flow from the current frame to an earlier one."""

    index: int  # number of the earlier frame
    flow: Tensor = field(repr=False)  # [1, 2, h, w], in pixels of this grid
    confidence: Tensor = field(repr=False)  # [1, 1, h, w], 0 (something else is seen there) to 1


@dataclass(frozen=True, slots=True)
class Motion:
    """How a frame goes on from those before it."""

    cut: bool  # a scene begins here, into which nothing is propagated
    duplicate: bool = False  # the frame shows the same as the one before
    keep: bool = False  # the frame becomes a keyframe
    fields: tuple[FlowField, ...] = ()  # to the previous frame, then to keyframes, closest first

    def standing(self, index: int) -> "Motion":
        """Return the motion of a duplicate that is dreamed on: none, from frame ``index``."""
        nothing = FlowField(index, torch.zeros(1, 2, 1, 1), torch.ones(1, 1, 1, 1))
        return replace(self, duplicate=False, fields=(nothing,))

    @property
    def speed(self) -> float:
        """Mean displacement since the previous frame, as a share of the frame's width."""
        if not self.fields:
            return 0.0
        flow = self.fields[0].flow
        return float(flow.abs().sum(1).mean()) / flow.shape[-1]


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """A frame as motion is estimated on it."""

    index: int  # number of the frame
    picture: Picture = field(repr=False)  # uint8 [h, w, 3] RGB, at flow_size or half of it
    grey: Tensor = field(repr=False)  # its mean over the channels, [1, 1, h, w] in [0, 1]

    @property
    def size(self) -> Size:
        """Height and width of the picture."""
        return self.picture.shape[0], self.picture.shape[1]


@dataclass(frozen=True, slots=True)
class TrackerState:
    """What a tracker needs of earlier frames to go on."""

    previous: TrackedFrame | None = None  # that was no duplicate
    keyframes: tuple[TrackedFrame, ...] = ()  # older ones, the closest first
    since_cut: int = 0  # frames of this scene, without duplicates
    last: Picture | None = field(default=None, repr=False)  # that cuts were searched by


class MotionTracker:
    """Tracks the motion of a clip, whose frames are given in their order.

    Args:
        estimator: of optical flow.
        recall: how many keyframes are kept.
        device: where masks are computed, and returned.
        state: what a tracker left after the frame before.

    Attributes:
        state: after the last frame.
    """

    def __init__(
        self,
        estimator: FlowEstimator,
        recall: int,
        device: torch.device | str = "cpu",
        state: TrackerState | None = None,
    ) -> None:
        self._estimator, self._recall, self._device = estimator, recall, device
        self.state = state or TrackerState()

    def track(self, image: Picture | HdrPicture, index: int) -> Motion:
        """Return the motion of the next frame, ``[H, W, 3]`` RGB, by its number in the clip."""
        previous = self.state.previous
        frame, motion, last = self._compare(image, index)
        if motion.duplicate:
            # The earlier one stays the reference: a slow change must add up until it shows.
            self.state = replace(self.state, last=last)
            return motion
        cut = motion.cut
        keyframes = () if cut else self.state.keyframes
        since_cut = 0 if cut else self.state.since_cut
        keep = self._recall > 0 and since_cut % SETTINGS.keyframe_interval == 0
        fields = () if cut or previous is None else self._fields(frame, previous, keyframes)
        if keep:
            keyframes = (_halved(frame), *keyframes)[: self._recall]
        self.state = TrackerState(frame, keyframes, since_cut + 1, last)
        return Motion(cut=cut, keep=keep, fields=fields)

    def scan(self, image: Picture | HdrPicture, index: int) -> Motion:
        """Return what :meth:`track` would of cuts and duplicates, without flow: far sooner.

        A tracker either tracks or scans.
        """
        frame, motion, last = self._compare(image, index)
        self.state = replace(self.state if motion.duplicate else TrackerState(frame), last=last)
        return motion

    def _compare(
        self, image: Picture | HdrPicture, index: int
    ) -> tuple[TrackedFrame, Motion, Picture]:
        """Return the frame, whether it begins a scene or is a duplicate, and what to keep of it."""
        image, previous = to_eight_bits(image), self.state.previous
        frame = _tracked(index, image, flow_size(image.shape[0], image.shape[1]), self._device)
        cut, last = self._find_cut(frame)
        duplicate = previous is not None and not cut and self._is_duplicate(frame, previous)
        return frame, Motion(cut, duplicate), last

    def _find_cut(self, frame: TrackedFrame) -> tuple[bool, Picture]:
        """Return whether a scene begins, and what the next frame is compared with."""
        stride, previous, last = SETTINGS.cut_stride, self.state.previous, self.state.last
        sparse = frame.picture[::stride, ::stride]
        if previous is not None and previous.size != frame.size:
            return True, sparse
        if not may_begin_scene(sparse, last):
            return False, sparse
        if previous is None:
            return True, sparse
        explained = is_explained_by_motion(
            self._flow(frame, previous).cpu(), frame.picture, previous.picture
        )
        return not explained, sparse

    def _is_duplicate(self, frame: TrackedFrame, previous: TrackedFrame) -> bool:
        difference = np.abs(frame.picture.astype(np.int16) - previous.picture)
        return int(difference.max()) <= SETTINGS.duplicate_levels

    def _fields(
        self, frame: TrackedFrame, previous: TrackedFrame, keyframes: tuple[TrackedFrame, ...]
    ) -> tuple[FlowField, ...]:
        """Return flow to earlier frames, as far as there are regions that none yet shows."""
        fields = [self._field(self._layered_flow(frame, previous), frame, previous)]
        older = [keyframe for keyframe in keyframes if keyframe.index != previous.index]
        if not older:
            return tuple(fields)
        small = _halved(frame)
        unknown = 1 - resize(fields[0].confidence, small.size)
        for keyframe in older:
            lost = (unknown > SETTINGS.lost).float().mean()
            if float(lost) < SETTINGS.min_lost:
                break
            # What was hidden and comes back is a small part of the frame: the search for global
            # motion would take longer than all else.
            flow = suppress_static_flow(self._flow(small, keyframe), small.grey, keyframe.grey)
            fields.append(self._field(flow, small, keyframe))
            unknown = unknown * (1 - fields[-1].confidence)
        return tuple(fields)

    def _flow(self, frame: TrackedFrame, earlier: TrackedFrame) -> Tensor:
        return to_flow(self._estimator(frame.picture, earlier.picture), self._device)

    def _layered_flow(self, frame: TrackedFrame, earlier: TrackedFrame) -> Tensor:
        """Return the flow, regions without texture moving as those around them."""
        flow = self._flow(frame, earlier)
        now, then = (f.grey[0, 0].cpu().numpy() for f in (frame, earlier))
        motions = fit_global_motions(flow[0].permute(1, 2, 0).cpu().numpy(), now, then)
        flows = [to_flow(homography_flow(m, *now.shape), self._device) for m in motions]
        return layered_flow(flow, flows, frame.grey, earlier.grey)

    def _field(self, flow: Tensor, frame: TrackedFrame, earlier: TrackedFrame) -> FlowField:
        """Return a flow with its confidence."""
        smooth = feather_binary((~motion_boundary_mask(flow)).float(), SETTINGS.feather)
        # The flow back is not asked for: it would cost as much again, and where the pictures agree
        # along the flow to within a fraction of a pixel, it tells less than they do.
        alike = photometric_mask(flow, frame.grey, earlier.grey, SETTINGS.flow_error)
        confidence = feather_binary(alike, SETTINGS.feather)
        least = SETTINGS.boundary_confidence
        return FlowField(earlier.index, flow, confidence * (least + (1 - least) * smooth))


def is_explained_by_motion(flow: Tensor, picture: Picture, earlier: Picture) -> bool:
    """Return whether motion leads from one picture to the other, so that no cut is between them.

    A fast pan over a colourful scene changes as much as a cut does. The flow, ``[1, 2, H, W]``,
    leads from the picture, uint8 ``[H, W, 3]``, to the earlier one.
    """
    now, then = to_tensor(picture), to_tensor(earlier)
    explained = photometric_mask(suppress_static_flow(flow, now, then), now, then)
    return float(explained.mean()) >= SETTINGS.min_explained


def flow_size(height: int, width: int) -> Size:
    """Return the size at which flow is estimated: half the frame's, from 480 to 960 pixels wide.

    Full size costs four times as much, for a few percent less warping error.
    """
    longer = max(height, width)
    wanted = min(longer, max(480, min(longer // 2, 960)))
    return max(1, round(height * wanted / longer)), max(1, round(width * wanted / longer))


def _tracked(index: int, image: Picture, size: Size, device: torch.device | str) -> TrackedFrame:
    picture, tensor = image, to_tensor(image, device)
    if size != image.shape[:2]:
        tensor = resize(tensor, size)
        picture = to_picture(tensor)
    return TrackedFrame(index, picture, tensor.mean(1, keepdim=True))


def _halved(frame: TrackedFrame) -> TrackedFrame:
    """Return the frame at half the size: enough for what reappears, at a quarter of the cost."""
    height, width = frame.size
    half = max(1, height // 2), max(1, width // 2)
    return _tracked(frame.index, frame.picture, half, frame.grey.device)
