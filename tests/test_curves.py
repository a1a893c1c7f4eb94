"""Numbers that change with time, and how they are written."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidream.core.errors import SettingsError
from vidream.core.settings import (
    OVER_TIME,
    AudioBinding,
    Curve,
    Key,
    KeyTerm,
    Settings,
    TimeSettings,
    schema,
)

number = st.floats(-1e6, 1e6, allow_nan=False)
ease = st.sampled_from(["smooth", "linear", "hold"])
keys = st.lists(
    st.builds(Key, st.floats(0, 1e5), number, ease),
    min_size=1,
    max_size=8,
    unique_by=lambda key: key.time,
)


@given(keys)
def test_a_curve_passes_through_its_keys(given_keys):
    curve = Curve(tuple(given_keys))
    assert [curve(key.time) for key in given_keys] == [key.value for key in given_keys]


@given(keys, st.floats(-10, 2e5))
def test_a_curve_stays_between_its_neighbours_and_is_constant_outside(given_keys, time):
    given_keys = sorted(given_keys, key=lambda key: key.time)
    before = [key for key in given_keys if key.time <= time]
    after = [key for key in given_keys if key.time > time]
    value = Curve(tuple(given_keys))(time)
    if not before or not after:
        assert value == (after[0] if after else before[-1]).value
    else:
        low, high = sorted((before[-1].value, after[0].value))
        assert low <= value <= high
        if before[-1].ease == "hold":
            assert value == before[-1].value


@given(keys)
def test_a_curve_is_read_as_it_is_written(given_keys):
    curve = Curve(tuple(given_keys))
    assert Curve.parse(str(curve)) == curve


def test_the_eases_are_what_they_say():
    times = np.linspace(0, 1, 11)
    linear = Curve.parse("0s=1 linear, 1s=3")
    assert [linear(t) for t in times] == pytest.approx(1 + 2 * times)
    smooth = Curve.parse("0s=1, 1s=3")
    assert [smooth(t) for t in times] == pytest.approx(1 + 2 * (3 * times**2 - 2 * times**3))
    hold = Curve.parse("0s=1 hold, 1s=3")
    assert [hold(t) for t in times] == [1] * 10 + [3]


@given(st.floats(0.01, 0.99), number, number)
def test_smooth_rises_steadily_and_hardly_at_its_ends(share, low, high):
    curve = Curve((Key(0, low), Key(1, high)))
    steps = np.diff([curve(t) for t in np.linspace(0, 1, 50)])
    slack = 1e-9 * (abs(low) + abs(high))
    assert np.all(steps * np.sign(high - low) >= -slack)
    assert abs(curve(1e-3) - low) <= 1e-5 * abs(high - low) + slack


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("strength: 0s=0.2, 5s=1, 10s=0.3", ("strength", [(0, 0.2), (5, 1), (10, 0.3)])),
        ("step-size:1:30=0.02,0=0.01", ("step_size", [(0, 0.01), (90, 0.02)])),
        ("--rotate: 2 s = -1.5 linear", ("rotate", [(2, -1.5)])),
        ("steps: 0=1, 0:01=2,", ("steps", [(0, 1), (1, 2)])),
    ],
)
def test_keys_are_read(text, expected):
    term = KeyTerm.parse(text)
    assert (term.setting, [(k.time, k.value) for k in term.curve.keys]) == expected
    assert KeyTerm.parse(str(term)) == term


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0s=0.2, 5s=1", "which setting"),
        ("strength", "which setting"),
        ("strength:", "there is no key"),
        ("strength: 5s", "is not a key"),
        ("strength: 5s=much", "is not a key"),
        ("strength: 5s=nan", "is not a key"),
        ("strength: soon=1", "not a time"),
        ("strength: 5s=1 bouncy", "smooth, linear, hold"),
        ("strength: 5s=1 linear 3", "is not a key"),
        ("strength: 5s=1, 0:05=0.5", "same time"),
        ("strength: 5s=3", "`strength` is a number from 0 to 2"),
        ("strenght: 5s=1", "did you mean strength"),
        ("octaves: 5s=1", "step-size, steps, strength"),
        ("network: 5s=1", "can change over time are"),
    ],
)
def test_what_is_no_key(text, says):
    with pytest.raises(SettingsError, match=says):
        KeyTerm.parse(text)


def test_what_can_change_can_be_set():
    for name, setting in OVER_TIME.items():
        assert setting == replace(schema()[name], part="")
    assert {"strength", "step_size", "coherence", "zoom", "keep_edges"} <= set(OVER_TIME)
    assert not {"octaves", "seed", "network", "recall"} & set(OVER_TIME)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("strength=bass", ("strength", "bass", None, None)),
        ("step-size = all : 0.005..0.02", ("step_size", "all", 0.005, 0.02)),
        ("rotate=mid:-1..1e0", ("rotate", "mid", -1, 1)),
        ("keep-edges=treble:1.0..0.", ("keep_edges", "treble", 1, 0)),
    ],
)
def test_reactions_are_read(text, expected):
    term = AudioBinding.parse(text)
    assert (term.setting, term.band, term.low, term.high) == expected
    assert AudioBinding.parse(str(term)) == term


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("strength", "is not a binding"),
        ("strength=bass:1", "is not a binding"),
        ("strength=drums", "the bands are bass, mid, treble, all"),
        ("strength=bass:0..3", "from 0 to 2"),
        ("volume=bass", "can change over time are"),
    ],
)
def test_what_is_no_reaction(text, says):
    with pytest.raises(SettingsError, match=says):
        AudioBinding.parse(text)


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [("step_size", 0.01, (0.005, 0.02)), ("zoom", 1.02, (1.01, 1.04)), ("coherence", 1, (0.5, 1))],
)
def test_without_a_range_it_is_half_to_twice(setting, value, expected):
    assert AudioBinding(setting, "bass").between(value) == pytest.approx(expected)


@pytest.mark.parametrize(("setting", "value"), [("zoom", None), ("keep_edges", 0.0)])
def test_what_is_not_set_has_no_half(setting, value):
    with pytest.raises(SettingsError, match="range"):
        AudioBinding(setting, "bass").between(value)


def test_keys_from_a_table():
    text = 'strength = "0s=0.2, 5s=1 linear"\n[zoom]\n"0s" = 1.01\n"1:30" = "1.05 hold"\n'
    time = TimeSettings(keys=tomllib.loads(text))
    assert [str(term) for term in time.keys] == [
        "strength: 0s=0.2, 5s=1 linear",
        "zoom: 0s=1.01, 90s=1.05 hold",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("strength = 3", "wants keys"),
        ("[strength]\n0.5 = 1", "in quotes"),
        ('strenth = "0s=1"', "did you mean strength"),
        ('strength = "0s=9"', "from 0 to 2"),
    ],
)
def test_tables_that_hold_no_keys(text, says):
    with pytest.raises(SettingsError, match=says):
        TimeSettings(keys=tomllib.loads(text))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"keys": ("strength: 0=1", "strength: 1=0")}, "strength changes over time twice"),
        ({"keys": ("step-size: 0=0.1",), "audio_reactive": ("step-size=bass",)}, "step-size"),
        ({"keys": "no-such.toml"}, "which setting"),
    ],
)
def test_wishes_that_do_not_go_together(values, says):
    with pytest.raises(SettingsError, match=says):
        Settings().updated(**values)
