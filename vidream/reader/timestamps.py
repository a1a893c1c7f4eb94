"""Times put right: those that are missing, come twice or run backward, and clocks set anew.

Pure: times are whole numbers of some unit, and what they belong to is not looked at.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

Item = TypeVar("Item")

PATIENCE = 8
"""Items that wait, at most, for one behind them to tell when they are."""

_BACKWARD = 1.0  # seconds by which a clock goes back, from which it was set anew
_FORWARD = 10.0  # seconds likewise ahead, in recordings that have no pauses
_SAME = 1_000_000  # microseconds within which two streams tell of the same seam
_MOST_SEAMS = 1000
_FINE, _FINEST = Fraction(1, 1000), Fraction(1, 90_000)  # seconds per tick


class Ticks:
    """The unit of a stream's times, made finer where a cut would not lie on a tick.

    AVI counts in whole frames: picture and sound would be moved by different times.

    Args:
        base: seconds per tick of the container.
    """

    def __init__(self, base: Fraction) -> None:
        self._own, self.factor = base, 1

    @property
    def base(self) -> Fraction:
        """Seconds per tick."""
        return self._own / self.factor

    def refine(self, begin: Fraction) -> None:
        """Make ticks fine enough to begin at a time, in seconds."""
        if self._own > _FINE and (begin / self._own).denominator > 1:
            self.factor = math.ceil(self._own / _FINEST)

    def since(self, time: int, begin: Fraction) -> int:
        """Give the ticks from a beginning, in seconds, to a time in the container's own ticks."""
        return time * self.factor - round(begin / self.base)


@dataclass(slots=True)
class _Stream:
    last: float | None = None
    expected: float = 0.0
    epoch: int = 0
    before: float = 0.0
    since: int = PATIENCE


class Seams:
    """Joins the clocks of a recording whose clock was set anew while it ran.

    At a seam a stream goes on where it was. The other streams are moved by just as much, however
    late they come to it, so that they stay in step.

    Args:
        leaps: whether a leap ahead is a seam too, and not a pause.
    """

    def __init__(self, *, leaps: bool = False) -> None:
        self._leaps = leaps
        self._shifts = [0]
        self._streams: dict[int, _Stream] = {}

    @property
    def found(self) -> int:
        """Number of seams so far."""
        return len(self._shifts) - 1

    def shift(self, stream: int, time: float, duration: float) -> int:
        """Tell by how much a packet is to be moved.

        Args:
            stream: number of its stream.
            time: when it is to be decoded, in seconds on the recording's own clock.
            duration: how long it lasts, in seconds.

        Returns:
            Microseconds.
        """
        own = self._streams.setdefault(stream, _Stream())
        if own.last is not None:
            if self._is_seam(own, time):
                own.epoch = self._epoch(own.epoch, round((own.expected - time) * 1e6))
            own.since += 1
            if time > own.expected + _BACKWARD:
                own.before, own.since = own.expected, 0
        own.last, own.expected = time, time + duration
        return self._shifts[own.epoch]

    def _is_seam(self, own: _Stream, time: float) -> bool:
        assert own.last is not None
        if time < own.last - _BACKWARD:
            # Back to where it was before it leapt a moment ago: that was a stray time, no clock.
            stray = own.since < PATIENCE and abs(time - own.before) < _BACKWARD
            return self._leaps or not stray
        return self._leaps and time > own.expected + _FORWARD

    def _epoch(self, epoch: int, leap: int) -> int:
        """Give the number of the time that begins here: one that is known already, or new."""
        shift = self._shifts[epoch] + leap
        known = min(range(len(self._shifts)), key=lambda k: abs(self._shifts[k] - shift))
        if abs(self._shifts[known] - shift) < _SAME:
            return known
        if self.found >= _MOST_SEAMS:
            return epoch
        self._shifts.append(shift)
        return len(self._shifts) - 1


class Mender(Generic[Item]):
    """Gives every item a time after that of the one before.

    A time is believed if it is after the last one and the next is after it. Items without such a
    time are spread evenly between their neighbours, those for which there is no room are dropped.
    Where :data:`PATIENCE` items wait in vain, they follow each other at the usual distance.

    Args:
        usual: distance of two items, at least 1, until it can be told from the items.
    """

    def __init__(self, usual: int) -> None:
        self._declared = max(1, usual)
        self._good, self._span = 0, 0
        self._last: int | None = None
        self._waiting: deque[tuple[int | None, Item]] = deque()
        self.mended = 0
        self.dropped = 0

    def put(self, time: int | None, item: Item) -> list[tuple[int, Item]]:
        """Take an item; give those whose time is known by now."""
        self._waiting.append((time, item))
        given = self._settle(final=False)
        if not given and len(self._waiting) >= PATIENCE:
            given = self._settle(final=True)
        return given

    def end(self) -> list[tuple[int, Item]]:
        """Give what still waits."""
        return self._settle(final=True)

    @property
    def _usual(self) -> int:
        """Mean distance of items with good times; what is declared is often wrong."""
        return self._declared if self._good < PATIENCE else max(1, self._span // self._good)

    def _settle(self, *, final: bool) -> list[tuple[int, Item]]:
        given = []
        while (good := self._believed(final=final)) is not None:
            given += self._give(good)
        if final:
            given += self._follow()
        return given

    def _believed(self, *, final: bool) -> int | None:
        """Find the first item that waits whose time can be believed."""
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
        """Whether of two times that contradict each other the one that came later is the true one.

        It is where the other is a stray time, which would put all that follow it in the wrong.
        """
        if self._last is None:
            return time < before
        expected = self._last + self._usual
        return 2 * abs(time - expected) < abs(before - expected)

    def _give(self, good: int) -> list[tuple[int, Item]]:
        """Give the items up to one whose time is good."""
        before = [self._waiting.popleft()[1] for _ in range(good)]
        time, item = self._waiting.popleft()
        assert time is not None
        begin = time - self._usual * (good + 1) if self._last is None else self._last
        room = min(len(before), time - begin - 1)
        self.mended += room
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
        given = []
        while self._waiting:
            self._last = 0 if self._last is None else self._last + self._usual
            given.append((self._last, self._waiting.popleft()[1]))
            self.mended += 1
        return given
