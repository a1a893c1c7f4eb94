"""Live pictures, dreamed at a rate: size and steps are what the machine can do."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import torch
from torch import Tensor

from vidream.core.closeable import Closeable
from vidream.core.devices import choose_device
from vidream.core.effect import Effect, Resources
from vidream.core.errors import SettingsError
from vidream.core.frames import Frame, Picture
from vidream.core.images import Size, resize, size_of, size_within, to_picture, to_tensor
from vidream.core.memory import MemoryBudget
from vidream.core.reporting import Reporter
from vidream.core.settings import LIVE_RATE, Settings
from vidream.effects.live import LiveDream
from vidream.effects.registry import load_effect
from vidream.render.checkpoint import Checkpoint
from vidream.render.loop import Session
from vidream.render.setup import make_session
from vidream.timeline.timeline import Timeline, open_timeline


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """Constants of live dreams. Loads are compute time over the time that a frame has."""

    sides: tuple[int, ...] = (*(192, 224, 256, 304, 352, 416, 480, 576, 672, 800, 960, 1152, 1280),)
    first_side: int = 192  # until it is known what the machine can do
    most_load: float = 0.95  # above it frames become smaller
    wanted_load: float = 0.75  # at most, of a larger size
    settle: int = 4  # frames of a size before it is judged
    rest: int = 50  # frames from one larger size to the next, after the first
    share: float = 0.3  # of a frame's time in the mean
    # A step on a small picture costs little more in all of it than in a part: a step of every other
    # frame is better than parts in turn, and windows over what is new.
    base_steps: float = 0.5
    least_steps: float = 0.25  # where even the smallest size takes too long
    weak_steps: int = 0
    most_steps: float = 4.0  # while nothing moves
    spare_load: float = 0.6  # under which there is time for a further step
    still_speed: float = 0.002  # displacement per width and frame, of a picture at rest
    deepening: float = 1.02  # of the energy, per frame at rest
    fading: float = 0.95  # of what is over 1, per frame that moves
    most_depth: float = 1.8
    track_side: int = 224  # at which motion is found, whatever the size of the dream


POLICY = LivePolicy()


class RateControl:
    """Chooses size and steps so that frames keep a rate.

    Args:
        rate: frames per second.
        most_side: longer side of the dream at most.

    Attributes:
        side: longer side at which to dream, in pixels.
        steps: per propagated frame.
    """

    def __init__(self, rate: float, most_side: int | None = None) -> None:
        self._period, self._base = 1 / rate, POLICY.base_steps
        most = most_side or POLICY.sides[-1]
        self._sides = tuple(s for s in POLICY.sides if s <= most) or POLICY.sides[:1]
        self.side = max(s for s in self._sides if s <= POLICY.first_side or s == self._sides[0])
        self.steps = self._base
        self._mean: float | None = None
        self._age, self._since_growth = 0, POLICY.rest

    @property
    def load(self) -> float:
        """Mean compute time over the time that a frame has."""
        return (self._mean or 0.0) / self._period

    def after(self, seconds: float, *, still: bool) -> None:
        """Choose anew, after a propagated frame that took so long."""
        if not still and self.steps > self._base:
            self._set_steps(self._base)
            return
        self._mean = (
            seconds
            if self._mean is None
            else POLICY.share * seconds + (1 - POLICY.share) * self._mean
        )
        self._age += 1
        self._since_growth += 1
        if self._age < POLICY.settle:
            return
        if self.load > POLICY.most_load:
            if self.steps > self._base:
                self._set_steps(max(self._base, _fewer(self.steps)))
            elif self.side > self._sides[0]:
                self._set_side(self._largest(POLICY.wanted_load, below=self.side))
            else:
                self._base = POLICY.least_steps
                self._set_steps(self._base)
        elif still and self.load < POLICY.spare_load and self.steps < POLICY.most_steps:
            self._set_steps(_more(self.steps))
        elif not still or self.steps == self._base:
            if self._base < POLICY.base_steps and self.load < POLICY.spare_load:
                self._base = POLICY.base_steps
                self._set_steps(self._base)
                return
            larger = self._largest(POLICY.wanted_load)
            if larger > self.side and self._since_growth >= POLICY.rest:
                self._since_growth = 0 if self._age > 2 * POLICY.settle else POLICY.rest
                self._set_side(larger)

    def _largest(self, load: float, below: int | None = None) -> int:
        """Return the largest side at which the load is expected to be that at most."""
        most = self.side * (load / self.load) ** 0.5
        fitting = [s for s in self._sides if s <= most and (below is None or s < below)]
        return fitting[-1] if fitting else self._sides[0]

    def _set_side(self, side: int) -> None:
        if side != self.side:
            self.side = side
            self._age, self._mean = 0, None

    def _set_steps(self, steps: float) -> None:
        self.steps = steps
        self._age, self._mean = 0, None


def _more(steps: float) -> float:
    return steps + 1 if steps >= 1 else 2 * steps


def _fewer(steps: float) -> float:
    return steps - 1 if steps > 1 else steps / 2


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """A live picture that was dreamed.

    Args:
        picture: uint8 ``[H, W, 3]`` RGB, of the size of the picture that came.
        size: height and width at which it was dreamed.
        seconds: compute time.
        steps: of refinement.
        depth: energy over that of a dream from scratch.
        began: whether a scene began, or the dream was begun anew.
    """

    picture: Picture = field(repr=False)
    size: Size
    seconds: float
    steps: float
    depth: float
    began: bool


class _LiveTimeline(Timeline):
    """Settings over time, with the steps for which there is time."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__(timeline.settings)
        self._timeline = timeline
        self.steps = POLICY.base_steps
        self._last: tuple[Settings, float, Settings] | None = None

    @property
    def names(self) -> frozenset[str]:
        return self._timeline.names

    def at(self, time: Fraction) -> Settings:
        settings, last = self._timeline.at(time), self._last
        if last is None or last[0] is not settings or last[1] != self.steps:
            changed = settings.updated(refine_steps=self.steps, weak_steps=POLICY.weak_steps)
            last = settings, self.steps, changed
            self._last = last
        return last[2]


