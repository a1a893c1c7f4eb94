"""Settings, presets and the values they refuse."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from vidream.core.errors import SettingsError
from vidream.core.presets import PRESETS, preset_settings
from vidream.core.settings import (
    AudioBinding,
    ClassTerm,
    DreamSettings,
    KeyTerm,
    LayerTerm,
    ReadSettings,
    Settings,
    StyleTerm,
    find_setting,
    parse_bytes,
    parse_time,
    schema,
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
        (DreamSettings, {"octaves": 0}, "`octaves` is a whole number from 1"),
        (DreamSettings, {"octaves": 2.5}, "whole number"),
        (DreamSettings, {"step_size": float("nan")}, "`step_size`"),
        (DreamSettings, {"normalize": "max"}, "mean, std"),
        (DreamSettings, {"coherence": 1.1}, "coherence"),
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
    with pytest.raises(SettingsError, match="unknown setting 'speed'"):
        Settings().updated(speed=3)


def test_values_reach_the_part_they_belong_to():
    settings = Settings().updated(octaves=2, width=64, crf=30, effect="none")
    assert (settings.dream.octaves, settings.read.width) == (2, 64)
    assert (settings.write.crf, settings.effect) == (30, "none")


def test_the_schema_names_every_setting_once_with_all_that_is_known_of_it():
    for name, setting in schema().items():
        assert setting.name == name
        assert setting.option.help
        assert setting.option.group
        assert Settings().value(name) == setting.default
        assert find_setting(name) is find_setting(setting.flag) is setting
        if setting.type in (int, float) and setting.option.parse is None and name != "frames":
            assert setting.option.minimum is not None
    flags = [setting.flag for setting in schema().values()]
    assert len(set(flags)) == len(flags)


def values_of(setting):
    """Values that a setting takes, and nothing else."""
    option, kind = setting.option, setting.type
    low, high = option.minimum, option.maximum
    number = st.floats(-9, 9).map(lambda value: float(f"{value:.4g}"))
    one = {
        bool: st.booleans(),
        int: st.integers(int(low or 0), int(high or 999)),
        float: st.floats(low or 0, 999 if high is None else high, allow_subnormal=False),
        str: st.sampled_from(option.choices) if option.choices else st.text(min_size=1),
        LayerTerm: st.builds(LayerTerm, names, number, st.none() | st.integers(0, 999)),
        ClassTerm: st.builds(ClassTerm, st.sampled_from(["tabby", "tiger cat", "a:b"]), number),
        StyleTerm: st.builds(
            StyleTerm, st.sampled_from(["a.jpg", "b:2", "c d"]), st.floats(0.1, 9)
        ),
        KeyTerm: st.builds(
            lambda v: KeyTerm.parse(f"strength: 0s=0.1, 1:02={v:f}"), st.floats(0, 2)
        ),
        AudioBinding: st.sampled_from(["strength=bass", "step-size=all:0.0..0.5"]).map(
            AudioBinding.parse
        ),
    }[kind]
    if setting.multiple:
        return st.lists(one, max_size=1 if kind in (KeyTerm, AudioBinding) else 3).map(tuple)
    return st.none() | one if setting.default is None else one


some_values = st.lists(st.sampled_from(sorted(schema())), max_size=6, unique=True).flatmap(
    lambda chosen: st.fixed_dictionaries({name: values_of(schema()[name]) for name in chosen})
)


@given(some_values)
def test_settings_are_read_from_the_plain_values_that_they_are_written_as(values):
    try:
        settings = Settings().updated(**values)
    except SettingsError:
        reject()  # they do not go together
    written = json.loads(json.dumps(settings.to_dict(), allow_nan=False))
    assert Settings.from_dict(written) == settings
    assert settings.to_dict(path=lambda _: "x")["network"] == settings.dream.network


def test_paths_of_files_can_be_written_in_another_way():
    settings = Settings().updated(styles=("a/b.jpg:2",), mask="a/m.png", match_color="source")
    written = settings.to_dict(path=str.upper)
    assert (written["styles"], written["mask"]) == (["A/B.JPG:2"], "A/M.PNG")
    assert written["match_color"] == "source"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strength", "a"),
        ("strength", None),
        ("grey", 1),
        ("steps", True),
        ("layers", 3),
        ("keys", [None]),
        ("mask", 3),
        ("network", None),
        ("styles", [["a.jpg"]]),
    ],
)
def test_values_of_another_type(name, value):
    with pytest.raises(SettingsError, match=f"`{name}` is "):
        Settings.from_dict({name: value})


def test_whole_numbers_are_numbers_and_paths_are_text(tmp_path):
    assert Settings().updated(strength=1) == Settings().updated(strength=1.0)
    assert Settings().updated(mask=tmp_path).postprocess.mask == str(tmp_path)
