"""Times put right, whatever comes."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from vidream.media.timestamps import POLICY, DiscontinuityFixer, TimeBase, TimestampRepair


def repaired(times, usual=40):
    repair = TimestampRepair(usual)
    given_back = []
    for number, time in enumerate(times):
        given_back += repair.put(time, number)
        assert number - len(given_back) < POLICY.patience + repair.dropped
    return repair, given_back + repair.end()


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=60), st.integers(-1000, 10**9))
def test_good_times_stay(steps, first):
    times = [first + sum(steps[:k]) for k in range(len(steps))]
    repair, found = repaired(times)
    assert found == [(time, k) for k, time in enumerate(times)]
    assert repair.repaired == repair.dropped == 0


@given(
    st.lists(st.none() | st.integers(-(2**40), 2**40) | st.integers(0, 50), max_size=80),
    st.integers(0, 100),
)
def test_any_times_become_rising_ones(times, usual):
    repair, found = repaired(times, usual)
    assert all(a[0] < b[0] for a, b in itertools.pairwise(found))
    numbers = [number for _, number in found]
    assert numbers == sorted(set(numbers))
    assert len(found) + repair.dropped == len(times)


def test_missing_double_and_backward_times_go_between_their_neighbours():
    for bad in (None, 40, 10, -500, 99_999):
        assert [t for t, _ in repaired([0, 40, bad, 120, 160, 200])[1]] == [
            0,
            40,
            80,
            120,
            160,
            200,
        ]
    assert [t for t, _ in repaired([0, 40, None, None, 100, 160])[1]] == [0, 40, 60, 80, 100, 160]
    assert [t for t, _ in repaired([None, 40, 80])[1]] == [0, 40, 80]
    assert [t for t, _ in repaired([0, 0, 40, 80])[1]] == [0, 20, 40, 80]
    assert [t for t, _ in repaired([0, 40, 80, None])[1]] == [0, 40, 80, 120]


def test_without_room_frames_are_left_out():
    repair, found = repaired([0, 40, 41, 41, 41, 42, 80])
    assert [t for t, _ in found] == [0, 40, 41, 42, 80]
    assert repair.dropped == 2


def test_without_any_times_the_rate_counts():
    assert [t for t, _ in repaired([None] * 30, 50)[1]] == list(range(0, 1500, 50))
    assert next(t for t, _ in repaired([7] * 12, 50)[1]) == 7
    # A rate that is declared wrongly is learned.
    times = [t for t, _ in repaired([*range(0, 800, 40), *[None] * 20], 1)[1]]
    assert times == list(range(0, 1600, 40))


@given(
    st.fractions(Fraction(1, 10_000), 1, max_denominator=10_000),
    st.fractions(0, 10_000),
    st.integers(-(10**6), 10**6),
)
def test_a_cut_moves_all_streams_by_the_same_time(base, begin, time):
    ticks = TimeBase(base)
    assert (ticks.base, ticks.since(time, Fraction(0))) == (base, time)
    ticks.refine(begin)
    exact = time * base - begin
    assert abs(ticks.since(time, begin) * ticks.base - exact) <= Fraction(1, 2000)
    assert (ticks.factor == 1) == (base <= Fraction(1, 1000) or (begin / base).denominator == 1)


def stream(number, times, duration=0.04):
    return [(number, time, duration) for time in times]


def shifted(packets, **how):
    fixer = DiscontinuityFixer(**how)
    found = [(k, time + fixer.shift(k, time, length) / 1e6) for k, time, length in packets]
    return fixer, found


def test_a_clock_set_anew_goes_on_and_streams_stay_in_step():
    old, new = [50 + 0.04 * k for k in range(50)], [3 + 0.04 * k for k in range(50)]
    video = stream(0, old) + stream(0, new)
    # The sound comes to the seam a little later, and a little earlier in its own time.
    sound = stream(1, [t + 0.013 for t in old]) + stream(1, [t - 0.007 for t in new])
    mixed = [p for pair in zip(video, sound, strict=True) for p in pair]
    mixed = [*video[:60], *sound[:40], *video[60:], *sound[40:]]
    fixer, found = shifted(mixed)
    pictures = [t for k, t in found if k == 0]
    steps = [b - a for a, b in itertools.pairwise(pictures)]
    assert max(abs(step - 0.04) for step in steps) < 2e-6
    heard = [t for k, t in found if k == 1]
    # Offsets are those of each clock: 13 ms after the picture before, 7 ms ahead of it behind.
    assert abs(heard[10] - pictures[10] - 0.013) < 1e-9
    assert abs(heard[70] - pictures[70] + 0.007) < 1e-9
    assert fixer.jumps == 1


def test_pauses_are_no_fixer_but_in_broadcasts():
    packets = stream(0, [0, 0.04, 100, 100.04])
    assert shifted(packets)[0].jumps == 0
    fixer, found = shifted(packets, forward=True)
    assert fixer.jumps == 1
    assert abs(found[2][1] - 0.08) < 1e-6


def test_a_stray_time_is_no_seam():
    times = [0, 0.04, 90, 0.12, 0.16, 0.2]
    fixer, found = shifted(stream(0, times))
    assert fixer.jumps == 0
    assert [t for _, t in found] == times
    # Where a leap is a seam, the way back leads to the clock that was.
    assert [round(t, 6) for _, t in shifted(stream(0, times), forward=True)[1]][3:] == [
        0.12,
        0.16,
        0.2,
    ]


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(-1e6, 1e6)), max_size=100))
def test_any_packets_are_moved_somewhere(packets):
    fixer, _ = shifted([(k, time, 0.02) for k, time in packets], forward=True)
    assert fixer.jumps <= len(packets)


def test_a_base_stays_one_that_ffmpeg_has_numbers_for():
    ticks = TimeBase(Fraction(2**30 + 7, 2**30 + 1))
    ticks.refine(Fraction(1, 3))
    assert max(ticks.base.as_integer_ratio()) < 2**31
    finer = TimeBase(Fraction(1, 25))
    finer.refine(Fraction(1, 3))
    assert finer.base < Fraction(1, 1000)
