"""The frame loop: motion → initial image → effect → postprocess → what is shown."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import torch

from vidream.core.cores import core_count
from vidream.core.effect import Context, Effect
from vidream.core.frames import Frame, HdrPicture, Picture
from vidream.core.images import to_hdr_picture, to_picture, to_tensor
from vidream.core.memory import MemoryBudget
from vidream.core.queues import prefetch
from vidream.core.reporting import FrameReport
from vidream.postprocess.postprocess import PostProcessor
from vidream.render.checkpoint import Checkpoint
from vidream.render.guides import GuideVideo
from vidream.render.sources import FrameSource
from vidream.temporal.propagation import DreamState, propagate, update_state
from vidream.temporal.tracking import Motion, MotionTracker, TrackerState
from vidream.timeline.timeline import Clock, Timeline


@dataclass(frozen=True, slots=True)
class Stages:
    """What every frame passes through.

    Args:
        timeline: the settings at any time.
        effect: what is done to a frame.
        postprocess: what becomes of the effect's image before it is shown.
        tracker: the motion of the source; None if nothing is propagated along it.
        guide: a video that guides the effect.
        device: where the images are.
        memory: how much the effect may take there; saved with the checkpoints.
    """

    timeline: Timeline
    effect: Effect
    postprocess: PostProcessor
    tracker: MotionTracker | None = None
    guide: GuideVideo | None = None
    device: torch.device | str = "cpu"
    memory: MemoryBudget | None = None


@dataclass(frozen=True, slots=True)
class Tracked:
    """A frame, its motion, and what the tracker knows after it."""

    frame: Frame
    motion: Motion
    tracker: TrackerState | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is shown in place of a frame, and what the next one depends on."""

    frame: Frame
    report: FrameReport
    checkpoint: Checkpoint


class Session:
    """Frames in, dreamed frames out, one by one: a context manager.

    >>> with open_session(preset_settings("eyes")) as session:
    ...     shown = session.push(picture)  # uint8 [H, W, 3] RGB, or a Frame

    Frames come in their order; one thread at a time. Works under ``torch.inference_mode()``.

    Args:
        stages: what they pass through.
        checkpoint: where an earlier session stopped.
        expected: frames in all, for the reports.
        resources: closed with the session.
    """

    def __init__(
        self,
        stages: Stages,
        checkpoint: Checkpoint | None = None,
        expected: int | None = None,
        resources: ExitStack | None = None,
    ) -> None:
        self._stages, self._expected = stages, expected
        self._resources = resources or ExitStack()
        self.checkpoint = checkpoint or Checkpoint()
        self._clock = Clock(stages.timeline.settings.read.start, self.checkpoint.begin)

    @property
    def effect(self) -> Effect:
        """What is done to each frame."""
        return self._stages.effect

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *stopped: object) -> None:
        self._resources.close()

    def push(self, frame: Frame | Picture | HdrPicture) -> Frame:
        """Return what is shown in place of the next frame."""
        return self.render(frame).frame

    def render(self, frame: Frame | Picture | HdrPicture) -> Rendered:
        """Take the next frame through the loop; like :meth:`push`, with a report."""
        if not isinstance(frame, Frame):
            index = self.checkpoint.frames
            frame = Frame(frame, index=index, pts=index)
        return self.step(self.track(frame))

    def flush(self) -> list[Frame]:
        """End the clip: the next frame begins a new scene.

        Returns:
            Frames that were held back: none, for each push returns its own.
        """
        stages = self._stages
        if stages.tracker is not None:
            stages.tracker.state = TrackerState()
        self.checkpoint = Checkpoint(frames=self.checkpoint.frames, begin=self.checkpoint.begin)
        return []

    def track(self, frame: Frame) -> Tracked:
        """Find the motion of the next frame. May run ahead of :meth:`step`, in another thread."""
        tracker = self._stages.tracker
        if tracker is None:
            return Tracked(frame, Motion(cut=True))
        with _plain_tensors():
            motion = tracker.track(frame.image, frame.index)
        return Tracked(frame, motion, tracker.state)

    def step(self, tracked: Tracked) -> Rendered:
        """Take one frame through the loop."""
        with _plain_tensors():
            return self._step(tracked)

    def _step(self, tracked: Tracked) -> Rendered:
        began = time.perf_counter()
        stages, last = self._stages, self.checkpoint
        frame, motion = tracked.frame, tracked.motion
        context = self._context(frame)
        state = None if motion.cut else last.state
        # A frame shown twice is shown alike, also where encoding has changed it a little. A guide
        # that moves lets the same frame become something else.
        again = state is not None and motion.duplicate and stages.guide is None
        propagated = again
        if again:
            assert state is not None
            source, image = state.frame, state.image
        else:
            source = to_tensor(frame.image, stages.device)
            init = propagate(state, motion, source, context.settings.dream.coherence)
            image, effect_state = stages.effect.step(
                init, source, context, {} if state is None else state.effect
            )
            propagated = init.new_mask is not None
            if stages.effect.recurrent:
                new = DreamState(frame.index, source, image, effect=effect_state)
                state = update_state(state, new, motion, context.settings.dream.recall)
        picture = last.picture
        if picture is None or not again or self._shown_otherwise:
            shown = stages.postprocess(image, source, context)
            picture = to_hdr_picture(shown) if frame.is_hdr else to_picture(shown)
        self.checkpoint = Checkpoint(
            frames=frame.index + 1,
            begin=frame.time if last.begin is None else last.begin,
            state=state if stages.effect.recurrent else None,
            tracker=tracked.tracker,
            picture=picture,
            memory=None if stages.memory is None else stages.memory.found,
        )
        report = FrameReport(
            index=frame.index,
            expected=self._expected,
            time=float(frame.time),
            seconds=time.perf_counter() - began,
            propagated=propagated,
            cut=motion.cut,
            duplicate=motion.duplicate,
        )
        shown_frame = Frame(picture, frame.index, frame.pts, frame.time_base, frame.duration)
        return Rendered(shown_frame, report, self.checkpoint)

    @property
    def _shown_otherwise(self) -> bool:
        """Whether the same image may be shown otherwise a moment later."""
        return self._stages.postprocess.is_moving or bool(self._stages.timeline.names)

    def _context(self, frame: Frame) -> Context:
        at: Fraction = self._clock(frame)
        guide = None if self._stages.guide is None else self._stages.guide.at(at)
        return Context(frame.index, at, self._stages.timeline.at(at), guide)


def render_frames(source: FrameSource, session: Session, depth: int) -> Generator[Rendered]:
    """Take frames through a session, decoding and tracking ahead of it.

    Args:
        source: of the frames; interrupted at the end, for its thread may wait for ever.
        session: what they pass through.
        depth: how many may wait between two threads.
    """
    with (
        prefetch(source, depth) as decoded,
        _tracked(decoded, session, depth) as tracked,
        ExitStack() as last,
    ):
        last.callback(source.interrupt)
        for item in tracked:
            yield session.step(item)


@contextmanager
def _tracked(frames: Iterable[Frame], session: Session, depth: int) -> Iterator[Iterator[Tracked]]:
    """Track motion while the frame before is dreamed, where a core is free for it."""
    tracked = (session.track(frame) for frame in frames)
    if core_count() <= 2:
        yield tracked
        return
    with prefetch(tracked, depth) as ahead:
        yield ahead


@contextmanager
def _plain_tensors() -> Iterator[None]:
    """Let tensors outlive an inference mode that the caller may be in; gradients on request."""
    with torch.inference_mode(mode=False), torch.no_grad():
        yield
