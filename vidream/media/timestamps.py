"""Repair of missing, duplicate and backward timestamps, and of clocks that jump."""

import math
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

Item = TypeVar("Item")

_MOST_TICKS = 2**62
_MOST_INT = 2**31


@dataclass(frozen=True, slots=True)
class RepairPolicy:
    """Thresholds, in seconds where not said."""

    patience: int = 8  # items that are buffered until a later one tells their time
    backward: float = 1.0  # step back that is a reset of the clock
    forward: float = 10.0  # step ahead that is a jump, without pauses
    same_jump: int = 1_000_000  # microseconds within which jumps of two streams are one
    most_jumps: int = 1000
    coarse: Fraction = Fraction(1, 1000)  # tick above which a cut may need finer ones
    fine: Fraction = Fraction(1, 90_000)  # largest of these


POLICY = RepairPolicy()


def clamp_ticks(ticks: int) -> int:
    """Clamp a time to what FFmpeg can add to without overflow."""
    return max(-_MOST_TICKS, min(ticks, _MOST_TICKS))


class TimeBase:
    """A stream's time base, made finer where a cut would not begin on a tick.

    AVI counts in whole frames: video and audio would be shifted differently.
    """

    def __init__(self, base: Fraction) -> None:
        self._own, self.factor = base, 1

    @property
    def base(self) -> Fraction:
        """Seconds per tick."""
        return self._own / self.factor

    def refine(self, begin: Fraction) -> None:
        """Make ticks fine enough to begin at a time in seconds."""
        if self._own > POLICY.coarse and (begin / self._own).denominator > 1:
            factor = math.ceil(self._own / POLICY.fine)
            # A damaged base may be one that FFmpeg has no numbers for.
            if max((self._own / factor).as_integer_ratio()) < _MOST_INT:
                self.factor = factor

    def since(self, time: int, begin: Fraction) -> int:
        """Return the ticks from a beginning in seconds to a time in the container's ticks."""
        return time * self.factor - round(begin / self.base)


@dataclass(slots=True)
class _Stream:
    last: float | None = None
    expected: float = 0.0
    epoch: int = 0
    before: float = 0.0
    since: int = POLICY.patience


class DiscontinuityFixer:
    """Joins the epochs of a recording whose clock jumped; all streams shift alike, to stay in sync.

    Args:
        forward: whether a jump ahead is an error, and not a pause.
    """

    def __init__(self, *, forward: bool = False) -> None:
        self._forward = forward
        self._shifts = [0]
        self._streams: dict[int, _Stream] = {}

    @property
    def jumps(self) -> int:
        """Number of jumps so far."""
        return len(self._shifts) - 1

    def shift(self, stream: int, time: float, duration: float) -> int:
        """Return the shift in microseconds of a stream's packet; its times are in seconds."""
        own = self._streams.setdefault(stream, _Stream())
        if own.last is not None:
            if self._is_jump(own, time):
                own.epoch = self._epoch(own.epoch, round((own.expected - time) * 1e6))
            own.since += 1
            if time > own.expected + POLICY.backward:
                own.before, own.since = own.expected, 0
        own.last, own.expected = time, time + duration
        return self._shifts[own.epoch]

    def _is_jump(self, own: _Stream, time: float) -> bool:
        assert own.last is not None
        if time < own.last - POLICY.backward:
            # Back to where it was before a jump a moment ago: that was a stray timestamp.
            stray = own.since < POLICY.patience and abs(time - own.before) < POLICY.backward
            return self._forward or not stray
        return self._forward and time > own.expected + POLICY.forward

    def _epoch(self, epoch: int, jump: int) -> int:
        """Return the index of the epoch that begins here, known or new."""
        shift = self._shifts[epoch] + jump
        known = min(range(len(self._shifts)), key=lambda k: abs(self._shifts[k] - shift))
        if abs(self._shifts[known] - shift) < POLICY.same_jump:
            return known
        if self.jumps >= POLICY.most_jumps:
            return epoch
        self._shifts.append(shift)
        return len(self._shifts) - 1


class TimestampRepair(Generic[Item]):
    """Assigns strictly increasing times to items.

    A time is trusted if it is after the last one and the next is after it. Others are interpolated,
    or dropped where there is no room; after ``POLICY.patience`` of them extrapolated.
    """

    def __init__(self, usual: int) -> None:
        self._declared = max(1, usual)
        self._good, self._span = 0, 0
        self._last: int | None = None
        self._waiting: deque[tuple[int | None, Item]] = deque()
        self.repaired = 0
        self.dropped = 0

    def put(self, time: int | None, item: Item) -> list[tuple[int, Item]]:
        """Add an item; return those whose time is known by now."""
        self._waiting.append((time, item))
        known = self._flush(final=False)
        if not known and len(self._waiting) >= POLICY.patience:
            known = self._flush(final=True)
        return known

    def end(self) -> list[tuple[int, Item]]:
        """Return the items that are left."""
        return self._flush(final=True)

    @property
    def _usual(self) -> int:
        """Mean distance of items with trusted times; declared rates are often wrong."""
        return self._declared if self._good < POLICY.patience else max(1, self._span // self._good)

    def _flush(self, *, final: bool) -> list[tuple[int, Item]]:
        known = []
        while (good := self._believed(final=final)) is not None:
            known += self._spread(good)
        if final:
            known += self._follow()
        return known

    def _believed(self, *, final: bool) -> int | None:
        """Return the index of the first buffered item whose time can be trusted."""
        candidate, time = None, 0
        for number, (other, _) in enumerate(self._waiting):
            if other is None or (self._last is not None and other <= self._last):
                continue
            if candidate is not None and other > time:
                return candidate
            if candidate is None or self._likelier(other, time):
                candidate, time = number, other
        return candidate if final else None

    def _likelier(self, time: int, before: int) -> bool:
        """Whether the later of two contradicting times is the true one, and the other a stray."""
        if self._last is None:
            return time < before
        expected = self._last + self._usual
        return 2 * abs(time - expected) < abs(before - expected)

    def _spread(self, good: int) -> list[tuple[int, Item]]:
        """Return the items up to one whose time is trusted, interpolated."""
        before = [self._waiting.popleft()[1] for _ in range(good)]
        time, item = self._waiting.popleft()
        assert time is not None
        begin = time - self._usual * (good + 1) if self._last is None else self._last
        room = min(len(before), time - begin - 1)
        self.repaired += room
        self.dropped += len(before) - room
        spread = [
            (begin + (time - begin) * number // (room + 1), kept)
            for number, kept in enumerate(before[:room], 1)
        ]
        if not before and self._last is not None:
            self._good, self._span = self._good + 1, self._span + time - self._last
        self._last = time
        return [*spread, (time, item)]

    def _follow(self) -> list[tuple[int, Item]]:
        known = []
        while self._waiting:
            self._last = 0 if self._last is None else self._last + self._usual
            known.append((self._last, self._waiting.popleft()[1]))
            self.repaired += 1
        return known