class LiveSession(Closeable):
    """Pictures in, dreamed pictures out, as fast as asked for: a context manager.

    The dream is made at the size for which there is time, and added to the picture at its own. It
    deepens while the picture stands still.

    >>> with LiveSession(preset_settings("eyes"), rate=15) as live:
    ...     shown = live.push(picture).picture  # uint8 [H, W, 3] RGB

    From one thread at a time. Nothing is queued: pictures that come too fast are the caller's to
    drop, as :class:`vidream.core.queues.Latest` does.

    Args:
        settings: what to dream.
        rate: frames per second to keep up with.
        most_side: longer side of the dream at most, in pixels.
        reporter: receives the progress of downloads.
        clock: seconds, for tests.

    Raises:
        VidreamError: the effect, its weights, the mask or the guide cannot be loaded.
    """

    def __init__(
        self,
        settings: Settings,
        rate: float = LIVE_RATE,
        *,
        most_side: int | None = None,
        reporter: Reporter | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not 0 < rate <= 1000:
            raise SettingsError(f"a rate is over 0 and at most 1000; not {rate:g}")
        self._timeline = _LiveTimeline(open_timeline(settings))
        device = choose_device(settings.dream.device)
        budget = MemoryBudget(settings.dream.memory, device)
        resources = Resources(reporter or Reporter(), budget)
        self._effect = _live_effect(settings, resources)
        self._session: Session = make_session(self._timeline, resources, effect=self._effect)
        self._control = RateControl(rate, most_side)
        self._clock, self._began, self._index = clock, clock(), 0

    def close(self) -> None:
        """Close what the pictures pass through."""
        self._session.close()

    @property
    def load(self) -> float:
        """Mean compute time of a frame over the time that it has."""
        return self._control.load

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def push(self, picture: Picture, spent: float = 0.0) -> LiveFrame:
        """Return the next picture, uint8 ``[H, W, 3]`` RGB, dreamed.

        Args:
            picture: as it comes.
            spent: seconds that the caller spends on a picture besides.

        Raises:
            VidreamError: it cannot be dreamed; the next one may be.
        """
        began, control, timeline = self._clock(), self._control, self._timeline
        whole = to_tensor(picture)
        size = size_within(size_of(whole), control.side)
        small = resize(whole, size)
        frame = Frame(
            to_picture(small), self._index, round(1000 * (began - self._began)), Fraction(1, 1000)
        )
        self._index += 1
        tracked = self._session.track(replace(frame, image=_for_tracking(whole)))
        self._session.checkpoint = _fitted(self._session.checkpoint, size)
        timeline.steps = control.steps
        speed = tracked.motion.speed
        is_still = not tracked.motion.cut and speed < POLICY.still_speed
        self._deepen(still=is_still)
        rendered = self._session.step(replace(tracked, frame=frame))
        dreamed = to_tensor(rendered.frame.image) - to_tensor(frame.image)
        shown = to_picture((whole + resize(dreamed, size_of(whole))).clamp_(0, 1))
        seconds = self._clock() - began
        depth = getattr(self._effect, "depth", 1.0)
        made = LiveFrame(shown, size, seconds, control.steps, depth, not rendered.report.propagated)
        # A dream from scratch says nothing of those that follow.
        if rendered.report.propagated:
            control.after(seconds + spent, still=is_still)
        return made

    def _deepen(self, *, still: bool) -> None:
        if isinstance(self._effect, LiveDream):
            depth = self._effect.depth
            deeper = min(POLICY.most_depth, depth * POLICY.deepening)
            self._effect.depth = deeper if still else 1 + (depth - 1) * POLICY.fading


def _live_effect(settings: Settings, resources: Resources) -> Effect:
    if settings.effect == "dream" and settings.dream.coherence > 0:
        return LiveDream(settings, resources)
    return load_effect(settings, resources)


def _for_tracking(whole: Tensor) -> Picture:
    return to_picture(resize(whole, size_within(size_of(whole), POLICY.track_side)))


def _fitted(checkpoint: Checkpoint, size: Size) -> Checkpoint:
    """Return a checkpoint without a dream of another size: it begins anew."""
    state = checkpoint.state
    if state is None or size_of(state.image) == size:
        return checkpoint
    return replace(checkpoint, state=None)
