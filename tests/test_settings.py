"""Settings, presets and the values they refuse."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidream.errors import SettingsError
from vidream.presets import PRESETS, preset_settings
from vidream.settings import (
    DreamSettings,
    LayerTerm,
    ReadSettings,
    Settings,
    parse_bytes,
    parse_time,
)

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.]{0,20}", fullmatch=True)


@given(names, st.floats(-100, 100), st.none() | st.integers(0, 4000))
def test_a_layer_is_read_as_it_is_written(name, weight, channel):
    term = LayerTerm(name, float(f"{weight:g}"), channel)
    assert LayerTerm.parse(str(term)) == term


@pytest.mark.parametrize("text", ["", "a:", "a#b", "#3", "a:nan", "a:1:2", "a b", "a:1e999"])
def test_what_is_no_layer(text):
    with pytest.raises(SettingsError, match="Mixed_6b#42"):
        LayerTerm.parse(text)


@given(st.integers(0, 99), st.integers(0, 59), st.floats(0, 59.99))
def test_times(hours, minutes, seconds):
    text = f"{hours}:{minutes:02}:{seconds:.3f}"
    assert math.isclose(parse_time(text), hours * 3600 + minutes * 60 + seconds, abs_tol=1e-3)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4G", 4 * 2**30),
        ("800M", 800 * 2**20),
        ("1.5GiB", 3 * 2**29),
        ("2gb", 2 * 2**30),
        (" .5 T ", 2**39),
        ("123456", 123456),
        ("64 KiB", 65536),
    ],
)
def test_amounts_of_memory(text, size):
    assert parse_bytes(text) == size
    assert DreamSettings(memory=text) == DreamSettings(memory=size)


@pytest.mark.parametrize("text", ["", "G", "0", "-4G", "4 apples", "nan", "1e3", "4GG", "0.0001"])
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(SettingsError, match="800M or"):
        DreamSettings(memory=text)


@pytest.mark.parametrize("text", ["", "a", "-1", "1:2:3:4", "1e3", "nan", ":5"])
def test_what_is_no_time(text):
    with pytest.raises(SettingsError, match="not a time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("part", "values", "says"),
    [
        (DreamSettings, {"octaves": 0}, "octaves is a number from 1"),
        (DreamSettings, {"octaves": 2.5}, "whole number"),
        (DreamSettings, {"step_size": float("nan")}, "step-size"),
        (DreamSettings, {"normalize": "max"}, "mean, std"),
        (DreamSettings, {"carry": 1.1}, "carry"),
        (DreamSettings, {"seed": True}, "seed"),
        (ReadSettings, {"end": 3.0, "duration": 1.0}, "not both"),
        (ReadSettings, {"start": 3.0, "end": 3.0}, "not after"),
        (ReadSettings, {"duration": 0.0}, "nothing would be left"),
        (ReadSettings, {"max_side": 100, "width": 64}, "not both"),
    ],
)
def test_values_out_of_range(part, values, says):
    with pytest.raises(SettingsError, match=says):
        part(**values)


def test_the_default_preset_is_the_defaults():
    assert preset_settings() == Settings()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_make_settings(name):
    assert preset_settings(name, seed=7).dream.seed == 7


def test_a_network_that_is_not_the_presets_brings_its_own_layers():
    assert preset_settings("eyes").dream.layers
    assert preset_settings("eyes", network="vgg19").dream.layers == ()


def test_unknown_presets_and_settings():
    with pytest.raises(SettingsError, match="did you mean creatures"):
        preset_settings("creature")
    with pytest.raises(SettingsError, match="no such setting: speed"):
        Settings().updated(speed=3)


def test_values_reach_the_part_they_belong_to():
    settings = Settings().updated(octaves=2, width=64, crf=30, effect="none")
    assert (settings.dream.octaves, settings.read.width) == (2, 64)
    assert (settings.write.crf, settings.effect) == (30, "none")
