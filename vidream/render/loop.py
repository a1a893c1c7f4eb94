"""The frame loop: motion → initial image → effect → postprocess → output."""

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch

from vidream.core.closeable import Closeable
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
    """What every frame passes through."""

    timeline: Timeline
    effect: Effect
    postprocess: PostProcessor
    tracker: MotionTracker | None  # None if nothing is propagated
    guide: GuideVideo | None  # a video that guides the effect
    device: torch.device  # of the images
    memory: MemoryBudget | None  # budget of the effect; saved with the checkpoints


@dataclass(frozen=True, slots=True)
class Tracked:
    """A frame, its motion, and the state of the tracker after it."""

    frame: Frame
    motion: Motion
    tracker: TrackerState | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """The output of a frame, and what the next one depends on."""

    frame: Frame
    report: FrameReport
    checkpoint: Checkpoint
    begins_scene: bool  # as motion tells: False if none is followed


@contextmanager
def _plain_tensors() -> Iterator[None]:
    """Make tensors that outlive the caller's inference mode; gradients on request."""
    with torch.inference_mode(mode=False), torch.no_grad():
        yield


class Session(Closeable):
    """Frames in, dreamed frames out, one by one: a context manager.

    >>> with open_session(preset_settings("eyes")) as session:
    ...     shown = session.push(picture)  # uint8 [H, W, 3] RGB, or a Frame

    Frames come in order, from one thread at a time. Works under ``torch.inference_mode()``.

    Args:
        stages: what the frames pass through.
        checkpoint: where an earlier session stopped.
        expected: number of frames, for the reports.
        resources: closed with the session.
    """

    def __init__(
        self, stages: Stages, checkpoint: Checkpoint, expected: int | None, resources: ExitStack
    ) -> None:
        self._stages, self._expected, self._resources = stages, expected, resources
        self.checkpoint = checkpoint
        self._clock = Clock(stages.timeline.settings.read.start, checkpoint.begin)

    @property
    def effect(self) -> Effect:
        """The effect of each frame."""
        return self._stages.effect

    @property
    def follows_motion(self) -> bool:
        """Whether a frame depends on the one before it."""
        return self._stages.tracker is not None

    def close(self) -> None:
        """Close what the frames pass through."""
        self._resources.close()

    def push(self, frame: Frame | Picture | HdrPicture) -> Frame:
        """Return the output of the next frame."""
        return self.render(frame).frame

    def render(self, frame: Frame | Picture | HdrPicture) -> Rendered:
        """Return the output of the next frame, with a report."""
        if not isinstance(frame, Frame):
            index = self.checkpoint.frames
            frame = Frame(frame, index=index, pts=index)
        return self.step(self.track(frame))

    def flush(self) -> list[Frame]:
        """End the clip; return the frames held back: none. The next one begins a new scene."""
        if self._stages.tracker is not None:
            self._stages.tracker.state = TrackerState()
        self.checkpoint = self.checkpoint.position
        return []

    @_plain_tensors()
    def track(self, frame: Frame) -> Tracked:
        """Return the motion of the next frame; may run ahead of :meth:`step`, in a thread."""
        tracker = self._stages.tracker
        if tracker is None:
            return Tracked(frame, Motion(cut=True))
        motion = tracker.track(frame.image, frame.index)
        return Tracked(frame, motion, tracker.state)

    @_plain_tensors()
    def step(self, tracked: Tracked) -> Rendered:
        """Return the output of the next frame, whose motion is known."""
        began = time.perf_counter()
        stages, last = self._stages, self.checkpoint
        frame, motion = tracked.frame, tracked.motion
        context = self._context(frame)
        state = None if motion.cut else last.state
        # A frame shown twice is shown alike, also where encoding has changed it a little. A guide
        # that moves lets the same frame become something else.
        dreams_on = stages.guide is not None or getattr(stages.effect, "deepens", False)
        if state is not None and motion.duplicate and not dreams_on:
            again = propagated = True
            source, image = state.frame, state.image
        else:
            again = False
            # Of frames that are alike flow leads to the first.
            reference = None if tracked.tracker is None else tracked.tracker.previous
            index = frame.index if reference is None else reference.index
            if motion.duplicate:
                motion = motion.standing(index)
            source = to_tensor(frame.image, stages.device)
            init = propagate(state, motion, source, context.settings.dream.coherence)
            image, effect_state = stages.effect.step(
                init, source, context, {} if state is None else state.effect
            )
            propagated = init.new_mask is not None
            if stages.effect.recurrent:
                new = DreamState(index, source, image, effect=effect_state)
                state = update_state(state, new, motion, context.settings.dream.recall)
        picture = last.picture
        moving = stages.postprocess.is_moving or stages.timeline.names
        if picture is None or not again or moving:
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
            duplicate=tracked.motion.duplicate,
            strength=self._strength(),
        )
        begins = motion.cut and self.follows_motion
        return Rendered(replace(frame, image=picture), report, self.checkpoint, begins)

    def _strength(self) -> float | None:
        state, strength = self.checkpoint.state, getattr(self._stages.effect, "strength", None)
        return None if state is None or strength is None else strength(state.effect)

    def _context(self, frame: Frame) -> Context:
        at = self._clock(frame)
        guide = None if self._stages.guide is None else self._stages.guide.at(at)
        return Context(frame.index, at, self._stages.timeline.at(at), guide)


def render_frames(source: FrameSource, session: Session, depth: int) -> Generator[Rendered]:
    """Yield the output of each frame; decoding and tracking run ahead.

    Args:
        source: interrupted at the end, for its thread may wait for ever.
        session: what the frames pass through.
        depth: frames that may wait between two threads.
    """
    with ExitStack() as stack:
        frames = stack.enter_context(prefetch(source, depth))
        tracked: Iterator[Tracked] = map(session.track, frames)
        if core_count() > 2:
            tracked = stack.enter_context(prefetch(tracked, depth))
        stack.callback(source.interrupt)
        yield from map(session.step, tracked)
